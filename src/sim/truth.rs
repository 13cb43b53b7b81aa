//! The truth: every field of every object as it is now, in the simulator's own terms.
//!
//! For comparison with a mirror, so it is written without any of a client's models: one JSON object a line, absent
//! values as `null`, empty texts as such.

use std::vec;

use serde::Deserialize;
use serde_json::{Value, json};

use super::model::{Admin, Department, Person, Role, RoleGrant, Userid, shanghai_midnight};
use super::organisation::Organisation;
use super::view::View;

/// What the truth is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One line a department, by ascending id.
    Departments,
    /// One line a person, by ascending userid.
    Users,
    /// One line a role with its members, by ascending id; built-in ones too.
    Roles,
    /// One line a role group, by ascending id.
    RoleGroups,
}

enum Ids {
    People(vec::IntoIter<Userid>),
    Numbers(vec::IntoIter<i64>),
}

/// The lines, made one by one out of a copy of the organisation.
pub(crate) struct Lines {
    organisation: Organisation,
    subject: Subject,
    ids: Ids,
}

impl Lines {
    pub(crate) fn new(organisation: Organisation, subject: Subject) -> Self {
        fn numbers<T>(map: &std::collections::BTreeMap<i64, T>) -> Ids {
            Ids::Numbers(map.keys().copied().collect::<Vec<_>>().into_iter())
        }
        let ids = match subject {
            Subject::Users => {
                let userids: Vec<Userid> = organisation.people().keys().cloned().collect();
                Ids::People(userids.into_iter())
            }
            Subject::Departments => numbers(organisation.departments()),
            Subject::Roles => numbers(organisation.roles()),
            Subject::RoleGroups => numbers(organisation.groups()),
        };
        Self { organisation, subject, ids }
    }
}

impl Iterator for Lines {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let view = View::of_now(&self.organisation);
        match &mut self.ids {
            Ids::People(ids) => view.person(&ids.next()?).map(|person| user(&view, person)),
            Ids::Numbers(ids) => {
                let id = ids.next()?;
                match self.subject {
                    Subject::Departments => view.department(id).map(department),
                    Subject::Roles => view.role(id).map(|found| role(&view, found)),
                    Subject::RoleGroups | Subject::Users => view.group(id).map(|group| {
                        json!({ "group_id": group.group_id, "name": group.name, "built_in": group.built_in })
                    }),
                }
            }
        }
    }
}

fn department(department: &Department) -> Value {
    json!({
        "dept_id": department.dept_id,
        "parent_id": department.parent_id,
        "name": department.name,
        "order": department.order,
        "managers": department.managers,
        "source_identifier": department.source_identifier,
        "brief": department.brief,
        "telephone": department.telephone,
        "code": department.code,
        "group_chat_id": department.group_chat_id,
        "owner": department.owner,
        "hidden": department.hidden,
        "outer": department.outer,
        "auto_approve_apply": department.auto_approve_apply,
    })
}

fn user(view: &View<'_>, person: &Person) -> Value {
    let departments: Vec<Value> = (person.memberships.iter())
        .map(|place| {
            let department = view.department(place.dept_id);
            json!({
                "dept_id": place.dept_id,
                "order": place.order,
                "leader": department.is_some_and(|department| department.is_managed_by(&person.userid)),
                "title": place.title,
                "work_place": place.work_place,
                "main": person.main_dept == Some(place.dept_id),
            })
        })
        .collect();
    let roles: Vec<Value> = (view.roles_of_person(person).into_iter())
        .map(|role| json!({ "role_id": role.role_id, "manages": manages(person, role.role_id) }))
        .collect();
    let dedicated = person.dedicated.as_ref().map(|account| {
        json!({
            "kind": account.kind,
            "login_id": account.login_id,
            "nickname": account.nickname,
            "disabled": account.disabled,
        })
    });
    json!({
        "userid": person.userid,
        "unionid": person.unionid,
        "name": person.name,
        "avatar": person.avatar,
        "state_code": person.state_code,
        "mobile": person.mobile,
        "hide_mobile": person.hide_mobile,
        "telephone": person.telephone,
        "job_number": person.job_number,
        "title": person.title,
        "email": person.email,
        "org_email": person.org_email,
        "work_place": person.work_place,
        "remark": person.remark,
        "extension": person.extension,
        "departments": departments,
        "hired_on": person.hired_on.map(|day| day.to_string()),
        "hired_ms": person.hired_on.map(shanghai_midnight),
        "manager": person.manager,
        "roles": roles,
        "active": person.active,
        "admin": match person.admin { Admin::No => 0, Admin::Main => 1, Admin::Sub => 2 },
        "boss": person.boss,
        "senior": person.senior,
        "real_authed": person.real_authed,
        "dedicated": dedicated,
        "access_restricted": person.access_restricted,
    })
}

fn manages(person: &Person, role_id: i64) -> &[i64] {
    let is_it = |grant: &&RoleGrant| grant.role_id == role_id;
    person.roles.iter().find(is_it).map_or(&[], |grant| &grant.manages)
}

fn role(view: &View<'_>, role: &Role) -> Value {
    let members: Vec<Value> = (view.role_members(role).into_iter())
        .map(|person| json!({ "userid": person.userid, "manages": manages(person, role.role_id) }))
        .collect();
    json!({
        "role_id": role.role_id,
        "group_id": role.group_id,
        "name": role.name,
        "built_in": role.built_in.is_some(),
        "members": members,
    })
}
