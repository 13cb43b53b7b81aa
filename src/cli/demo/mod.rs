//! `dingsync demo`: a DingTalk and the daemon together, on this machine, with everything real between them: HTTP, tokens,
//! signatures, encryption, and a database on disk.

mod stage;
mod tell;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::stage::Stage;
use self::watch::Watch;
use super::exit::{Exit, Failure};
use super::findings::Report;
use super::{App, output, progress, stop_on_signals};
use crate::sim::{Plan, Status};
use crate::store::{Counts, RunKind, RunState};

const LOOK: Duration = Duration::from_millis(50);
/// How long an event may take to arrive and to be mirrored when the company has stopped to change.
const LAST_EVENTS: Duration = Duration::from_mins(2);

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// How many people the company has
    #[arg(long, value_name = "N", default_value_t = 3000)]
    users: usize,
    /// How many departments it has
    #[arg(long, value_name = "N", default_value_t = 240)]
    departments: usize,
    /// Decides on everything that is invented
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long the company lives on before everything is compared, such as 30s or 5m [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = length_of_time)]
    time: Option<Duration>,
    /// Changes a second
    #[arg(long, value_name = "X", default_value_t = 6.0)]
    changes_per_second: f64,
    /// DingTalk's limit: calls a second for each API; the real one is 20. 0 for none, so that nobody has to wait
    #[arg(long, value_name = "N", default_value_t = 0)]
    rate: u32,
    /// Keep database and configuration in this folder [default: a temporary one that is removed at the end]
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

fn length_of_time(text: &str) -> Result<Duration, String> {
    let length: SignedDuration = text.parse().map_err(|_| "write it like 30s, 5m or 1h".to_owned())?;
    Duration::try_from(length).map_err(|_| "it must not be negative".to_owned())
}

pub(super) async fn demo(app: App, args: DemoArgs) -> Result<Exit, Failure> {
    introduce(&args)?;
    let enough = CancellationToken::new();
    tokio::spawn(stop_on_signals(enough.clone()));
    let stage = Stage::set(&app, &args).await?;
    describe(&stage)?;
    let outcome = tokio::select! {
        outcome = perform(&stage, &args, &enough) => outcome,
        () = stage.broken() => Err(Failure::failed(anyhow::anyhow!("the daemon ended by itself"))),
    };
    stage.strike().await?;
    outcome
}

fn introduce(args: &DemoArgs) -> Result<(), Failure> {
    let end = match args.time {
        Some(time) => format!("After {} s", time.as_secs_f64()),
        None => "When you press Ctrl-C".to_owned(),
    };
    output::line(format!(
        "1. A DingTalk comes up on this machine, with an invented company of {} people in {} departments.\n\
         2. The daemon pulls all of it into a SQLite file.\n\
         3. The company lives on: people join, move and leave. Each change comes as an encrypted callback and is mirrored.\n\
         4. {end}, every row is compared with the source.\n",
        args.users, args.departments,
    ))
}

fn describe(stage: &Stage) -> Result<(), Failure> {
    let folder = stage.folder().display();
    output::line(format!(
        "DingTalk   {}   ({})\n\
         status     http://{}/api/v1/status\n\
         metrics    http://{}/metrics\n\
         database   {folder}/dingsync.db\n\
         try        dingsync --config {folder}/dingsync.toml sync department 1\n",
        stage.sim.url(),
        stage.sim.status().organisation,
        stage.ops,
        stage.ops,
    ))
}

async fn perform(stage: &Stage, args: &DemoArgs, enough: &CancellationToken) -> Result<Exit, Failure> {
    tokio::select! {
        pulled = pull(stage) => pulled?,
        () = enough.cancelled() => {
            output::line("stopped before everybody was there: nothing is compared")?;
            return Ok(Exit::Failed);
        }
    }
    stage.subscribe().await?;
    output::line("callback   the encrypted check_url was answered rightly\n")?;
    let watch = live(stage, args, enough).await?;
    output::line(format!("\n{}", watch.summary(&stage.sim.counters().push)))?;
    compare(stage).await
}

/// Waits until the whole company is in the mirror, details included.
async fn pull(stage: &Stage) -> Result<(), Failure> {
    let started = Instant::now();
    let visible = stage.until(|snapshot| snapshot.bootstrap_complete).await?;
    output::line(format!(
        "pulled     {} people in {} departments after {:.1} s",
        visible.people,
        visible.departments,
        started.elapsed().as_secs_f64()
    ))?;
    stage.until(|snapshot| is_worked_off(&snapshot.counts)).await?;
    output::line(format!(
        "details    everybody's manager, roles and main department after {:.1} s",
        started.elapsed().as_secs_f64()
    ))
}

fn is_worked_off(counts: &Counts) -> bool {
    counts.live.pending + counts.background.pending + counts.running == 0
}

/// Lets the company live, and tells of it.
async fn live(stage: &Stage, args: &DemoArgs, enough: &CancellationToken) -> Result<Watch, Failure> {
    let mut watch = Watch::begin(stage).await?;
    output::line("The first change of each kind, and how long until its row was in the mirror:")?;
    let interval_ms = 1000.0 / args.changes_per_second.max(0.001);
    stage.sim.live(&Plan { count: 0, interval_ms, ..Plan::default() });
    let end = args.time.map(|time| Instant::now() + time);
    let over = async {
        match end {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        failed = watch.follow() => return Err(failed),
        () = over => {}
        () = enough.cancelled() => {}
    }
    stage.sim.end_life();
    stage.sim.life_ended().await;
    let last = async {
        stage.sim.settled().await;
        stage.until(|snapshot| is_worked_off(&snapshot.counts)).await?;
        sleep(LOOK).await;
        watch.look().await
    };
    tokio::time::timeout(LAST_EVENTS, last)
        .await
        .map_err(|_| Failure::failed(anyhow::anyhow!("the last events are not mirrored after 2 min")))??;
    Ok(watch)
}

/// Compares every row with the source, as `dingsync verify` does.
async fn compare(stage: &Stage) -> Result<Exit, Failure> {
    output::line("comparing every row with the source …")?;
    let run_id = stage.context.request_run(RunKind::Verify, false).await?;
    let run = progress::follow(&stage.store, &stage.context.name, run_id).await?;
    let report = Report::read(&stage.store, run_id, 0).await?;
    report.print(&stage.context.name, &run)?;
    let Status { people, departments, .. } = stage.sim.status();
    let source = (people as i64, departments as i64);
    let mirror = stage.store.reader().await?.populations(&stage.context.corp_id).await?;
    output::line(format!(
        "DingTalk has {} people in {} departments, the mirror {} in {}",
        source.0, source.1, mirror.0, mirror.1
    ))?;
    Ok(match (run.state, report.differences.is_empty() && source == mirror) {
        (RunState::Complete, true) => Exit::Done,
        (RunState::Complete, false) => Exit::Differences,
        _ => Exit::Failed,
    })
}
