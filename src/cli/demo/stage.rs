//! What the demo plays on: a simulated DingTalk and a daemon, each with a listener of its own, in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::super::App;
use super::super::exit::Failure;
use super::super::serve::{Daemon, Running, ServeArgs};
use super::{DemoArgs, LOOK};
use crate::config::{Config, Needs};
use crate::sim::{Options, Sim};
use crate::store::{BootstrapState, Counts, Store};
use crate::sync::Context;
use crate::telemetry::init_logging;

/// Log lines would drown what the demo tells; what is wrong is shown all the same.
const LOG_LEVEL: (&str, &str) = ("DINGSYNC_LOG__LEVEL", "error");

pub(super) struct Stage {
    pub(super) sim: Sim,
    pub(super) store: Store,
    pub(super) context: Arc<Context>,
    /// The operators' listener.
    pub(super) ops: SocketAddr,
    callbacks: SocketAddr,
    folder: Folder,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<Result<(), Failure>>,
    ended: CancellationToken,
}

/// Where database and configuration are.
enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// The mirror at one moment.
pub(super) struct Snapshot {
    pub(super) bootstrap_complete: bool,
    pub(super) people: i64,
    pub(super) departments: i64,
    pub(super) counts: Counts,
}

impl Stage {
    /// Starts both.
    pub(super) async fn set(app: &App, args: &DemoArgs) -> Result<Self, Failure> {
        let folder = match &args.keep {
            None => Folder::Temporary(TempDir::with_prefix("dingsync-demo-")?),
            Some(path) => {
                std::fs::create_dir_all(path)?;
                Folder::Kept(path.canonicalize()?)
            }
        };
        let options = Options {
            users: args.users,
            departments: args.departments,
            seed: args.seed,
            rate: args.rate,
            ..Options::default()
        };
        let sim = Sim::start(options, Arc::clone(&app.clock)).await.map_err(Failure::failed)?;
        let config = configure(app, args, &sim, folder.path())?;
        init_logging(&config.log)?;
        let shutdown = CancellationToken::new();
        let daemon = Daemon::new(app, ServeArgs::default(), config, shutdown.clone())?;
        let store = daemon.store.clone();
        let context = daemon.engine.as_ref().and_then(|engine| engine.context("main")).cloned();
        let running: Running = daemon.start().await?;
        let (Some(context), Some(callbacks)) = (context, running.callbacks) else {
            return Err(Failure::failed(anyhow::anyhow!("the daemon did not start as a whole")));
        };
        let ops = running.ops;
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        let running = tokio::spawn(async move {
            let _end = end;
            running.wait().await
        });
        Ok(Self { sim, store, context, ops, callbacks, folder, shutdown, running, ended })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for an end of the daemon that nobody asked for.
    pub(super) async fn broken(&self) {
        self.ended.cancelled().await;
    }

    /// Tells DingTalk where events go, and lets it check that as the console does.
    pub(super) async fn subscribe(&self) -> Result<(), Failure> {
        let url = format!("http://{}/dingtalk/{}/callback", self.callbacks, self.context.name);
        self.sim.set_callback(Some(url.parse::<Url>().map_err(Failure::failed)?));
        match self.sim.check_callback().await {
            Some(Err(failure)) => Err(Failure::failed(failure)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Waits until `condition` holds.
    pub(super) async fn until(&self, condition: impl Fn(&Snapshot) -> bool) -> Result<Snapshot, Failure> {
        loop {
            let found = self.store.reader().await?.snapshot(&self.context.corp_id).await?;
            let snapshot = Snapshot {
                bootstrap_complete: found.corp.is_some_and(|corp| corp.bootstrap == BootstrapState::Complete),
                people: found.populations.0,
                departments: found.populations.1,
                counts: found.counts,
            };
            if condition(&snapshot) {
                return Ok(snapshot);
            }
            sleep(LOOK).await;
        }
    }

    /// Stops both.
    pub(super) async fn strike(self) -> Result<(), Failure> {
        self.sim.stop().await;
        self.shutdown.cancel();
        // The database is closed when nobody has it any more.
        drop((self.store, self.context));
        self.running.await.map_err(Failure::failed)?
    }
}

/// Writes the configuration down, so that other commands can be used beside the demo, and reads it as `serve` would.
fn configure(app: &App, args: &DemoArgs, sim: &Sim, folder: &Path) -> Result<Config, Failure> {
    let database = folder.join("dingsync.db");
    let text = format!(
        "[database]\nurl = {}\n\n[server]\nlisten = \"127.0.0.1:0\"\n\n[ops]\nlisten = \"127.0.0.1:0\"\n\n\
         [dingtalk]\naddress_calls_per_20s = 0\n\n{}requests_per_second = {}\n",
        toml::Value::from(format!("sqlite://{}", database.display())),
        sim.daemon_toml(),
        args.rate,
    );
    let path = folder.join("dingsync.toml");
    std::fs::write(&path, text)?;
    let (name, level) = LOG_LEVEL;
    let wanted = app.environment.iter().find(|(known, _)| known == name);
    let environment = [wanted.cloned().unwrap_or_else(|| (name.to_owned(), level.to_owned()))];
    Ok(Config::load(Some(&path), &environment, Needs::Credentials)?)
}
