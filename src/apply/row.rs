//! An object's row: the one that is there already, or a new one, and its key.

use super::effects::LinkChange;
use super::fault::Fault;
use super::mapping::PartMapping;
use super::object::Object;
use super::one::Turn;
use super::statement::Statement;
use crate::store::{Entity, LONGEST_KEY, Link, LinkedBy, LoggedChange, OaAnswer};

/// Keys that a conflict names at most.
const KEYS_SHOWN: usize = 5;

impl Turn<'_> {
    /// Writes the row, and brings what becomes of its link.
    pub(super) async fn write_row(
        &mut self,
        object: &mut Object,
        part: &PartMapping,
        change: Option<&LoggedChange>,
    ) -> Result<Option<LinkChange>, Fault> {
        let (entity, is_insert) = (object.entity, change.is_some_and(|change| change.action == "insert"));
        let former = object.link.as_ref().filter(|link| is_insert && !link.is_current());
        let former = former.map(|link| link.oa_id.clone());
        let known = object.link.as_ref().filter(|_| former.is_none());
        let is_back = known.is_some_and(|link| !link.is_current());
        let mut key = known.map(|link| link.oa_id.clone());
        let mut linked_by = None;
        if key.is_none() {
            object.named.set("oa_id", None::<String>);
            if let Some(find) = &part.find {
                key = self.find(find, part, object).await?;
                linked_by = key.is_some().then_some(LinkedBy::Find);
            }
        }
        if let (Some(key), Some(_), Some(find)) = (&key, linked_by, &part.find) {
            self.refuse_taken(find, entity, key, object, former.as_deref()).await?;
        }
        object.named.set("oa_id", key.clone());
        for statement in &part.upsert {
            let answer = self.run(statement, part, &object.named).await?;
            if key.is_none()
                && let Some(told) = self.told_key(answer, part, object).await?
            {
                self.refuse_taken(statement, entity, &told, object, former.as_deref()).await?;
                object.named.set("oa_id", told.as_str());
                key = Some(told);
                linked_by = Some(LinkedBy::Key);
            }
        }
        if let (None, Some(upsert)) = (&key, part.upsert.last()) {
            let text = "the key of the row that it wrote is not known: let it end with RETURNING, or write a `find` \
                        that brings the row afterwards";
            return Err(Fault::refused(upsert.name(), text));
        }
        Ok(match (key, linked_by) {
            (Some(oa_id), Some(by)) => Some(LinkChange::Linked { oa_id, by }),
            _ if is_back => Some(LinkChange::Back),
            _ => None,
        })
    }

    /// The key of the row that is there already, if there is one.
    pub(super) async fn find(
        &mut self,
        find: &Statement,
        part: &PartMapping,
        object: &Object,
    ) -> Result<Option<String>, Fault> {
        let answer = self.run(find, part, &object.named).await?;
        let mut keys: Vec<String> =
            answer.rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
        keys.sort();
        keys.dedup();
        if keys.len() > 1 {
            let shown: Vec<&str> = keys.iter().map(String::as_str).take(KEYS_SHOWN).collect();
            let text = format!(
                "it brings {} rows ({}): `dingsync link {} OA_ID {}` says which one is meant",
                keys.len(),
                shown.join(", "),
                object.entity.label(),
                object.id,
            );
            return Err(Fault::refused(find.name(), text));
        }
        Ok(keys.pop())
    }

    /// The key of the row that was just written, if there is a way to it.
    async fn told_key(
        &mut self,
        answer: OaAnswer,
        part: &PartMapping,
        object: &Object,
    ) -> Result<Option<String>, Fault> {
        let returned = answer.rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
        if returned.is_some() || answer.affected == 0 {
            return Ok(returned);
        }
        // Before the generated number, which need not be the table's key.
        let found = match &part.find {
            Some(find) => self.find(find, part, object).await?,
            None => None,
        };
        Ok(found.or(answer.generated))
    }

    /// A row is one object's, and one person's.
    async fn refuse_taken(
        &mut self,
        statement: &Statement,
        entity: Entity,
        key: &str,
        object: &Object,
        former: Option<&str>,
    ) -> Result<(), Fault> {
        if key.chars().count() > LONGEST_KEY {
            let text = format!("the key of its row has more than {LONGEST_KEY} characters");
            return Err(Fault::refused(statement.name(), text));
        }
        if former == Some(key) {
            let (label, id) = (entity.label(), &object.id);
            let text = format!(
                "the row {key} is that of whoever had this id before: `dingsync link {label} {key} {id}` if it is the \
                 same one, or let `find` pass over it"
            );
            return Err(Fault::refused(statement.name(), text));
        }
        self.refuse_neighbours(statement, entity, key).await?;
        let taken = self.store.reader().await?.link_of_row(self.corp_id, entity, key).await?;
        // Where rows are deleted for good, a key may be generated again: it is nobody's then.
        let part = object.part().and_then(|part| self.mapping.part(part));
        let deletes = part.is_some_and(|part| part.delete.iter().any(|one| one.verb() == "DELETE"));
        let is_free = |link: &Link| !link.is_current() && deletes;
        match taken.filter(|link| link.ding_id != object.id && !is_free(link)) {
            Some(link) => {
                let text = format!(
                    "the row {key} is that of {label} {} already: `dingsync unlink {label} {}` if that is wrong",
                    link.ding_id,
                    link.ding_id,
                    label = entity.label(),
                );
                Err(Fault::refused(statement.name(), text))
            }
            None => Ok(()),
        }
    }

    /// Nor is it that of another organisation which fills the same tables.
    async fn refuse_neighbours(
        &mut self,
        statement: &Statement,
        entity: Entity,
        key: &str,
    ) -> Result<(), Fault> {
        let mut reader = self.store.reader().await?;
        for neighbour in reader.neighbours_in_apply(self.corp_id, self.oa.place()).await? {
            let theirs = reader.link_of_row(&neighbour, entity, key).await?;
            if let Some(link) = theirs.filter(Link::is_current) {
                let text = format!(
                    "the row {key} is that of {} {} of the organisation {neighbour}, which fills the same tables: let \
                     `find` tell the two apart",
                    entity.label(),
                    link.ding_id
                );
                return Err(Fault::refused(statement.name(), text));
            }
        }
        Ok(())
    }
}
