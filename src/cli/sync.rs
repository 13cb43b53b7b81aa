//! `dingsync sync`: reads one object again, whoever runs, and shows what that changed.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::exit::{Exit, Failure};
use super::progress::Bar;
use super::session::Session;
use super::subject::Subject;
use super::{App, output};
use crate::answers::{self, Requester};
use crate::config::Needs;
use crate::dingtalk::client::Condition;
use crate::store::{Entity, Kind, LoggedChange, ObjectState, Standing, StoreError};
use crate::sync::Context;

const LOOK: Duration = Duration::from_millis(100);
/// How long somebody who waits for one object is kept waiting.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    #[command(flatten)]
    subject: Subject,
}

pub(super) async fn sync(app: App, args: SyncArgs) -> Result<Exit, Failure> {
    let config = app.config(Needs::Credentials)?;
    let mut session = Session::open(&app, &config, "sync").await?;
    let result = match session.only_context() {
        Ok(context) => read_again(&app, &args, &mut session, &context).await,
        Err(failure) => Err(failure),
    };
    session.close().await;
    result
}

async fn read_again(
    app: &App,
    args: &SyncArgs,
    session: &mut Session,
    context: &Context,
) -> Result<Exit, Failure> {
    let entity = args.subject.what.entity();
    let id = args.subject.resolve(&session.store, &context.corp_id).await?;
    let reads = answers::reads(entity, &id);
    let request = request_number(app);
    let requester = Requester { who: &app.who(), now: app.clock.now() };
    let before =
        answers::request_read(&session.store, &context.corp_id, entity, &id, request, &requester).await?;
    session.work();
    let answered = until_answered(session, context, request).await?;
    let states = states(session, context, &reads).await?;
    if !answered {
        return Err(Failure::new(
            Exit::TryLater,
            anyhow::anyhow!(
                "DingTalk has not shown {} {id} within {} s; it stays marked, and is read as soon as that is possible",
                entity.label(),
                PATIENCE.as_secs(),
            ),
        ));
    }
    let (changes, beside) = {
        let mut reader = session.store.reader().await?;
        let changes = reader.changes_of(&context.corp_id, entity, &id, before).await?;
        let all = reader.manual_changes_after(&context.corp_id, before).await?;
        let beside = usize::try_from(all).unwrap_or_default().saturating_sub(changes.len());
        (changes, beside)
    };
    let standing = standing(session, context, entity, &id, &states).await?;
    let parked = states.iter().flatten().find_map(|state| state.parked_reason.clone());
    if app.global.json {
        output::json(&json!({
            "corp": context.name,
            "entity": entity.label(),
            "id": id,
            "dingtalk": standing.label(),
            "parked": parked,
            "changes": changes.iter().map(change_json).collect::<Result<Vec<_>, _>>()?,
            "changes_beside": beside,
        }))?;
    } else {
        print(entity, &id, standing, &changes, beside)?;
        if let Some(reason) = &parked {
            output::line(format!("parked: {reason}"))?;
        }
    }
    Ok(match standing {
        _ if parked.is_some() => Exit::Failed,
        Standing::Held => Exit::Differences,
        _ => Exit::Done,
    })
}

/// Tells this request, and whatever it leads to, from others. Runs count upwards; requests are negative.
fn request_number(app: &App) -> i64 {
    -((app.random.number() >> 2) as i64) - 1
}

/// Waits until nothing waits any more that this request has marked; false when patience ends first.
async fn until_answered(session: &Session, context: &Context, request: i64) -> Result<bool, Failure> {
    let begun = Instant::now();
    let bar = Bar::new(&context.name);
    loop {
        let (waiting, _) = {
            let mut reader = session.store.reader().await?;
            reader.run_remains(&context.corp_id, request, &Kind::ALL).await?
        };
        if waiting == 0 {
            return Ok(true);
        }
        if begun.elapsed() > PATIENCE {
            return Ok(false);
        }
        let condition = context.client.health().condition;
        if session.is_alone() && matches!(condition, Condition::Credentials | Condition::Permission) {
            return Err(Failure::failed(anyhow::anyhow!(
                "DingTalk refuses to answer ({}): `dingsync check` tells what to change",
                condition.label()
            )));
        }
        bar.show_phase(&match condition {
            _ if !session.is_alone() => "waiting for the daemon, which reads it".to_owned(),
            Condition::Ok => "waiting for DingTalk".to_owned(),
            trouble => {
                format!("waiting for DingTalk, which does not answer as it should ({})", trouble.label())
            }
        });
        tokio::time::sleep(LOOK).await;
    }
}

async fn states(
    session: &Session,
    context: &Context,
    reads: &[(Kind, String)],
) -> Result<Vec<Option<ObjectState>>, StoreError> {
    let mut reader = session.store.reader().await?;
    let mut states = Vec::new();
    for (kind, id) in reads {
        states.push(reader.object_state(&context.corp_id, *kind, id).await?);
    }
    Ok(states)
}

/// What DingTalk says of the object. Of a role, the list of all roles says it.
async fn standing(
    session: &Session,
    context: &Context,
    entity: Entity,
    id: &str,
    states: &[Option<ObjectState>],
) -> Result<Standing, StoreError> {
    let standing = states.first().cloned().flatten().map_or(Standing::Unread, |state| state.standing);
    let Ok(role_id) = id.parse() else { return Ok(standing) };
    if entity != Entity::Role || standing != Standing::Present {
        return Ok(standing);
    }
    let mut reader = session.store.reader().await?;
    let lives = reader.role_lives(&context.corp_id, &[role_id]).await?;
    Ok(if lives.iter().any(|(_, lives)| *lives) { Standing::Present } else { Standing::Gone })
}

fn change_json(change: &LoggedChange) -> Result<Value, serde_json::Error> {
    let values = |text: &Option<String>| text.as_deref().map(serde_json::from_str::<Value>).transpose();
    Ok(json!({
        "seq": change.seq,
        "action": change.action,
        "old": values(&change.old_values)?,
        "new": values(&change.new_values)?,
    }))
}

fn print(
    entity: Entity,
    id: &str,
    standing: Standing,
    changes: &[LoggedChange],
    beside: usize,
) -> Result<(), Failure> {
    let entity = entity.label();
    let verdict = match standing {
        Standing::Unread | Standing::Present => "is there",
        Standing::Gone => "is gone",
        Standing::Hidden => "is outside of the application's contact scope; what is stored stays",
        Standing::Held => "is gone; the deletion guard holds its row",
    };
    output::line(format!("{entity} {id} {verdict}"))?;
    match (changes.is_empty(), beside) {
        (true, 0) => return output::line("the mirror was right already"),
        (_, 0) => {}
        (_, 1) => output::line("1 change in what hangs together with it")?,
        (_, many) => output::line(format!("{many} changes in what hangs together with it"))?,
    }
    for change in changes {
        output::line(format!("{} (change {})", change.action, change.seq))?;
        let fields = |text: &Option<String>| -> Result<serde_json::Map<String, Value>, Failure> {
            Ok(text.as_deref().map(serde_json::from_str).transpose()?.unwrap_or_default())
        };
        let (old, new) = (fields(&change.old_values)?, fields(&change.new_values)?);
        for (field, is) in &new {
            match old.get(field) {
                Some(was) => output::line(format!("  {field}: {was} → {is}"))?,
                None if is.is_null() => {}
                None => output::line(format!("  {field}: {is}"))?,
            }
        }
    }
    Ok(())
}
