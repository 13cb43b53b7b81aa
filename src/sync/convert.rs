//! From DingTalk's answers to the mirror's rows.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::hints::ROOT;
use crate::dingtalk::model;
use crate::store::{Department, Employee, Json, ListedPerson, Membership, Person, RoleMembership, RoleScope};

/// China observed summer time from 1986 to 1991, so a fixed offset would move hire dates of those years.
pub(super) static SHANGHAI: LazyLock<TimeZone> =
    LazyLock::new(|| TimeZone::get("Asia/Shanghai").expect("the zone is part of the program"));

/// The day in Shanghai of an instant in milliseconds.
fn day_in_shanghai(milliseconds: i64) -> Option<Date> {
    let instant = Timestamp::from_millisecond(milliseconds).ok()?;
    Some(instant.to_zoned(SHANGHAI.clone()).date())
}

pub(super) fn department(department: model::Department) -> Department {
    Department {
        // The root has none; some answers say 0.
        parent_id: department
            .parent_id
            .filter(|&parent_id| parent_id != 0 && department.dept_id != Some(ROOT)),
        name: department.name,
        dept_order: department.order,
        manager_userids: department
            .dept_manager_userid_list
            .and_then(|managers| serde_json::to_string(&managers).ok())
            .map(Json),
        source_identifier: department.source_identifier,
        is_hidden: department.hide_dept,
        is_outer: department.outer_dept,
        brief: department.brief,
        code: department.code,
        owner_userid: department.org_dept_owner,
    }
}

/// The managers that a department's row names.
pub(super) fn managers(department: &Department) -> Vec<String> {
    let json = department.manager_userids.as_ref().map(|json| json.0.as_str());
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

fn columns(person: &mut model::Person) -> Employee {
    Employee {
        unionid: person.unionid.take(),
        name: person.name.take(),
        mobile: person.mobile.take(),
        state_code: person.state_code.take(),
        telephone: person.telephone.take(),
        email: person.email.take(),
        org_email: person.org_email.take(),
        job_number: person.job_number.take(),
        title: person.title.take(),
        work_place: person.work_place.take(),
        remark: person.remark.take(),
        avatar: person.avatar.take(),
        extension: person.extension.take().map(Json),
        hired_date: person.hired_date.and_then(day_in_shanghai),
        manager_userid: person.manager_userid.take(),
        main_dept_id: None,
        is_activated: person.active,
        is_admin: person.admin,
        is_boss: person.boss,
        is_senior: person.senior,
        is_mobile_hidden: person.hide_mobile,
        is_disabled: person.disable_status,
        detail_read_at: None,
        gone_at: None,
    }
}

/// A person as `user/get` describes him. `is_main` of a membership is what DingTalk says; the main department itself
/// is settled later, because departments that are hidden from us may have to be kept.
pub(super) fn person(mut person: model::Person) -> Person {
    let row = columns(&mut person);
    let mut departments: Vec<Membership> = membership_ids(&person).into_iter().map(Membership::of).collect();
    departments.sort();
    departments.dedup();
    for membership in &mut departments {
        let here = Some(membership.dept_id);
        let order = person.dept_order_list.iter().find(|order| order.dept_id == here);
        membership.member_order = order.and_then(|order| order.order);
        let leader = person.leader_in_dept.iter().find(|leader| leader.dept_id == here);
        membership.is_leader = leader.and_then(|leader| leader.leader);
        if let Some(position) = person.dept_position_list.iter().find(|position| position.dept_id == here) {
            membership.title.clone_from(&position.title);
            membership.work_place.clone_from(&position.work_place);
            membership.is_main = position.is_main;
        }
    }
    let mut roles: Vec<RoleMembership> = person
        .role_list
        .iter()
        .filter_map(|role| role.id)
        .map(|role_id| RoleMembership { role_id, manage_dept_ids: None })
        .collect();
    roles.sort();
    roles.dedup();
    Person { row, departments, roles }
}

/// All departments that the answer names; the other lists stand in where the plain one is missing.
fn membership_ids(person: &model::Person) -> Vec<i64> {
    match &person.dept_id_list {
        Some(ids) => ids.clone(),
        None => {
            let orders = person.dept_order_list.iter().filter_map(|order| order.dept_id);
            let leaders = person.leader_in_dept.iter().filter_map(|leader| leader.dept_id);
            let positions = person.dept_position_list.iter().filter_map(|position| position.dept_id);
            orders.chain(leaders).chain(positions).collect()
        }
    }
}

/// A person as a page of `dept_id` shows him; `None` for an item without an id.
pub(super) fn listed(dept_id: i64, mut person: model::Person) -> Option<ListedPerson> {
    let userid = person.userid.take()?;
    Some(ListedPerson {
        row: columns(&mut person),
        departments: person.dept_id_list.unwrap_or_default(),
        here: Membership {
            is_leader: person.leader,
            member_order: person.dept_order,
            ..Membership::of(dept_id)
        },
        userid,
    })
}

/// What a role's member list says of one member.
pub(super) fn role_scope(member: &model::RoleMember) -> Option<RoleScope> {
    let mut departments: Vec<i64> = member.manage_scopes.iter().filter_map(|scope| scope.dept_id).collect();
    departments.sort_unstable();
    departments.dedup();
    let manage_dept_ids = match departments.as_slice() {
        [] => None,
        ids => Some(crate::store::json_ids(ids)),
    };
    Some(RoleScope { userid: member.userid.clone()?, manage_dept_ids })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hire_dates_of_the_summer_time_years_stay_on_their_day() {
        // Midnight in Shanghai, which was UTC+9 on those days.
        for (milliseconds, day) in [
            (520_527_600_000, "1986-07-01"),
            (675_705_600_000, "1991-06-01"),
            (694_195_200_000, "1992-01-01"),
        ] {
            assert_eq!(day_in_shanghai(milliseconds).unwrap().to_string(), day);
        }
        assert_eq!(day_in_shanghai(i64::MAX), None);
    }

    #[test]
    fn a_person_without_the_plain_list_of_departments_keeps_those_of_the_others() {
        let answer = r#"{"userid":"007","leader_in_dept":[{"dept_id":"7","leader":"true"}],"dept_order_list":[{"dept_id":3,"order":176300000000000512}]}"#;
        let person = person(serde_json::from_str(answer).unwrap());
        let ids: Vec<i64> = person.departments.iter().map(|membership| membership.dept_id).collect();
        assert_eq!(ids, [3, 7]);
        assert_eq!(person.departments[0].member_order, Some(176_300_000_000_000_512));
        assert_eq!(person.departments[1].is_leader, Some(true));
    }
}
