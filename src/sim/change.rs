//! What can be changed in the organisation, and what a change is told as.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::events::Event;

/// A field of a person that people edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// 职位.
    Title,
    /// 工号.
    JobNumber,
    /// 邮箱.
    Email,
    /// 企业邮箱.
    OrgEmail,
    /// 办公地点.
    WorkPlace,
    /// 备注.
    Remark,
    /// 分机号.
    Telephone,
    /// 手机号, unique in the organisation.
    Mobile,
    /// The picture's address. Changing it sends no event (`events.md §4.2`).
    Avatar,
    /// Custom fields: a JSON document as text.
    Extension,
    /// 入职时间 as `YYYY-MM-DD`. Cannot be cleared (`contacts-api.md §6.2`).
    HiredDate,
}

/// One change, as the control interface takes it: `{"kind":"person_rename","userid":"00017","name":"李四"}`.
///
/// The events that follow are those of `events.md §4.2`. Where the documents are silent (whether a department's new
/// manager is announced, say), every object whose answer changes gets the event of its kind, with one exception that
/// they do name: a picture changes without a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the ids and values that the variants' texts name")]
pub enum Change {
    /// Somebody new, with an invented userid, name or department where none is given.
    PersonJoin {
        #[serde(default)]
        userid: Option<String>,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        departments: Vec<i64>,
    },
    /// Several new people at once: their ids share one event.
    PeopleImport { count: usize, departments: Vec<i64> },
    /// Another name.
    PersonRename { userid: String, name: String },
    /// One field set.
    PersonEdit { userid: String, field: Field, value: String },
    /// One field emptied: it is left out of answers from then on.
    PersonClear { userid: String, field: Field },
    /// One field of several people set at once: their ids share one event.
    PeopleEdit { userids: Vec<String>, field: Field, value: String },
    /// The complete new set of departments.
    PersonMove { userid: String, departments: Vec<i64> },
    /// The place in a department's list.
    PersonReorder { userid: String, dept_id: i64, order: i64 },
    /// The direct manager, or none.
    PersonManager {
        userid: String,
        #[serde(default)]
        manager: Option<String>,
    },
    /// Activates DingTalk in this organisation.
    PersonActivate { userid: String },
    /// Leaves the organisation.
    PersonLeave { userid: String },
    /// Several leave at once: their ids share one event.
    PeopleLeave { userids: Vec<String> },
    /// Someone who left comes back with the same userid and unionid.
    PersonReturn { userid: String },
    /// The userid goes to another human being, with another unionid. Whoever has it leaves first.
    PersonRecycle {
        userid: String,
        #[serde(default)]
        name: Option<String>,
    },
    /// Becomes a sub-administrator.
    AdminOn { userid: String },
    /// Is no administrator any more.
    AdminOff { userid: String },
    /// A new department.
    DepartmentCreate { name: String, parent_id: i64 },
    /// Another name.
    DepartmentRename { dept_id: i64, name: String },
    /// Another place among its siblings.
    DepartmentReorder { dept_id: i64, order: i64 },
    /// Another parent; everything below comes along, without events of its own.
    DepartmentMove { dept_id: i64, parent_id: i64 },
    /// The department and everything below it. With `evacuate` its members move to the parent first; without, a
    /// department with members is refused, as DingTalk does.
    DepartmentRemove {
        dept_id: i64,
        #[serde(default)]
        evacuate: bool,
    },
    /// The complete new list of managers, who must be direct members.
    DepartmentManagers { dept_id: i64, userids: Vec<String> },
    /// A new role group.
    RoleGroupCreate { name: String },
    /// Another name for a role group.
    RoleGroupRename { group_id: i64, name: String },
    /// An empty role group goes.
    RoleGroupDelete { group_id: i64 },
    /// A new role.
    RoleCreate { group_id: i64, name: String },
    /// Another name for a role.
    RoleRename { role_id: i64, name: String },
    /// A role goes. Its members lose it first, with an event of their own; with `silently` they lose it along with
    /// it, and only the role's event tells.
    RoleDelete {
        role_id: i64,
        #[serde(default)]
        silently: bool,
    },
    /// People get a role.
    RoleGive { role_id: i64, userids: Vec<String> },
    /// People lose a role.
    RoleTake { role_id: i64, userids: Vec<String> },
    /// The departments over which somebody's role reaches; none means everybody.
    RoleScope { userid: String, role_id: i64, departments: Vec<i64> },
    /// Another name for the organisation.
    OrganisationRename { name: String },
}

