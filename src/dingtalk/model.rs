//! The answers of the reads, field by field (`contacts-api.md §4`, `§5`, `§7`). Absent means "no value or not
//! permitted", so nearly everything is optional.

use serde::Deserialize;

use super::lenient;

/// What `auth/scopes` shows (`contacts-api.md §3`).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Scopes {
    /// Departments that are visible with everything below them; `[1]` is the whole organisation.
    #[serde(default)]
    pub auth_org_scopes: OrganisationScopes,
}

/// The visible part of an organisation.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrganisationScopes {
    /// Roots of the visible sub-trees.
    #[serde(default, deserialize_with = "lenient::ids")]
    pub authed_dept: Option<Vec<i64>>,
    /// People who are visible one by one.
    #[serde(default, deserialize_with = "lenient::ids")]
    pub authed_user: Option<Vec<String>>,
}

/// An item of `department/listsub`: no order, no managers.
#[derive(Debug, Clone, Deserialize)]
pub struct ChildDepartment {
    /// Its id.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub dept_id: Option<i64>,
    /// Its name.
    #[serde(default, deserialize_with = "lenient::text")]
    pub name: Option<String>,
    /// The department that was asked for.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub parent_id: Option<i64>,
}

/// The result of `department/get`.
#[derive(Debug, Clone, Deserialize)]
pub struct Department {
    /// Its id.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub dept_id: Option<i64>,
    /// Its name; the root carries the organisation's.
    #[serde(default, deserialize_with = "lenient::text")]
    pub name: Option<String>,
    /// Absent for the root.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub parent_id: Option<i64>,
    /// Small first; can exceed 2^53.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub order: Option<i64>,
    /// The caller's own key.
    #[serde(default, deserialize_with = "lenient::text")]
    pub source_identifier: Option<String>,
    /// Hidden from those outside of it.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub hide_dept: Option<bool>,
    /// Its members see only themselves.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub outer_dept: Option<bool>,
    /// A description.
    #[serde(default, deserialize_with = "lenient::text")]
    pub brief: Option<String>,
    /// Set only through an update.
    #[serde(default, deserialize_with = "lenient::text")]
    pub code: Option<String>,
    /// The owner of its chat group.
    #[serde(default, deserialize_with = "lenient::text")]
    pub org_dept_owner: Option<String>,
    /// Its managers.
    #[serde(default, deserialize_with = "lenient::ids")]
    pub dept_manager_userid_list: Option<Vec<String>>,
}

/// A person, as an item of `user/list` or as the result of `user/get`; which of them gives a field is said where only
/// one does.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Person {
    /// Unique in the organisation; may start with zeros.
    #[serde(default, deserialize_with = "lenient::text")]
    pub userid: Option<String>,
    /// Stable for a person and a developer account, unlike the userid.
    #[serde(default, deserialize_with = "lenient::text")]
    pub unionid: Option<String>,
    /// The name.
    #[serde(default, deserialize_with = "lenient::text")]
    pub name: Option<String>,
    /// A URL; absent for the default picture.
    #[serde(default, deserialize_with = "lenient::text")]
    pub avatar: Option<String>,
    /// The country prefix of `mobile`; needs the mobile permission.
    #[serde(default, deserialize_with = "lenient::text")]
    pub state_code: Option<String>,
    /// Without country prefix; needs the mobile permission.
    #[serde(default, deserialize_with = "lenient::text")]
    pub mobile: Option<String>,
    /// The mobile is hidden from colleagues.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub hide_mobile: Option<bool>,
    /// An office number.
    #[serde(default, deserialize_with = "lenient::text")]
    pub telephone: Option<String>,
    /// Not unique in DingTalk.
    #[serde(default, deserialize_with = "lenient::text")]
    pub job_number: Option<String>,
    /// The position.
    #[serde(default, deserialize_with = "lenient::text")]
    pub title: Option<String>,
    /// Needs the permission for personal information.
    #[serde(default, deserialize_with = "lenient::text")]
    pub email: Option<String>,
    /// Needs the permission for personal information.
    #[serde(default, deserialize_with = "lenient::text")]
    pub org_email: Option<String>,
    /// Needs the permission for personal information.
    #[serde(default, deserialize_with = "lenient::text")]
    pub work_place: Option<String>,
    /// Needs the permission for personal information.
    #[serde(default, deserialize_with = "lenient::text")]
    pub remark: Option<String>,
    /// Custom fields, a JSON document; needs the permission for personal information.
    #[serde(default, deserialize_with = "lenient::document")]
    pub extension: Option<String>,
    /// All departments that the person is a direct member of.
    #[serde(default, deserialize_with = "lenient::ids")]
    pub dept_id_list: Option<Vec<i64>>,
    /// Milliseconds since the epoch of a midnight in Shanghai.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub hired_date: Option<i64>,
    /// Has activated DingTalk in this organisation.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub active: Option<bool>,
    /// Is an administrator.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub admin: Option<bool>,
    /// Is the organisation's boss.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub boss: Option<bool>,
    /// A dedicated account that is switched off.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub disable_status: Option<bool>,
    /// `user/list`: the order in the department that was asked for; large first, can exceed 2^53.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub dept_order: Option<i64>,
    /// `user/list`: leads the department that was asked for.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub leader: Option<bool>,
    /// `user/get`: the order in each department.
    #[serde(default, deserialize_with = "lenient::objects")]
    pub dept_order_list: Vec<DepartmentOrder>,
    /// `user/get`: where the person leads.
    #[serde(default, deserialize_with = "lenient::objects")]
    pub leader_in_dept: Vec<DepartmentLeader>,
    /// `user/get`: position in each department; at most one is the main one.
    #[serde(default, deserialize_with = "lenient::objects")]
    pub dept_position_list: Vec<DepartmentPosition>,
    /// `user/get`: is a senior executive.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub senior: Option<bool>,
    /// `user/get`: the direct manager.
    #[serde(default, deserialize_with = "lenient::text")]
    pub manager_userid: Option<String>,
    /// `user/get`: all roles.
    #[serde(default, deserialize_with = "lenient::objects")]
    pub role_list: Vec<PersonRole>,
}

