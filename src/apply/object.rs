//! An object as the mirror has it, with the names of everything that a statement may want of it.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::mapping::{Part, PartMapping};
use super::statement::Statement;
use super::tree::Tree;
use crate::store::{
    ApplyObject, Conn, Entity, FactKind, Facts, Link, LoggedChange, MemberOf, OaValue, StoreError, Value,
    columns_of, json_ids, json_of,
};

const NULL: &Value = &Value::Null;

/// Values by their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    now: HashMap<&'static str, Value>,
    before: HashMap<String, Value>,
}

impl Named {
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.now.insert(name, value.into());
    }

    pub(super) fn get(&self, name: &str) -> &Value {
        self.now.get(name).unwrap_or(NULL)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Value::Text(text) | Value::Json(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The arguments of a statement.
    pub(super) fn bind(&self, statement: &Statement, part: &PartMapping, zone: &TimeZone) -> Vec<OaValue> {
        let argument = |parameter: &String| {
            let (column, value) = match parameter.strip_prefix("old_") {
                Some(column) => (column, self.before.get(column).unwrap_or_else(|| self.get(column))),
                None => (parameter.as_str(), self.get(parameter)),
            };
            match part.replacement(column, value) {
                Some("null") => OaValue::Null,
                Some(word) => OaValue::Loose(word.to_owned()),
                None => bound(column, value, zone),
            }
        };
        statement.parameters().iter().map(argument).collect()
    }
}

fn bound(column: &str, value: &Value, zone: &TimeZone) -> OaValue {
    match value {
        Value::Null => OaValue::Null,
        Value::Integer(number) => OaValue::Integer(*number),
        Value::Flag(flag) => OaValue::Integer(i64::from(*flag)),
        // Keys of the OA's: numbers there, most often.
        Value::Text(text) if column.ends_with("oa_id") => OaValue::Loose(text.clone()),
        Value::Text(text) | Value::Json(text) => OaValue::Text(text.clone()),
        Value::Instant(instant) => OaValue::Text(wall_time(*instant, zone)),
        Value::Day(day) => OaValue::Text(day.to_string()),
    }
}

/// Whole seconds, as the columns of most OA systems hold them: a fraction would be rounded, up as well.
fn wall_time(instant: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(instant).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A membership, and the key of what it is in.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) other_id: i64,
    pub(super) other: Option<Link>,
    facts: Facts,
}

impl Member {
    /// What a statement may want of it.
    pub(super) fn named(&self, of: MemberOf, employee: &Object) -> Named {
        let mut named = Named::default();
        for (name, value) in &self.facts {
            named.set(name, value.clone());
        }
        let column = match of {
            MemberOf::Departments => "dept_id",
            MemberOf::Roles => "role_id",
        };
        named.set(column, self.other_id);
        named.set("corp_id", employee.named.get("corp_id").clone());
        named.set("userid", employee.id.as_str());
        named.set("employee_oa_id", employee.named.get("oa_id").clone());
        let key = match of {
            MemberOf::Departments => "department_oa_id",
            MemberOf::Roles => "role_oa_id",
        };
        named.set(key, self.other.as_ref().map(|link| link.oa_id.clone()));
        named
    }
}

/// An object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) entity: Entity,
    pub(super) id: String,
    pub(super) link: Option<Link>,
    /// What is on record of it; `None` where nothing is.
    pub(super) record: Option<ApplyObject>,
    /// The mirror has it, and it is not gone.
    pub(super) is_current: bool,
    pub(super) named: Named,
    /// Other objects whose keys it needs and that have none, in the order in which they are needed.
    pub(super) unlinked: Vec<(Entity, String)>,
    /// Memberships that the mirror has.
    pub(super) members: Vec<(MemberOf, Vec<Member>)>,
    /// Memberships that were put into the OA's tables.
    pub(super) applied: Vec<(MemberOf, Vec<Member>)>,
}

impl Object {
    /// Leaves only what tells which object it is.
    pub(super) fn blank(&mut self) {
        let kept = ["corp_id", "oa_id", "userid", "dept_id", "role_id"];
        self.named.now.retain(|name, _| kept.contains(name));
    }

    /// Its removal was refused, and waits.
    pub(super) fn is_removal_parked(&self) -> bool {
        self.was_stopped_at("delete")
    }

    /// The deletion guard holds it, or did when it was looked at last.
    pub(super) fn is_held(&self) -> bool {
        self.was_stopped_at("when")
    }

