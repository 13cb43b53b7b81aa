//! What is written of an object also stands in rows of others: a department's name in the paths below it, a manager's in
//! those of his people. Those rows are due when it changes.

use std::collections::HashSet;

use super::effects::{Effects, LinkChange};
use super::mapping::Part;
use super::object::{Object, entity_of};
use super::one::Turn;
use crate::store::{Entity, LoggedChange, StoreError};

/// Of a department, what stands in the rows of those below it.
const OF_PARENT: [&str; 6] =
    ["full_name", "id_path", "level", "ancestor_oa_ids", "parent_oa_id", "parent_id"];
const KEYS_OF_PARENT: [&str; 2] = ["ancestor_oa_ids", "parent_oa_id"];
/// And in those of its people.
const OF_MAIN_DEPARTMENT: [&str; 2] = ["main_dept_name", "main_dept_full_name"];
/// Of a manager, what stands in the rows of the departments that he leads.
const OF_LEADER: [&str; 3] = ["manager_name", "manager_mobile", "manager_email"];

/// What a change says of an object.
struct News {
    touched: HashSet<String>,
    begins_or_ends: bool,
}

impl News {
    fn of(change: Option<&LoggedChange>) -> Self {
        let Some(change) = change else { return Self { touched: HashSet::new(), begins_or_ends: false } };
        let new = change.new_values.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let touched = match new {
            Some(serde_json::Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
            _ => HashSet::new(),
        };
        Self { touched, begins_or_ends: change.action != "update" }
    }

    fn touches(&self, names: &[&str]) -> bool {
        self.begins_or_ends || names.iter().any(|name| self.touched.contains(*name))
    }
}

impl Turn<'_> {
    /// The objects whose rows are to be written again, as far as they have been looked at before: the others come anyway.
    pub(super) async fn dependents(
        &mut self,
        object: &Object,
        change: Option<&LoggedChange>,
        effects: &Effects,
    ) -> Result<Vec<(Entity, String)>, StoreError> {
        let news = News::of(change);
        let is_rekeyed = object.record.as_ref().is_some_and(|record| record.is_rekeyed);
        let key_changed = effects.link.is_some() || is_rekeyed;
        let mut due = Vec::new();
        match object.entity {
            Entity::Department => self.of_department(object, &news, key_changed, &mut due).await?,
            Entity::Employee => self.of_employee(object, &news, key_changed, &mut due).await?,
            Entity::Role => {
                if key_changed && self.mapping.part(Part::RoleMember).is_some() {
                    let id = object.id.parse().unwrap_or_default();
                    let holders = self.store.reader().await?.holders_of(self.corp_id, id).await?;
                    due.extend(holders.into_iter().map(|userid| (Entity::Employee, userid)));
                }
            }
            Entity::RoleGroup => {
                if news.touches(&["name"]) && self.mapping.uses(Part::Role, &["group_name"]) {
                    let id = object.id.parse().unwrap_or_default();
                    let roles = self.store.reader().await?.roles_of_group(self.corp_id, id).await?;
                    due.extend(roles.into_iter().map(|role| (Entity::Role, role)));
                }
            }
        }
        let mut due = if self.is_walking { self.known(due).await? } else { each_once(due) };
        due.extend(self.released(object, effects).await?);
        Ok(due)
    }

    /// What may go at last because this has gone: a parent, a role, of which rows of this one were left.
    async fn released(
        &mut self,
        object: &Object,
        effects: &Effects,
    ) -> Result<Vec<(Entity, String)>, StoreError> {
        let mut referred: Vec<(Entity, String)> = Vec::new();
        if effects.link == Some(LinkChange::Removed) {
            let columns = [("parent_id", Entity::Department), ("main_dept_id", Entity::Department)];
            for (column, entity) in columns {
                referred.extend(object.named.number(column).map(|id| (entity, id.to_string())));
            }
        }
        let gone = effects.members.iter().filter(|(.., is_there)| !is_there);
        referred.extend(gone.map(|(of, id, _)| (entity_of(*of), id.to_string())));
        let mut released = Vec::new();
        for entity in [Entity::Department, Entity::Role] {
            let ids: Vec<String> =
                referred.iter().filter(|(one, _)| *one == entity).map(|(_, id)| id.clone()).collect();
            let parked = self.store.reader().await?.parked_apply(self.corp_id, entity, &ids).await?;
            released.extend(parked.into_iter().map(|id| (entity, id)));
        }
        Ok(released)
    }

