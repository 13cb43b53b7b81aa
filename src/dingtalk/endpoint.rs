//! The APIs that are called, each with what it needs: its family decides the error shape, its permission point what
//! to ask for in the console.

use std::fmt;

/// How an API answers (`errors.md §1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `/topapi/…` on the legacy host: gateway errors are wrapped in 88, business errors flat.
    Topapi,
    /// Older paths of the legacy host: all errors flat.
    Classic,
    /// The v1.0 host: HTTP status and a word.
    V1,
    /// The calls that fetch a token, on either host: they carry none themselves.
    Token,
}

/// One API path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The path, which is also the unit of DingTalk's rate limits.
    pub path: &'static str,
    /// How it answers.
    pub family: Family,
    /// The permission point that unlocks it (`contacts-api.md §3`).
    pub permission: &'static str,
    /// A call counts against the organisation's month (`contacts-api.md §9`).
    pub metered: bool,
    /// The mirror does without it: a refusal is nobody's trouble.
    pub optional: bool,
    /// A call takes away what it brings, so that it is never repeated by itself.
    pub destructive: bool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DingTalk's {}", self.path)
    }
}

const fn plain(path: &'static str, family: Family, permission: &'static str) -> Endpoint {
    Endpoint { path, family, permission, metered: false, optional: false, destructive: false }
}

const fn topapi(path: &'static str, permission: &'static str) -> Endpoint {
    plain(path, Family::Topapi, permission)
}

const fn metered(endpoint: Endpoint) -> Endpoint {
    Endpoint { metered: true, ..endpoint }
}

const fn optional(endpoint: Endpoint) -> Endpoint {
    Endpoint { optional: true, ..endpoint }
}

/// Names and the tree of departments; role lists.
pub const PERMISSION_DEPARTMENTS: &str = "qyapi_get_department_list";
/// Members of departments and of roles.
pub const PERMISSION_MEMBERS: &str = "qyapi_get_department_member";
/// Details of people.
pub const PERMISSION_PEOPLE: &str = "qyapi_get_member";
/// Records of who left.
pub const PERMISSION_LEAVERS: &str = "Contact.Common.Read";
/// Granted to every application.
pub const PERMISSION_BASE: &str = "qyapi_base";

/// Fetches a token with a body, so that the secret is in no URL.
pub const TOKEN: Endpoint = plain("/v1.0/oauth2/accessToken", Family::Token, PERMISSION_BASE);
/// Fetches a token from the legacy host; its secret is in the URL, so it is the second choice.
pub const TOKEN_LEGACY: Endpoint = plain("/gettoken", Family::Token, PERMISSION_BASE);
/// Fetches a token for one organisation, which tells whether a corp id is the application's.
pub const TOKEN_OF_CORP: Endpoint = plain("/v1.0/oauth2/{corpId}/token", Family::Token, PERMISSION_BASE);
/// The departments and people that the application may see. Metered.
pub const SCOPES: Endpoint = metered(plain("/auth/scopes", Family::Classic, PERMISSION_BASE));
/// Children of a department, one level.
pub const DEPARTMENT_CHILDREN: Endpoint = topapi("/topapi/v2/department/listsub", PERMISSION_DEPARTMENTS);
/// A department, whole.
pub const DEPARTMENT: Endpoint = topapi("/topapi/v2/department/get", PERMISSION_DEPARTMENTS);
/// A page of a department's direct members.
pub const MEMBERS: Endpoint = topapi("/topapi/v2/user/list", PERMISSION_MEMBERS);
/// All ids of a department's direct members at once.
pub const MEMBER_IDS: Endpoint = topapi("/topapi/user/listid", PERMISSION_PEOPLE);
/// A person, whole.
pub const PERSON: Endpoint = topapi("/topapi/v2/user/get", PERMISSION_PEOPLE);
/// How many people the organisation has.
pub const PEOPLE_COUNT: Endpoint = topapi("/topapi/user/count", PERMISSION_PEOPLE);
/// A page of role groups with their roles.
pub const ROLES: Endpoint = topapi("/topapi/role/list", PERMISSION_DEPARTMENTS);
/// A page of a role's members with the departments they manage.
pub const ROLE_MEMBERS: Endpoint = topapi("/topapi/role/simplelist", PERMISSION_MEMBERS);
/// One role.
pub const ROLE: Endpoint = topapi("/topapi/role/getrole", PERMISSION_MEMBERS);
/// One role group.
pub const ROLE_GROUP: Endpoint = topapi("/topapi/role/getrolegroup", PERMISSION_DEPARTMENTS);

/// Events that could not be delivered (`events.md §5.1`): an answer clears what it shows.
pub const FAILED_LIST: Endpoint = Endpoint {
    destructive: true,
    ..optional(metered(plain("/call_back/get_call_back_failed_result", Family::Classic, PERMISSION_BASE)))
};
/// What is registered by the older API for callbacks (`events.md §6`).
pub const SUBSCRIPTION: Endpoint =
    optional(metered(plain("/call_back/get_call_back", Family::Classic, PERMISSION_BASE)));
/// Who left within a window (`contacts-api.md §5.2`).
pub const LEAVERS: Endpoint =
    optional(plain("/v1.0/contact/empLeaveRecords", Family::V1, PERMISSION_LEAVERS));

/// What there is no mirror without. A server that does not know these is taken for one that is out of order.
pub const INDISPENSABLE: &[Endpoint] = &[DEPARTMENT_CHILDREN, DEPARTMENT, MEMBERS, PERSON];

/// Everything that the mirror reads, in the order of a preflight.
pub const MIRROR_READS: &[Endpoint] = &[
    SCOPES,
    DEPARTMENT_CHILDREN,
    DEPARTMENT,
    MEMBERS,
    MEMBER_IDS,
    PERSON,
    PEOPLE_COUNT,
    ROLES,
    ROLE_MEMBERS,
    ROLE,
    ROLE_GROUP,
];

/// What finds what no event has told.
pub const CATCH_UP_READS: &[Endpoint] = &[FAILED_LIST, SUBSCRIPTION, LEAVERS];
