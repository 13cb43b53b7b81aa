//! `dingsync bootstrap`, `dingsync reconcile` and `dingsync verify`: work that reads all of DingTalk. Beside a daemon
//! it is queued, and the daemon does it within its limits.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::info;

use super::exit::{Exit, Failure};
use super::session::Session;
use super::{App, output};
use crate::config::Needs;
use crate::store::{Run, RunItem, RunKind, RunState, Store, StoreError};
use crate::sync::Context;

const LOOK: Duration = Duration::from_millis(200);
const REPORT: Duration = Duration::from_secs(10);
const BATCH: usize = 500;
/// Differences that are printed for people; all of them are in the JSON.
const SHOWN: usize = 1000;

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// Print the plan and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave everybody's details out: compare departments, member lists and roles
    #[arg(long)]
    quick: bool,
}

pub(super) async fn verify(app: App) -> Result<Exit, Failure> {
    compare(app, RunKind::Verify, false, "verify").await
}

pub(super) async fn reconcile(app: App, args: ReconcileArgs) -> Result<Exit, Failure> {
    let kind = if args.dry_run { RunKind::Verify } else { RunKind::Reconcile };
    compare(app, kind, args.quick, "reconcile").await
}

async fn compare(app: App, kind: RunKind, quick: bool, command: &str) -> Result<Exit, Failure> {
    let config = app.config(Needs::Credentials)?;
    let mut session = Session::open(&app, &config, command).await?;
    if kind == RunKind::Reconcile {
        session.work();
    }
    let mut exit = Exit::Done;
    let mut results = Vec::new();
    let contexts: Vec<Arc<Context>> = session.engine.contexts().cloned().collect();
    for context in &contexts {
        let run = carry_out(&session, context, kind, quick).await?;
        let items = items(&session.store, run.id).await?;
        // What a repair has found is not there any more; what a report has found is.
        exit = exit.max(match (run.state, kind) {
            (RunState::Complete, RunKind::Verify) if !items.is_empty() => Exit::Differences,
            (RunState::Complete, _) => Exit::Done,
            (RunState::Failed, _) if run.try_later => Exit::TryLater,
            _ => Exit::Failed,
        });
        if app.global.json {
            results.push(as_json(context, &run, &items)?);
        } else {
            print(&context.name, &run, &items)?;
        }
    }
    if app.global.json {
        output::json(&results)?;
    }
    drop(contexts);
    session.close().await;
    Ok(exit)
}

pub(super) async fn bootstrap(app: App) -> Result<Exit, Failure> {
    let config = app.config(Needs::Credentials)?;
    let mut session = Session::open(&app, &config, "bootstrap").await?;
    session.work();
    let mut exit = Exit::Done;
    let mut results = Vec::new();
    let contexts: Vec<Arc<Context>> = session.engine.contexts().cloned().collect();
    for context in &contexts {
        let run = carry_out(&session, context, RunKind::Bootstrap, false).await?;
        let parked = follow_details(&session, context).await?;
        let (employees, departments) = session.store.reader().await?.populations(&context.corp_id).await?;
        if run.state != RunState::Complete || parked > 0 {
            exit = Exit::Failed;
        }
        if app.global.json {
            results.push(json!({
                "corp": context.name,
                "state": run.state.label(),
                "employees": employees,
                "departments": departments,
                "parked": parked,
                "error": run.error,
            }));
        } else {
            output::line(format!(
                "{}: {employees} employees and {departments} departments are in the mirror, with their details",
                context.name
            ))?;
            if parked > 0 {
                output::line(format!("{parked} objects are parked: DingTalk refuses to show them"))?;
            }
        }
    }
    if app.global.json {
        output::json(&results)?;
    }
    drop(contexts);
    session.close().await;
    Ok(exit)
}

/// Waits until a run is over, whoever does it, and shows how far it is.
async fn carry_out(
    session: &Session,
    context: &Arc<Context>,
    kind: RunKind,
    quick: bool,
) -> Result<Run, Failure> {
    let run_id = context.request_run(kind, quick).await?;
    if !session.is_alone() {
        return Ok(follow(&session.store, &context.name, run_id).await?);
    }
    let (done, run) =
        tokio::join!(context.carry_out_run(run_id), follow(&session.store, &context.name, run_id));
    done?;
    Ok(run?)
}

