//! `dingsync reconcile approve` and `dingsync reconcile discard`: what becomes of held deletions.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::progress::{follow_request, unless_interrupted};
use super::session::Session;
use super::{App, output};
use crate::config::Needs;
use crate::store::StoreError;
use crate::sync::{Context, Decided, Decision};

#[derive(Debug, Subcommand)]
pub(super) enum DecisionCommand {
    /// Delete what is held, as far as DingTalk still says that it is gone
    Approve(Which),
    /// Keep the rows of what is held; another run that finds the objects gone holds them again
    Discard(Which),
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only what this run found, or `events` for what single reads found [default: all that is held]
    #[arg(value_name = "RUN", value_parser = run_number)]
    run: Option<i64>,
}

/// A run's number; single reads belong to none, which is 0.
fn run_number(text: &str) -> Result<i64, String> {
    if text == "events" {
        return Ok(0);
    }
    let number = text.parse().ok().filter(|number: &i64| *number > 0);
    number.ok_or_else(|| "a run's number is wanted, or `events`".to_owned())
}

pub(super) async fn decide(app: App, command: DecisionCommand) -> Result<Exit, Failure> {
    let (decision, run) = match command {
        DecisionCommand::Approve(which) => (Decision::Approve, which.run),
        DecisionCommand::Discard(which) => (Decision::Discard, which.run),
    };
    let config = app.config(Needs::Credentials)?;
    let mut session = Session::open(&app, &config, "reconcile").await?;
    let contexts: Vec<Arc<Context>> = session.engine.contexts().cloned().collect();
    refuse_unknown_run(&session, &contexts, run).await?;
    let who = app.who();
    let mut exit = Exit::Done;
    let mut results = Vec::new();
    for context in &contexts {
        let decided = context.decide(decision, run, &who).await?;
        let outcome = match decision {
            Decision::Approve if decided.total() > 0 => {
                session.work();
                until_deleted(&session, context, &decided).await?
            }
            _ => Outcome::default(),
        };
        let held = session.store.reader().await?.held_count(&context.corp_id).await?;
        exit = exit.max(outcome.exit());
        if held > 0 {
            exit = exit.max(Exit::Differences);
        }
        if app.global.json {
            results.push(as_json(&context.name, decision, &decided, &outcome, held));
        } else {
            print(&context.name, decision, &decided, &outcome, held)?;
        }
    }
    if app.global.json {
        output::json(&results)?;
    }
    drop(contexts);
    session.close().await;
    Ok(exit)
}

async fn refuse_unknown_run(
    session: &Session,
    contexts: &[Arc<Context>],
    run: Option<i64>,
) -> Result<(), Failure> {
    let Some(run) = run.filter(|&run| run > 0) else { return Ok(()) };
    let known = session.store.reader().await?.run(run).await?;
    if known.is_some_and(|known| contexts.iter().any(|context| context.corp_id == known.corp_id)) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "there is no run {run}: the status and the log name the one that holds deletions"
    )))
}

/// What an approval has brought.
#[derive(Debug, Default)]
struct Outcome {
    deleted: i64,
    /// DingTalk shows them again.
    back: i64,
    /// Not deleted, and not back: out of sight, parked, or still waiting.
    left: i64,
    /// Still to be read, because DingTalk does not get on.
    waiting: i64,
}

impl Outcome {
    fn exit(&self) -> Exit {
        match self {
            Self { waiting: 1.., .. } => Exit::TryLater,
            Self { left: 1.., .. } => Exit::Failed,
            _ => Exit::Done,
        }
    }
}

async fn until_deleted(session: &Session, context: &Context, decided: &Decided) -> Result<Outcome, Failure> {
    let followed = follow_request(&session.store, context, decided.request);
    let waiting = unless_interrupted(followed).await.ok_or_else(|| {
        let text =
            "interrupted: what is approved stays approved, and is deleted as soon as it has been read again";
        Failure::failed(anyhow::anyhow!(text))
    })??;
    let (deleted, left) = approved(session, context, decided).await?;
    Ok(Outcome { deleted, left, back: decided.total() - deleted - left, waiting })
}

async fn approved(session: &Session, context: &Context, decided: &Decided) -> Result<(i64, i64), StoreError> {
    session.store.reader().await?.approved_at(&context.corp_id, decided.at).await
}

fn as_json(corp: &str, decision: Decision, decided: &Decided, outcome: &Outcome, held: i64) -> Value {
    json!({
        "corp": corp,
        "action": decision.action(),
        "decided": decided.total(),
        "objects": decided.objects,
        "deleted": outcome.deleted,
        "back": outcome.back,
        "left": outcome.left,
        "held": held,
    })
}

fn print(
    corp: &str,
    decision: Decision,
    decided: &Decided,
    outcome: &Outcome,
    held: i64,
) -> Result<(), Failure> {
    let total = decided.total();
    match decision {
        _ if total == 0 => output::line(format!("{corp}: nothing of that is held"))?,
        Decision::Discard => {
            output::line(format!("{corp}: {total} deletions discarded: the rows stay"))?;
        }
        Decision::Approve => {
            let back = match outcome.back {
                0 => String::new(),
                back => format!("; {back} are back, and stay"),
            };
            output::line(format!("{corp}: {total} deletions approved, {} done{back}", outcome.deleted))?;
        }
    }
    if outcome.left > 0 {
        output::line(format!(
            "{corp}: {} are not deleted yet: DingTalk does not say of them that they are gone now. They are deleted \
             once it does",
            outcome.left
        ))?;
    }
    if held > 0 {
        output::line(format!("{corp}: {held} other deletions are still held"))?;
    }
    Ok(())
}
