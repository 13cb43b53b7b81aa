//! People (`contacts-api.md §5`).

use serde::Serialize;
use serde_json::{Value, json};

use super::department;
use super::endpoint::Call;
use super::envelope::{Payload, Refusal};
use crate::sim::model::{Admin, Person, ROOT, shanghai_midnight};

/// The largest page and the farthest cursor (`contacts-api.md §5`).
const LARGEST_PAGE: i64 = 100;
const FARTHEST_CURSOR: i64 = 100_000;

/// Fields of both the list and the single answer (`contacts-api.md §5.1`).
#[derive(Serialize)]
struct Common<'a> {
    userid: &'a str,
    unionid: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mobile: Option<&'a str>,
    hide_mobile: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    telephone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    work_place: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<&'a str>,
    dept_id_list: Vec<i64>,
    dept_position_list: Vec<Position<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hired_date: Option<i64>,
    active: bool,
    admin: bool,
    boss: bool,
    exclusive_account: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusive_account_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_status: Option<bool>,
}

#[derive(Serialize)]
struct Position<'a> {
    dept_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    work_place: Option<&'a str>,
    is_main: bool,
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    dept_order: i64,
    leader: bool,
}

#[derive(Serialize)]
struct Single<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    dept_order_list: Vec<Value>,
    leader_in_dept: Vec<Value>,
    real_authed: bool,
    senior: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_email_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manager_userid: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    role_list: Vec<Value>,
}

fn common<'a>(call: &Call<'_>, person: &'a Person) -> Common<'a> {
    let settings = &call.app.settings;
    let mobile = |value: &'a Option<String>| value.as_deref().filter(|_| settings.mobile_field);
    let personal = |value: &'a Option<String>| value.as_deref().filter(|_| settings.personal_fields);
    let dedicated = person.dedicated.as_ref();
    Common {
        userid: &person.userid,
        unionid: &person.unionid,
        name: &person.name,
        avatar: person.avatar.as_deref(),
        state_code: mobile(&person.state_code),
        mobile: mobile(&person.mobile),
        hide_mobile: person.hide_mobile,
        telephone: person.telephone.as_deref(),
        job_number: person.job_number.as_deref(),
        title: person.title.as_deref(),
        email: personal(&person.email),
        org_email: personal(&person.org_email),
        work_place: personal(&person.work_place),
        remark: personal(&person.remark),
        extension: personal(&person.extension),
        dept_id_list: person.memberships.iter().map(|place| place.dept_id).collect(),
        dept_position_list: (person.memberships.iter())
            .map(|place| Position {
                dept_id: place.dept_id,
                title: place.title.as_deref(),
                work_place: place.work_place.as_deref(),
                is_main: person.main_dept == Some(place.dept_id),
            })
            .collect(),
        hired_date: person.hired_on.map(shanghai_midnight),
        active: person.active,
        admin: person.admin != Admin::No,
        boss: person.boss,
        exclusive_account: dedicated.is_some(),
        exclusive_account_type: dedicated.map(|account| account.kind),
        login_id: dedicated.map(|account| &*account.login_id),
        nickname: dedicated.and_then(|account| account.nickname.as_deref()),
        disable_status: dedicated.map(|account| account.disabled),
    }
}

fn leads(call: &Call<'_>, person: &Person, dept_id: i64) -> bool {
    let department = call.view.department(dept_id);
    department.is_some_and(|department| department.is_managed_by(&person.userid))
}

/// The members that lists show of a department.
fn listed<'c>(call: &'c Call<'_>, dept_id: i64) -> Vec<&'c Person> {
    if call.faults.empty_departments.contains(&dept_id) {
        return Vec::new();
    }
    let mut members = call.view.members(dept_id);
    members.truncate(call.faults.cut_lists.get(&dept_id).copied().unwrap_or(usize::MAX));
    members
}

/// The codes that a paged call has for its parameters.
struct PageCodes {
    cursor: i64,
    size: i64,
    order_field: i64,
}

