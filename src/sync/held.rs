//! What a person decides on held deletions.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use super::context::Context;
use crate::lane::Lane;
use crate::store::{
    CATALOGUE, Cause, Conn, Entity, HeldState, Hint, Kind, NoteKind, Operation, RunNote, StoreError, rfc3339,
};

/// What to do with what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is right: whatever is still gone is deleted.
    Approve,
    /// It is wrong: the rows stay. They are held again if another run finds the objects gone.
    Discard,
}

impl Decision {
    /// The action in the audit trail.
    pub fn action(self) -> &'static str {
        match self {
            Self::Approve => "reconcile.approve",
            Self::Discard => "reconcile.discard",
        }
    }

    fn state(self) -> HeldState {
        match self {
            Self::Approve => HeldState::Approved,
            Self::Discard => HeldState::Discarded,
        }
    }
}

/// What a decision was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// How many objects of each kind.
    pub objects: BTreeMap<Entity, i64>,
    /// When it was made; to the millisecond, it names what it was about.
    pub at: Timestamp,
    /// The request under which the objects of an approval are read again; nothing waits for a discard.
    pub request: i64,
}

impl Decided {
    /// How many objects in all.
    pub fn total(&self) -> i64 {
        self.objects.values().sum()
    }
}

impl Context {
    /// Decides on what is held: on what the run `run` found (0 for single reads), or on all of it. Approved objects are
    /// read once more, and those that are still gone are deleted softly, with the cause `manual`. `who` is noted.
    pub async fn decide(
        &self,
        decision: Decision,
        run: Option<i64>,
        who: &str,
    ) -> Result<Decided, StoreError> {
        let request = -((self.random.number() >> 2) as i64) - 1;
        let decide = Decide {
            corp_id: self.corp_id.clone(),
            decision,
            run,
            who: who.to_owned(),
            request,
            now: self.now(),
        };
        let decided = self.write(decide).await?;
        self.wake.notify_one();
        Ok(decided)
    }
}

struct Decide {
    corp_id: String,
    decision: Decision,
    run: Option<i64>,
    who: String,
    request: i64,
    now: Timestamp,
}

impl Operation for Decide {
    type Output = Decided;

    async fn run(&self, conn: &mut Conn) -> Result<Decided, StoreError> {
        let Self { corp_id, decision, run, who, request, now } = self;
        conn.take_guard(corp_id).await?;
        let held = conn.held_objects(corp_id, *run).await?;
        let mut objects = BTreeMap::new();
        let mut by_run: BTreeMap<i64, BTreeMap<Entity, i64>> = BTreeMap::new();
        for (entity, _, found_by) in &held {
            *objects.entry(*entity).or_default() += 1;
            *by_run.entry(*found_by).or_default().entry(*entity).or_default() += 1;
        }
        if held.is_empty() {
            return Ok(Decided { objects, at: *now, request: *request });
        }
        conn.decide_held(corp_id, *run, decision.state(), who, *now).await?;
        for (found_by, counts) in by_run.iter().filter(|(found_by, _)| **found_by > 0) {
            let text =
                format!("{} by {who} at {}: {}", decision.state().label(), rfc3339(*now), told(counts));
            conn.add_run_notes(*found_by, &[RunNote::new(NoteKind::Decision, text)]).await?;
        }
        let runs: Vec<i64> = by_run.into_keys().collect();
        let subject = json!({ "objects": objects, "found_by_runs": runs });
        conn.note_audit(corp_id, who, decision.action(), &subject, *now).await?;
        if *decision == Decision::Approve {
            let hints: Vec<Hint> = held.into_iter().map(|(entity, id, _)| self.hint(entity, id)).collect();
            conn.hint(corp_id, &hints, *now).await?;
        }
        Ok(Decided { objects, at: *now, request: *request })
    }
}

impl Decide {
    fn hint(&self, entity: Entity, id: String) -> Hint {
        let (kind, id) = match entity {
            Entity::Department => (Kind::Department, id),
            Entity::Employee => (Kind::Employee, id),
            Entity::RoleGroup | Entity::Role => (Kind::RoleCatalogue, CATALOGUE.to_owned()),
        };
        Hint { run_id: self.request, ..Hint::of(kind, id, Lane::Background, Cause::Manual) }
    }
}

/// `30 employees, 1 department`
fn told(counts: &BTreeMap<Entity, i64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(entity, count)| {
            let plural = if *count == 1 { "" } else { "s" };
            format!("{count} {}{plural}", entity.label().replace('_', " "))
        })
        .collect();
    parts.join(", ")
}

/// How long it is not said again that deletions are held.
const QUIET: Duration = Duration::from_mins(1);

/// When it was last said that deletions are held.
#[derive(Debug, Default)]
pub struct HeldNotice(Mutex<Option<Instant>>);

impl HeldNotice {
    /// Whether it is time to say it again; then it is said.
    pub(super) fn is_due(&self) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|told| told.elapsed() > QUIET);
        if due {
            *told = Some(Instant::now());
        }
        due
    }
}
