//! What somebody asks to be done: noted in the audit trail by the transaction that does it.

use jiff::Timestamp;
use serde_json::json;

use super::reads;
use crate::lane::Lane;
use crate::store::{Cause, Conn, Entity, Hint, Operation, RunKind, Store, StoreError};

/// Who asks, and when.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'a> {
    /// `command line: USER` or `token NAME`.
    pub who: &'a str,
    /// The moment.
    pub now: Timestamp,
}

/// Has an object read again. Whatever that leads to carries the number `request`, which is negative: runs count upwards.
/// Brings the number of the last change before that.
pub async fn request_read(
    store: &Store,
    corp_id: &str,
    entity: Entity,
    id: &str,
    request: i64,
    requester: &Requester<'_>,
) -> Result<i64, StoreError> {
    let read = Read {
        corp_id: corp_id.to_owned(),
        entity,
        id: id.to_owned(),
        request,
        who: requester.who.to_owned(),
        now: requester.now,
    };
    Ok(store.write(read).await?.output)
}

struct Read {
    corp_id: String,
    entity: Entity,
    id: String,
    request: i64,
    who: String,
    now: Timestamp,
}

impl Operation for Read {
    type Output = i64;

    async fn run(&self, conn: &mut Conn) -> Result<i64, StoreError> {
        let hints: Vec<Hint> = reads(self.entity, &self.id)
            .into_iter()
            .map(|(kind, id)| Hint { run_id: self.request, ..Hint::of(kind, id, Lane::Live, Cause::Manual) })
            .collect();
        conn.hint(&self.corp_id, &hints, self.now).await?;
        let subject = json!({ "entity": self.entity.label(), "id": self.id });
        conn.note_audit(&self.corp_id, &self.who, "sync", &subject, self.now).await?;
        conn.last_change(&self.corp_id).await
    }
}

/// Asks for a run: whoever leads carries it out. Brings its number.
pub async fn request_run(
    store: &Store,
    corp_id: &str,
    kind: RunKind,
    quick: bool,
    requester: &Requester<'_>,
) -> Result<i64, StoreError> {
    let corp_id = corp_id.to_owned();
    let who = requester.who.to_owned();
    let written = store.write(AskForRun { corp_id, kind, quick, who, now: requester.now }).await?;
    Ok(written.output)
}

struct AskForRun {
    corp_id: String,
    kind: RunKind,
    quick: bool,
    who: String,
    now: Timestamp,
}

impl Operation for AskForRun {
    type Output = i64;

    async fn run(&self, conn: &mut Conn) -> Result<i64, StoreError> {
        let run = conn.request_run(&self.corp_id, self.kind, self.quick, self.now).await?;
        let subject = json!({ "run": run, "quick": self.quick });
        conn.note_audit(&self.corp_id, &self.who, self.kind.label(), &subject, self.now).await?;
        Ok(run)
    }
}