/// A kind of change; written as in [`Change`]'s `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are those of Change, which explains them")]
pub enum Kind {
    PersonJoin,
    PeopleImport,
    PersonRename,
    PersonEdit,
    PersonClear,
    PeopleEdit,
    PersonMove,
    PersonReorder,
    PersonManager,
    PersonActivate,
    PersonLeave,
    PeopleLeave,
    PersonReturn,
    PersonRecycle,
    AdminOn,
    AdminOff,
    DepartmentCreate,
    DepartmentRename,
    DepartmentReorder,
    DepartmentMove,
    DepartmentRemove,
    DepartmentManagers,
    RoleGroupCreate,
    RoleGroupRename,
    RoleGroupDelete,
    RoleCreate,
    RoleRename,
    RoleDelete,
    RoleGive,
    RoleTake,
    RoleScope,
    OrganisationRename,
}

impl Change {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::PersonJoin { .. } => Kind::PersonJoin,
            Self::PeopleImport { .. } => Kind::PeopleImport,
            Self::PersonRename { .. } => Kind::PersonRename,
            Self::PersonEdit { .. } => Kind::PersonEdit,
            Self::PersonClear { .. } => Kind::PersonClear,
            Self::PeopleEdit { .. } => Kind::PeopleEdit,
            Self::PersonMove { .. } => Kind::PersonMove,
            Self::PersonReorder { .. } => Kind::PersonReorder,
            Self::PersonManager { .. } => Kind::PersonManager,
            Self::PersonActivate { .. } => Kind::PersonActivate,
            Self::PersonLeave { .. } => Kind::PersonLeave,
            Self::PeopleLeave { .. } => Kind::PeopleLeave,
            Self::PersonReturn { .. } => Kind::PersonReturn,
            Self::PersonRecycle { .. } => Kind::PersonRecycle,
            Self::AdminOn { .. } => Kind::AdminOn,
            Self::AdminOff { .. } => Kind::AdminOff,
            Self::DepartmentCreate { .. } => Kind::DepartmentCreate,
            Self::DepartmentRename { .. } => Kind::DepartmentRename,
            Self::DepartmentReorder { .. } => Kind::DepartmentReorder,
            Self::DepartmentMove { .. } => Kind::DepartmentMove,
            Self::DepartmentRemove { .. } => Kind::DepartmentRemove,
            Self::DepartmentManagers { .. } => Kind::DepartmentManagers,
            Self::RoleGroupCreate { .. } => Kind::RoleGroupCreate,
            Self::RoleGroupRename { .. } => Kind::RoleGroupRename,
            Self::RoleGroupDelete { .. } => Kind::RoleGroupDelete,
            Self::RoleCreate { .. } => Kind::RoleCreate,
            Self::RoleRename { .. } => Kind::RoleRename,
            Self::RoleDelete { .. } => Kind::RoleDelete,
            Self::RoleGive { .. } => Kind::RoleGive,
            Self::RoleTake { .. } => Kind::RoleTake,
            Self::RoleScope { .. } => Kind::RoleScope,
            Self::OrganisationRename { .. } => Kind::OrganisationRename,
        }
    }
}

/// Why a change was refused; nothing has changed then.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ChangeError {
    /// No such employee.
    #[error("no employee has the userid {0:?}")]
    NoPerson(String),
    /// No such department.
    #[error("there is no department {0}")]
    NoDepartment(i64),
    /// No such role.
    #[error("there is no role {0}")]
    NoRole(i64),
    /// No such role group.
    #[error("there is no role group {0}")]
    NoGroup(i64),
    /// Nobody who left had that userid.
    #[error("nobody who left had the userid {0:?}")]
    NoLeaver(String),
    /// A rule of the directory forbids it.
    #[error("{0}")]
    Refused(&'static str),
}

/// A change that happened, in a form that can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// When, milliseconds UTC.
    pub at: i64,
    /// What kind of change it was.
    pub kind: Kind,
    /// Userids of the people concerned.
    pub people: Vec<String>,
    /// Ids of the departments concerned.
    pub departments: Vec<i64>,
    /// Ids of the roles concerned.
    pub roles: Vec<i64>,
    /// Ids of the role groups concerned.
    pub role_groups: Vec<i64>,
    /// What the object is called now, or was called last.
    pub name: String,
    /// What it was called before, where that is what changed.
    pub former_name: Option<String>,
    /// The types of the events that were sent, in order.
    pub events: Vec<&'static str>,
}

/// A change that was made, with the events that announce it.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) happening: Happening,
    pub(crate) events: Vec<Event>,
}
