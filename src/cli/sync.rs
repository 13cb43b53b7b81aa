//! `dingsync sync`: reads one object again, whoever runs, and shows what that changed.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::exit::{Exit, Failure};
use super::session::Session;
use super::{App, output};
use crate::config::Needs;
use crate::lane::Lane;
use crate::store::{
    CATALOGUE, Cause, Conn, Entity, Hint, Kind, LoggedChange, ObjectState, Operation, Standing, StoreError,
};
use crate::sync::Context;

const LOOK: Duration = Duration::from_millis(100);
/// How long somebody who waits for one object is kept waiting.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    /// A person
    Employee,
    /// A department, with its children and members
    Department,
    /// A role, with its members
    Role,
}

#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    /// What to read
    what: What,
    /// Its id in DingTalk, or `name:…`; a person also by `mobile:…` or `job:…`
    id: String,
}

impl What {
    fn entity(self) -> Entity {
        match self {
            Self::Employee => Entity::Employee,
            Self::Department => Entity::Department,
            Self::Role => Entity::Role,
        }
    }

    /// What has to be read for it: the first one is the object itself.
    fn reads(self, id: &str) -> Vec<(Kind, String)> {
        match self {
            Self::Employee => vec![(Kind::Employee, id.to_owned())],
            Self::Department => vec![(Kind::Department, id.to_owned()), (Kind::Walk, id.to_owned())],
            Self::Role => {
                vec![(Kind::RoleCatalogue, CATALOGUE.to_owned()), (Kind::RoleMembers, id.to_owned())]
            }
        }
    }
}

pub(super) async fn sync(app: App, args: SyncArgs) -> Result<Exit, Failure> {
    let config = app.config(Needs::Credentials)?;
    let mut session = Session::open(&app, &config, "sync").await?;
    let mut contexts: Vec<Arc<Context>> = session.engine.contexts().cloned().collect();
    let result = match (contexts.pop(), contexts.is_empty()) {
        (Some(context), true) => read_again(&app, &args, &mut session, &context).await,
        _ => Err(Failure::usage("there are several organisations: say which one with --corp NAME")),
    };
    drop(contexts);
    session.close().await;
    result
}

async fn read_again(
    app: &App,
    args: &SyncArgs,
    session: &mut Session,
    context: &Context,
) -> Result<Exit, Failure> {
    let id = resolve(session, context, args).await?;
    let reads = args.what.reads(&id);
    let hints =
        reads.iter().map(|(kind, id)| Hint::of(*kind, id.clone(), Lane::Live, Cause::Manual)).collect();
    let asked = Ask { corp_id: context.corp_id.clone(), hints, now: app.clock.now() };
    let before = session.store.write(asked).await?.output;
    session.work();
    let mut states = Vec::new();
    for (kind, id) in &reads {
        states.push(at_rest(session, context, *kind, id).await?);
    }
    if states.iter().flatten().any(ObjectState::is_busy) {
        return Err(Failure::new(
            Exit::TryLater,
            anyhow::anyhow!(
                "DingTalk has not shown {} {id} within {} s; it stays marked, and is read as soon as that is possible",
                args.what.entity().label(),
                PATIENCE.as_secs(),
            ),
        ));
    }
    let changes = {
        let mut reader = session.store.reader().await?;
        reader.changes_of(&context.corp_id, args.what.entity(), &id, before).await?
    };
    let state = states.first().cloned().flatten();
    let parked = states.iter().flatten().find_map(|state| state.parked_reason.clone());
    let standing = state.map_or(Standing::Unread, |state| state.standing);
    if app.global.json {
        output::json(&json!({
            "corp": context.name,
            "entity": args.what.entity().label(),
            "id": id,
            "dingtalk": standing.label(),
            "parked": parked,
            "changes": changes.iter().map(change_json).collect::<Result<Vec<_>, _>>()?,
        }))?;
    } else {
        print(args.what, &id, standing, &changes)?;
        if let Some(reason) = &parked {
            output::line(format!("parked: {reason}"))?;
        }
    }
    Ok(if parked.is_some() { Exit::Failed } else { Exit::Done })
}

/// The id behind `mobile:…`, `job:…` or `name:…`.
async fn resolve(session: &Session, context: &Context, args: &SyncArgs) -> Result<String, Failure> {
    let Some((column, value)) = args.id.split_once(':') else { return Ok(args.id.clone()) };
    let ids = {
        let mut reader = session.store.reader().await?;
        reader.find_ids(&context.corp_id, args.what.entity(), column, value).await?
    };
    match ids.as_deref() {
        None => Ok(args.id.clone()),
        Some([id]) => Ok(id.clone()),
        Some([]) => Err(Failure::usage(format!("nothing in the mirror has {}", args.id))),
        Some(ids) => Err(Failure::usage(format!("several have {}: {}", args.id, ids.join(", ")))),
    }
}

/// Where an object stands once nothing waits for it any more, or when patience ends.
async fn at_rest(
    session: &Session,
    context: &Context,
    kind: Kind,
    id: &str,
) -> Result<Option<ObjectState>, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = session.store.reader().await?.object_state(&context.corp_id, kind, id).await?;
        if !state.as_ref().is_some_and(ObjectState::is_busy) || Instant::now() > deadline {
            return Ok(state);
        }
        tokio::time::sleep(LOOK).await;
    }
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

fn print(what: What, id: &str, standing: Standing, changes: &[LoggedChange]) -> Result<(), Failure> {
    let entity = what.entity().label();
    let verdict = match standing {
        Standing::Unread | Standing::Present => "is there",
        Standing::Gone => "is gone",
        Standing::Hidden => "is outside of the application's contact scope; what is stored stays",
        Standing::Held => "is gone; the deletion guard holds its row",
    };
    output::line(format!("{entity} {id} {verdict}"))?;
    if changes.is_empty() {
        return output::line("the mirror was right already");
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

/// Marks objects, and brings the number of the last change before that.
struct Ask {
    corp_id: String,
    hints: Vec<Hint>,
    now: Timestamp,
}

impl Operation for Ask {
    type Output = i64;

    async fn run(&self, conn: &mut Conn) -> Result<i64, StoreError> {
        conn.hint(&self.corp_id, &self.hints, self.now).await?;
        conn.last_change(&self.corp_id).await
    }
}
