//! What follows a comparison: what differs is marked, and workers repair it by the same path as an event's objects.

use std::collections::HashSet;

use jiff::Timestamp;
use tracing::{debug, warn};

use super::{Comparison, Findings};
use crate::config::Guard;
use crate::lane::Lane;
use crate::store::{
    CATALOGUE, Cause, Conn, Entity, Hint, Kind, NoteKind, Operation, Run, RunNote, RunState, StoreError,
};
use crate::sync::context::{Context, WorkError};
use crate::sync::guard::{Gone, Verdict, judge_and_note};
use crate::sync::runs::{End, Patience};

impl Context {
    /// Compares, marks what differs, and waits until it is repaired.
    pub(in crate::sync) async fn reconcile(&self, run: &Run, patience: Patience) -> Result<End, WorkError> {
        let mut findings = Comparison::new(self, run, patience).go().await?;
        let hints = self.hints(run, &findings).await?;
        let repair = Repair {
            corp_id: self.corp_id.clone(),
            run_id: run.id,
            guard: self.guard,
            gone: findings.gone.clone(),
            hints,
            now: self.now(),
        };
        let verdict = self.write(repair).await?;
        self.wake.notify_one();
        findings.mark_held(&verdict);
        let end = findings.end();
        let held = self.tell_held(run, &verdict);
        self.record(run, findings, held.into_iter().collect()).await?;
        let parked = self.until_worked_off(run, &Kind::ALL, patience).await?;
        Ok(match parked {
            Some(0) => end,
            Some(parked) => {
                let parked = format!("{parked} objects are parked: DingTalk refuses to show them");
                let error = end.error.map_or_else(|| parked.clone(), |error| format!("{error}; {parked}"));
                End::of(RunState::Partial, Some(error))
            }
            None => End {
                state: RunState::Partial,
                error: Some("what differs is marked, but DingTalk does not answer".to_owned()),
                try_later: true,
            },
        })
    }

    async fn hints(&self, run: &Run, findings: &Findings) -> Result<Vec<Hint>, StoreError> {
        let hint = |kind, id: String| Hint {
            run_id: run.id,
            ..Hint::of(kind, id, Lane::Background, Cause::Reconcile)
        };
        let mut hints = Vec::new();
        for item in &findings.items {
            hints.push(match item.entity {
                Entity::Department => hint(Kind::Department, item.entity_id.clone()),
                Entity::Employee => hint(Kind::Employee, item.entity_id.clone()),
                Entity::RoleGroup | Entity::Role => hint(Kind::RoleCatalogue, CATALOGUE.to_owned()),
            });
        }
        hints.extend(findings.scopes.iter().map(|role_id| hint(Kind::RoleMembers, role_id.to_string())));
        // No row tells that something went out of sight or came back, or that what is held is admitted now.
        let apart: HashSet<(Kind, String)> =
            self.store.reader().await?.apart(&self.corp_id).await?.into_iter().collect();
        let moved = findings.hidden.symmetric_difference(&apart);
        hints.extend(moved.map(|(kind, id)| hint(*kind, id.clone())));
        Ok(hints)
    }

    /// Says how many deletions a run holds, and what to do.
    fn tell_held(&self, run: &Run, verdict: &Verdict) -> Option<RunNote> {
        let mut parts = Vec::new();
        for (entity, ids) in verdict.held.iter().filter(|(_, ids)| !ids.is_empty()) {
            parts.push(format!("{} {}s", ids.len(), entity.label().replace('_', " ")));
        }
        if parts.is_empty() {
            return None;
        }
        let text = format!(
            "DingTalk says that {} are gone, or that others have their ids, more than the guard admits at once: their rows are held. If that is \
             right, `dingsync reconcile approve {id}`; if not, `dingsync reconcile discard {id}`",
            parts.join(", "),
            id = run.id,
        );
        warn!(corp = self.name, run = run.id, "{text}");
        Some(RunNote::new(NoteKind::Held, text))
    }

    /// Says that single reads' deletions are held: once, until a while has passed.
    pub(in crate::sync) fn tell_held_read(&self) {
        if self.held_told.is_due() {
            warn!(
                corp = self.name,
                "more is gone than the guard admits within its window: rows are held. The status says how many \
                 (queue.held); `dingsync reconcile approve events` deletes them, `dingsync reconcile discard events` \
                 keeps them"
            );
        } else {
            debug!(corp = self.name, "one more deletion is held");
        }
    }
}

/// Marks what a comparison found, once the guard has judged what is gone: both or neither.
struct Repair {
    corp_id: String,
    run_id: i64,
    guard: Guard,
    gone: Gone,
    hints: Vec<Hint>,
    now: Timestamp,
}

impl Operation for Repair {
    type Output = Verdict;

    async fn run(&self, conn: &mut Conn) -> Result<Verdict, StoreError> {
        let verdict =
            judge_and_note(conn, self.guard, &self.corp_id, &self.gone, self.run_id, self.now).await?;
        conn.hint(&self.corp_id, &self.hints, self.now).await?;
        Ok(verdict)
    }
}
