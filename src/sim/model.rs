//! What an organisation consists of, in DingTalk's own terms (`contacts-api.md §4`, `§5.1`, `§7`).
//!
//! A value that is `None` is left out of answers; one that is `Some("")` is sent as an empty text. DingTalk does
//! both (`contacts-api.md §1`).

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::Offset;

/// An employee's id: immutable, unique in the organisation, at most 64 characters.
pub(crate) type Userid = Arc<str>;

/// The root department, which every organisation has (`contacts-api.md §4`).
pub(crate) const ROOT: i64 = 1;

/// A department.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Department {
    pub(crate) dept_id: i64,
    /// `None` for the root.
    pub(crate) parent_id: Option<i64>,
    pub(crate) name: String,
    /// Among siblings, small first.
    pub(crate) order: i64,
    /// Direct members, in the order in which they were appointed.
    pub(crate) managers: Vec<Userid>,
    pub(crate) source_identifier: Option<String>,
    pub(crate) brief: Option<String>,
    pub(crate) telephone: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) group_chat_id: Option<String>,
    pub(crate) owner: Option<Userid>,
    pub(crate) hidden: bool,
    pub(crate) outer: bool,
    pub(crate) auto_approve_apply: bool,
}

impl Department {
    /// A department of which only the necessary is known.
    pub(crate) fn new(dept_id: i64, parent_id: Option<i64>, name: String) -> Self {
        Self {
            dept_id,
            parent_id,
            name,
            order: dept_id,
            managers: Vec::new(),
            source_identifier: None,
            brief: None,
            telephone: None,
            code: None,
            group_chat_id: None,
            owner: None,
            hidden: false,
            outer: false,
            auto_approve_apply: false,
        }
    }

    pub(crate) fn is_managed_by(&self, userid: &str) -> bool {
        self.managers.iter().any(|manager| &**manager == userid)
    }
}

/// A person's place in one department.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) dept_id: i64,
    /// Among the members, large first (`contacts-api.md §6.4`).
    pub(crate) order: i64,
    pub(crate) title: Option<String>,
    pub(crate) work_place: Option<String>,
}

/// A role that a person was given, with the departments over which it reaches (管理范围).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleGrant {
    pub(crate) role_id: i64,
    /// Empty: everybody.
    pub(crate) manages: Vec<i64>,
}

/// Whether somebody administers the organisation; the numbers are those of `user/listadmin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admin {
    No,
    /// `sys_level` 1.
    Main,
    /// `sys_level` 2.
    Sub,
}

/// An account that the organisation owns (专属账号).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dedicated {
    /// `sso` or `dingtalk`.
    pub(crate) kind: &'static str,
    pub(crate) login_id: String,
    pub(crate) nickname: Option<String>,
    pub(crate) disabled: bool,
}

/// An employee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) userid: Userid,
    /// Stays with the human being when the userid does not.
    pub(crate) unionid: String,
    pub(crate) name: String,
    pub(crate) avatar: Option<String>,
    pub(crate) state_code: Option<String>,
    pub(crate) mobile: Option<String>,
    pub(crate) hide_mobile: bool,
    pub(crate) telephone: Option<String>,
    pub(crate) job_number: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) org_email: Option<String>,
    pub(crate) work_place: Option<String>,
    pub(crate) remark: Option<String>,
    /// A JSON document as text.
    pub(crate) extension: Option<String>,
    /// At least one.
    pub(crate) memberships: Vec<Membership>,
    pub(crate) main_dept: Option<i64>,
    pub(crate) hired_on: Option<Date>,
    pub(crate) manager: Option<Userid>,
    pub(crate) roles: Vec<RoleGrant>,
    pub(crate) active: bool,
    pub(crate) admin: Admin,
    pub(crate) boss: bool,
    pub(crate) senior: bool,
    pub(crate) real_authed: bool,
    pub(crate) dedicated: Option<Dedicated>,
    /// Listed only with `contain_access_limit` (`contacts-api.md §5.1`).
    pub(crate) access_restricted: bool,
    /// When the person came, milliseconds UTC: `order_field=entry_…`.
    pub(crate) entered_at: i64,
    /// When the record last changed, milliseconds UTC: `order_field=modify_…`.
    pub(crate) modified_at: i64,
}

impl Person {
    pub(crate) fn membership(&self, dept_id: i64) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.dept_id == dept_id)
    }

    pub(crate) fn is_in(&self, dept_id: i64) -> bool {
        self.membership(dept_id).is_some()
    }

    pub(crate) fn has_role(&self, role_id: i64) -> bool {
        self.roles.iter().any(|grant| grant.role_id == role_id)
    }

    pub(crate) fn is_officer(&self) -> bool {
        self.boss || self.admin != Admin::No
    }
}

/// The roles that every organisation has and nobody can edit: their members follow from other facts
/// (`contacts-api.md §7`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BuiltIn {
    /// 负责人: whoever is `boss`.
    Boss,
    /// 主管: whoever manages a department.
    Manager,
    /// 主管理员.
    MainAdmin,
    /// 子管理员.
    SubAdmin,
}

/// A role group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleGroup {
    pub(crate) group_id: i64,
    pub(crate) name: String,
    /// The group 默认.
    pub(crate) built_in: bool,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the protocol calls it role_id everywhere")]
pub(crate) struct Role {
    pub(crate) role_id: i64,
    pub(crate) group_id: i64,
    pub(crate) name: String,
    pub(crate) built_in: Option<BuiltIn>,
}

/// Someone who left, as `v1.0/contact/empLeaveRecords` tells it (`contacts-api.md §5.2`).
#[derive(Debug, Clone)]
pub(crate) struct LeaveRecord {
    pub(crate) person: Arc<Person>,
    /// Milliseconds UTC.
    pub(crate) left_at: i64,
}

/// The offset of clocks in China at a summer day of 1986 to 1991.
const SUMMER: Offset = Offset::constant(9);
/// Their offset in the rest of the time that matters.
pub(crate) const SHANGHAI: Offset = Offset::constant(8);

/// Midnight of a day in Shanghai, milliseconds UTC: the form of `hired_date`.
///
/// June, July and August lie wholly inside every summer time that China had (1986 to 1991). The generator avoids
/// the months in which it began and ended, so no zone database is needed.
pub(crate) fn shanghai_midnight(day: Date) -> i64 {
    let summer = (1986..=1991).contains(&day.year()) && (6..=8).contains(&day.month());
    let offset = if summer { SUMMER } else { SHANGHAI };
    offset.to_timestamp(day.at(0, 0, 0, 0)).map_or(0, jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::shanghai_midnight;

    #[test]
    fn midnight_moves_with_the_summer_times_of_1986_to_1991() {
        let hour = 3_600_000;
        let day = 24 * hour;
        let fixed = |date: jiff::civil::Date| {
            i64::from(date.since(jiff::civil::date(1970, 1, 1)).unwrap().get_days()) * day - 8 * hour
        };
        for summer in [date(1986, 7, 1), date(1988, 8, 31), date(1991, 6, 1)] {
            assert_eq!(shanghai_midnight(summer), fixed(summer) - hour, "{summer}");
        }
        for winter in [date(1985, 7, 1), date(1988, 1, 15), date(1992, 7, 1)] {
            assert_eq!(shanghai_midnight(winter), fixed(winter), "{winter}");
        }
    }
}