/// A page of a department's members: the department, the members, and the cursor of the next page.
type Page<'c> = (i64, Vec<&'c Person>, Option<usize>);

fn page<'c>(call: &'c Call<'_>, codes: &PageCodes) -> Result<Page<'c>, Refusal> {
    let department = department::visible(call)?;
    let cursor = call.params.required_integer("cursor")?;
    let size = call.params.required_integer("size")?;
    if !(0..=FARTHEST_CURSOR).contains(&cursor) {
        return Err(Refusal::business(codes.cursor, "分页查询offset参数非法"));
    }
    if !(1..=LARGEST_PAGE).contains(&size) {
        return Err(Refusal::business(codes.size, "分页查询size参数非法"));
    }
    let restricted_too = call.params.boolean("contain_access_limit")?.unwrap_or(false);
    let mut members = listed(call, department.dept_id);
    members.retain(|person| restricted_too || !person.access_restricted);
    match call.params.text("order_field").as_deref().unwrap_or("custom") {
        "custom" => {}
        "entry_asc" => members.sort_by_key(|person| person.entered_at),
        "entry_desc" => members.sort_by_key(|person| -person.entered_at),
        "modify_asc" => members.sort_by_key(|person| person.modified_at),
        "modify_desc" => members.sort_by_key(|person| -person.modified_at),
        _ => return Err(Refusal::business(codes.order_field, "排序字段非法")),
    }
    let end = (cursor + size) as usize;
    let next = (members.len() > end).then_some(end);
    let slice = members.into_iter().skip(cursor as usize).take(size as usize);
    Ok((department.dept_id, slice.collect(), next))
}

fn paged<T: Serialize>(list: &[T], next: Option<usize>) -> Result<Payload, Refusal> {
    #[derive(Serialize)]
    struct Paged<'a, T> {
        has_more: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<usize>,
        list: &'a [T],
    }
    Payload::result(&Paged { has_more: next.is_some(), next_cursor: next, list })
}

/// `v2/user/list`.
pub(super) fn list(call: &Call<'_>) -> Result<Payload, Refusal> {
    let codes = PageCodes { cursor: 400_002, size: 400_002, order_field: 40_070 };
    let (dept_id, members, next) = page(call, &codes)?;
    let cursor = call.params.required_integer("cursor")?;
    let number = cursor / call.params.required_integer("size")? + 1;
    let failing = call.faults.failing_pages.iter().find(|failing| {
        failing.dept_id == dept_id && i64::try_from(failing.page).is_ok_and(|page| page == number)
    });
    if let Some(failing) = failing {
        return Err(Refusal::business(failing.errcode, "获取部门成员失败"));
    }
    let list: Vec<Listed<'_>> = (members.into_iter())
        .map(|person| Listed {
            common: common(call, person),
            dept_order: person.membership(dept_id).map_or(0, |place| place.order),
            leader: leads(call, person, dept_id),
        })
        .collect();
    paged(&list, next)
}

/// `user/listsimple`.
pub(super) fn listsimple(call: &Call<'_>) -> Result<Payload, Refusal> {
    let codes = PageCodes { cursor: 40_068, size: 40_069, order_field: 40_070 };
    let (_, members, next) = page(call, &codes)?;
    let list: Vec<Value> =
        (members.into_iter()).map(|person| json!({ "userid": person.userid, "name": person.name })).collect();
    paged(&list, next)
}

/// `user/listid`: everybody at once, not limited by the scope. Whether it leaves out the access-restricted is not
/// documented; here it does not.
pub(super) fn listid(call: &Call<'_>) -> Result<Payload, Refusal> {
    let dept_id = call.params.required_integer("dept_id")?;
    if dept_id <= 0 {
        return Err(Refusal::business(40_009, "不合法的部门id"));
    }
    if call.view.department(dept_id).is_none() {
        return Err(Refusal::no_department());
    }
    let members = listed(call, dept_id);
    let userids: Vec<&str> = members.iter().map(|person| &*person.userid).collect();
    Payload::result(&json!({ "userid_list": userids }))
}