/// An element of `dept_order_list`.
#[derive(Debug, Clone, Deserialize)]
pub struct DepartmentOrder {
    /// The department.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub dept_id: Option<i64>,
    /// Large first.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub order: Option<i64>,
}

/// An element of `leader_in_dept`.
#[derive(Debug, Clone, Deserialize)]
pub struct DepartmentLeader {
    /// The department.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub dept_id: Option<i64>,
    /// Leads it.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub leader: Option<bool>,
}

/// An element of `dept_position_list`.
#[derive(Debug, Clone, Deserialize)]
pub struct DepartmentPosition {
    /// The department.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub dept_id: Option<i64>,
    /// The position there.
    #[serde(default, deserialize_with = "lenient::text")]
    pub title: Option<String>,
    /// The place of work there.
    #[serde(default, deserialize_with = "lenient::text")]
    pub work_place: Option<String>,
    /// The person's main department.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub is_main: Option<bool>,
}

/// An element of `role_list`.
#[derive(Debug, Clone, Deserialize)]
pub struct PersonRole {
    /// The role.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub id: Option<i64>,
}

/// A page of anything.
#[derive(Debug, Clone, Deserialize)]
#[serde(bound = "T: serde::de::DeserializeOwned")]
pub struct Page<T> {
    /// Whether there are more.
    #[serde(default, alias = "hasMore", deserialize_with = "lenient::flag")]
    pub has_more: Option<bool>,
    /// Where the next page starts; absent on the last one.
    #[serde(default, alias = "nextCursor", deserialize_with = "lenient::integer")]
    pub next_cursor: Option<i64>,
    /// The items.
    #[serde(default, deserialize_with = "lenient::objects")]
    pub list: Vec<T>,
}

/// The result of `user/listid`.
#[derive(Debug, Clone, Deserialize)]
pub struct MemberIds {
    /// Direct members.
    #[serde(default, deserialize_with = "lenient::ids")]
    pub userid_list: Option<Vec<String>>,
}

/// The result of `user/count`.
#[derive(Debug, Clone, Deserialize)]
pub struct PeopleCount {
    /// How many people.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub count: Option<i64>,
}

/// An item of `role/list`.
#[derive(Debug, Clone, Deserialize)]
pub struct RoleGroup {
    /// Exceeds 2^31.
    #[serde(default, rename = "groupId", alias = "group_id", deserialize_with = "lenient::integer")]
    pub group_id: Option<i64>,
    /// Its name.
    #[serde(default, alias = "group_name", deserialize_with = "lenient::text")]
    pub name: Option<String>,
    /// The group's roles, or those of them that fit the page.
    #[serde(default, deserialize_with = "lenient::objects")]
    pub roles: Vec<Role>,
}

/// A role inside of a [`RoleGroup`].
#[derive(Debug, Clone, Deserialize)]
pub struct Role {
    /// Exceeds 2^31.
    #[serde(default, alias = "role_id", alias = "roleId", deserialize_with = "lenient::integer")]
    pub id: Option<i64>,
    /// Its name.
    #[serde(default, alias = "role_name", alias = "roleName", deserialize_with = "lenient::text")]
    pub name: Option<String>,
}

/// An item of `role/simplelist`.
#[derive(Debug, Clone, Deserialize)]
pub struct RoleMember {
    /// The member.
    #[serde(default, deserialize_with = "lenient::text")]
    pub userid: Option<String>,
    /// The departments that the member manages in this role; absent means no restriction is known.
    #[serde(
        default,
        rename = "manageScopes",
        alias = "manage_scopes",
        deserialize_with = "lenient::objects"
    )]
    pub manage_scopes: Vec<ManageScope>,
}

/// An element of `manageScopes`.
#[derive(Debug, Clone, Deserialize)]
pub struct ManageScope {
    /// The department.
    #[serde(default, alias = "deptId", deserialize_with = "lenient::integer")]
    pub dept_id: Option<i64>,
}
