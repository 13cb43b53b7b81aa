//! `ding_employee`, `ding_employee_department` and `ding_employee_role`: one person, written as a whole.

use jiff::Timestamp;
use jiff::civil::Date;

use super::super::change::{Action, Entity, JsonObject, json_array, json_numbers};
use super::super::dialect::Dialect;
use super::super::error::StoreError;
use super::super::fit;
use super::super::insert::Insert;
use super::super::sql::{Row, Value, args};
use super::{Beside, Difference, Fate, Fit, Json, Stamp, Stored, mirror_row, select_stored, stored};
use crate::store::conn::Conn;

mirror_row! {
    /// A person's columns.
    Employee, Entity::Employee, "ding_employee", "userid",
    {
        /// Stable for a person, unlike the userid.
        unionid: String,
        /// The name.
        name: String,
        /// Without country prefix.
        mobile: String,
        /// The country prefix of the mobile.
        state_code: String,
        /// An office number.
        telephone: String,
        /// The private address.
        email: String,
        /// The organisation's address.
        org_email: String,
        /// Not unique in DingTalk.
        job_number: String,
        /// The position.
        title: String,
        /// Where the person works.
        work_place: String,
        /// A remark.
        remark: String,
        /// A URL.
        avatar: String,
        /// Custom fields.
        extension: Json,
        /// A day in Shanghai.
        hired_date: Date,
        /// The direct manager.
        manager_userid: String,
        /// The main department.
        main_dept_id: i64,
        /// Has activated DingTalk in this organisation.
        is_activated: bool,
        /// Is an administrator.
        is_admin: bool,
        /// Is the organisation's boss.
        is_boss: bool,
        /// Is a senior executive.
        is_senior: bool,
        /// The mobile is hidden from colleagues.
        is_mobile_hidden: bool,
        /// A dedicated account that is switched off.
        is_disabled: bool,
        /// When manager, roles and main department were read first.
        detail_read_at: Timestamp,
        /// When DingTalk said that the person is gone.
        gone_at: Timestamp,
    }
}

/// A direct membership in a department.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Membership {
    /// The department.
    pub dept_id: i64,
    /// Leads it.
    pub is_leader: Option<bool>,
    /// It is the person's main department.
    pub is_main: Option<bool>,
    /// Large first.
    pub member_order: Option<i64>,
    /// The position there.
    pub title: Option<String>,
    /// The place of work there.
    pub work_place: Option<String>,
}

impl Membership {
    /// A membership of which nothing more is known.
    pub fn of(dept_id: i64) -> Self {
        Self { dept_id, is_leader: None, is_main: None, member_order: None, title: None, work_place: None }
    }
}

/// A role that a person has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleMembership {
    /// The role.
    pub role_id: i64,
    /// The departments that the person manages in it, a JSON array, where known.
    pub manage_dept_ids: Option<String>,
}

/// A person with all memberships.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Person {
    /// The columns.
    pub row: Employee,
    /// Departments, in the order of their ids.
    pub departments: Vec<Membership>,
    /// Roles, in the order of their ids.
    pub roles: Vec<RoleMembership>,
}

impl Fit for Person {
    fn fit(&mut self, dialect: Dialect) {
        self.row.fit(dialect);
        self.departments.iter_mut().for_each(|membership| membership.fit(dialect));
    }
}

impl Fit for Membership {
    fn fit(&mut self, dialect: Dialect) {
        for (column, value) in [("title", &mut self.title), ("work_place", &mut self.work_place)] {
            if let Some(value) = value {
                fit::text(dialect, column, value);
            }
        }
    }
}

impl Person {
    /// The columns and memberships in which another person differs from this, the stored one. When details were read
    /// is no difference.
    pub fn differences(&self, actual: &Self) -> Vec<Difference> {
        let mut differences = self.row.differences(&actual.row);
        differences.retain(|difference| difference.field != "detail_read_at");
        let beside = beside(self, actual, false);
        let memberships = beside.old.into_iter().zip(beside.new);
        differences.extend(memberships.map(|((field, stored), (_, actual))| Difference {
            field,
            stored,
            actual,
        }));
        differences
    }
}

/// `[{"dept_id":…,"is_leader":…,"member_order":…,…}]`
pub(super) fn departments_json(departments: &[Membership]) -> String {
    json_array(departments.iter().map(|membership| {
        let mut object = JsonObject::default();
        object.field("dept_id", &membership.dept_id.into());
        object.field("is_leader", &membership.is_leader.into());
        object.field("is_main", &membership.is_main.into());
        object.field("member_order", &membership.member_order.into());
        object.field("title", &membership.title.clone().into());
        object.field("work_place", &membership.work_place.clone().into());
        object
    }))
}

fn roles_json(roles: &[RoleMembership]) -> String {
    json_numbers(roles.iter().map(|role| role.role_id))
}

