//! The organisation as it is now, with an index for each question that the API is asked.
//!
//! Everything that changes it goes through `put_…` and `remove_…`, which keep the indexes right and hand back what
//! was there before. The rules of the directory (a manager is a member, siblings have different names) are kept one
//! floor up, in [`super::apply`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::model::{BuiltIn, Department, Person, Role, RoleGroup, Userid};

type MemberKey = (Reverse<i64>, Userid);

/// Departments, people, roles and role groups.
#[derive(Debug, Clone, Default)]
pub(crate) struct Organisation {
    departments: BTreeMap<i64, Arc<Department>>,
    people: BTreeMap<Userid, Arc<Person>>,
    groups: BTreeMap<i64, Arc<RoleGroup>>,
    roles: BTreeMap<i64, Arc<Role>>,
    /// Children by parent, in sibling order.
    children: BTreeMap<i64, BTreeSet<(i64, i64)>>,
    /// Direct members by department, in the order of the department's list. The records themselves, so that a page
    /// needs no look-up per member.
    members: BTreeMap<i64, BTreeMap<MemberKey, Arc<Person>>>,
    role_members: BTreeMap<i64, BTreeSet<Userid>>,
    officers: BTreeSet<Userid>,
    reports: BTreeMap<Userid, BTreeSet<Userid>>,
    mobiles: HashMap<String, Userid>,
    unionids: HashMap<String, Userid>,
    built_in: BTreeMap<BuiltIn, i64>,
    active: usize,
}

impl Organisation {
    pub(crate) fn department(&self, dept_id: i64) -> Option<&Arc<Department>> {
        self.departments.get(&dept_id)
    }

    pub(crate) fn departments(&self) -> &BTreeMap<i64, Arc<Department>> {
        &self.departments
    }

    pub(crate) fn person(&self, userid: &str) -> Option<&Arc<Person>> {
        self.people.get(userid)
    }

    pub(crate) fn people(&self) -> &BTreeMap<Userid, Arc<Person>> {
        &self.people
    }

    pub(crate) fn group(&self, group_id: i64) -> Option<&Arc<RoleGroup>> {
        self.groups.get(&group_id)
    }

    pub(crate) fn groups(&self) -> &BTreeMap<i64, Arc<RoleGroup>> {
        &self.groups
    }

    pub(crate) fn role(&self, role_id: i64) -> Option<&Arc<Role>> {
        self.roles.get(&role_id)
    }

    pub(crate) fn roles(&self) -> &BTreeMap<i64, Arc<Role>> {
        &self.roles
    }

    /// Ids of the children, in sibling order.
    pub(crate) fn children(&self, dept_id: i64) -> impl Iterator<Item = i64> {
        self.children.get(&dept_id).into_iter().flatten().map(|&(_, id)| id)
    }

    /// Direct members, in list order.
    pub(crate) fn members(&self, dept_id: i64) -> impl Iterator<Item = &Arc<Person>> {
        self.members.get(&dept_id).into_iter().flat_map(BTreeMap::values)
    }

    /// How many direct members a department has.
    pub(crate) fn member_count(&self, dept_id: i64) -> usize {
        self.members.get(&dept_id).map_or(0, BTreeMap::len)
    }

    /// Userids of those who were given a role, in ascending order; nobody for built-in ones.
    pub(crate) fn role_members(&self, role_id: i64) -> impl Iterator<Item = &Userid> {
        self.role_members.get(&role_id).into_iter().flatten()
    }

    /// Bosses and administrators.
    pub(crate) fn officers(&self) -> &BTreeSet<Userid> {
        &self.officers
    }

    /// Those whose direct manager is `userid`.
    pub(crate) fn reports(&self, userid: &str) -> impl Iterator<Item = &Userid> {
        self.reports.get(userid).into_iter().flatten()
    }

    pub(crate) fn by_mobile(&self, mobile: &str) -> Option<&Arc<Person>> {
        self.person(self.mobiles.get(mobile)?)
    }

    pub(crate) fn by_unionid(&self, unionid: &str) -> Option<&Arc<Person>> {
        self.person(self.unionids.get(unionid)?)
    }

    /// The role that stands for a built-in duty.
    pub(crate) fn built_in(&self, duty: BuiltIn) -> Option<&Arc<Role>> {
        self.role(*self.built_in.get(&duty)?)
    }

    /// How many have activated DingTalk in this organisation.
    pub(crate) fn active_count(&self) -> usize {
        self.active
    }

