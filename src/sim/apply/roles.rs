//! Changes of roles and role groups.

use std::sync::Arc;

use super::Edit;
use crate::sim::change::ChangeError;
use crate::sim::events::{Subject, Topic, group_label, role_label};
use crate::sim::history::Before;
use crate::sim::model::{Role, RoleGrant, RoleGroup, Userid};

const BUILT_IN: ChangeError = ChangeError::Refused("built-in roles and their group cannot be edited");

impl Edit<'_> {
    fn role(&self, role_id: i64) -> Result<Arc<Role>, ChangeError> {
        let role = self.organisation().role(role_id).cloned();
        let role = role.ok_or(ChangeError::NoRole(role_id))?;
        if role.built_in.is_some() { Err(BUILT_IN) } else { Ok(role) }
    }

    fn group(&self, group_id: i64) -> Result<Arc<RoleGroup>, ChangeError> {
        let group = self.organisation().group(group_id).cloned();
        let group = group.ok_or(ChangeError::NoGroup(group_id))?;
        if group.built_in { Err(BUILT_IN) } else { Ok(group) }
    }

    fn new_label(&mut self) -> i64 {
        let id = self.world.next_role;
        self.world.next_role += 1;
        id
    }

    fn tell_labels(&mut self, topic: Topic, id: i64, change: Option<(String, String)>) {
        let change = change.map(|(before, after)| (vec![before], vec![after]));
        let subject = Subject::Labels { ids: vec![id], change };
        self.tell(topic, subject);
    }

    fn concern_role(&mut self, role: &Role) {
        self.happening.roles.push(role.role_id);
        self.happening.name.clone_from(&role.name);
    }

    fn concern_group(&mut self, group: &RoleGroup) {
        self.happening.role_groups.push(group.group_id);
        self.happening.name.clone_from(&group.name);
    }

    pub(super) fn create_group(&mut self, name: &str) -> Result<(), ChangeError> {
        self.check_group_name(name)?;
        let group = RoleGroup { group_id: self.new_label(), name: name.to_owned(), built_in: false };
        self.concern_group(&group);
        self.tell_labels(Topic::LabelAdd, group.group_id, None);
        self.put_group(group);
        Ok(())
    }

    fn check_group_name(&self, name: &str) -> Result<(), ChangeError> {
        if name.is_empty() || self.organisation().groups().values().any(|group| group.name == name) {
            return Err(ChangeError::Refused("a role group's name is not empty and not another's"));
        }
        Ok(())
    }

    pub(super) fn rename_group(&mut self, group_id: i64, name: &str) -> Result<(), ChangeError> {
        let before = self.group(group_id)?;
        self.check_group_name(name)?;
        let after = RoleGroup { name: name.to_owned(), ..(*before).clone() };
        self.happening.former_name = Some(before.name.clone());
        self.concern_group(&after);
        let change = (group_label(&before, true), group_label(&after, false));
        self.tell_labels(Topic::LabelModify, group_id, Some(change));
        self.put_group(after);
        Ok(())
    }

    pub(super) fn delete_group(&mut self, group_id: i64) -> Result<(), ChangeError> {
        let group = self.group(group_id)?;
        let mut roles = self.organisation().roles().values();
        if roles.any(|role| role.group_id == group_id) {
            return Err(ChangeError::Refused("the group has roles"));
        }
        self.concern_group(&group);
        let before = self.world.organisation.remove_group(group_id);
        self.world.history.record(self.now, Before::Group(group_id, before));
        self.tell_labels(Topic::LabelDelete, group_id, None);
        Ok(())
    }

    pub(super) fn create_role(&mut self, group_id: i64, name: &str) -> Result<(), ChangeError> {
        self.group(group_id)?;
        self.check_role_name(group_id, name)?;
        let role = Role { role_id: self.new_label(), group_id, name: name.to_owned(), built_in: None };
        self.concern_role(&role);
        self.tell_labels(Topic::LabelAdd, role.role_id, None);
        self.put_role(role);
        Ok(())
    }

    fn check_role_name(&self, group_id: i64, name: &str) -> Result<(), ChangeError> {
        let mut roles = self.organisation().roles().values();
        if name.is_empty() || roles.any(|role| role.group_id == group_id && role.name == name) {
            return Err(ChangeError::Refused("a role's name is not empty and not another's in its group"));
        }
        Ok(())
    }

    pub(super) fn rename_role(&mut self, role_id: i64, name: &str) -> Result<(), ChangeError> {
        let before = self.role(role_id)?;
        self.check_role_name(before.group_id, name)?;
        let after = Role { name: name.to_owned(), ..(*before).clone() };
        self.happening.former_name = Some(before.name.clone());
        self.concern_role(&after);
        let change = (role_label(&before, true), role_label(&after, false));
        self.tell_labels(Topic::LabelModify, role_id, Some(change));
        self.put_role(after);
        Ok(())
    }

    pub(super) fn delete_role(&mut self, role_id: i64, silently: bool) -> Result<(), ChangeError> {
        let role = self.role(role_id)?;
        let members: Vec<Userid> = self.organisation().role_members(role_id).cloned().collect();
        self.concern_role(&role);
        self.strip(role_id, &members);
        if !silently {
            self.tell_membership(&members, role_id, "remove");
        }
        let before = self.world.organisation.remove_role(role_id);
        self.world.history.record(self.now, Before::Role(role_id, before));
        self.tell_labels(Topic::LabelDelete, role_id, None);
        Ok(())
    }

    fn strip(&mut self, role_id: i64, userids: &[Userid]) {
        for userid in userids {
            if let Ok(person) = self.person(userid) {
                let mut after = (*person).clone();
                after.roles.retain(|grant| grant.role_id != role_id);
                self.put_person(after);
            }
        }
    }

    pub(super) fn give_role(&mut self, role_id: i64, userids: &[String]) -> Result<(), ChangeError> {
        let role = self.role(role_id)?;
        let people = self.everybody(userids)?;
        self.concern_role(&role);
        let mut given = Vec::new();
        for person in people {
            self.happening.people.push(person.userid.to_string());
            // Giving twice is harmless (`contacts-api.md §7`) and changes nothing.
            if person.has_role(role_id) {
                continue;
            }
            let mut after = (*person).clone();
            after.roles.push(RoleGrant { role_id, manages: Vec::new() });
            given.push(Userid::clone(&after.userid));
            self.put_person(after);
        }
        self.tell_membership(&given, role_id, "add");
        Ok(())
    }

    pub(super) fn take_role(&mut self, role_id: i64, userids: &[String]) -> Result<(), ChangeError> {
        let role = self.role(role_id)?;
        let people = self.everybody(userids)?;
        self.concern_role(&role);
        let holders: Vec<Userid> = (people.iter())
            .filter(|person| person.has_role(role_id))
            .map(|person| Userid::clone(&person.userid))
            .collect();
        self.happening.people.extend(people.iter().map(|person| person.userid.to_string()));
        self.strip(role_id, &holders);
        self.tell_membership(&holders, role_id, "remove");
        Ok(())
    }

    pub(super) fn scope_role(
        &mut self,
        userid: &str,
        role_id: i64,
        departments: &[i64],
    ) -> Result<(), ChangeError> {
        let role = self.role(role_id)?;
        for &dept_id in departments {
            self.department(dept_id)?;
        }
        let before = self.person(userid)?;
        let mut after = (*before).clone();
        let grant = after
            .roles
            .iter_mut()
            .find(|grant| grant.role_id == role_id)
            .ok_or(ChangeError::Refused("the person does not have that role"))?;
        grant.manages = departments.to_vec();
        self.concern_role(&role);
        self.happening.people.push(userid.to_owned());
        self.tell_scope(&after.userid, role_id);
        self.put_person(after);
        Ok(())
    }

    /// The documents name this event without showing it: its body is taken to be that of `label_user_change`.
    pub(super) fn tell_scope(&mut self, userid: &Userid, role_id: i64) {
        let subject = Subject::Membership {
            userids: vec![Userid::clone(userid)],
            labels: vec![role_id],
            action: "modify",
        };
        self.tell(Topic::LabelScopeChange, subject);
    }
}
