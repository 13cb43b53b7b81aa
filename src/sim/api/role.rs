//! Roles and role groups (`contacts-api.md §7`). The same field has another name in each call; that is not a mistake.

use serde_json::{Value, json};

use super::endpoint::Call;
use super::envelope::{Payload, Refusal};
use crate::sim::model::{Role, RoleGroup};

/// A slice of a list, by `offset` and `size`: both or neither. Gives the two, with `default` for a missing size.
fn window(call: &Call<'_>, default: usize, most: i64) -> Result<(usize, usize), Refusal> {
    match (call.params.integer("offset")?, call.params.integer("size")?) {
        (None, None) => Ok((0, default)),
        (Some(offset), _) if offset < 0 => Err(Refusal::business(40_068, "分页查询offset参数非法")),
        (_, Some(size)) if !(1..=most).contains(&size) => {
            Err(Refusal::business(40_069, "分页查询size参数非法"))
        }
        (Some(offset), Some(size)) => Ok((offset as usize, size as usize)),
        _ => Err(Refusal::parameter("offset和size需要同时传入")),
    }
}

fn sliced<T>(
    call: &Call<'_>,
    all: Vec<T>,
    most: i64,
    item: impl FnMut(T) -> Value,
) -> Result<Payload, Refusal> {
    let (offset, size) = window(call, 20, most)?;
    let end = offset + size;
    let more = all.len() > end;
    let list: Vec<Value> = all.into_iter().skip(offset).take(size).map(item).collect();
    let mut result = json!({ "hasMore": more, "list": list });
    if more {
        result["nextCursor"] = end.into();
    }
    Payload::result(&result)
}

/// `role/list`. Whether offset and size count groups or roles is an open question.
pub(super) fn list(call: &Call<'_>) -> Result<Payload, Refusal> {
    let listed = |group: &RoleGroup, roles: &[&Role]| {
        let roles: Vec<Value> =
            roles.iter().map(|role| json!({ "id": role.role_id, "name": role.name })).collect();
        json!({ "groupId": group.group_id, "name": group.name, "roles": roles })
    };
    let groups = call.view.groups();
    if !call.faults.variants.role_list_counts_roles {
        return sliced(call, groups, 200, |group| listed(group, &call.view.roles_of(group.group_id)));
    }
    // A group for each role, which the reader has to put together; one without roles stands for itself.
    let mut single = Vec::new();
    for group in groups {
        let roles = call.view.roles_of(group.group_id);
        if roles.is_empty() {
            single.push((group, None));
        }
        single.extend(roles.into_iter().map(|role| (group, Some(role))));
    }
    sliced(call, single, 200, |(group, role)| listed(group, role.as_slice()))
}

/// `role/getrolegroup`.
pub(super) fn getrolegroup(call: &Call<'_>) -> Result<Payload, Refusal> {
    let group_id = call.params.required_integer("group_id")?;
    let group = (call.view.group(group_id)).ok_or_else(|| Refusal::business(34_020, "角色组不存在"))?;
    let roles: Vec<Value> = (call.view.roles_of(group_id).into_iter())
        .map(|role| json!({ "role_id": role.role_id, "role_name": role.name }))
        .collect();
    Ok(Payload::fields(json!({ "role_group": { "group_name": group.name, "roles": roles } })))
}

/// `role/getrole`.
pub(super) fn getrole(call: &Call<'_>) -> Result<Payload, Refusal> {
    let role_id = call.params.required_integer("roleId")?;
    let role = call.view.role(role_id).ok_or_else(no_role)?;
    Ok(Payload::fields(json!({ "role": { "name": role.name, "groupId": role.group_id } })))
}

fn no_role() -> Refusal {
    Refusal::business(33_011, "角色不存在")
}

/// `role/simplelist`. Members outside of the scope are left out.
pub(super) fn simplelist(call: &Call<'_>) -> Result<Payload, Refusal> {
    let role_id = call.params.required_integer("role_id")?;
    let role = call.view.role(role_id).ok_or_else(no_role)?;
    let mut members = call.view.role_members(role);
    members.retain(|person| call.app.settings.scope.has_person(&call.view, person));
    sliced(call, members, 100, |person| {
        let mut item = json!({ "userid": person.userid, "name": person.name });
        let grant = person.roles.iter().find(|grant| grant.role_id == role_id);
        let scopes: Vec<Value> = (grant.into_iter().flat_map(|grant| &grant.manages))
            .filter_map(|dept_id| call.view.department(*dept_id))
            .map(|department| json!({ "dept_id": department.dept_id, "name": department.name }))
            .collect();
        if !scopes.is_empty() {
            item["manageScopes"] = scopes.into();
        }
        item
    })
}
