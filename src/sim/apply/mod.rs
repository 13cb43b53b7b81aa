//! How a change is carried out: the rules of the directory, what follows from a change, and the events that tell it.
//!
//! A change is checked first and made then, so that a refused one leaves no trace.

mod departments;
mod people;
mod roles;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt as _;

use super::change::{Applied, Change, ChangeError, Happening};
use super::events::{Event, Subject, Topic, difference};
use super::history::{Before, History, Mark};
use super::model::{Admin, BuiltIn, Department, LeaveRecord, Person, ROOT, Role, RoleGroup, Userid};
use super::names::Random;
use super::organisation::Organisation;
use super::view::View;

/// The organisation with its past and the source of what it will need.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) organisation: Organisation,
    pub(crate) history: History,
    /// Oldest first.
    pub(crate) leavers: Vec<LeaveRecord>,
    /// Those who left and whose userid nobody else has got.
    former: BTreeMap<Userid, Arc<Person>>,
    random: Random,
    /// Keeps invented userids and mobiles unique.
    next_person: usize,
    next_department: i64,
    next_role: i64,
}

impl World {
    /// A world around an organisation; `random` feeds what later changes invent.
    pub(crate) fn new(organisation: Organisation, random: Random) -> Self {
        let highest = |id: Option<&i64>| id.copied().unwrap_or(ROOT);
        let next_role = highest(organisation.roles().keys().next_back())
            .max(highest(organisation.groups().keys().next_back()))
            + 1;
        Self {
            history: History::default(),
            leavers: Vec::new(),
            former: BTreeMap::new(),
            random,
            next_person: organisation.people().len() + 1,
            next_department: highest(organisation.departments().keys().next_back()) + 1,
            next_role,
            organisation,
        }
    }

    /// The organisation as it is.
    pub(crate) fn view(&self) -> View<'_> {
        View::of_now(&self.organisation)
    }

    /// The organisation as it was at an instant, milliseconds UTC.
    pub(crate) fn view_at(&self, then: i64) -> View<'_> {
        View::of_earlier(&self.organisation, self.history.since(then))
    }

    /// The organisation as it was at a place in the log.
    pub(crate) fn view_before(&self, mark: Mark) -> View<'_> {
        View::of_earlier(&self.organisation, self.history.since_mark(mark))
    }

    /// Those who left and may return, by userid.
    pub(crate) fn former(&self) -> &BTreeMap<Userid, Arc<Person>> {
        &self.former
    }

    /// Makes one change at `now`, milliseconds UTC.
    pub(crate) fn apply(&mut self, change: &Change, now: i64) -> Result<Applied, ChangeError> {
        let operator = self.random_operator();
        let mut edit = Edit {
            happening: Happening {
                at: now,
                kind: change.kind(),
                people: Vec::new(),
                departments: Vec::new(),
                roles: Vec::new(),
                role_groups: Vec::new(),
                name: String::new(),
                former_name: None,
                events: Vec::new(),
            },
            world: self,
            now,
            operator,
            events: Vec::new(),
        };
        edit.carry_out(change)?;
        let Edit { mut happening, events, .. } = edit;
        happening.events = events.iter().map(|event| event.topic.name()).collect();
        Ok(Applied { happening, events })
    }

    /// An administrator; nobody for a part of the changes, as when a system makes them (`events.md §4.2`).
    fn random_operator(&mut self) -> Option<Userid> {
        let officers = self.organisation.officers();
        if officers.is_empty() || self.random.random_ratio(1, 4) {
            return None;
        }
        let chosen = self.random.random_range(0..officers.len().min(8));
        officers.iter().nth(chosen).cloned()
    }
}

/// A change under way.
struct Edit<'w> {
    world: &'w mut World,
    now: i64,
    operator: Option<Userid>,
    events: Vec<Event>,
    happening: Happening,
}

/// Most ids that one event names: longer lists are told in several.
const IDS_PER_EVENT: usize = 50;

