//! Departments (`contacts-api.md §4`).

use serde::Serialize;
use serde_json::json;

use super::endpoint::Call;
use super::envelope::{Payload, Refusal};
use crate::sim::model::{Department, ROOT};

/// The home-school directory, which these calls refuse (`contacts-api.md §4`).
const HOME_SCHOOL: i64 = -7;

#[derive(Serialize)]
struct Child<'a> {
    dept_id: i64,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<i64>,
    create_dept_group: bool,
    auto_add_user: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identifier: Option<&'a str>,
}

#[derive(Serialize)]
struct Detail<'a> {
    #[serde(flatten)]
    common: Child<'a>,
    order: i64,
    auto_approve_apply: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    brief: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    telephone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dept_group_chat_id: Option<&'a str>,
    group_contain_sub_dept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_dept_owner: Option<&'a str>,
    dept_manager_userid_list: Vec<&'a str>,
    hide_dept: bool,
    outer_dept: bool,
    dept_permits: [i64; 0],
    user_permits: [&'a str; 0],
    outer_permit_depts: [i64; 0],
    outer_permit_users: [&'a str; 0],
    member_count: usize,
    owning_member_count: usize,
}

fn child(department: &Department) -> Child<'_> {
    Child {
        dept_id: department.dept_id,
        name: &department.name,
        parent_id: department.parent_id,
        create_dept_group: department.group_chat_id.is_some(),
        auto_add_user: department.group_chat_id.is_some(),
        source_identifier: department.source_identifier.as_deref(),
    }
}

/// The department that a call names, whether or not the application sees it.
fn named<'c>(call: &'c Call<'_>, name: &str, default: Option<i64>) -> Result<&'c Department, Refusal> {
    let dept_id = call.params.integer(name)?.or(default).ok_or_else(|| Refusal::missing(name))?;
    if dept_id <= 0 || dept_id == HOME_SCHOOL {
        return Err(Refusal::business(40_009, "不合法的部门id"));
    }
    let known = call.view.department(dept_id).filter(|_| !call.faults.denied_departments.contains(&dept_id));
    known.ok_or_else(Refusal::no_department)
}

fn is_visible(call: &Call<'_>, department: &Department) -> bool {
    let scope = &call.app.settings.scope;
    scope.has_department(&call.view, department.dept_id)
}

/// The department that a call names, refused outside of the scope.
pub(super) fn visible<'c>(call: &'c Call<'_>) -> Result<&'c Department, Refusal> {
    let department = named(call, "dept_id", None)?;
    if is_visible(call, department) { Ok(department) } else { Err(Refusal::hidden_department()) }
}

/// `v2/department/listsub`: one level of children, never the parent itself.
pub(super) fn listsub(call: &Call<'_>) -> Result<Payload, Refusal> {
    let parent = named(call, "dept_id", Some(ROOT))?;
    if !is_visible(call, parent) && !call.faults.variants.listsub_filters {
        return Err(Refusal::hidden_department());
    }
    let children: Vec<Child<'_>> = (call.view.children(parent.dept_id).into_iter())
        .filter(|department| is_visible(call, department))
        .map(child)
        .collect();
    Payload::result(&children)
}

/// `v2/department/listsubid`: not limited by the scope.
pub(super) fn listsubid(call: &Call<'_>) -> Result<Payload, Refusal> {
    let parent = named(call, "dept_id", None)?;
    Payload::result(&json!({ "dept_id_list": child_ids(call, parent) }))
}

fn child_ids(call: &Call<'_>, parent: &Department) -> Vec<i64> {
    let children = call.view.children(parent.dept_id);
    children.into_iter().map(|department| department.dept_id).collect()
}

/// `v2/department/get`.
pub(super) fn get(call: &Call<'_>) -> Result<Payload, Refusal> {
    let department = visible(call)?;
    Payload::result(&Detail {
        common: child(department),
        order: department.order,
        auto_approve_apply: department.auto_approve_apply,
        brief: department.brief.as_deref(),
        telephone: department.telephone.as_deref(),
        code: department.code.as_deref(),
        dept_group_chat_id: department.group_chat_id.as_deref(),
        group_contain_sub_dept: false,
        org_dept_owner: department.owner.as_deref(),
        dept_manager_userid_list: department.managers.iter().map(|userid| &**userid).collect(),
        hide_dept: department.hidden,
        outer_dept: department.outer,
        dept_permits: [],
        user_permits: [],
        outer_permit_depts: [],
        outer_permit_users: [],
        member_count: call.view.deep_member_count(department.dept_id),
        owning_member_count: call.view.member_count(department.dept_id),
    })
}

/// `v2/department/listparentbydept`: not limited by the scope.
pub(super) fn listparentbydept(call: &Call<'_>) -> Result<Payload, Refusal> {
    let department = named(call, "dept_id", None)?;
    Payload::result(&json!({ "parent_id_list": call.view.ancestry(department.dept_id) }))
}

/// `v2/department/listparentbyuser`: not limited by the scope.
pub(super) fn listparentbyuser(call: &Call<'_>) -> Result<Payload, Refusal> {
    let userid = call.params.required_text("userid")?;
    let person = call.view.person(&userid).ok_or_else(|| Refusal::no_person(call.faults.variants))?;
    let lines: Vec<_> = (person.memberships.iter())
        .map(|place| json!({ "parent_dept_id_list": call.view.ancestry(place.dept_id) }))
        .collect();
    Payload::result(&json!({ "parent_list": lines }))
}

/// `GET /department/list`: the only call that gives the tree at once (`contacts-api.md §4.3`). Whether the named
/// department itself is in the answer is an open question; here it is when the whole tree is asked for.
pub(super) fn classic_list(call: &Call<'_>) -> Result<Payload, Refusal> {
    let top = named(call, "id", Some(ROOT))?;
    if !is_visible(call, top) {
        return Err(Refusal::hidden_department());
    }
    let deep = call.params.boolean("fetch_child")?.unwrap_or(false);
    let mut found = if top.dept_id == ROOT { vec![top] } else { Vec::new() };
    let mut waiting = call.view.children(top.dept_id);
    waiting.reverse();
    while let Some(department) = waiting.pop() {
        found.push(department);
        if deep {
            waiting.extend(call.view.children(department.dept_id).into_iter().rev());
        }
    }
    let departments: Vec<_> = (found.into_iter())
        .map(|department| {
            let mut item = json!({
                "id": department.dept_id,
                "name": department.name,
                "createDeptGroup": department.group_chat_id.is_some(),
                "autoAddUser": department.group_chat_id.is_some(),
            });
            if let Some(parent) = department.parent_id {
                item["parentid"] = parent.into();
            }
            if let Some(identifier) = &department.source_identifier {
                item["sourceIdentifier"] = identifier.as_str().into();
            }
            item
        })
        .collect();
    Ok(Payload::fields(json!({ "department": departments })))
}

/// `GET /department/list_ids`: one level, not limited by the scope.
pub(super) fn classic_list_ids(call: &Call<'_>) -> Result<Payload, Refusal> {
    let parent = named(call, "id", Some(ROOT))?;
    Ok(Payload::fields(json!({ "sub_dept_id_list": child_ids(call, parent) })))
}