    async fn of_department(
        &mut self,
        object: &Object,
        news: &News,
        key_changed: bool,
        due: &mut Vec<(Entity, String)>,
    ) -> Result<(), StoreError> {
        let id: i64 = object.id.parse().unwrap_or_default();
        let (is_moved, is_named) = (news.touches(&["parent_id"]), news.touches(&["name"]));
        let below = self.tree.below(id);
        let reaches_below = ((is_moved || is_named) && self.mapping.uses(Part::Department, &OF_PARENT))
            || (key_changed && self.mapping.uses(Part::Department, &KEYS_OF_PARENT));
        if reaches_below {
            due.extend(below.iter().map(|one| (Entity::Department, one.to_string())));
        }
        let paths_change = is_moved || is_named;
        let of_itself = (paths_change && self.mapping.uses(Part::Employee, &OF_MAIN_DEPARTMENT))
            || (key_changed
                && (self.mapping.uses(Part::Employee, &["main_dept_oa_id"])
                    || self.mapping.part(Part::DepartmentMember).is_some()));
        let of_those_below = paths_change && self.mapping.uses(Part::Employee, &["main_dept_full_name"]);
        let itself = of_itself.then_some(id);
        let further = below.into_iter().filter(|_| of_those_below);
        for department in itself.into_iter().chain(further) {
            let people = self.store.reader().await?.members_of(self.corp_id, department).await?;
            due.extend(people.into_iter().map(|userid| (Entity::Employee, userid)));
        }
        Ok(())
    }

    async fn of_employee(
        &mut self,
        object: &Object,
        news: &News,
        key_changed: bool,
        due: &mut Vec<(Entity, String)>,
    ) -> Result<(), StoreError> {
        let is_read_by_people = (news.touches(&["name"])
            && self.mapping.uses(Part::Employee, &["manager_name"]))
            || (key_changed && self.mapping.uses(Part::Employee, &["manager_oa_id"]));
        if is_read_by_people {
            let people = self.store.reader().await?.subordinates_of(self.corp_id, &object.id).await?;
            let others = people.into_iter().filter(|userid| *userid != object.id);
            due.extend(others.map(|userid| (Entity::Employee, userid)));
        }
        let is_read_by_departments = (news.touches(&["name", "mobile", "email"])
            && self.mapping.uses(Part::Department, &OF_LEADER))
            || (key_changed && self.mapping.uses(Part::Department, &["manager_oa_id"]));
        if is_read_by_departments {
            let led = self.tree.led_by(&object.id);
            due.extend(led.map(|department| (Entity::Department, department.to_string())));
        }
        Ok(())
    }

    /// Those that have a row or are parked, each once.
    async fn known(&mut self, due: Vec<(Entity, String)>) -> Result<Vec<(Entity, String)>, StoreError> {
        if due.is_empty() {
            return Ok(due);
        }
        let mut known = Vec::new();
        let mut reader = self.store.reader().await?;
        for entity in Entity::ALL {
            let of_entity = due.iter().filter(|(one, _)| *one == entity).map(|(_, id)| id.clone());
            let ids: Vec<String> = of_entity.collect::<HashSet<_>>().into_iter().collect();
            let mut looked_at = reader.apply_known(self.corp_id, entity, &ids).await?;
            looked_at.sort();
            known.extend(looked_at.into_iter().map(|id| (entity, id)));
        }
        Ok(known)
    }
}

fn each_once(mut due: Vec<(Entity, String)>) -> Vec<(Entity, String)> {
    due.sort();
    due.dedup();
    due
}