/// `{"ROLE_ID":[DEPT_ID,…]}` for the roles whose managed departments are known.
fn managed_json(roles: &[RoleMembership]) -> String {
    let mut object = JsonObject::default();
    for role in roles {
        if let Some(departments) = &role.manage_dept_ids {
            object.raw(&role.role_id.to_string(), departments);
        }
    }
    object.finish().unwrap_or_else(|| "{}".to_owned())
}

/// What changed in the memberships, for the change log.
pub(super) fn beside(before: &Person, after: &Person, whole: bool) -> Beside {
    let mut beside = Beside::default();
    let mut add = |name, was: String, is: String| {
        if whole || was != is {
            beside.old.push((name, was));
            beside.new.push((name, is));
        }
    };
    add("departments", departments_json(&before.departments), departments_json(&after.departments));
    add("roles", roles_json(&before.roles), roles_json(&after.roles));
    let (was, is) = (managed_json(&before.roles), managed_json(&after.roles));
    if was != is {
        beside.old.push(("managed_departments", was));
        beside.new.push(("managed_departments", is));
    }
    beside
}

const SELECT_MEMBERSHIPS: &str = "SELECT dept_id, is_leader, is_main, member_order, title, work_place \
                                  FROM ding_employee_department WHERE corp_id = ? AND userid = ? ORDER BY dept_id";

fn membership(row: &Row) -> Result<Membership, StoreError> {
    Ok(Membership {
        dept_id: row.integer(0)?.unwrap_or_default(),
        is_leader: row.flag(1)?,
        is_main: row.flag(2)?,
        member_order: row.integer(3)?,
        title: row.text(4)?,
        work_place: row.text(5)?,
    })
}

const SELECT_ROLES: &str = "SELECT role_id, manage_dept_ids FROM ding_employee_role \
                            WHERE corp_id = ? AND userid = ? ORDER BY role_id";

fn role_membership(row: &Row) -> Result<RoleMembership, StoreError> {
    Ok(RoleMembership { role_id: row.integer(0)?.unwrap_or_default(), manage_dept_ids: row.text(1)? })
}

impl Conn {
    /// A person with all memberships. The memberships of somebody who is gone are gone as well.
    pub async fn employee(
        &mut self,
        corp_id: &str,
        userid: &str,
    ) -> Result<Option<Stored<Person>>, StoreError> {
        let key = args![corp_id, userid];
        let person = select_stored::<Employee>();
        let queries: [(&str, &[Value]); 3] = [(&person, key), (SELECT_MEMBERSHIPS, key), (SELECT_ROLES, key)];
        let found = self.rows_each(&queries).await?;
        let [person, departments, roles] = found.as_slice() else {
            return Err(StoreError::Closed("a query was not answered"));
        };
        let Some(row) = person.first() else { return Ok(None) };
        let stored = stored::<Employee>(row)?;
        let person = Person {
            row: stored.row,
            departments: departments.iter().map(membership).collect::<Result<_, _>>()?,
            roles: roles.iter().map(role_membership).collect::<Result<_, _>>()?,
        };
        Ok(Some(Stored { row: person, deleted_at: stored.deleted_at }))
    }

    /// Makes a person what a read said, memberships included, and logs what that changed.
    pub async fn write_employee(
        &mut self,
        userid: &str,
        before: Option<&Stored<Person>>,
        after: &Person,
        fate: Fate,
        stamp: &Stamp,
    ) -> Result<Option<Action>, StoreError> {
        let nobody = Person::default();
        let was = before.map_or(&nobody, |before| &before.row);
        let emptied;
        let is = if fate == Fate::Gone {
            emptied = Person { row: after.row.clone(), ..Person::default() };
            &emptied
        } else {
            after
        };
        let whole = before.is_none() || fate == Fate::Replaced;
        let beside = beside(was, is, whole);
        let row_before =
            before.map(|before| Stored { row: before.row.row.clone(), deleted_at: before.deleted_at });
        let key = Value::from(userid);
        let action = self.write_row(&key, row_before.as_ref(), &is.row, fate, beside, stamp).await?;
        if action.is_some() {
            self.write_memberships(&stamp.corp_id, userid, was, is).await?;
        }
        Ok(action)
    }

