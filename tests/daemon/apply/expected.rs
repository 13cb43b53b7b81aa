//! What the OA's tables have to hold, computed from the mirror's tables by nothing but the words of the mapping.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Value, json};

use super::Oa;
use crate::support::database::{Database, Row};

/// Rows by the OA's key.
type Table = BTreeMap<i64, Row>;

/// A number, which may stand in a text.
pub(super) fn integer(value: &Value) -> i64 {
    let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number.unwrap_or_else(|| unreachable_key(value))
}

#[expect(clippy::panic, reason = "the OA's keys are numbers in these tests")]
fn unreachable_key(value: &Value) -> i64 {
    panic!("{value} is no key")
}

/// Everything in which the OA's tables differ from what the mapping of [`Oa::mapping`] says of the mirror.
pub(super) fn differences(mirror: &Database, oa: &Oa, corp_id: &str) -> Vec<String> {
    let mut mirror = Mirror::read(mirror, corp_id);
    let mut found = Vec::new();
    mirror.want_links(&mut found);
    compare("sys_dept", &mirror.departments(), &oa_departments(oa), "ding_dept_id", &mut found);
    compare("sys_user", &mirror.employees(), &oa_employees(oa), "ding_userid", &mut found);
    compare("sys_role", &mirror.roles(), &oa_roles(oa), "ding_role_id", &mut found);
    let (expected, stored) = (mirror.memberships(), oa_memberships(oa));
    for (user, role) in expected.difference(&stored).take(20) {
        found.push(format!("sys_user_role: user {user} has not got role {role}"));
    }
    for (user, role) in stored.difference(&expected).take(20) {
        found.push(format!("sys_user_role: user {user} should not have role {role}"));
    }
    found
}

fn compare(table: &str, expected: &Table, stored: &Table, ding_key: &str, found: &mut Vec<String>) {
    for (key, row) in expected {
        let Some(there) = stored.get(key) else {
            found.push(format!("{table} {key} ({}) is missing", row[ding_key]));
            continue;
        };
        for (field, value) in row {
            if there[field] != *value {
                found.push(format!(
                    "{table} {key} ({}): {field} is {}, not {value}",
                    row[ding_key], there[field]
                ));
            }
        }
    }
    for (key, row) in stored.iter().filter(|(key, _)| !expected.contains_key(key)) {
        // What is the OA's own, or was DingTalk's once, may stay as long as it does not pass for current.
        if !row[ding_key].is_null() && row["del_flag"] != "2" {
            found.push(format!("{table} {key} ({}) should not be current", row[ding_key]));
        }
    }
}

fn keyed(rows: Vec<Row>, key: &str) -> Table {
    rows.into_iter().map(|row| (integer(&row[key]), row)).collect()
}

fn oa_departments(oa: &Oa) -> Table {
    keyed(
        oa.rows(
            "SELECT dept_id, parent_id, ancestors, dept_name, order_num, leader, leader_id, phone, full_name, visible, \
             ding_dept_id, del_flag FROM sys_dept",
        ),
        "dept_id",
    )
}

fn oa_employees(oa: &Oa) -> Table {
    let create_time = match *oa.database {
        Database::Sqlite(_) => "create_time",
        Database::Postgres(_) => "to_char(create_time, 'YYYY-MM-DD HH24:MI:SS')",
        Database::Mysql(_) => "DATE_FORMAT(create_time, '%Y-%m-%d %H:%i:%s')",
    };
    let sql = format!(
        "SELECT user_id, dept_id, nick_name, phonenumber, email, job_no, status, is_senior, manager_id, \
         dept_full_name, hired, joined, {create_time} AS create_time, gone_at, ding_userid, ding_unionid, del_flag \
         FROM sys_user"
    );
    keyed(oa.rows(&sql), "user_id")
}

fn oa_roles(oa: &Oa) -> Table {
    keyed(oa.rows("SELECT role_id, role_name, role_key, ding_role_id, del_flag FROM sys_role"), "role_id")
}

