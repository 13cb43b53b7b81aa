//! The organisation as one answer sees it: of now, or of a moment ago.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::history::Earlier;
use super::model::{Admin, BuiltIn, Department, Person, ROOT, Role, RoleGroup, Userid};
use super::organisation::Organisation;

/// A consistent look at the organisation.
#[derive(Debug)]
pub(crate) struct View<'a> {
    organisation: &'a Organisation,
    earlier: Earlier,
}

impl<'a> View<'a> {
    /// As it is.
    pub(crate) fn of_now(organisation: &'a Organisation) -> Self {
        Self::of_earlier(organisation, Earlier::default())
    }

    /// As it was before the changes whose traces are in `earlier`.
    pub(crate) fn of_earlier(organisation: &'a Organisation, earlier: Earlier) -> Self {
        Self { organisation, earlier }
    }

    pub(crate) fn department(&self, dept_id: i64) -> Option<&Department> {
        match self.earlier.departments.get(&dept_id) {
            Some(then) => then.as_deref(),
            None => self.organisation.department(dept_id).map(|now| &**now),
        }
    }

    pub(crate) fn person(&self, userid: &str) -> Option<&Person> {
        match self.earlier.people.get(userid) {
            Some(then) => then.as_deref(),
            None => self.organisation.person(userid).map(|now| &**now),
        }
    }

    pub(crate) fn role(&self, role_id: i64) -> Option<&Role> {
        match self.earlier.roles.get(&role_id) {
            Some(then) => then.as_deref(),
            None => self.organisation.role(role_id).map(|now| &**now),
        }
    }

    pub(crate) fn group(&self, group_id: i64) -> Option<&RoleGroup> {
        match self.earlier.groups.get(&group_id) {
            Some(then) => then.as_deref(),
            None => self.organisation.group(group_id).map(|now| &**now),
        }
    }

    /// One level of children, in sibling order.
    pub(crate) fn children(&self, dept_id: i64) -> Vec<&Department> {
        let mut children: Vec<&Department> = self
            .organisation
            .children(dept_id)
            .filter(|id| !self.earlier.departments.contains_key(id))
            .filter_map(|id| self.department(id))
            .collect();
        let then = self.earlier.departments.values().flatten();
        let before = children.len();
        children.extend(
            then.map(|department| &**department).filter(|department| department.parent_id == Some(dept_id)),
        );
        if children.len() > before {
            children.sort_by_key(|department| (department.order, department.dept_id));
        }
        children
    }

    /// Direct members, in the department's own order: large `order` first (`contacts-api.md §6.4`).
    pub(crate) fn members(&self, dept_id: i64) -> Vec<&Person> {
        let mut members: Vec<&Person> = self
            .organisation
            .members(dept_id)
            .map(|person| &**person)
            .filter(|person| {
                self.earlier.people.is_empty() || !self.earlier.people.contains_key(&person.userid)
            })
            .collect();
        let before = members.len();
        members.extend(self.people_then().filter(|person| person.is_in(dept_id)));
        if members.len() > before {
            members.sort_by_cached_key(|person| {
                let order = person.membership(dept_id).map_or(0, |membership| membership.order);
                (Reverse(order), Userid::clone(&person.userid))
            });
        }
        members
    }

    fn people_then(&self) -> impl Iterator<Item = &Person> {
        self.earlier.people.values().flatten().map(|person| &**person)
    }

    /// How many direct members a department has.
    pub(crate) fn member_count(&self, dept_id: i64) -> usize {
        if self.earlier.people.is_empty() {
            self.organisation.member_count(dept_id)
        } else {
            self.members(dept_id).len()
        }
    }

    /// Memberships in a department and all below it.
    pub(crate) fn deep_member_count(&self, dept_id: i64) -> usize {
        let mut total = self.member_count(dept_id);
        for child in self.children(dept_id) {
            total += self.deep_member_count(child.dept_id);
        }
        total
    }

    /// The department and its ancestors up to the root.
    pub(crate) fn ancestry(&self, dept_id: i64) -> Vec<i64> {
        let mut line = vec![dept_id];
        let mut current = self.department(dept_id);
        while let Some(parent) = current.and_then(|department| department.parent_id) {
            line.push(parent);
            current = self.department(parent);
        }
        line
    }

    /// The organisation's name, which is that of its root (`contacts-api.md §4`).
    pub(crate) fn organisation_name(&self) -> &str {
        self.department(ROOT).map_or("", |root| &root.name)
    }