    async fn write_memberships(
        &mut self,
        corp_id: &str,
        userid: &str,
        was: &Person,
        is: &Person,
    ) -> Result<(), StoreError> {
        for gone in
            was.departments.iter().filter(|old| is.departments.iter().all(|new| new.dept_id != old.dept_id))
        {
            let sql = "DELETE FROM ding_employee_department WHERE corp_id = ? AND userid = ? AND dept_id = ?";
            self.execute(sql, args![corp_id, userid, gone.dept_id]).await?;
        }
        for membership in is.departments.iter().filter(|new| !was.departments.contains(new)) {
            self.put_membership(corp_id, userid, membership).await?;
        }
        for gone in was.roles.iter().filter(|old| is.roles.iter().all(|new| new.role_id != old.role_id)) {
            let sql = "DELETE FROM ding_employee_role WHERE corp_id = ? AND userid = ? AND role_id = ?";
            self.execute(sql, args![corp_id, userid, gone.role_id]).await?;
        }
        for role in is.roles.iter().filter(|new| !was.roles.contains(new)) {
            let overwrite = self.dialect().overwrite("corp_id, userid, role_id", &["manage_dept_ids"]);
            let sql = format!(
                "INSERT INTO ding_employee_role (corp_id, userid, role_id, manage_dept_ids) \
                 VALUES (?, ?, ?, ?) {overwrite}"
            );
            let departments = role.manage_dept_ids.clone().map(Value::Json);
            self.execute(sql, args![corp_id, userid, role.role_id, departments]).await?;
        }
        Ok(())
    }

    /// Notes that memberships changed which were written apart from their person.
    pub(super) async fn log_memberships(
        &mut self,
        userid: &str,
        before: &Person,
        after: &Person,
        stamp: &Stamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE ding_employee SET updated_at = ? WHERE corp_id = ? AND userid = ?";
        self.execute(sql, args![stamp.now, &stamp.corp_id, userid]).await?;
        let beside = beside(before, after, false);
        let object = |fields: &[(&'static str, String)]| {
            let mut object = JsonObject::default();
            object.raws(fields);
            object.finish()
        };
        let (old, new) = (object(&beside.old), object(&beside.new));
        self.log::<Employee>(&userid.into(), Action::Update, old, new, stamp);
        Ok(())
    }

    pub(super) async fn put_membership(
        &mut self,
        corp_id: &str,
        userid: &str,
        membership: &Membership,
    ) -> Result<(), StoreError> {
        let ending = self.dialect().overwrite("corp_id, userid, dept_id", &MEMBERSHIP_COLUMNS[3..]);
        let insert =
            Insert { table: "ding_employee_department", columns: &MEMBERSHIP_COLUMNS, ending: &ending };
        self.insert_rows(&insert, membership_values(corp_id, userid, membership).into()).await
    }

    /// Ids of current people after `after`, in their order.
    pub async fn employee_ids_after(
        &mut self,
        corp_id: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT userid FROM ding_employee \
                   WHERE corp_id = ? AND userid > ? AND deleted_at IS NULL ORDER BY userid LIMIT ?";
        let rows = self.rows(sql, args![corp_id, after, limit]).await?;
        rows.iter().map(|row| Ok(row.text(0)?.unwrap_or_default())).collect()
    }

    /// The current people whose direct manager `userid` is.
    pub async fn reports_of(&mut self, corp_id: &str, userid: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT userid FROM ding_employee \
                   WHERE manager_userid = ? AND corp_id = ? AND deleted_at IS NULL";
        let rows = self.rows(sql, args![userid, corp_id]).await?;
        rows.iter().map(|row| Ok(row.text(0)?.unwrap_or_default())).collect()
    }

    /// Up to `limit` current people other than `userid` who have a value in one of `columns`, found from a place in the
    /// table that `random` chooses.
    pub async fn others_with(
        &mut self,
        corp_id: &str,
        userid: &str,
        columns: &[&'static str],
        random: u64,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let given: Vec<String> = columns.iter().map(|column| format!("{column} IS NOT NULL")).collect();
        let given = given.join(" OR ");
        let last = self.number("SELECT max(id) FROM ding_employee", &[]).await?.max(1);
        let pivot = (random % last.unsigned_abs()) as i64;
        let mut others = Vec::new();
        for side in [">=", "<"] {
            let sql = format!(
                "SELECT userid FROM ding_employee WHERE id {side} ? AND corp_id = ? AND userid <> ? \
                 AND deleted_at IS NULL AND ({given}) ORDER BY id LIMIT ?",
            );
            for row in self.rows(sql, args![pivot, corp_id, userid, limit - others.len()]).await? {
                others.extend(row.text(0)?);
            }
        }
        Ok(others)
    }
}

pub(super) const MEMBERSHIP_COLUMNS: [&str; 8] =
    ["corp_id", "userid", "dept_id", "is_leader", "is_main", "member_order", "title", "work_place"];

pub(super) fn membership_values(corp_id: &str, userid: &str, membership: &Membership) -> [Value; 8] {
    [
        corp_id.into(),
        userid.into(),
        membership.dept_id.into(),
        membership.is_leader.into(),
        membership.is_main.into(),
        membership.member_order.into(),
        membership.title.clone().into(),
        membership.work_place.clone().into(),
    ]
}
