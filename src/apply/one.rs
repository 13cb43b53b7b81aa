//! One object: what its row in the OA is to be, and the statements that make it so.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use tracing::warn;

use super::check::Rehearsal;
use super::effects::{Effects, Intent, LinkChange};
use super::fault::{ApplyError, Fault, Refusal};
use super::mapping::{Mapping, Part, PartMapping};
use super::object::{Links, Look, Named, Object};
use super::statement::Statement;
use super::tree::Tree;
use crate::clock::SharedClock;
use crate::config::Guard;
use crate::store::{Entity, Link, LoggedChange, MemberOf, OaAnswer, OaConn, OaError, Store, Value};

/// Everything that it takes to apply objects.
pub(super) struct Turn<'a> {
    pub(super) corp: &'a str,
    pub(super) corp_id: &'a str,
    pub(super) mapping: &'a Mapping,
    pub(super) guard: Guard,
    pub(super) zone: &'a TimeZone,
    pub(super) store: &'a Store,
    pub(super) clock: &'a SharedClock,
    pub(super) tree: &'a Tree,
    pub(super) oa: &'a mut OaConn,
    /// The last change that was applied.
    pub(super) seq: i64,
    /// Of those whom the walk under way has still to reach, how many `when` leaves out although they have a row.
    pub(super) to_leave_out: HashMap<Entity, i64>,
    /// The first walk is under way: what it has not reached comes anyway.
    pub(super) is_walking: bool,
    /// Objects whose rows wait for those of others, which are applied first.
    pub(super) waiting: Vec<(Entity, String)>,
    /// What a rehearsal takes for granted, and what it has run.
    pub(super) rehearsal: Option<Rehearsal>,
}

