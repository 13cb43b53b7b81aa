//! An application of the organisation: what it may call, which fields it sees, and whom (`contacts-api.md §3`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::model::Person;
use super::view::View;

/// The permission points that the simulated methods need (`contacts-api.md §3`).
pub(crate) mod point {
    /// Tokens, `auth/scopes`, the callback administration. Every application has it.
    pub(crate) const BASE: &str = "qyapi_base";
    pub(crate) const DEPARTMENTS: &str = "qyapi_get_department_list";
    pub(crate) const DEPARTMENT_MEMBERS: &str = "qyapi_get_department_member";
    pub(crate) const MEMBER: &str = "qyapi_get_member";
    pub(crate) const MEMBER_BY_MOBILE: &str = "qyapi_get_member_by_mobile";
    pub(crate) const LEAVERS: &str = "Contact.Common.Read";
}

/// What an administrator grants to an application; all of it can be changed while the simulator runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppSettings {
    /// Permission points, such as `qyapi_get_member`.
    pub permissions: BTreeSet<String>,
    /// The field permission for mobiles (企业员工手机号信息): `mobile`, `state_code`.
    pub mobile_field: bool,
    /// The field permission for personal information (邮箱等个人信息): `email`, `org_email`, `work_place`, `remark`,
    /// `extension`.
    pub personal_fields: bool,
    /// Whom and what it sees.
    pub scope: Scope,
    /// The addresses that may call with its token; all, without it. Others get 60020.
    pub allowed_addresses: Option<BTreeSet<IpAddr>>,
}

impl Default for AppSettings {
    fn default() -> Self {
        let all = [
            point::BASE,
            point::DEPARTMENTS,
            point::DEPARTMENT_MEMBERS,
            point::MEMBER,
            point::MEMBER_BY_MOBILE,
            point::LEAVERS,
        ];
        Self {
            permissions: all.into_iter().map(str::to_owned).collect(),
            mobile_field: true,
            personal_fields: true,
            scope: Scope::default(),
            allowed_addresses: None,
        }
    }
}

/// The contact scope: the departments with everything below them, and people one by one. Department 1 is the whole
/// organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// `authed_dept`.
    pub departments: BTreeSet<i64>,
    /// `authed_user`.
    pub people: BTreeSet<String>,
}

impl Default for Scope {
    fn default() -> Self {
        Self { departments: BTreeSet::from([super::model::ROOT]), people: BTreeSet::new() }
    }
}

impl Scope {
    /// Whether it is the whole organisation.
    pub(crate) fn is_everything(&self) -> bool {
        self.departments.contains(&super::model::ROOT)
    }

    pub(crate) fn has_department(&self, view: &View<'_>, dept_id: i64) -> bool {
        self.is_everything() || view.ancestry(dept_id).iter().any(|id| self.departments.contains(id))
    }

    pub(crate) fn has_person(&self, view: &View<'_>, person: &Person) -> bool {
        self.is_everything()
            || self.people.contains(&*person.userid)
            || person.memberships.iter().any(|place| self.has_department(view, place.dept_id))
    }
}

/// An application.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) settings: AppSettings,
}