impl Edit<'_> {
    fn carry_out(&mut self, change: &Change) -> Result<(), ChangeError> {
        match change {
            Change::PersonJoin { userid, name, departments } => {
                self.join(userid.as_deref(), name.as_deref(), departments)
            }
            Change::PeopleImport { count, departments } => self.import(*count, departments),
            Change::PersonRename { userid, name } => self.rename_person(userid, name),
            Change::PersonEdit { userid, field, value } => {
                self.edit_people(std::slice::from_ref(userid), *field, Some(value))
            }
            Change::PersonClear { userid, field } => {
                self.edit_people(std::slice::from_ref(userid), *field, None)
            }
            Change::PeopleEdit { userids, field, value } => self.edit_people(userids, *field, Some(value)),
            Change::PersonMove { userid, departments } => self.move_person(userid, departments),
            Change::PersonReorder { userid, dept_id, order } => self.reorder_person(userid, *dept_id, *order),
            Change::PersonManager { userid, manager } => self.set_manager(userid, manager.as_deref()),
            Change::PersonActivate { userid } => self.activate(userid),
            Change::PersonLeave { userid } => self.leave(std::slice::from_ref(userid)),
            Change::PeopleLeave { userids } => self.leave(userids),
            Change::PersonReturn { userid } => self.return_person(userid),
            Change::PersonRecycle { userid, name } => self.recycle(userid, name.as_deref()),
            Change::AdminOn { userid } => self.set_admin(userid, Admin::Sub),
            Change::AdminOff { userid } => self.set_admin(userid, Admin::No),
            Change::DepartmentCreate { name, parent_id } => self.create_department(name, *parent_id),
            Change::DepartmentRename { dept_id, name } => self.rename_department(*dept_id, name),
            Change::DepartmentReorder { dept_id, order } => self.reorder_department(*dept_id, *order),
            Change::DepartmentMove { dept_id, parent_id } => self.move_department(*dept_id, *parent_id),
            Change::DepartmentRemove { dept_id, evacuate } => self.remove_department(*dept_id, *evacuate),
            Change::DepartmentManagers { dept_id, userids } => self.set_managers(*dept_id, userids),
            Change::RoleGroupCreate { name } => self.create_group(name),
            Change::RoleGroupRename { group_id, name } => self.rename_group(*group_id, name),
            Change::RoleGroupDelete { group_id } => self.delete_group(*group_id),
            Change::RoleCreate { group_id, name } => self.create_role(*group_id, name),
            Change::RoleRename { role_id, name } => self.rename_role(*role_id, name),
            Change::RoleDelete { role_id, silently } => self.delete_role(*role_id, *silently),
            Change::RoleGive { role_id, userids } => self.give_role(*role_id, userids),
            Change::RoleTake { role_id, userids } => self.take_role(*role_id, userids),
            Change::RoleScope { userid, role_id, departments } => {
                self.scope_role(userid, *role_id, departments)
            }
            Change::OrganisationRename { name } => self.rename_organisation(name),
        }
    }

    fn organisation(&self) -> &Organisation {
        &self.world.organisation
    }

    fn person(&self, userid: &str) -> Result<Arc<Person>, ChangeError> {
        let found = self.organisation().person(userid).cloned();
        found.ok_or_else(|| ChangeError::NoPerson(userid.to_owned()))
    }

    /// People by their userids, each of them once.
    fn everybody(&self, userids: &[String]) -> Result<Vec<Arc<Person>>, ChangeError> {
        let mut people: Vec<Arc<Person>> = Vec::with_capacity(userids.len());
        for userid in userids {
            let person = self.person(userid)?;
            if people.iter().all(|known| known.userid != person.userid) {
                people.push(person);
            }
        }
        Ok(people)
    }

    fn department(&self, dept_id: i64) -> Result<Arc<Department>, ChangeError> {
        let found = self.organisation().department(dept_id).cloned();
        found.ok_or(ChangeError::NoDepartment(dept_id))
    }

    fn put_person(&mut self, mut person: Person) {
        person.modified_at = self.now;
        let userid = Userid::clone(&person.userid);
        let before = self.world.organisation.put_person(person);
        self.world.history.record(self.now, Before::Person(userid, before));
    }

    fn take_person(&mut self, userid: &Userid) {
        let before = self.world.organisation.remove_person(userid);
        let trace = Before::Person(Userid::clone(userid), before);
        self.world.history.record(self.now, trace);
    }

    fn put_department(&mut self, department: Department) {
        let dept_id = department.dept_id;
        let before = self.world.organisation.put_department(department);
        let trace = Before::Department(dept_id, before);
        self.world.history.record(self.now, trace);
    }

    fn take_department(&mut self, dept_id: i64) {
        let before = self.world.organisation.remove_department(dept_id);
        let trace = Before::Department(dept_id, before);
        self.world.history.record(self.now, trace);
    }

    fn put_group(&mut self, group: RoleGroup) {
        let group_id = group.group_id;
        let before = self.world.organisation.put_group(group);
        self.world.history.record(self.now, Before::Group(group_id, before));
    }

    fn put_role(&mut self, role: Role) {
        let role_id = role.role_id;
        let before = self.world.organisation.put_role(role);
        self.world.history.record(self.now, Before::Role(role_id, before));
    }

    fn tell(&mut self, topic: Topic, subject: Subject) {
        self.events.push(Event { topic, at: self.now, operator: self.operator.clone(), subject });
    }

    fn tell_people(&mut self, topic: Topic, userids: &[Userid]) {
        for part in userids.chunks(IDS_PER_EVENT) {
            let subject = Subject::People { userids: part.to_vec(), diff: None };
            self.tell(topic, subject);
        }
    }

    /// `user_modify_org` for one person, with what changed where `diffInfo` knows the field.
    fn tell_modified(&mut self, before: &Person, after: &Person) {
        let subject =
            Subject::People { userids: vec![Userid::clone(&after.userid)], diff: difference(before, after) };
        self.tell(Topic::UserModify, subject);
    }

    fn tell_departments(&mut self, topic: Topic, departments: &[i64]) {
        for part in departments.chunks(IDS_PER_EVENT) {
            self.tell(topic, Subject::Departments(part.to_vec()));
        }
    }

    fn tell_membership(&mut self, userids: &[Userid], role_id: i64, action: &'static str) {
        for part in userids.chunks(IDS_PER_EVENT) {
            let subject = Subject::Membership { userids: part.to_vec(), labels: vec![role_id], action };
            self.tell(Topic::LabelUserChange, subject);
        }
    }

    /// `label_user_change` for those who entered or left the built-in role of a duty.
    fn tell_duty(&mut self, duty: BuiltIn, userids: &[Userid], action: &'static str) {
        if let Some(role_id) = self.organisation().built_in(duty).map(|role| role.role_id) {
            self.tell_membership(userids, role_id, action);
        }
    }

    fn concern_person(&mut self, person: &Person) {
        self.happening.people.push(person.userid.to_string());
        if self.happening.name.is_empty() {
            self.happening.name.clone_from(&person.name);
        }
    }

    fn concern_department(&mut self, department: &Department) {
        self.happening.departments.push(department.dept_id);
        if self.happening.name.is_empty() {
            self.happening.name.clone_from(&department.name);
        }
    }

    fn is_manager_now(&self, userid: &str) -> bool {
        let view = self.world.view();
        view.person(userid).is_some_and(|person| view.is_manager(person))
    }
}