    fn was_stopped_at(&self, step: &str) -> bool {
        let statement = self.record.as_ref().and_then(|record| record.statement.as_deref());
        statement.and_then(|statement| statement.split('.').next_back()) == Some(step)
    }

    /// The part of the mapping that has its row.
    pub(super) fn part(&self) -> Option<Part> {
        Part::of(self.entity)
    }

    pub(super) fn members(&self, of: MemberOf) -> &[Member] {
        found(&self.members, of)
    }

    pub(super) fn applied(&self, of: MemberOf) -> &[Member] {
        found(&self.applied, of)
    }
}

fn found(all: &[(MemberOf, Vec<Member>)], of: MemberOf) -> &[Member] {
    all.iter().find(|(known, _)| *known == of).map_or(&[], |(_, members)| members)
}

/// Links by their objects.
pub(super) type Links = HashMap<(Entity, String), Link>;

/// Looks at objects.
pub(super) struct Look<'a> {
    pub(super) conn: &'a mut Conn,
    pub(super) corp_id: &'a str,
    pub(super) tree: &'a Tree,
    /// Links that are taken for granted beside those that are stored: those of a rehearsal.
    pub(super) assumed: &'a Links,
}

impl Look<'_> {
    /// An object as it is now, with what it was before `change`.
    pub(super) async fn object(
        &mut self,
        entity: Entity,
        id: &str,
        change: Option<&LoggedChange>,
    ) -> Result<Object, StoreError> {
        let corp_id = self.corp_id;
        let record = self.conn.apply_object(corp_id, entity, id).await?;
        let link = self.link(entity, id).await?;
        let facts = self.conn.facts(corp_id, entity, id).await?;
        let mut named = Named::default();
        named.set("corp_id", corp_id);
        named.set("oa_id", link.as_ref().map(|link| link.oa_id.clone()));
        let is_current = facts.as_ref().is_some_and(|facts| {
            facts.iter().any(|(name, value)| *name == "deleted_at" && *value == Value::Null)
        });
        for (name, value) in facts.into_iter().flatten() {
            named.set(name, value);
        }
        named.before = change.map(|change| before(entity, change)).unwrap_or_default();
        let mut object = Object {
            entity,
            id: id.to_owned(),
            link,
            record,
            is_current,
            named,
            unlinked: Vec::new(),
            members: Vec::new(),
            applied: Vec::new(),
        };
        match entity {
            Entity::Department => self.complete_department(&mut object).await?,
            Entity::Employee => self.complete_employee(&mut object).await?,
            Entity::Role => self.complete_role(&mut object).await?,
            Entity::RoleGroup => {}
        }
        Ok(object)
    }

    async fn link(&mut self, entity: Entity, id: &str) -> Result<Option<Link>, StoreError> {
        match self.assumed.get(&(entity, id.to_owned())) {
            Some(link) => Ok(Some(link.clone())),
            None => self.conn.link(self.corp_id, entity, id).await,
        }
    }

    async fn links(&mut self, entity: Entity, ids: &[String]) -> Result<HashMap<String, Link>, StoreError> {
        let mut links = self.conn.links(self.corp_id, entity, ids).await?;
        for id in ids {
            if let Some(link) = self.assumed.get(&(entity, id.clone())) {
                links.insert(id.clone(), link.clone());
            }
        }
        Ok(links)
    }

    async fn complete_department(&mut self, object: &mut Object) -> Result<(), StoreError> {
        let id: i64 = object.id.parse().unwrap_or_default();
        let path = self.tree.path(id);
        object.named.set("full_name", self.tree.full_name(&path));
        object.named.set("id_path", path.iter().map(i64::to_string).collect::<Vec<_>>().join("/"));
        object.named.set("level", path.len().saturating_sub(1));
        let above: Vec<String> = path.iter().filter(|&&one| one != id).map(i64::to_string).collect();
        let links = self.links(Entity::Department, &above).await?;
        let key = |id: &String| links.get(id).filter(|link| link.is_current()).map(|link| link.oa_id.clone());
        let keys: Vec<String> = above.iter().filter_map(key).collect();
        object.named.set("ancestor_oa_ids", keys.join(","));
        let parent = above.last();
        object.named.set("parent_oa_id", parent.and_then(key));
        object
            .unlinked
            .extend(parent.filter(|id| key(id).is_none()).map(|id| (Entity::Department, id.clone())));
        let manager = self.tree.managers(id).first().cloned();
        object.named.set("manager_userid", manager.clone());
        // The department comes first, and is completed when its manager has come.
        self.add_manager(object, manager).await.map(drop)
    }

    async fn complete_employee(&mut self, object: &mut Object) -> Result<(), StoreError> {
        let corp_id = self.corp_id;
        let id = object.id.clone();
        let main = object.named.number("main_dept_id");
        if let Some(main) = main {
            let path = self.tree.path(main);
            object.named.set("main_dept_name", self.tree.name(main).map(str::to_owned));
            let full_name = Some(self.tree.full_name(&path)).filter(|_| !path.is_empty());
            object.named.set("main_dept_full_name", full_name);
        }
        for of in [MemberOf::Departments, MemberOf::Roles] {
            let facts = self.conn.member_facts(corp_id, of, &id).await?;
            let others: Vec<i64> = facts.iter().map(other_id).collect();
            let applied = self.conn.applied_members(corp_id, of, &id).await?;
            let entity = entity_of(of);
            let main = main.filter(|_| of == MemberOf::Departments);
            let known: Vec<String> = others.iter().chain(&applied).chain(&main).map(i64::to_string).collect();
            let links = self.links(entity, &known).await?;
            if let Some(main) = main {
                let link = links.get(&main.to_string()).filter(|link| link.is_current());
                object.named.set("main_dept_oa_id", link.map(|link| link.oa_id.clone()));
                if link.is_none() {
                    object.unlinked.push((entity, main.to_string()));
                }
            }
            for other in &others {
                let other = other.to_string();
                if links.get(&other).is_none_or(|link| !link.is_current())
                    && !object.unlinked.contains(&(entity, other.clone()))
                {
                    object.unlinked.push((entity, other));
                }
            }
            let member = |other_id: i64, facts: Facts| Member {
                other_id,
                other: links.get(&other_id.to_string()).cloned(),
                facts,
            };
            match of {
                MemberOf::Departments => object.named.set("departments", Value::Json(json_of(&facts))),
                MemberOf::Roles => object.named.set("roles", Value::Json(json_ids(&others))),
            }
            let members = others.iter().zip(facts).map(|(other, facts)| member(*other, facts)).collect();
            object.members.push((of, members));
            let applied = applied.into_iter().map(|other| member(other, Vec::new())).collect();
            object.applied.push((of, applied));
        }
        let manager = object.named.text("manager_userid").map(str::to_owned);
        let unlinked = self.add_manager(object, manager).await?;
        object.unlinked.extend(unlinked.map(|userid| (Entity::Employee, userid)));
        Ok(())
    }

    async fn complete_role(&mut self, object: &mut Object) -> Result<(), StoreError> {
        if let Some(group) = object.named.number("group_id") {
            let name = self.conn.role_group_name(self.corp_id, group).await?;
            object.named.set("group_name", name);
        }
        Ok(())
    }

    /// What stands beside the manager's name. Brings him if he has no key.
    async fn add_manager(
        &mut self,
        object: &mut Object,
        userid: Option<String>,
    ) -> Result<Option<String>, StoreError> {
        let Some(userid) = userid else { return Ok(None) };
        let Some(facts) = self.conn.manager_facts(self.corp_id, &userid).await? else { return Ok(None) };
        object.named.set("manager_name", facts.name);
        if object.entity == Entity::Department {
            object.named.set("manager_mobile", facts.mobile);
            object.named.set("manager_email", facts.email);
        }
        let link = self.link(Entity::Employee, &userid).await?;
        let key = link.filter(Link::is_current).map(|link| link.oa_id);
        object.named.set("manager_oa_id", key.clone());
        Ok(Some(userid).filter(|_| key.is_none()))
    }
}

/// What the memberships are in.
pub(super) fn entity_of(of: MemberOf) -> Entity {
    match of {
        MemberOf::Departments => Entity::Department,
        MemberOf::Roles => Entity::Role,
    }
}

fn other_id(facts: &Facts) -> i64 {
    match facts.first() {
        Some((_, Value::Integer(id))) => *id,
        _ => 0,
    }
}

/// The values before a change, by their columns.
fn before(entity: Entity, change: &LoggedChange) -> HashMap<String, Value> {
    let old = change.old_values.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let Some(serde_json::Value::Object(old)) = old else { return HashMap::new() };
    let columns = columns_of(entity);
    old.iter()
        .map(|(name, value)| {
            let kind = columns.iter().find(|(column, _)| column == name).map(|(_, kind)| *kind);
            (name.clone(), kind.unwrap_or(FactKind::Json).of_json(value))
        })
        .collect()
}