    /// The department and everything below it, parents first.
    pub(crate) fn subtree(&self, dept_id: i64) -> Vec<i64> {
        let mut found = vec![dept_id];
        let mut next = 0;
        while let Some(&id) = found.get(next) {
            found.extend(self.children(id));
            next += 1;
        }
        found
    }

    /// Stores a department; what stood under its id before comes back.
    pub(crate) fn put_department(&mut self, department: Department) -> Option<Arc<Department>> {
        let dept_id = department.dept_id;
        let before = self.remove_department(dept_id);
        if let Some(parent) = department.parent_id {
            self.children.entry(parent).or_default().insert((department.order, dept_id));
        }
        self.departments.insert(dept_id, Arc::new(department));
        before
    }

    /// Takes a department out. Its children and members keep pointing at it: the caller sees to them first.
    pub(crate) fn remove_department(&mut self, dept_id: i64) -> Option<Arc<Department>> {
        let before = self.departments.remove(&dept_id)?;
        if let Some(parent) = before.parent_id
            && let Some(siblings) = self.children.get_mut(&parent)
        {
            siblings.remove(&(before.order, dept_id));
        }
        Some(before)
    }

    /// Stores a person; who stood under the userid before comes back.
    pub(crate) fn put_person(&mut self, person: Person) -> Option<Arc<Person>> {
        let before = self.remove_person(&person.userid);
        let userid = &person.userid;
        if person.is_officer() {
            self.officers.insert(Userid::clone(userid));
        }
        for grant in &person.roles {
            self.role_members.entry(grant.role_id).or_default().insert(Userid::clone(userid));
        }
        if let Some(manager) = &person.manager {
            self.reports.entry(Userid::clone(manager)).or_default().insert(Userid::clone(userid));
        }
        if let Some(mobile) = &person.mobile {
            self.mobiles.insert(mobile.clone(), Userid::clone(userid));
        }
        self.unionids.insert(person.unionid.clone(), Userid::clone(userid));
        self.active += usize::from(person.active);
        let person = Arc::new(person);
        for membership in &person.memberships {
            self.members
                .entry(membership.dept_id)
                .or_default()
                .insert(member_key(membership.order, &person), Arc::clone(&person));
        }
        self.people.insert(Userid::clone(&person.userid), person);
        before
    }

    /// Takes a person out of everything but the lists in which departments name their managers and people theirs.
    pub(crate) fn remove_person(&mut self, userid: &str) -> Option<Arc<Person>> {
        let before = self.people.remove(userid)?;
        self.officers.remove(userid);
        for grant in &before.roles {
            if let Some(members) = self.role_members.get_mut(&grant.role_id) {
                members.remove(userid);
            }
        }
        if let Some(manager) = &before.manager
            && let Some(reports) = self.reports.get_mut(manager)
        {
            reports.remove(userid);
        }
        if let Some(mobile) = &before.mobile {
            forget(&mut self.mobiles, mobile, userid);
        }
        forget(&mut self.unionids, &before.unionid, userid);
        self.active -= usize::from(before.active);
        for membership in &before.memberships {
            if let Some(members) = self.members.get_mut(&membership.dept_id) {
                members.remove(&member_key(membership.order, &before));
            }
        }
        Some(before)
    }

    /// Stores a role group.
    pub(crate) fn put_group(&mut self, group: RoleGroup) -> Option<Arc<RoleGroup>> {
        self.groups.insert(group.group_id, Arc::new(group))
    }

    /// Takes a role group out; its roles are the caller's business.
    pub(crate) fn remove_group(&mut self, group_id: i64) -> Option<Arc<RoleGroup>> {
        self.groups.remove(&group_id)
    }

    /// Stores a role.
    pub(crate) fn put_role(&mut self, role: Role) -> Option<Arc<Role>> {
        if let Some(duty) = role.built_in {
            self.built_in.insert(duty, role.role_id);
        }
        self.roles.insert(role.role_id, Arc::new(role))
    }

    /// Takes a role out; its members are the caller's business.
    pub(crate) fn remove_role(&mut self, role_id: i64) -> Option<Arc<Role>> {
        self.roles.remove(&role_id)
    }
}

fn member_key(order: i64, person: &Person) -> MemberKey {
    (Reverse(order), Userid::clone(&person.userid))
}

/// Removes a look-up only while it still leads to `userid`: a number may have gone on to somebody else.
fn forget(index: &mut HashMap<String, Userid>, key: &str, userid: &str) {
    if index.get(key).is_some_and(|owner| &**owner == userid) {
        index.remove(key);
    }
}