/// Shows how far a run is until it is over.
pub(super) async fn follow(store: &Store, corp: &str, run_id: i64) -> Result<Run, StoreError> {
    let bar = Bar::new(corp);
    loop {
        let run = store.reader().await?.run(run_id).await?;
        let Some(run) = run.filter(|run| !run.state.is_over()) else {
            bar.finish();
            let over = store.reader().await?.run(run_id).await?;
            return over
                .ok_or_else(|| StoreError::Schema("a run has vanished from the list of runs".to_owned()));
        };
        let phase = match run.state {
            RunState::Queued => "waiting for the daemon",
            _ => run.phase.as_deref().unwrap_or("starting"),
        };
        bar.show(run.progress, run.total, phase);
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until everybody's details have been read. Brings the number of objects that are parked.
async fn follow_details(session: &Session, context: &Context) -> Result<i64, StoreError> {
    let bar = Bar::new(&context.name);
    let mut most = 0;
    loop {
        let counts = session.store.reader().await?.counts(&context.corp_id).await?;
        let left = counts.live.pending + counts.background.pending + counts.running;
        most = most.max(left);
        if left == 0 {
            bar.finish();
            return Ok(counts.parked);
        }
        bar.show(most - left, Some(most), "details");
        tokio::time::sleep(LOOK).await;
    }
}

/// A progress bar on a terminal, a line now and then elsewhere.
struct Bar {
    corp: String,
    drawn: Option<ProgressBar>,
    reported: Cell<Instant>,
}

impl Bar {
    fn new(corp: &str) -> Self {
        let drawn = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        Self { corp: corp.to_owned(), drawn, reported: Cell::new(Instant::now()) }
    }

    fn show(&self, position: i64, total: Option<i64>, phase: &str) {
        let position = u64::try_from(position).unwrap_or_default();
        let total = total.and_then(|total| u64::try_from(total).ok());
        if let Some(bar) = &self.drawn {
            let template = match total {
                Some(_) => "{prefix} {msg} [{wide_bar}] {pos}/{len} ({eta} left)",
                None => "{prefix} {spinner} {msg}: {human_pos} in {elapsed} ({per_sec})",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(self.corp.clone());
            bar.set_message(phase.to_owned());
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(position);
        } else if self.reported.get().elapsed() >= REPORT {
            self.reported.set(Instant::now());
            info!(corp = self.corp, phase, done = position, total, "under way");
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.drawn {
            bar.finish_and_clear();
        }
    }
}

/// What a run has found.
pub(super) async fn items(store: &Store, run_id: i64) -> Result<Vec<RunItem>, Failure> {
    let mut items = Vec::new();
    let mut after = 0;
    loop {
        let batch = store.reader().await?.run_items_after(run_id, after, BATCH).await?;
        let Some((last, _)) = batch.last() else { return Ok(items) };
        after = *last;
        items.extend(batch.into_iter().map(|(_, item)| item));
    }
}

fn as_json(context: &Context, run: &Run, items: &[RunItem]) -> Result<Value, Failure> {
    let mut differences = Vec::new();
    for item in items {
        let fields: Value = serde_json::from_str(&item.fields)?;
        differences.push(json!({
            "entity": item.entity.label(),
            "id": item.entity_id,
            "difference": item.disagreement.label(),
            "fields": fields,
        }));
    }
    Ok(json!({
        "corp": context.name,
        "run": run.id,
        "kind": run.kind.label(),
        "state": run.state.label(),
        "compared": run.progress,
        "error": run.error,
        "differences": differences,
    }))
}

/// Shows what a run has found to people.
pub(super) fn print(corp: &str, run: &Run, items: &[RunItem]) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for item in items.iter().take(SHOWN) {
        let fields: Vec<Value> = serde_json::from_str(&item.fields)?;
        let head = [item.entity.label().to_owned(), item.entity_id.clone()];
        let word = item.disagreement.label().to_owned();
        if fields.is_empty() {
            let [entity, id] = head.clone();
            rows.push([entity, id, word.clone(), String::new()]);
        }
        for field in fields {
            let [entity, id] = head.clone();
            let name = field["field"].as_str().unwrap_or_default();
            let text = format!("{name}: {} → {}", field["stored"], field["actual"]);
            rows.push([entity, id, word.clone(), text]);
        }
    }
    output::table(&rows)?;
    if items.len() > SHOWN {
        output::line(format!("… and {} more; --json lists all of them", items.len() - SHOWN))?;
    }
    let verdict = match (run.state, run.kind, items.len()) {
        (RunState::Failed, ..) => "gave up".to_owned(),
        (_, RunKind::Reconcile, 0) => "nothing differed".to_owned(),
        (_, RunKind::Reconcile, found) => format!("{found} differences found and repaired"),
        (_, _, 0) => "nothing differs".to_owned(),
        (_, _, found) => format!("{found} differences"),
    };
    output::line(format!("{corp}: {verdict} ({} objects compared)", run.progress))?;
    if let Some(error) = &run.error {
        output::line(format!("{corp}: {error}"))?;
    }
    Ok(())
}
