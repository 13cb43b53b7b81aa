//! What can be asked to be done. Each is noted in the audit trail by the transaction that does it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::parameters::{body, number, time};
use super::reads::object;
use super::{Refusal, Shared};
use crate::answers::{self, EventFilter, Replayed, Requester};
use crate::ops::Corp;
use crate::ops::access::Who;
use crate::store::{Kind, RunKind};

pub(super) type Here = State<Arc<Shared>>;
pub(super) type Done<T> = Result<(StatusCode, Json<T>), Refusal>;

/// Nothing is asked for beside what the path says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Shared {
    pub(super) fn requester<'a>(&self, who: &'a Who) -> Requester<'a> {
        Requester { who: &who.0, now: self.ops.clock.now() }
    }
}

/// Lets this process's workers look at the queue at once; those of others do so soon.
fn wake(corp: &Corp) {
    if let Some(context) = &corp.context {
        context.wake.notify_one();
    }
}

/// It was noted, and is done by the workers.
pub(super) fn accepted<T>(what: T) -> (StatusCode, Json<T>) {
    (StatusCode::ACCEPTED, Json(what))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    since: Option<String>,
    until: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    object: Option<String>,
    before: Option<i64>,
    limit: Option<usize>,
}

pub(super) async fn replay_many(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Replayed> {
    let corp = shared.corp(&corp)?;
    let Replay { since, until, event_type, object: named, before, limit } = body(request).await?;
    let object = named.map(|text| object(&text)).transpose()?;
    let (since, until) = (time("since", since)?, time("until", until)?);
    let filter = EventFilter { since, until, event_type, object, before };
    let requester = shared.requester(&who);
    let replayed = answers::replay_many(&shared.ops.store, &corp.corp_id, &filter, limit, &requester).await?;
    wake(corp);
    Ok(accepted(replayed))
}

pub(super) async fn replay(
    State(shared): Here,
    Path((corp, id)): Path<(String, String)>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Replayed> {
    let corp = shared.corp(&corp)?;
    let Nothing {} = body(request).await?;
    let requester = shared.requester(&who);
    let replayed = answers::replay(&shared.ops.store, &corp.corp_id, number(&id)?, &requester).await?;
    wake(corp);
    Ok(accepted(replayed))
}

pub(super) async fn retry(
    State(shared): Here,
    Path((corp, kind, id)): Path<(String, String, String)>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    let (corp, kind) = (shared.corp(&corp)?, answers::kind(&kind)?);
    let Nothing {} = body(request).await?;
    let objects: [(Kind, String); 1] = [(kind, id)];
    let requester = shared.requester(&who);
    let retried = answers::retry(&shared.ops.store, &corp.corp_id, &objects, &requester).await?;
    wake(corp);
    Ok(accepted(json!({ "retried": retried })))
}

pub(super) async fn discard(
    State(shared): Here,
    Path((corp, kind, id)): Path<(String, String, String)>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    let (corp, kind) = (shared.corp(&corp)?, answers::kind(&kind)?);
    let Nothing {} = body(request).await?;
    let (store, requester) = (&shared.ops.store, shared.requester(&who));
    let task = answers::task(store, &corp.corp_id, kind, &id, requester.now).await?;
    let done = answers::discard(store, &corp.corp_id, &[(kind, id)], &requester).await?;
    if done.discarded.is_empty() {
        let text = format!("it is {}: only what is parked can be given up", task.state);
        return Err(Refusal::new(StatusCode::CONFLICT, text));
    }
    Ok((StatusCode::OK, Json(json!({ "discarded": done.discarded }))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sync {
    entity: String,
    id: String,
}

pub(super) async fn sync(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    let corp = shared.corp(&corp)?;
    let Sync { entity, id } = body(request).await?;
    let (store, requester) = (&shared.ops.store, shared.requester(&who));
    let entity = answers::entity(&entity)?;
    let id = answers::resolve(store, &corp.corp_id, entity, &id).await?;
    let last = answers::request_read(store, &corp.corp_id, entity, &id, 0, &requester).await?;
    wake(corp);
    Ok(accepted(json!({ "entity": entity.label(), "id": id, "last": last.to_string() })))
}

async fn ask_for(shared: &Shared, corp: &str, who: &Who, kind: RunKind, quick: bool) -> Done<Value> {
    let corp = shared.corp(corp)?;
    let (store, requester) = (&shared.ops.store, shared.requester(who));
    let run = answers::request_run(store, &corp.corp_id, kind, quick, &requester).await?;
    Ok(accepted(json!({ "run": run, "kind": kind.label() })))
}

pub(super) async fn bootstrap(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    let Nothing {} = body(request).await?;
    ask_for(&shared, &corp, &who, RunKind::Bootstrap, false).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reconcile {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    quick: bool,
}

pub(super) async fn reconcile(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    let Reconcile { dry_run, quick } = body(request).await?;
    let kind = if dry_run { RunKind::Verify } else { RunKind::Reconcile };
    ask_for(&shared, &corp, &who, kind, quick).await
}