/// `v2/user/get`.
pub(super) fn get(call: &Call<'_>) -> Result<Payload, Refusal> {
    let userid = call.params.required_text("userid")?;
    if userid.chars().count() > 64 {
        return Err(Refusal::business(33_012, "无效的USERID"));
    }
    let person = visible(call, call.view.person(&userid))?;
    let each = |value: &dyn Fn(i64, i64) -> Value| -> Vec<Value> {
        let places = person.memberships.iter();
        places.map(|place| value(place.dept_id, place.order)).collect()
    };
    let roles = call.view.roles_of_person(person);
    Payload::result(&Single {
        common: common(call, person),
        dept_order_list: each(&|dept_id, order| json!({ "dept_id": dept_id, "order": order })),
        leader_in_dept: each(
            &|dept_id, _| json!({ "dept_id": dept_id, "leader": leads(call, person, dept_id) }),
        ),
        real_authed: person.real_authed,
        senior: person.senior,
        org_email_type: (person.dedicated.is_some() && person.org_email.is_some()).then_some("profession"),
        manager_userid: person.manager.as_deref(),
        role_list: (roles.into_iter())
            .map(|role| {
                let group = call.view.group(role.group_id);
                let group_name = group.map_or("", |group| &group.name);
                json!({ "id": role.role_id, "name": role.name, "group_name": group_name })
            })
            .collect(),
    })
}

/// The person who was found, refused outside of the scope.
fn visible<'p>(call: &Call<'_>, found: Option<&'p Person>) -> Result<&'p Person, Refusal> {
    let person = found.ok_or_else(|| Refusal::no_person(call.faults.variants))?;
    if call.app.settings.scope.has_person(&call.view, person) {
        Ok(person)
    } else {
        Err(Refusal::hidden_person())
    }
}

/// `v2/user/getbymobile`.
pub(super) fn getbymobile(call: &Call<'_>) -> Result<Payload, Refusal> {
    let mobile = call.params.required_text("mobile")?;
    if mobile.chars().count() > 15 {
        return Err(Refusal::business(40_104, "不合法的手机号"));
    }
    let person = visible(call, call.view.by_mobile(&mobile))?;
    Payload::result(&json!({ "userid": person.userid }))
}

/// `user/getbyunionid`.
pub(super) fn getbyunionid(call: &Call<'_>) -> Result<Payload, Refusal> {
    let unionid = call.params.required_text("unionid")?;
    let person = visible(call, call.view.by_unionid(&unionid))?;
    Payload::result(&json!({ "contact_type": 0, "userid": person.userid }))
}

/// `user/count`: not limited by the scope.
pub(super) fn count(call: &Call<'_>) -> Result<Payload, Refusal> {
    let only_active = (call.params.boolean("only_active")?).ok_or_else(|| Refusal::missing("only_active"))?;
    Payload::result(&json!({ "count": call.view.count(only_active) }))
}

/// `user/listadmin`: not limited by the scope.
pub(super) fn listadmin(call: &Call<'_>) -> Result<Payload, Refusal> {
    let admins: Vec<Value> = (call.view.officers().into_iter())
        .filter_map(|person| match person.admin {
            Admin::No => None,
            Admin::Main => Some(json!({ "userid": person.userid, "sys_level": 1 })),
            Admin::Sub => Some(json!({ "userid": person.userid, "sys_level": 2 })),
        })
        .collect();
    Payload::result(&admins)
}

/// `user/get_admin_scope`: every administrator administers everything here.
pub(super) fn get_admin_scope(call: &Call<'_>) -> Result<Payload, Refusal> {
    let userid = call.params.required_text("userid")?;
    let person = call.view.person(&userid).ok_or_else(|| Refusal::no_person(call.faults.variants))?;
    let departments = if person.admin == Admin::No { vec![] } else { vec![ROOT] };
    Ok(Payload::fields(json!({ "dept_ids": departments })))
}