    /// All people, or those alone who have activated DingTalk.
    pub(crate) fn count(&self, only_active: bool) -> usize {
        let mut count =
            if only_active { self.organisation.active_count() } else { self.organisation.people().len() };
        for (userid, then) in &self.earlier.people {
            let counts = |person: &Person| !only_active || person.active;
            let now = self.organisation.person(userid).is_some_and(|now| counts(now));
            count += usize::from(then.as_ref().is_some_and(|then| counts(then)));
            count -= usize::from(now);
        }
        count
    }

    pub(crate) fn by_mobile(&self, mobile: &str) -> Option<&Person> {
        self.look_up(self.organisation.by_mobile(mobile).map(|now| &**now), |person| {
            person.mobile.as_deref() == Some(mobile)
        })
    }

    pub(crate) fn by_unionid(&self, unionid: &str) -> Option<&Person> {
        self.look_up(self.organisation.by_unionid(unionid).map(|now| &**now), |person| {
            person.unionid == unionid
        })
    }

    fn look_up<'s>(&'s self, now: Option<&'s Person>, is_it: impl Fn(&Person) -> bool) -> Option<&'s Person> {
        self.people_then()
            .find(|person| is_it(person))
            .or_else(|| now.filter(|person| !self.earlier.people.contains_key(&person.userid)))
    }

    /// Role groups by ascending id.
    pub(crate) fn groups(&self) -> Vec<&RoleGroup> {
        let ids: BTreeSet<i64> =
            self.organisation.groups().keys().chain(self.earlier.groups.keys()).copied().collect();
        ids.into_iter().filter_map(|id| self.group(id)).collect()
    }

    /// The roles of a group by ascending id.
    pub(crate) fn roles_of(&self, group_id: i64) -> Vec<&Role> {
        let ids: BTreeSet<i64> =
            self.organisation.roles().keys().chain(self.earlier.roles.keys()).copied().collect();
        ids.into_iter().filter_map(|id| self.role(id)).filter(|role| role.group_id == group_id).collect()
    }

    /// Bosses and administrators by ascending userid.
    pub(crate) fn officers(&self) -> Vec<&Person> {
        let then = self.people_then().map(|person| &person.userid);
        let ids: BTreeSet<&Userid> = self.organisation.officers().iter().chain(then).collect();
        ids.into_iter()
            .filter_map(|userid| self.person(userid))
            .filter(|person| person.is_officer())
            .collect()
    }

    /// A role's members by ascending userid; those of built-in roles follow from other facts.
    pub(crate) fn role_members(&self, role: &Role) -> Vec<&Person> {
        let holds = |person: &Person| match role.built_in {
            Some(duty) => self.has_duty(person, duty),
            None => person.has_role(role.role_id),
        };
        let candidates: BTreeSet<&str> = match role.built_in {
            Some(BuiltIn::Manager) => self.managers(),
            Some(_) => self.officers().into_iter().map(|person| &*person.userid).collect(),
            None => self
                .organisation
                .role_members(role.role_id)
                .chain(self.earlier.people.keys())
                .map(|userid| &**userid)
                .collect(),
        };
        candidates
            .into_iter()
            .filter_map(|userid| self.person(userid))
            .filter(|person| holds(person))
            .collect()
    }

    fn managers(&self) -> BTreeSet<&str> {
        let now = self
            .organisation
            .departments()
            .iter()
            .filter(|(id, _)| !self.earlier.departments.contains_key(id))
            .map(|(_, department)| department);
        let then = self.earlier.departments.values().flatten();
        now.chain(then).flat_map(|department| department.managers.iter().map(|userid| &**userid)).collect()
    }

    /// Whether a person manages at least one of his departments.
    pub(crate) fn is_manager(&self, person: &Person) -> bool {
        person.memberships.iter().any(|membership| {
            self.department(membership.dept_id)
                .is_some_and(|department| department.is_managed_by(&person.userid))
        })
    }

    /// Whether a person belongs to the built-in role of a duty.
    pub(crate) fn has_duty(&self, person: &Person, duty: BuiltIn) -> bool {
        match duty {
            BuiltIn::Boss => person.boss,
            BuiltIn::Manager => self.is_manager(person),
            BuiltIn::MainAdmin => person.admin == Admin::Main,
            BuiltIn::SubAdmin => person.admin == Admin::Sub,
        }
    }

    /// All roles of a person: built-in ones first, then those that he was given.
    pub(crate) fn roles_of_person(&self, person: &Person) -> Vec<&Role> {
        let duties = [BuiltIn::Boss, BuiltIn::Manager, BuiltIn::MainAdmin, BuiltIn::SubAdmin];
        duties
            .into_iter()
            .filter(|duty| self.has_duty(person, *duty))
            .filter_map(|duty| self.organisation.built_in(duty).map(|role| &**role))
            .chain(person.roles.iter().filter_map(|grant| self.role(grant.role_id)))
            .collect()
    }
}
