//! Changes of departments, and of the organisation's name.

use super::Edit;
use crate::sim::change::ChangeError;
use crate::sim::events::{Subject, Topic};
use crate::sim::model::{BuiltIn, Department, Person, ROOT, Userid};

/// Levels below the root that DingTalk is taken to allow; the documents give the error (60002), not the number.
const MAX_DEPTH: usize = 15;

impl Edit<'_> {
    pub(super) fn create_department(&mut self, name: &str, parent_id: i64) -> Result<(), ChangeError> {
        self.department(parent_id)?;
        self.check_name(name, parent_id, None)?;
        if self.ancestry(parent_id).len() > MAX_DEPTH {
            return Err(ChangeError::Refused("the tree would be too deep"));
        }
        let dept_id = self.world.next_department;
        self.world.next_department += 1;
        let department = Department::new(dept_id, Some(parent_id), name.to_owned());
        self.concern_department(&department);
        self.put_department(department);
        self.tell_departments(Topic::DepartmentCreate, &[dept_id]);
        Ok(())
    }

    fn ancestry(&self, dept_id: i64) -> Vec<i64> {
        self.world.view().ancestry(dept_id)
    }

    /// The rules for names: 1 to 64 characters, no hyphen or comma, unique among siblings (`contacts-api.md §4.2`).
    fn check_name(&self, name: &str, parent_id: i64, own: Option<i64>) -> Result<(), ChangeError> {
        if !(1..=64).contains(&name.chars().count()) || name.contains(['-', ',', '，']) {
            return Err(ChangeError::Refused(
                "a department's name has 1 to 64 characters, no hyphen and no comma",
            ));
        }
        let taken = (self.organisation().children(parent_id))
            .filter(|sibling| Some(*sibling) != own)
            .filter_map(|sibling| self.organisation().department(sibling))
            .any(|sibling| sibling.name == name);
        if taken {
            return Err(ChangeError::Refused("a sibling has that name"));
        }
        Ok(())
    }

    pub(super) fn rename_department(&mut self, dept_id: i64, name: &str) -> Result<(), ChangeError> {
        let before = self.department(dept_id)?;
        let parent_id = before
            .parent_id
            .ok_or(ChangeError::Refused("the root has the organisation's name: rename that"))?;
        self.check_name(name, parent_id, Some(dept_id))?;
        self.happening.former_name = Some(before.name.clone());
        self.replace_department(Department { name: name.to_owned(), ..(*before).clone() });
        Ok(())
    }

    fn replace_department(&mut self, department: Department) {
        let dept_id = department.dept_id;
        self.concern_department(&department);
        self.put_department(department);
        self.tell_departments(Topic::DepartmentModify, &[dept_id]);
    }

    pub(super) fn reorder_department(&mut self, dept_id: i64, order: i64) -> Result<(), ChangeError> {
        let before = self.department(dept_id)?;
        self.replace_department(Department { order, ..(*before).clone() });
        Ok(())
    }

    pub(super) fn move_department(&mut self, dept_id: i64, parent_id: i64) -> Result<(), ChangeError> {
        let before = self.department(dept_id)?;
        self.department(parent_id)?;
        if before.parent_id.is_none() {
            return Err(ChangeError::Refused("the root cannot be moved"));
        }
        let below = self.organisation().subtree(dept_id);
        if below.contains(&parent_id) {
            return Err(ChangeError::Refused("a department cannot move below itself"));
        }
        let own_depth = self.ancestry(dept_id).len();
        let deepest = below.iter().map(|id| self.ancestry(*id).len()).max().unwrap_or(own_depth);
        if self.ancestry(parent_id).len() + deepest - own_depth > MAX_DEPTH {
            return Err(ChangeError::Refused("the tree would be too deep"));
        }
        self.check_name(&before.name, parent_id, Some(dept_id))?;
        self.replace_department(Department { parent_id: Some(parent_id), ..(*before).clone() });
        Ok(())
    }

    pub(super) fn remove_department(&mut self, dept_id: i64, evacuate: bool) -> Result<(), ChangeError> {
        let before = self.department(dept_id)?;
        let Some(parent_id) = before.parent_id else {
            return Err(ChangeError::Refused("the root cannot be removed"));
        };
        let going = self.organisation().subtree(dept_id);
        let members: Vec<Person> = going
            .iter()
            .flat_map(|id| self.organisation().members(*id))
            .map(|person| (**person).clone())
            .collect();
        if !members.is_empty() && !evacuate {
            return Err(ChangeError::Refused("the department, or one below it, has members"));
        }
        self.concern_department(&before);
        self.evacuate(members, &going, parent_id);
        self.narrow_roles(&going);
        // The event's list holds the cascaded children (`events.md §4.2`).
        for id in going.iter().rev() {
            self.take_department(*id);
        }
        self.tell_departments(Topic::DepartmentRemove, &going);
        Ok(())
    }

    fn evacuate(&mut self, members: Vec<Person>, from: &[i64], to: i64) {
        let managers: Vec<Userid> = (members.iter())
            .filter(|person| self.is_manager_now(&person.userid))
            .map(|person| Userid::clone(&person.userid))
            .collect();
        let mut moved: Vec<Userid> = Vec::new();
        for mut person in members {
            if moved.contains(&person.userid) {
                continue;
            }
            moved.push(Userid::clone(&person.userid));
            let (mut gone, kept): (Vec<_>, Vec<_>) =
                (person.memberships.drain(..)).partition(|place| from.contains(&place.dept_id));
            person.memberships = kept;
            if !person.is_in(to)
                && let Some(mut place) = gone.pop()
            {
                place.dept_id = to;
                person.memberships.push(place);
            }
            if person.main_dept.is_some_and(|main| from.contains(&main)) {
                person.main_dept = Some(to);
            }
            self.put_person(person);
        }
        self.tell_people(Topic::UserModify, &moved);
        let retired: Vec<Userid> =
            (managers.into_iter()).filter(|userid| !self.is_manager_now(userid)).collect();
        self.tell_duty(BuiltIn::Manager, &retired, "remove");
    }

    /// Strikes departments that go from the reach of people's roles.
    fn narrow_roles(&mut self, going: &[i64]) {
        let roles: Vec<i64> = self.organisation().roles().keys().copied().collect();
        for role_id in roles {
            let narrowed: Vec<Person> = (self.organisation().role_members(role_id))
                .filter_map(|userid| self.organisation().person(userid))
                .filter(|person| {
                    let mut grants = person.roles.iter().filter(|grant| grant.role_id == role_id);
                    grants.any(|grant| grant.manages.iter().any(|id| going.contains(id)))
                })
                .map(|person| (**person).clone())
                .collect();
            for mut person in narrowed {
                for grant in person.roles.iter_mut().filter(|grant| grant.role_id == role_id) {
                    grant.manages.retain(|id| !going.contains(id));
                }
                self.tell_scope(&person.userid, role_id);
                self.put_person(person);
            }
        }
    }

    pub(super) fn set_managers(&mut self, dept_id: i64, userids: &[String]) -> Result<(), ChangeError> {
        let before = self.department(dept_id)?;
        let mut managers: Vec<Userid> = Vec::with_capacity(userids.len());
        for userid in userids {
            let person = self.person(userid)?;
            if !person.is_in(dept_id) {
                return Err(ChangeError::Refused("a manager is a direct member"));
            }
            if !managers.contains(&person.userid) {
                managers.push(Userid::clone(&person.userid));
            }
        }
        // Whoever is a manager before or after, with what he was before.
        let touched: Vec<(Userid, bool)> = before
            .managers
            .iter()
            .chain(managers.iter().filter(|userid| !before.managers.contains(userid)))
            .map(|userid| (Userid::clone(userid), self.is_manager_now(userid)))
            .collect();
        let changed: Vec<Userid> = touched
            .iter()
            .filter(|(userid, _)| before.managers.contains(userid) != managers.contains(userid))
            .map(|(userid, _)| Userid::clone(userid))
            .collect();
        self.replace_department(Department { managers, ..(*before).clone() });
        self.tell_people(Topic::UserModify, &changed);
        for (userid, managed) in touched {
            match (managed, self.is_manager_now(&userid)) {
                (false, true) => self.tell_duty(BuiltIn::Manager, &[userid], "add"),
                (true, false) => self.tell_duty(BuiltIn::Manager, &[userid], "remove"),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn rename_organisation(&mut self, name: &str) -> Result<(), ChangeError> {
        let before = self.department(ROOT)?;
        let after = Department { name: name.to_owned(), ..(*before).clone() };
        self.happening.former_name = Some(before.name.clone());
        self.tell(Topic::OrganisationChange, Subject::Organisation);
        // The root carries the organisation's name (`events.md §4.2`).
        self.replace_department(after);
        Ok(())
    }
}
