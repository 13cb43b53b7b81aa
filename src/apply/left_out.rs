//! Whom a mapping's `when` leaves out. Who had a row is treated as gone, so that the deletion guard has its say here as well:
//! a `when` that was written by mistake, or an answer without a flag, must not empty the OA.

use serde::Serialize;
use tracing::warn;

use super::effects::Effects;
use super::fault::{ApplyError, Fault};
use super::mapping::Part;
use super::object::Object;
use super::one::Turn;
use crate::store::{ApplyState, Entity, Link, Loss};

/// Objects of one look.
const BATCH: usize = 500;

/// Of a kind, how many `when` leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// `department`, `employee` or `role`.
    pub entity: &'static str,
    /// How many there are.
    pub of: i64,
    /// How many of these it leaves out.
    pub left_out: i64,
    /// How many of those have a row in the OA, and are treated as gone.
    pub with_a_row: i64,
    /// These are more than the guard allows at once: they wait for `dingsync apply approve`.
    pub is_held: bool,
}

fn has_row(object: &Object) -> bool {
    object.link.as_ref().is_some_and(Link::is_current)
}

impl Turn<'_> {
    /// Goes through all that are there of a kind; `None` where nothing is left out by `when`.
    pub(super) async fn left_out(&mut self, entity: Entity) -> Result<Option<LeftOut>, ApplyError> {
        let mapping = self.mapping;
        let part = Part::of(entity).and_then(|part| mapping.part(part));
        let Some(part) = part.filter(|part| part.conditions().next().is_some()) else { return Ok(None) };
        let mut found = LeftOut { entity: entity.label(), of: 0, left_out: 0, with_a_row: 0, is_held: false };
        let mut after: Option<String> = None;
        loop {
            let mut reader = self.store.reader().await?;
            let ids = reader.object_ids_after(self.corp_id, entity, after.as_deref(), BATCH).await?;
            drop(reader);
            let Some(last) = ids.last() else { break };
            after = Some(last.clone());
            for id in ids {
                let object = self.look(entity, &id, None).await?;
                if !object.is_current {
                    continue;
                }
                found.of += 1;
                if !part.admits(|column| object.named.get(column)) {
                    found.left_out += 1;
                    found.with_a_row += i64::from(has_row(&object));
                }
            }
        }
        found.is_held = found.with_a_row > 0 && self.are_too_many(entity, found.with_a_row).await?;
        Ok(Some(found))
    }

    /// Whether the guard holds so many more.
    async fn are_too_many(&mut self, entity: Entity, more: i64) -> Result<bool, ApplyError> {
        let loss = Loss::LeftOut(entity);
        let start = self.guard.window_start(self.clock.now());
        let mut reader = self.store.reader().await?;
        let before = reader.losses_since(self.corp_id, loss, start).await?;
        let population = reader.population(self.corp_id, loss).await? + before;
        Ok(self.guard.forbids(before + more, population))
    }

    /// Asks the guard about somebody whom `when` leaves out: in a walk about all whom it will leave out, so that of one
    /// wave all are held or none.
    pub(super) async fn admit_leaving_out(
        &mut self,
        object: &Object,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        let entity = object.entity;
        let is_written = object.part().is_some_and(|part| self.mapping.part(part).is_some());
        if self.guard.is_off() || !is_written || !has_row(object) {
            return Ok(());
        }
        if self.store.reader().await?.is_let_go(self.corp_id, entity, &object.id).await? {
            return Ok(());
        }
        // Who is held stays so, whatever else changes about him; only another walk looks at all of them anew.
        if !self.is_walking && object.is_held() {
            return Err(Fault::held(entity));
        }
        if self.is_walking && !self.to_leave_out.contains_key(&entity) {
            let found = self.left_out(entity).await?.map_or(0, |found| found.with_a_row);
            self.to_leave_out.insert(entity, found);
        }
        let more = self.to_leave_out.get(&entity).copied().unwrap_or_default().max(1);
        if self.are_too_many(entity, more).await? {
            return Err(Fault::held(entity));
        }
        self.to_leave_out.insert(entity, more - 1);
        effects.left_out_since = Some(self.guard.window_start(effects.now));
        Ok(())
    }

    /// Says once of all that are held that they are.
    pub(super) async fn tell_held(&mut self, entity: Entity) -> Result<(), ApplyError> {
        let held = self.store.reader().await?.apply_objects(self.corp_id, ApplyState::Held, 1).await?;
        if held.is_empty() {
            warn!(
                corp = self.corp,
                entity = entity.label(),
                "`when` leaves out more than `[guard]` allows at once: their rows stay as they are, see \
                 `dingsync apply status`"
            );
        }
        Ok(())
    }
}
