//! How one object differs between DingTalk and the mirror, by the same reasoning that a worker applies.

use std::collections::HashSet;

use super::catalogue::Catalogue;
use super::context::{Context, WorkError};
use super::employee;
use super::permission::FieldPermission;
use super::settle::settle;
use super::{convert, department};
use crate::lane::Lane;
use crate::store::{
    Difference, DifferingMember, Disagreement, Entity, Fate, LeaveOut as _, RoleScope, RunItem, Stored,
};

const BATCH: usize = 500;

/// What a look at one object says of its row.
#[derive(Debug)]
pub(super) enum Compared {
    /// The row is right.
    Same,
    /// The object is out of sight: nobody can say.
    Hidden,
    /// The row is wrong.
    Differs(RunItem),
}

/// What a look at a person brought.
#[derive(Debug)]
pub(super) struct PersonCompared {
    pub(super) compared: Compared,
    /// The departments that his own answer names.
    pub(super) departments: Vec<i64>,
    /// Another person has the userid than the one whom the mirror has.
    pub(super) is_another: bool,
    /// Field permissions whose fields are missing from his answer.
    pub(super) lost: Vec<FieldPermission>,
}

impl PersonCompared {
    fn without_answer(compared: impl Into<Compared>) -> Self {
        Self { compared: compared.into(), departments: Vec::new(), is_another: false, lost: Vec::new() }
    }
}

impl From<Option<RunItem>> for Compared {
    fn from(item: Option<RunItem>) -> Self {
        item.map_or(Self::Same, Self::Differs)
    }
}

impl Context {
    /// Compares a person with his rows.
    pub(super) async fn person_difference(&self, userid: &str) -> Result<PersonCompared, WorkError> {
        let look = self.look_at_person(Lane::Background, userid).await?;
        let mut reader = self.store.reader().await?;
        let mut before = reader.employee(&self.corp_id, userid).await?;
        if let Some(before) = &mut before {
            // What is not stored any more is erased, and no difference.
            before.row.leave_out(self.store.excluded());
        }
        let item =
            |disagreement, fields: &[_]| Some(RunItem::new(Entity::Employee, userid, disagreement, fields));
        let answer = match look {
            employee::Look::Hidden => return Ok(PersonCompared::without_answer(Compared::Hidden)),
            employee::Look::Gone => {
                let lived = before.as_ref().is_some_and(lives);
                let gone = lived.then(|| item(Disagreement::Gone, &[])).flatten();
                return Ok(PersonCompared::without_answer(gone));
            }
            employee::Look::Present(answer) => answer,
        };
        let role_ids: Vec<i64> = answer.person.roles.iter().map(|role| role.role_id).collect();
        let scopes = reader.role_scopes_of(&self.corp_id, userid, &role_ids).await?;
        let (after, fate) = settle(before.as_ref(), &answer, &scopes, self.now());
        let before = before.filter(lives);
        let is_another = before.is_some() && fate == Fate::Replaced;
        let item = match before {
            None => item(Disagreement::Created, &[]),
            Some(before) => {
                let fields = before.row.differences(&after);
                if fields.is_empty() && fate == Fate::Lives {
                    None
                } else {
                    item(Disagreement::Changed, &fields)
                }
            }
        };
        let departments = answer.person.departments.iter().map(|membership| membership.dept_id).collect();
        Ok(PersonCompared { compared: item.into(), departments, is_another, lost: answer.lost })
    }

    /// Compares a department with its row.
    pub(super) async fn department_difference(&self, dept_id: i64) -> Result<Compared, WorkError> {
        let look = self.look_at_department(Lane::Background, dept_id).await?;
        let before = self.store.reader().await?.department(&self.corp_id, dept_id).await?;
        let item = |disagreement, fields: &[_]| {
            Some(RunItem::new(Entity::Department, dept_id.to_string(), disagreement, fields))
        };
        let item = match (look, before.filter(lives)) {
            (department::Look::Hidden, _) => return Ok(Compared::Hidden),
            (department::Look::Gone, None) => None,
            (department::Look::Gone, Some(_)) => item(Disagreement::Gone, &[]),
            (department::Look::Present(_), None) => item(Disagreement::Created, &[]),
            (department::Look::Present(actual), Some(before)) => {
                let fields = before.row.differences(&actual);
                if fields.is_empty() { None } else { item(Disagreement::Changed, &fields) }
            }
        };
        Ok(item.into())
    }

    /// How role groups and roles differ.
    pub(super) async fn catalogue_differences(&self) -> Result<Vec<RunItem>, WorkError> {
        let Catalogue { groups, roles, gone_groups, gone_roles } =
            self.look_at_catalogue(Lane::Background).await?;
        let mut reader = self.store.reader().await?;
        let stored_groups = reader.role_groups(&self.corp_id).await?;
        let stored_roles = reader.roles(&self.corp_id).await?;
        let group_items = groups.iter().filter_map(|(id, actual)| {
            let fields = find(&stored_groups, *id).map(|stored| stored.row.differences(actual));
            disagreement(Entity::RoleGroup, *id, fields)
        });
        let role_items = roles.iter().filter_map(|(id, actual)| {
            let fields = find(&stored_roles, *id).map(|stored| stored.row.differences(actual));
            disagreement(Entity::Role, *id, fields)
        });
        let gone = |entity, ids: Vec<i64>| {
            ids.into_iter().map(move |id| RunItem::new(entity, id.to_string(), Disagreement::Gone, &[]))
        };
        Ok(group_items
            .chain(role_items)
            .chain(gone(Entity::RoleGroup, gone_groups))
            .chain(gone(Entity::Role, gone_roles))
            .collect())
    }

    /// The members of a role whom the mirror shows without it or with other managed departments, and those whom it shows
    /// with it although the list does not name them.
    pub(super) async fn role_member_differences(
        &self,
        role_id: i64,
    ) -> Result<Vec<DifferingMember>, WorkError> {
        let mut differing = Vec::new();
        let mut listed = HashSet::new();
        let mut offset = Some(0);
        while let Some(at) = offset {
            let (members, next) = self.client.role_members(Lane::Background, role_id, at).await?;
            let page: Vec<RoleScope> = members.iter().filter_map(convert::role_scope).collect();
            let mut reader = self.store.reader().await?;
            differing.extend(reader.differing_role_members(&self.corp_id, role_id, &page).await?);
            listed.extend(page.into_iter().map(|scope| scope.userid));
            offset = next;
        }
        let mut after = String::new();
        loop {
            let mut reader = self.store.reader().await?;
            let stored = reader.role_member_ids_after(&self.corp_id, role_id, &after, BATCH).await?;
            let Some(last) = stored.last() else { return Ok(differing) };
            after.clone_from(last);
            let unlisted = stored.into_iter().filter(|userid| !listed.contains(userid));
            differing.extend(unlisted.map(|userid| DifferingMember { userid, has_role: true, scope: None }));
        }
    }
}

fn lives<R>(stored: &Stored<R>) -> bool {
    stored.deleted_at.is_none()
}

fn find<R>(stored: &[(i64, Stored<R>)], id: i64) -> Option<&Stored<R>> {
    stored.iter().find(|(known, stored)| *known == id && lives(stored)).map(|(_, stored)| stored)
}

fn disagreement(entity: Entity, id: i64, fields: Option<Vec<Difference>>) -> Option<RunItem> {
    match fields {
        None => Some(RunItem::new(entity, id.to_string(), Disagreement::Created, &[])),
        Some(fields) if fields.is_empty() => None,
        Some(fields) => Some(RunItem::new(entity, id.to_string(), Disagreement::Changed, &fields)),
    }
}