/// Those of roles that come from DingTalk.
fn oa_memberships(oa: &Oa) -> BTreeSet<(i64, i64)> {
    let rows = oa.rows(
        "SELECT given.user_id, given.role_id FROM sys_user_role AS given JOIN sys_role AS role \
         ON role.role_id = given.role_id WHERE role.ding_role_id IS NOT NULL",
    );
    rows.iter().map(|row| (integer(&row["user_id"]), integer(&row["role_id"]))).collect()
}

/// The mirror's rows that are current, by DingTalk's id as a text, and the links.
struct Mirror {
    departments: BTreeMap<String, Row>,
    employees: BTreeMap<String, Row>,
    roles: BTreeMap<String, Row>,
    groups: BTreeMap<String, Row>,
    roles_given: Vec<Row>,
    links: BTreeMap<(String, String), i64>,
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn row<const FIELDS: usize>(fields: [(&str, Value); FIELDS]) -> Row {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Mirror {
    fn read(mirror: &Database, corp_id: &str) -> Self {
        let table = |table: &str, key: &str| -> BTreeMap<String, Row> {
            let sql = format!("SELECT * FROM {table} WHERE corp_id = ? AND deleted_at IS NULL");
            mirror.rows(&sql, corp_id).into_iter().map(|row| (plain(&row[key]), row)).collect()
        };
        let links = mirror
            .rows(
                "SELECT entity, ding_id, oa_id FROM ding_link WHERE corp_id = ? AND removed_at IS NULL",
                corp_id,
            )
            .into_iter()
            .map(|row| ((plain(&row["entity"]), plain(&row["ding_id"])), integer(&row["oa_id"])))
            .collect();
        Self {
            departments: table("ding_department", "dept_id"),
            employees: table("ding_employee", "userid"),
            roles: table("ding_role", "role_id"),
            groups: table("ding_role_group", "group_id"),
            roles_given: mirror.rows("SELECT * FROM ding_employee_role WHERE corp_id = ?", corp_id),
            links,
        }
    }

    /// Every current object has a link, no other has, and no row of the OA stands for two.
    fn want_links(&mut self, found: &mut Vec<String>) {
        let entities =
            [("department", &self.departments), ("employee", &self.employees), ("role", &self.roles)];
        for (entity, rows) in entities {
            let mut users: BTreeMap<i64, &str> = BTreeMap::new();
            for id in rows.keys() {
                match self.links.get(&(entity.to_owned(), id.clone())) {
                    None => found.push(format!("{entity} {id} has no link")),
                    Some(oa_id) => {
                        if let Some(other) = users.insert(*oa_id, id) {
                            found.push(format!("{entity} {id} and {other} are both linked to {oa_id}"));
                        }
                    }
                }
            }
            for (_, id) in self.links.keys().filter(|(kind, id)| kind == entity && !rows.contains_key(id)) {
                found.push(format!("{entity} {id} is gone, and its link is not marked"));
            }
        }
    }

    fn link(&self, entity: &str, id: &Value) -> Option<i64> {
        self.links.get(&(entity.to_owned(), plain(id))).copied()
    }

    /// A column of somebody, if he is there.
    fn of_person(&self, userid: &Value, column: &str) -> Value {
        self.employees.get(&plain(userid)).map_or(Value::Null, |row| row[column].clone())
    }

    fn key_of_person(&self, userid: &Value) -> Value {
        let is_there = self.employees.contains_key(&plain(userid));
        json!(self.link("employee", userid).filter(|_| is_there))
    }

    /// From the top down to the department itself.
    fn way_to(&self, dept_id: &Value) -> Vec<&Row> {
        let mut way = Vec::new();
        let mut next = self.departments.get(&plain(dept_id));
        while let Some(row) = next {
            way.insert(0, row);
            next = self.departments.get(&plain(&row["parent_id"]));
        }
        way
    }

    fn full_name(&self, dept_id: &Value) -> Value {
        let names: Vec<&str> =
            self.way_to(dept_id).iter().map(|row| row["name"].as_str().unwrap_or_default()).collect();
        if names.is_empty() { Value::Null } else { json!(names.join("/")) }
    }

    fn departments(&self) -> Table {
        let rows = self.departments.values().filter_map(|department| {
            let key = self.link("department", &department["dept_id"])?;
            let way = self.way_to(&department["dept_id"]);
            let ancestors: Vec<String> = way[..way.len() - 1]
                .iter()
                .map(|row| {
                    self.link("department", &row["dept_id"]).map_or_else(String::new, |key| key.to_string())
                })
                .collect();
            let parent = way.len().checked_sub(2).map(|at| way[at]["dept_id"].clone());
            let managers: Vec<Value> = department["manager_userids"]
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            let manager = managers.first().cloned().unwrap_or_default();
            Some((
                key,
                row([
                    ("parent_id", json!(parent.and_then(|id| self.link("department", &id)).unwrap_or(0))),
                    ("ancestors", json!(ancestors.join(","))),
                    ("dept_name", department["name"].clone()),
                    ("order_num", department["dept_order"].clone()),
                    ("leader", self.of_person(&manager, "name")),
                    ("leader_id", self.key_of_person(&manager)),
                    ("phone", self.of_person(&manager, "mobile")),
                    ("full_name", self.full_name(&department["dept_id"])),
                    ("visible", mapped(&department["is_hidden"], "1", "0")),
                    ("ding_dept_id", department["dept_id"].clone()),
                    ("del_flag", json!("0")),
                ]),
            ))
        });
        rows.collect()
    }

    fn employees(&self) -> Table {
        let rows = self.employees.values().filter_map(|person| {
            let key = self.link("employee", &person["userid"])?;
            let main = &person["main_dept_id"];
            let main_is_there = self.departments.contains_key(&plain(main));
            Some((
                key,
                row([
                    ("dept_id", json!(self.link("department", main).filter(|_| main_is_there))),
                    ("nick_name", person["name"].clone()),
                    ("phonenumber", person["mobile"].clone()),
                    ("email", person["email"].clone()),
                    ("job_no", person["job_number"].clone()),
                    ("status", mapped(&person["is_activated"], "0", "1")),
                    ("is_senior", person["is_senior"].clone()),
                    ("manager_id", self.key_of_person(&person["manager_userid"])),
                    ("dept_full_name", self.full_name(main)),
                    ("hired", person["hired_date"].clone()),
                    ("joined", in_shanghai(&person["created_at"])),
                    ("create_time", in_shanghai(&person["created_at"])),
                    ("gone_at", in_shanghai(&person["gone_at"])),
                    ("ding_userid", person["userid"].clone()),
                    ("ding_unionid", person["unionid"].clone()),
                    ("del_flag", json!("0")),
                ]),
            ))
        });
        rows.collect()
    }

    fn roles(&self) -> Table {
        let rows = self.roles.values().filter_map(|role| {
            let key = self.link("role", &role["role_id"])?;
            let group = self.groups.get(&plain(&role["group_id"]));
            Some((
                key,
                row([
                    ("role_name", role["name"].clone()),
                    ("role_key", group.map_or(Value::Null, |group| group["name"].clone())),
                    ("ding_role_id", role["role_id"].clone()),
                    ("del_flag", json!("0")),
                ]),
            ))
        });
        rows.collect()
    }

    fn memberships(&self) -> BTreeSet<(i64, i64)> {
        self.roles_given
            .iter()
            .filter(|given| self.employees.contains_key(&plain(&given["userid"])))
            .filter(|given| self.roles.contains_key(&plain(&given["role_id"])))
            .filter_map(|given| {
                Some((self.link("employee", &given["userid"])?, self.link("role", &given["role_id"])?))
            })
            .collect()
    }
}

/// A flag as the mapping's `values` write it.
fn mapped(flag: &Value, set: &str, unset: &str) -> Value {
    match flag.as_i64() {
        None => Value::Null,
        Some(0) => json!(unset),
        Some(_) => json!(set),
    }
}

/// An instant of the mirror as a clock on a wall in Shanghai shows it.
fn in_shanghai(instant: &Value) -> Value {
    let Some(text) = instant.as_str() else { return Value::Null };
    let instant: Timestamp = text.parse().expect("an instant");
    let zone = TimeZone::fixed(Offset::constant(8));
    json!(instant.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string())
}
