//! `dingsync bootstrap`, `dingsync reconcile` and `dingsync verify`: work that reads all of DingTalk. Beside a daemon
//! it is queued, and the daemon does it within its limits.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::decide::{DecisionCommand, decide};
use super::exit::{Exit, Failure};
use super::findings::Report;
use super::progress::{Details, follow, follow_daemon, follow_details, unless_interrupted};
use super::session::Session;
use super::{App, output};
use crate::answers::{Requester, request_run};
use crate::config::Needs;
use crate::store::{Run, RunKind, RunState};
use crate::sync::Context;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ReconcileArgs {
    #[command(subcommand)]
    decision: Option<DecisionCommand>,
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
    if let Some(decision) = args.decision {
        return decide(app, decision).await;
    }
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
        let run = carry_out(&app, &session, context, kind, quick).await?;
        let held = session.store.reader().await?.held_count(&context.corp_id).await?;
        let report = Report::read(&session.store, run.id, held).await?;
        exit = exit.max(match (run.state, kind) {
            (RunState::Complete, RunKind::Verify) if report.differences.is_empty() => Exit::Done,
            (RunState::Complete, RunKind::Verify) => Exit::Differences,
            // What a repair has found is not there any more, but for what is held.
            (RunState::Complete, _) if held == 0 => Exit::Done,
            (RunState::Complete, _) => Exit::Differences,
            _ => unfinished(&run),
        });
        if app.global.json {
            results.push(report.as_json(&context.name, &run)?);
        } else {
            report.print(&context.name, &run)?;
        }
    }
    if app.global.json {
        output::json(&results)?;
    }
    drop(contexts);
    session.close().await;
    Ok(exit)
}

/// What a run that is not complete means to whoever asked for it.
fn unfinished(run: &Run) -> Exit {
    if run.try_later { Exit::TryLater } else { Exit::Failed }
}

pub(super) async fn bootstrap(app: App) -> Result<Exit, Failure> {
    let config = app.config(Needs::Credentials)?;
    let mut session = Session::open_or_make(&app, &config, "bootstrap").await?;
    session.work();
    let mut exit = Exit::Done;
    let mut results = Vec::new();
    let contexts: Vec<Arc<Context>> = session.engine.contexts().cloned().collect();
    for context in &contexts {
        let run = carry_out(&app, &session, context, RunKind::Bootstrap, false).await?;
        let details = match run.state {
            RunState::Complete | RunState::Partial => {
                let followed = follow_details(&session.store, context);
                let details = unless_interrupted(followed).await.ok_or_else(|| {
                    let text = "interrupted: everybody is visible; the next start goes on with the details";
                    Failure::failed(anyhow::anyhow!(text))
                })?;
                Some(details?)
            }
            _ => None,
        };
        let held = session.store.reader().await?.held_count(&context.corp_id).await?;
        exit = exit.max(match (run.state, details) {
            (RunState::Complete, Some(Details::Read { parked: 0 })) if held == 0 => Exit::Done,
            (RunState::Complete, Some(Details::Read { parked: 0 })) => Exit::Differences,
            (RunState::Complete, Some(Details::Waiting { .. })) => Exit::TryLater,
            _ => unfinished(&run),
        });
        let (employees, departments) = session.store.reader().await?.populations(&context.corp_id).await?;
        let parked = match details {
            Some(Details::Read { parked }) => Some(parked),
            _ => None,
        };
        if app.global.json {
            results.push(json!({
                "corp": context.name,
                "state": run.state.label(),
                "employees": employees,
                "departments": departments,
                "details_complete": matches!(details, Some(Details::Read { .. })),
                "parked": parked,
                "held": held,
                "error": run.error,
            }));
        } else {
            tell_pull(&context.name, &run, details, (employees, departments), session.is_alone())?;
        }
    }
    if app.global.json {
        output::json(&results)?;
    }
    drop(contexts);
    session.close().await;
    Ok(exit)
}

fn tell_pull(
    corp: &str,
    run: &Run,
    details: Option<Details>,
    (employees, departments): (i64, i64),
    is_alone: bool,
) -> Result<(), Failure> {
    let mirrored = format!("{corp}: {employees} employees and {departments} departments are in the mirror");
    match details {
        None => output::line(format!("{corp}: gave up"))?,
        Some(Details::Read { parked: 0 }) => output::line(format!("{mirrored}, with their details"))?,
        Some(Details::Read { parked }) => {
            output::line(format!("{mirrored}, with the details that are to be had"))?;
            output::line(format!("{corp}: {parked} objects are parked: DingTalk refuses to show them"))?;
        }
        Some(Details::Waiting { left }) => {
            let who = if is_alone { "`dingsync serve`, or this command again," } else { "the daemon" };
            output::line(format!("{mirrored}; {left} reads wait for DingTalk: {who} goes on with them"))?;
        }
    }
    if let Some(error) = &run.error {
        output::line(format!("{corp}: {error}"))?;
    }
    Ok(())
}

/// Waits until a run is over, whoever does it, and shows how far it is.
async fn carry_out(
    app: &App,
    session: &Session,
    context: &Arc<Context>,
    kind: RunKind,
    quick: bool,
) -> Result<Run, Failure> {
    let requester = Requester { who: &app.who(), now: app.clock.now() };
    let run_id = request_run(&session.store, &context.corp_id, kind, quick, &requester).await?;
    if !session.is_alone() {
        return leave_to_daemon(session, context, kind, run_id).await;
    }
    let followed = follow(&session.store, &context.name, run_id);
    let carried_out = async { tokio::try_join!(context.carry_out_run(run_id), followed) };
    match unless_interrupted(Box::pin(carried_out)).await {
        Some(result) => Ok(result?.1),
        None => {
            context.abandon_run(run_id).await?;
            let go_on = match kind {
                RunKind::Verify => "nothing was changed",
                RunKind::Bootstrap | RunKind::Reconcile => "what was stored stays; the next start goes on",
            };
            Err(Failure::failed(anyhow::anyhow!("interrupted: {go_on}")))
        }
    }
}

/// Waits for a run that the daemon carries out.
async fn leave_to_daemon(
    session: &Session,
    context: &Arc<Context>,
    kind: RunKind,
    run_id: i64,
) -> Result<Run, Failure> {
    let Some(followed) = unless_interrupted(follow_daemon(&session.store, context, run_id)).await else {
        return Err(Failure::failed(anyhow::anyhow!(
            "interrupted; the daemon goes on with it, as run {run_id}"
        )));
    };
    let run = followed?;
    if run.state.is_over() {
        return Ok(run);
    }
    // A report is of no use to anybody later.
    let fate = if kind == RunKind::Verify && run.state == RunState::Queued {
        context.abandon_run(run_id).await?;
        "nothing was compared".to_owned()
    } else {
        format!("run {run_id} stays asked for, and is carried out as soon as that is possible")
    };
    Err(Failure::new(
        Exit::TryLater,
        anyhow::anyhow!(
            "the daemon gets on with nothing, because DingTalk does not answer it as it should: its status and log \
             say why; {fate}"
        ),
    ))
}
