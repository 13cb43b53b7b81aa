//! The command line: what is asked for, and the process's exit code.

mod apply;
mod check;
mod config;
mod decide;
mod demo;
mod desk;
mod events;
mod exit;
mod explain;
mod findings;
mod forget;
mod health;
mod link;
mod migrate;
mod output;
mod progress;
mod runs;
mod serve;
mod session;
mod subject;
mod subscription;
mod sync;
mod tasks;

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use self::exit::{Exit, Failure};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, Needs};
use crate::lifecycle;
use crate::random::Random;
use crate::telemetry::init_logging;

const ABOUT: &str = "Mirrors a DingTalk organisation into the database of an OA system, and keeps it there";
const AFTER_HELP: &str = "\
New here? `dingsync demo` shows everything on this machine, without a DingTalk account.
With an account: write dingsync.toml, then `dingsync check`, then `dingsync serve`.

Exit codes: 0 done, 1 failed or only partly done, 2 differences found or deletions held,
64 wrong usage or configuration, 75 try again later.
Results go to stdout, log lines to stderr.";

/// Characters of a name in the audit trail.
const LONGEST_WHO: usize = 200;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "dingsync", version, about = ABOUT, after_help = AFTER_HELP, max_term_width = 100)]
struct CommandLine {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// The configuration file [default: that of the variable `DINGSYNC_CONFIG`, else ./dingsync.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only this organisation: the NAME of its table [corps.NAME]
    #[arg(long, global = true, value_name = "NAME")]
    corp: Option<String>,
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: take callbacks, mirror every change, compare everything now and then
    Serve(serve::ServeArgs),
    /// Pull the whole organisation once, now, and wait until it is all there
    Bootstrap,
    /// Compare everything with DingTalk and repair what differs; decide on held deletions
    Reconcile(runs::ReconcileArgs),
    /// Compare everything with DingTalk and report; exit code 2 when something differs
    Verify,
    /// Read one person, department or role again, now
    Sync(sync::SyncArgs),
    /// Explain one person, department or role: what is stored and why, what waits, what DingTalk says now
    Explain(explain::ExplainArgs),
    /// List, show and replay the events that came
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// List, show, retry and discard what waits to be read, or is set aside
    #[command(subcommand)]
    Tasks(tasks::TasksCommand),
    /// Fill the OA's own tables: how far that is, what is refused, and doing it again
    #[command(subcommand)]
    Apply(apply::ApplyCommand),
    /// Say which row of the OA's is which person, department or role
    Link(link::LinkArgs),
    /// Forget which row of the OA's a person, department or role has; deletes nothing
    Unlink(link::UnlinkArgs),
    /// Erase what is personal of somebody who is gone, in the change log too
    Forget(forget::ForgetArgs),
    /// Check configuration, database, credentials, permissions, scope, clock and callback before the first start
    Check(check::CheckArgs),
    /// Show which events are registered and which have come, and what the console must tick; changes nothing
    Subscription,
    /// Bring the database's schema up to date
    Migrate(migrate::MigrateArgs),
    /// Show the effective configuration and where each value comes from
    Config(config::ConfigArgs),
    /// Ask a daemon on this machine whether it lives: for a container's health check
    Health(health::HealthArgs),
    /// Show everything on this machine: a DingTalk, the daemon, a company that lives on, and a check at the end
    Demo(demo::DemoArgs),
    /// Run a DingTalk on this machine: an organisation, its API, its events, and every fault it is known for
    Sim(crate::sim::Args),
}

/// What commands share: how the process was started.
#[derive(Debug)]
struct App {
    global: Global,
    environment: Vec<(String, String)>,
    clock: SharedClock,
    random: Random,
}

impl App {
    /// The configuration, narrowed to what `--corp` names, with logging set up by it.
    fn config(&self, needs: Needs) -> Result<Config, Failure> {
        let mut config = Config::load(self.global.config.as_deref(), &self.environment, needs)?;
        init_logging(&config.log)?;
        self.narrow(&mut config)?;
        Ok(config)
    }

    /// Whoever runs the command, as the audit trail names him.
    fn who(&self) -> String {
        let variable = |wanted: &str| {
            let found = self.environment.iter().find(|(name, value)| name == wanted && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(variable);
        let owner = || std::fs::metadata("/proc/self").map(|own| format!("uid {}", own.uid()));
        let user = user.or_else(|| owner().ok()).unwrap_or_else(|| "unknown".to_owned());
        format!("command line: {user}").chars().filter(|one| !one.is_control()).take(LONGEST_WHO).collect()
    }

    /// Leaves only what `--corp` names.
    fn narrow(&self, config: &mut Config) -> Result<(), Failure> {
        if let Some(name) = &self.global.corp {
            let known: Vec<&str> = config.corps.iter().map(|corp| corp.name.as_str()).collect();
            if !known.contains(&name.as_str()) {
                return Err(Failure::usage(format!(
                    "--corp {name}: the configuration has no such table that is enabled; it has {}",
                    known.join(", ")
                )));
            }
            config.corps.retain(|corp| corp.name == *name);
        }
        Ok(())
    }
}

/// Runs the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command_line = match CommandLine::try_parse_from(arguments) {
        Ok(command_line) => command_line,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // Nobody is left to be told that the terminal is gone.
            drop(error.print());
            return exit.into();
        }
    };
    // TLS needs a provider before the first client is built; a second one would be a defect, not a condition.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::failed(error).report(),
    };
    let app = App {
        global: command_line.global,
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        clock: Arc::new(SystemClock),
        random: Random::from_system(),
    };
    let result = runtime.block_on(run(app, command_line.command));
    // Whatever still runs was given its time already.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}

async fn simulate(args: crate::sim::Args) -> Result<Exit, Failure> {
    let shutdown = CancellationToken::new();
    tokio::spawn(stop_on_signals(shutdown.clone()));
    crate::sim::run(args, shutdown).await.map_err(Failure::failed)?;
    Ok(Exit::Done)
}

/// Ends at the first signal, and at once at the second.
#[expect(clippy::exit, reason = "a second signal asks for exactly this")]
async fn stop_on_signals(shutdown: CancellationToken) {
    if let Err(error) = lifecycle::stop_on_signals(shutdown, || std::process::exit(1)).await {
        tracing::error!(%error, "signals cannot be watched; the process has to be killed to stop it");
    }
}

async fn run(app: App, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Serve(args) => serve::serve(app, args).await,
        Command::Bootstrap => runs::bootstrap(app).await,
        Command::Reconcile(args) => runs::reconcile(app, args).await,
        Command::Verify => runs::verify(app).await,
        Command::Sync(args) => sync::sync(app, args).await,
        Command::Explain(args) => explain::explain(app, args).await,
        Command::Events(command) => events::events(app, command).await,
        Command::Tasks(command) => tasks::tasks(app, command).await,
        Command::Apply(command) => apply::apply(app, command).await,
        Command::Link(args) => link::link(app, args).await,
        Command::Unlink(args) => link::unlink(app, args).await,
        Command::Forget(args) => forget::forget(app, args).await,
        Command::Check(args) => check::check(app, args).await,
        Command::Subscription => subscription::subscription(app).await,
        Command::Migrate(args) => migrate::migrate(app, args).await,
        Command::Config(args) => config::config(&app, &args),
        Command::Health(args) => health::health(&app, &args).await,
        Command::Demo(args) => demo::demo(app, args).await,
        Command::Sim(args) => simulate(args).await,
    }
}
