//! Changes of people.

use std::sync::Arc;

use rand::RngExt as _;

use super::Edit;
use crate::sim::change::{ChangeError, Field};
use crate::sim::events::Topic;
use crate::sim::model::{Admin, BuiltIn, LeaveRecord, Membership, Person, Userid};
use crate::sim::names;

impl Edit<'_> {
    pub(super) fn join(
        &mut self,
        userid: Option<&str>,
        name: Option<&str>,
        departments: &[i64],
    ) -> Result<(), ChangeError> {
        if userid.is_some_and(|userid| self.organisation().person(userid).is_some()) {
            return Err(ChangeError::Refused("the userid is taken"));
        }
        let person = self.invent(userid, name, departments)?;
        self.admit(vec![person]);
        Ok(())
    }

    pub(super) fn import(&mut self, count: usize, departments: &[i64]) -> Result<(), ChangeError> {
        let mut newcomers = Vec::with_capacity(count);
        for _ in 0..count {
            newcomers.push(self.invent(None, None, departments)?);
        }
        self.admit(newcomers);
        Ok(())
    }

    /// Puts newcomers in: an addition, then the modification that usually follows it (`events.md §4.2`).
    fn admit(&mut self, newcomers: Vec<Person>) {
        let userids: Vec<Userid> = newcomers.iter().map(|person| Userid::clone(&person.userid)).collect();
        for person in newcomers {
            self.world.former.remove(&person.userid);
            self.concern_person(&person);
            self.put_person(person);
        }
        self.tell_people(Topic::UserAdd, &userids);
        self.tell_people(Topic::UserModify, &userids);
    }

    /// Somebody new, not yet in the organisation.
    fn invent(
        &mut self,
        userid: Option<&str>,
        name: Option<&str>,
        departments: &[i64],
    ) -> Result<Person, ChangeError> {
        let memberships = self.memberships(departments)?;
        let number = self.world.next_person;
        self.world.next_person += 1;
        let random = &mut self.world.random;
        let (invented, latin) = names::person(random);
        let userid = userid.map_or_else(|| names::userid(random, number, &latin), str::to_owned);
        let main_dept = memberships.first().map(|membership| membership.dept_id);
        Ok(Person {
            unionid: names::unionid(random),
            name: name.map_or(invented, str::to_owned),
            avatar: None,
            state_code: Some("86".to_owned()),
            mobile: Some(names::mobile(number)),
            hide_mobile: false,
            telephone: None,
            job_number: Some(format!("{number:05}")),
            title: Some(names::title(random).to_owned()),
            email: Some(format!("{latin}{number}@example.com")),
            org_email: None,
            work_place: Some(names::place(random).to_owned()),
            remark: None,
            extension: None,
            memberships,
            main_dept,
            hired_on: None,
            manager: None,
            roles: Vec::new(),
            active: random.random_ratio(9, 10),
            admin: Admin::No,
            boss: false,
            senior: false,
            real_authed: random.random_ratio(9, 10),
            dedicated: None,
            access_restricted: false,
            entered_at: self.now,
            modified_at: self.now,
            userid: userid.into(),
        })
    }

    /// Places in departments that are all there; the first department of all where none is named.
    fn memberships(&mut self, departments: &[i64]) -> Result<Vec<Membership>, ChangeError> {
        for &dept_id in departments {
            self.department(dept_id)?;
        }
        let mut chosen: Vec<i64> = departments.to_vec();
        if chosen.is_empty() {
            let all = self.world.organisation.departments();
            let nth = self.world.random.random_range(0..all.len());
            chosen.extend(all.keys().nth(nth));
        }
        let mut memberships: Vec<Membership> = Vec::with_capacity(chosen.len());
        for dept_id in chosen {
            if memberships.iter().any(|known| known.dept_id == dept_id) {
                return Err(ChangeError::Refused("a department is named twice"));
            }
            memberships.push(Membership {
                dept_id,
                order: 176_300_000_000_000_512 + self.world.random.random_range(0..1_i64 << 40) * 2,
                title: None,
                work_place: None,
            });
        }
        Ok(memberships)
    }

    pub(super) fn rename_person(&mut self, userid: &str, name: &str) -> Result<(), ChangeError> {
        let before = self.person(userid)?;
        let after = Person { name: name.to_owned(), ..(*before).clone() };
        self.happening.former_name = Some(before.name.clone());
        self.replace(&before, after);
        Ok(())
    }

    /// Stores another state of one person and tells it.
    fn replace(&mut self, before: &Person, after: Person) {
        self.concern_person(&after);
        self.tell_modified(before, &after);
        self.put_person(after);
    }

    pub(super) fn edit_people(
        &mut self,
        userids: &[String],
        field: Field,
        value: Option<&String>,
    ) -> Result<(), ChangeError> {
        let mut edited = Vec::with_capacity(userids.len());
        for before in self.everybody(userids)? {
            let mut after = (*before).clone();
            set(&mut after, field, value)?;
            edited.push((before, after));
        }
        if let (Field::Mobile, Some(mobile)) = (field, value) {
            let owner = self.organisation().by_mobile(mobile);
            let taken = owner.is_some_and(|owner| userids.iter().all(|userid| **userid != *owner.userid));
            if taken || userids.len() > 1 {
                return Err(ChangeError::Refused("a mobile belongs to one person"));
            }
        }
        if let ([(before, after)], true) = (&edited[..], field != Field::Avatar) {
            self.tell_modified(before, after);
        } else if field != Field::Avatar {
            let userids: Vec<Userid> = edited.iter().map(|(_, after)| Userid::clone(&after.userid)).collect();
            self.tell_people(Topic::UserModify, &userids);
        }
        for (_, after) in edited {
            self.concern_person(&after);
            self.put_person(after);
        }
        Ok(())
    }

    pub(super) fn move_person(&mut self, userid: &str, departments: &[i64]) -> Result<(), ChangeError> {
        if departments.is_empty() {
            return Err(ChangeError::Refused("a person belongs to at least one department"));
        }
        let before = self.person(userid)?;
        let memberships = self
            .memberships(departments)?
            .into_iter()
            .map(|fresh| before.membership(fresh.dept_id).cloned().unwrap_or(fresh))
            .collect();
        let main_dept = before
            .main_dept
            .filter(|main| departments.contains(main))
            .or_else(|| departments.first().copied());
        let after = Person { memberships, main_dept, ..(*before).clone() };
        let left: Vec<i64> = (before.memberships.iter())
            .map(|membership| membership.dept_id)
            .filter(|dept_id| !departments.contains(dept_id))
            .collect();
        self.happening.departments.extend_from_slice(departments);
        let managed = self.is_manager_now(userid);
        self.replace(&before, after);
        self.resign(&before.userid, &left);
        if managed && !self.is_manager_now(userid) {
            self.tell_duty(BuiltIn::Manager, std::slice::from_ref(&before.userid), "remove");
        }
        Ok(())
    }

    /// Strikes a person from the managers and owners of departments that he is in no more: a manager is a member
    /// (`contacts-api.md §4.2`).
    pub(super) fn resign(&mut self, userid: &Userid, departments: &[i64]) {
        let mut changed = Vec::new();
        for &dept_id in departments {
            let Ok(before) = self.department(dept_id) else {
                continue;
            };
            let owns = before.owner.as_ref() == Some(userid);
            if !before.is_managed_by(userid) && !owns {
                continue;
            }
            let mut after = (*before).clone();
            after.managers.retain(|manager| manager != userid);
            if owns {
                after.owner = None;
            }
            self.put_department(after);
            changed.push(dept_id);
        }
        self.tell_departments(Topic::DepartmentModify, &changed);
    }

    pub(super) fn reorder_person(
        &mut self,
        userid: &str,
        dept_id: i64,
        order: i64,
    ) -> Result<(), ChangeError> {
        let before = self.person(userid)?;
        let mut after = (*before).clone();
        let place = after
            .memberships
            .iter_mut()
            .find(|membership| membership.dept_id == dept_id)
            .ok_or(ChangeError::Refused("the person is not in that department"))?;
        place.order = order;
        self.happening.departments.push(dept_id);
        self.replace(&before, after);
        Ok(())
    }

    pub(super) fn set_manager(&mut self, userid: &str, manager: Option<&str>) -> Result<(), ChangeError> {
        let before = self.person(userid)?;
        let manager = manager.map(|manager| self.person(manager)).transpose()?;
        let after =
            Person { manager: manager.map(|manager| Userid::clone(&manager.userid)), ..(*before).clone() };
        self.replace(&before, after);
        Ok(())
    }

    pub(super) fn activate(&mut self, userid: &str) -> Result<(), ChangeError> {
        let before = self.person(userid)?;
        if before.active {
            return Err(ChangeError::Refused("the person has activated DingTalk already"));
        }
        self.tell_people(Topic::UserActive, std::slice::from_ref(&before.userid));
        let after = Person { active: true, ..(*before).clone() };
        self.concern_person(&after);
        self.put_person(after);
        Ok(())
    }

    pub(super) fn leave(&mut self, userids: &[String]) -> Result<(), ChangeError> {
        let leaving = self.everybody(userids)?;
        if leaving.iter().any(|person| person.admin == Admin::Main) {
            return Err(ChangeError::Refused("the main administrator cannot leave"));
        }
        let ids: Vec<Userid> = leaving.iter().map(|person| Userid::clone(&person.userid)).collect();
        for person in &leaving {
            self.concern_person(person);
            self.take_person(&person.userid);
            self.world.leavers.push(LeaveRecord { person: Arc::clone(person), left_at: self.now });
            self.world.former.insert(Userid::clone(&person.userid), Arc::clone(person));
        }
        self.tell_people(Topic::UserLeave, &ids);
        for person in &leaving {
            let places: Vec<i64> = person.memberships.iter().map(|place| place.dept_id).collect();
            self.resign(&person.userid, &places);
            self.orphan_reports(&person.userid);
        }
        Ok(())
    }

    /// Takes the direct manager away from those whose manager has left.
    fn orphan_reports(&mut self, userid: &str) {
        let reports: Vec<Userid> = self.organisation().reports(userid).cloned().collect();
        for report in &reports {
            if let Ok(person) = self.person(report) {
                self.put_person(Person { manager: None, ..(*person).clone() });
            }
        }
        self.tell_people(Topic::UserModify, &reports);
    }

    pub(super) fn return_person(&mut self, userid: &str) -> Result<(), ChangeError> {
        let former = self.world.former.get(userid).cloned();
        let former = former.ok_or_else(|| ChangeError::NoLeaver(userid.to_owned()))?;
        let mut person = (*former).clone();
        person.memberships.retain(|place| self.world.organisation.department(place.dept_id).is_some());
        if person.memberships.is_empty() {
            person.memberships = self.memberships(&[])?;
        }
        person.main_dept = person.memberships.first().map(|place| place.dept_id);
        person.roles.clear();
        person.admin = Admin::No;
        person.boss = false;
        person.manager = person.manager.filter(|manager| self.organisation().person(manager).is_some());
        if let Some(mobile) = &person.mobile
            && self.organisation().by_mobile(mobile).is_some()
        {
            person.mobile = None;
        }
        person.entered_at = self.now;
        self.admit(vec![person]);
        Ok(())
    }

    pub(super) fn recycle(&mut self, userid: &str, name: Option<&str>) -> Result<(), ChangeError> {
        let predecessor = match self.organisation().person(userid).cloned() {
            Some(present) => present,
            None => (self.world.former.get(userid).cloned())
                .ok_or_else(|| ChangeError::NoLeaver(userid.to_owned()))?,
        };
        let departments: Vec<i64> = (predecessor.memberships.iter())
            .map(|place| place.dept_id)
            .filter(|dept_id| self.organisation().department(*dept_id).is_some())
            .take(1)
            .collect();
        let newcomer = self.invent(Some(userid), name, &departments)?;
        if self.organisation().person(userid).is_some() {
            self.leave(&[userid.to_owned()])?;
            self.happening.people.clear();
            self.happening.name.clear();
        }
        self.happening.former_name = Some(predecessor.name.clone());
        self.admit(vec![newcomer]);
        Ok(())
    }

    pub(super) fn set_admin(&mut self, userid: &str, admin: Admin) -> Result<(), ChangeError> {
        let before = self.person(userid)?;
        if before.admin == Admin::Main {
            return Err(ChangeError::Refused("the main administrator is handed over, not removed"));
        }
        if before.admin == admin {
            return Err(ChangeError::Refused("that is what the person is already"));
        }
        let after = Person { admin, ..(*before).clone() };
        self.concern_person(&after);
        self.put_person(after);
        let ids = std::slice::from_ref(&before.userid);
        // Both events, as `events.md §4.2` says.
        if admin == Admin::No {
            self.tell_people(Topic::AdminRemove, ids);
            self.tell_duty(BuiltIn::SubAdmin, ids, "remove");
        } else {
            self.tell_people(Topic::AdminAdd, ids);
            self.tell_duty(BuiltIn::SubAdmin, ids, "add");
        }
        Ok(())
    }
}

fn set(person: &mut Person, field: Field, value: Option<&String>) -> Result<(), ChangeError> {
    let slot = match field {
        Field::Title => &mut person.title,
        Field::JobNumber => &mut person.job_number,
        Field::Email => &mut person.email,
        Field::OrgEmail => &mut person.org_email,
        Field::WorkPlace => &mut person.work_place,
        Field::Remark => &mut person.remark,
        Field::Telephone => &mut person.telephone,
        Field::Mobile => &mut person.mobile,
        Field::Avatar => &mut person.avatar,
        Field::Extension => &mut person.extension,
        Field::HiredDate => {
            let value = value.ok_or(ChangeError::Refused("hired_date cannot be cleared"))?;
            let day = value.parse().map_err(|_| ChangeError::Refused("hired_date is a day: YYYY-MM-DD"))?;
            person.hired_on = Some(day);
            return Ok(());
        }
    };
    *slot = value.cloned();
    Ok(())
}
