//! The deletion guard: more deletions of a kind than both limits allow are held until a person decides.
//!
//! A single read asks for its own row; a comparison asks for everything that it found gone at once, so that of one wave
//! all are held or none. Whoever asks takes the organisation's turn first: two processes never both admit the last one.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::config::Guard;
use crate::store::{Cause, Claim, Conn, Entity, HeldState, Loss, Standing, StoreError};

/// Whether so many more deletions of a kind pass both limits.
async fn passes_limits(
    conn: &mut Conn,
    guard: Guard,
    corp_id: &str,
    entity: Entity,
    more: usize,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if guard.is_off() {
        return Ok(false);
    }
    let loss = Loss::Deleted(entity);
    let before = conn.losses_since(corp_id, loss, guard.window_start(now)).await?;
    let with_these = before + i64::try_from(more).unwrap_or(i64::MAX);
    // As many as there were when the window began.
    let population = conn.population(corp_id, loss).await? + before;
    Ok(guard.forbids(with_these, population))
}

/// A row that DingTalk's own answer would have deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deletion<'a> {
    /// The claim under which that was answered.
    pub(super) claim: &'a Claim,
    /// What kind of row.
    pub(super) entity: Entity,
    /// Its id.
    pub(super) id: &'a str,
    /// Losing it by mistake would harm nobody, such as a department with nobody in it or below.
    pub(super) is_harmless: bool,
}

impl Deletion<'_> {
    /// Asks whether the row may be deleted now. If so, the deletion is counted; if not, it is held.
    pub(super) async fn is_admitted(
        self,
        conn: &mut Conn,
        guard: Guard,
        corp_id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Self { entity, id, .. } = self;
        match conn.held_state(corp_id, entity, id).await? {
            Some(HeldState::Approved) => {
                conn.note_approved_deletion(corp_id, entity, id).await?;
                return Ok(true);
            }
            // It was counted when it was admitted.
            Some(HeldState::Admitted) => {
                conn.forget_held(corp_id, entity, id).await?;
                return Ok(true);
            }
            Some(HeldState::Held | HeldState::Discarded) if !guard.is_off() => return Ok(false),
            Some(_) => conn.forget_held(corp_id, entity, id).await?,
            None => {}
        }
        if guard.is_off() || self.is_harmless {
            return Ok(true);
        }
        conn.take_guard(corp_id).await?;
        if passes_limits(conn, guard, corp_id, entity, 1, now).await? {
            // Requests of single objects have negative numbers.
            let run_id = self.claim.run_id.max(0);
            conn.put_held(corp_id, entity, &[id.to_owned()], HeldState::Held, run_id, now).await?;
            return Ok(false);
        }
        conn.note_losses(corp_id, Loss::Deleted(entity), 1, guard.window_start(now), now).await?;
        Ok(true)
    }
}

/// Whether nobody is in any of these departments, nor in one below them, as far as the mirror knows.
pub(super) async fn are_empty(
    conn: &mut Conn,
    corp_id: &str,
    departments: Vec<i64>,
) -> Result<bool, StoreError> {
    let mut left = departments;
    let mut seen: HashSet<i64> = left.iter().copied().collect();
    while let Some(dept_id) = left.pop() {
        if !conn.department_members(corp_id, dept_id).await?.is_empty() {
            return Ok(false);
        }
        let children = conn.child_departments(corp_id, dept_id).await?.into_iter().map(|(id, _)| id);
        left.extend(children.filter(|id| seen.insert(*id)));
    }
    Ok(true)
}

/// What a comparison found gone, by kind; without departments in which nobody is, nor below, which are never held.
pub(super) type Gone = BTreeMap<Entity, Vec<String>>;

/// What the guard says to a comparison.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Newly held, by kind.
    pub(super) held: Gone,
    /// Within the limits, by kind.
    pub(super) admitted: Gone,
    /// Held since an earlier read, and still.
    pub(super) known: Gone,
}

impl Verdict {
    /// Whether an object's deletion is held.
    pub(super) fn holds(&self, entity: Entity, id: &str) -> bool {
        let has = |gone: &Gone| gone.get(&entity).is_some_and(|ids| ids.iter().any(|known| known == id));
        has(&self.held) || has(&self.known)
    }
}

/// Judges all that a comparison found gone, without writing anything. What a person has discarded is held again.
pub(super) async fn judge(
    conn: &mut Conn,
    guard: Guard,
    corp_id: &str,
    gone: &Gone,
    now: Timestamp,
) -> Result<Verdict, StoreError> {
    let mut verdict = Verdict::default();
    if guard.is_off() {
        return Ok(verdict);
    }
    for (&entity, ids) in gone {
        let states: HashMap<String, HeldState> = conn.held_states(corp_id, entity, ids).await?;
        let of = |wanted: &[Option<HeldState>]| -> Vec<String> {
            ids.iter().filter(|id| wanted.contains(&states.get(*id).copied())).cloned().collect()
        };
        let fresh = of(&[None, Some(HeldState::Deleted)]);
        let mut held = of(&[Some(HeldState::Discarded)]);
        if passes_limits(conn, guard, corp_id, entity, fresh.len(), now).await? {
            held.extend(fresh);
        } else {
            verdict.admitted.insert(entity, fresh);
        }
        verdict.held.insert(entity, held);
        verdict.known.insert(entity, of(&[Some(HeldState::Held)]));
    }
    Ok(verdict)
}

/// The same, and notes it: the workers that read the objects then do what was said here.
pub(super) async fn judge_and_note(
    conn: &mut Conn,
    guard: Guard,
    corp_id: &str,
    gone: &Gone,
    run_id: i64,
    now: Timestamp,
) -> Result<Verdict, StoreError> {
    if guard.is_off() || gone.is_empty() {
        return Ok(Verdict::default());
    }
    conn.take_guard(corp_id).await?;
    let verdict = judge(conn, guard, corp_id, gone, now).await?;
    for (&entity, ids) in &verdict.held {
        conn.put_held(corp_id, entity, ids, HeldState::Held, run_id, now).await?;
    }
    for (&entity, ids) in &verdict.admitted {
        conn.put_held(corp_id, entity, ids, HeldState::Admitted, run_id, now).await?;
        let loss = Loss::Deleted(entity);
        conn.note_losses(corp_id, loss, ids.len(), guard.window_start(now), now).await?;
    }
    Ok(verdict)
}

/// DingTalk shows an object again. `claim` is the one under which it did.
pub(super) async fn release(
    conn: &mut Conn,
    claim: &Claim,
    corp_id: &str,
    entity: Entity,
) -> Result<(), StoreError> {
    // Without a look at the table for everybody who was never gone.
    let may_be_noted = matches!(claim.standing, Standing::Gone | Standing::Held | Standing::Hidden)
        || (claim.is_of_run() && claim.provenance.cause != Cause::Bootstrap);
    if may_be_noted {
        conn.forget_held(corp_id, entity, &claim.object_id).await?;
    }
    Ok(())
}