impl Turn<'_> {
    /// Applies an object, because of a change or without one, and those first whose keys it needs.
    pub(super) async fn apply(
        &mut self,
        entity: Entity,
        id: &str,
        change: Option<&LoggedChange>,
    ) -> Result<(), ApplyError> {
        if change.is_none() && self.becomes_another(entity, id).await? {
            return Ok(());
        }
        let mut object = self.look(entity, id, change).await?;
        let ends = change.is_some_and(|change| change.action == "delete");
        if ends && object.is_current {
            // It lives again, perhaps as somebody else, whose values the old row is not to get.
            object.blank();
        }
        let is_there = object.is_current && !ends;
        let lives = is_there && self.is_wanted(&object);
        if lives {
            object = self.with_needed(object, change).await?;
        }
        let mut effects = self.effects(&object, change);
        let mut outcome = Ok(());
        if is_there && !lives {
            outcome = self.admit_leaving_out(&object, &mut effects).await;
        }
        if outcome.is_ok() {
            outcome = self.transact(&mut object, lives, change, &mut effects).await;
        }
        match outcome {
            Ok(()) => Ok(()),
            Err(Fault::Refused(refusal)) => {
                let given_back = self.give_back().await;
                // The others see what the mirror says of it, whether its own row can say so or not.
                effects.link = None;
                effects.members.clear();
                effects.left_out_since = None;
                effects.due = self.dependents(&object, change, &effects).await?;
                self.park(effects, refusal).await?;
                Ok(given_back?)
            }
            Err(Fault::All(error)) => {
                // What is in the way may be that there is no connection to say it on.
                drop(self.give_back().await);
                Err(error)
            }
        }
    }

    /// Nothing yet.
    pub(super) fn effects(&self, object: &Object, change: Option<&LoggedChange>) -> Effects {
        Effects {
            corp_id: self.corp_id.to_owned(),
            entity: object.entity,
            id: object.id.clone(),
            now: self.clock.now(),
            seq: change.map(|change| change.seq),
            marks: object.record.as_ref().map(|record| record.marks),
            link: None,
            members: Vec::new(),
            due: Vec::new(),
            refusal: None,
            left_out_since: None,
        }
    }

    pub(super) async fn look(
        &mut self,
        entity: Entity,
        id: &str,
        change: Option<&LoggedChange>,
    ) -> Result<Object, ApplyError> {
        let mut reader = self.store.reader().await?;
        let nothing = Links::new();
        let assumed = self.rehearsal.as_ref().map_or(&nothing, |rehearsal| &rehearsal.links);
        let mut look = Look { conn: &mut reader, corp_id: self.corp_id, tree: self.tree, assumed };
        Ok(look.object(entity, id, change).await?)
    }

    /// Whether the log goes on to say that the id stands for somebody else: then it is for the log to do, in its order. What
    /// begins only once may come before its turn.
    async fn becomes_another(&mut self, entity: Entity, id: &str) -> Result<bool, ApplyError> {
        let mut reader = self.store.reader().await?;
        let later = reader.changes_of(self.corp_id, entity, id, self.seq).await?;
        let begins = later.iter().any(|change| change.action == "insert");
        let ends = later.iter().any(|change| change.action == "delete");
        Ok(begins && (ends || reader.link(self.corp_id, entity, id).await?.is_some()))
    }

    /// Whether the mapping writes it, and does not leave it out.
    pub(super) fn is_wanted(&self, object: &Object) -> bool {
        let Some(part) = object.part() else { return false };
        // Manager, roles and main department come with the details: until then a row would say that there are none.
        if object.entity == Entity::Employee
            && object.link.is_none()
            && *object.named.get("detail_read_at") == Value::Null
        {
            return false;
        }
        match self.mapping.part(part) {
            Some(part) => part.admits(|column| object.named.get(column)),
            None => object.entity == Entity::Employee,
        }
    }

    /// Applies first what the object's row refers to. What cannot be applied is left out; it is completed later.
    async fn with_needed(
        &mut self,
        object: Object,
        change: Option<&LoggedChange>,
    ) -> Result<Object, ApplyError> {
        let needed = self.needed(&object);
        if needed.is_empty() {
            return Ok(object);
        }
        self.waiting.push((object.entity, object.id.clone()));
        for (entity, id) in needed {
            let known = self.store.reader().await?.apply_object(self.corp_id, entity, &id).await?;
            if known.is_none_or(|known| known.state != "parked") {
                Box::pin(self.apply(entity, &id, None)).await?;
            }
        }
        self.waiting.pop();
        self.look(object.entity, &object.id, change).await
    }

    /// Objects whose keys this one needs and that have none, but are to have one.
    pub(super) fn needed(&self, object: &Object) -> Vec<(Entity, String)> {
        let is_written = |entity| Part::of(entity).is_some_and(|part| self.mapping.part(part).is_some());
        let needed = object.unlinked.iter().filter(|one| is_written(one.0) && !self.waiting.contains(one));
        needed.cloned().collect()
    }

    async fn transact(
        &mut self,
        object: &mut Object,
        lives: bool,
        change: Option<&LoggedChange>,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        let is_linked = object.link.as_ref().is_some_and(Link::is_current);
        let has_members = object.applied.iter().any(|(_, members)| !members.is_empty());
        if !lives && !is_linked && !has_members {
            effects.due = self.dependents(object, change, effects).await?;
            self.store.write(effects.clone()).await?;
            return Ok(());
        }
        self.oa.begin().await?;
        if lives {
            self.write(object, change, effects).await?;
        } else {
            self.remove(object, effects).await?;
        }
        effects.due = self.dependents(object, change, effects).await?;
        // A deferred constraint speaks at the end: of this object all the same.
        let last = last_statement(object, lives);
        if let Some(own) = self.oa.own().await? {
            effects.write(own).await?;
            self.oa.commit().await.map_err(|error| Fault::of(&last, error))?;
        } else {
            self.note_intent(effects).await?;
            self.oa.commit().await.map_err(|error| Fault::of(&last, error))?;
            self.store.write(effects.clone()).await?;
        }
        Ok(())
    }

    async fn note_intent(&mut self, effects: &Effects) -> Result<(), Fault> {
        let added = effects.members.iter().filter(|(.., is_there)| *is_there);
        let members: Vec<(MemberOf, i64)> = added.map(|(of, other, _)| (*of, *other)).collect();
        if !members.is_empty() {
            let (corp_id, userid) = (self.corp_id.to_owned(), effects.id.clone());
            self.store.write(Intent { corp_id, userid, members }).await?;
        }
        Ok(())
    }

    pub(super) async fn write(
        &mut self,
        object: &mut Object,
        change: Option<&LoggedChange>,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        if let Some(part) = object.part().and_then(|part| self.mapping.part(part)) {
            if change.is_some_and(|change| change.action == "insert") && object.is_removal_parked() {
                self.remove_former(object, effects).await?;
            }
            self.refuse_orphan(object, part).await?;
            effects.link = self.write_row(object, part, change).await?;
        }
        for of in [MemberOf::Departments, MemberOf::Roles] {
            self.write_members(object, of, effects).await?;
        }
        Ok(())
    }

    /// A department whose parent is parked waits for it: in another place of the tree it would be wrong.
    async fn refuse_orphan(&mut self, object: &Object, part: &PartMapping) -> Result<(), Fault> {
        if object.entity != Entity::Department || !part.uses_any(&["parent_oa_id", "ancestor_oa_ids"]) {
            return Ok(());
        }
        let Some((entity, parent)) = object.unlinked.first() else { return Ok(()) };
        let known = self.store.reader().await?.apply_object(self.corp_id, *entity, parent).await?;
        if known.is_none_or(|known| known.state != "parked") {
            return Ok(());
        }
        let statement = part.upsert.first().map_or("department.upsert", Statement::name);
        let text =
            format!("its parent department {parent} is parked; it follows as soon as that one has its row");
        Err(Fault::refused(statement, text))
    }

    /// Does what the mapping says of somebody who is gone.
    async fn remove(&mut self, object: &Object, effects: &mut Effects) -> Result<(), Fault> {
        for of in [MemberOf::Roles, MemberOf::Departments] {
            self.remove_members(object, of, effects, |_| true).await?;
        }
        if object.link.as_ref().is_some_and(Link::is_current) {
            if let Some(part) = object.part().and_then(|part| self.mapping.part(part)) {
                for statement in &part.delete {
                    self.run(statement, part, &object.named).await?;
                }
            }
            effects.link = Some(LinkChange::Removed);
        }
        Ok(())
    }

    /// Ends what the removal of whoever had the id before left undone, before somebody else gets a row.
    async fn remove_former(&mut self, object: &mut Object, effects: &mut Effects) -> Result<(), Fault> {
        let named = object.named.clone();
        object.blank();
        self.remove(object, effects).await?;
        object.named = named;
        effects.link = None;
        object.applied.clear();
        if let Some(link) = &mut object.link {
            link.removed_at = Some(effects.now);
        }
        Ok(())
    }

    pub(super) async fn run(
        &mut self,
        statement: &Statement,
        part: &PartMapping,
        named: &Named,
    ) -> Result<OaAnswer, Fault> {
        let arguments = named.bind(statement, part, self.zone);
        let answer = self.oa.run(statement.sql(), &arguments).await;
        let answer = answer.map_err(|error| Fault::of(statement.name(), error));
        if let Some(rehearsal) = &mut self.rehearsal {
            rehearsal.note(statement, &arguments, answer.as_ref().ok());
        }
        answer
    }

    async fn give_back(&mut self) -> Result<(), OaError> {
        self.oa.roll_back().await
    }

    async fn park(&mut self, effects: Effects, refusal: Refusal) -> Result<(), ApplyError> {
        let Refusal { statement, code, is_held, .. } = &refusal;
        if *is_held {
            self.tell_held(effects.entity).await?;
        } else {
            let what = match code {
                Some(_) => "the OA's database refuses an object",
                None => "an object cannot be applied to the OA's tables",
            };
            warn!(
                corp = self.corp,
                entity = effects.entity.label(),
                id = effects.id,
                statement,
                code,
                "{what}; it is parked: see `dingsync apply status`"
            );
        }
        self.store.write(Effects { refusal: Some(refusal), ..effects }).await?;
        Ok(())
    }
}

/// What a refusal at the end of the transaction is called after.
fn last_statement(object: &Object, lives: bool) -> String {
    let label = object.part().map_or("employee", Part::label);
    format!("{label}.{}", if lives { "upsert" } else { "delete" })
}
