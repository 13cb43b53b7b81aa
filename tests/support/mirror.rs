//! The mirror, read with SQL and compared with the simulator's truth field by field, and with its own change log.

use std::collections::{BTreeMap, BTreeSet};

use dingsync::sim::{Sim, Subject};
use serde_json::{Value, json};

use super::database::{Database, Row};

type Table = BTreeMap<String, Row>;

/// Everything in which the mirror differs from the simulator, or from its own change log.
pub(crate) fn differences(database: &Database, sim: &Sim) -> Vec<String> {
    let corp_id = sim.credentials().corp_id;
    let mut differences = Vec::new();
    let tables = Tables::read(database, &corp_id);
    compare("department", &tables.departments, &true_departments(sim), &mut differences);
    compare("employee", &tables.employees, &true_employees(sim), &mut differences);
    compare("role", &tables.roles, &true_roles(sim), &mut differences);
    compare("role_group", &tables.role_groups, &true_role_groups(sim), &mut differences);
    compare("membership", &tables.memberships, &true_memberships(sim), &mut differences);
    compare("role of a person", &tables.role_memberships, &true_role_memberships(sim), &mut differences);
    replay(database, &corp_id, &tables, &mut differences);
    differences
}

struct Tables {
    departments: Table,
    employees: Table,
    roles: Table,
    role_groups: Table,
    memberships: Table,
    role_memberships: Table,
}

impl Tables {
    fn read(database: &Database, corp_id: &str) -> Self {
        let table = |sql: &str, key: &[&str]| -> Table {
            let keyed = database.rows(sql, corp_id).into_iter().map(|row| {
                let parts: Vec<String> = key.iter().map(|column| plain(&row[*column])).collect();
                (parts.join("/"), row)
            });
            keyed.collect()
        };
        Self {
            departments: table(
                "SELECT dept_id, parent_id, name, dept_order, manager_userids, source_identifier, is_hidden, is_outer, \
                 brief, code, owner_userid FROM ding_department WHERE corp_id = ? AND deleted_at IS NULL",
                &["dept_id"],
            ),
            employees: table(
                "SELECT userid, unionid, name, mobile, state_code, telephone, email, org_email, job_number, title, \
                 work_place, remark, avatar, extension, hired_date, manager_userid, main_dept_id, is_activated, is_admin, \
                 is_boss, is_senior, is_mobile_hidden, is_disabled, gone_at FROM ding_employee \
                 WHERE corp_id = ? AND deleted_at IS NULL",
                &["userid"],
            ),
            roles: table(
                "SELECT role_id, group_id, name FROM ding_role WHERE corp_id = ? AND deleted_at IS NULL",
                &["role_id"],
            ),
            role_groups: table(
                "SELECT group_id, name FROM ding_role_group WHERE corp_id = ? AND deleted_at IS NULL",
                &["group_id"],
            ),
            memberships: table(
                "SELECT userid, dept_id, is_leader, is_main, member_order, title, work_place \
                 FROM ding_employee_department WHERE corp_id = ?",
                &["userid", "dept_id"],
            ),
            role_memberships: table(
                "SELECT userid, role_id, manage_dept_ids FROM ding_employee_role WHERE corp_id = ?",
                &["userid", "role_id"],
            ),
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// "" is not given.
fn given(value: &Value) -> Value {
    if value == "" { Value::Null } else { value.clone() }
}

fn flag(value: bool) -> Value {
    json!(i64::from(value))
}

fn row<const FIELDS: usize>(fields: [(&str, Value); FIELDS]) -> Row {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn true_departments(sim: &Sim) -> Table {
    sim.truth(Subject::Departments)
        .map(|truth| {
            let managers = truth["managers"].to_string();
            let fields = row([
                ("dept_id", truth["dept_id"].clone()),
                ("parent_id", truth["parent_id"].clone()),
                ("name", given(&truth["name"])),
                ("dept_order", truth["order"].clone()),
                ("manager_userids", json!(managers)),
                ("source_identifier", given(&truth["source_identifier"])),
                ("is_hidden", flag(truth["hidden"] == true)),
                ("is_outer", flag(truth["outer"] == true)),
                ("brief", given(&truth["brief"])),
                ("code", given(&truth["code"])),
                ("owner_userid", given(&truth["owner"])),
            ]);
            (plain(&truth["dept_id"]), fields)
        })
        .collect()
}

/// The main department: the marked one, else the only one, else the smallest id.
fn main_department(truth: &Value) -> Value {
    let departments = truth["departments"].as_array().expect("departments");
    let marked = departments.iter().find(|place| place["main"] == true).map(|place| place["dept_id"].clone());
    let smallest = departments.iter().filter_map(|place| place["dept_id"].as_i64()).min();
    marked.unwrap_or_else(|| json!(smallest))
}

fn true_employees(sim: &Sim) -> Table {
    sim.truth(Subject::Users)
        .map(|truth| {
            let text = |field: &str| given(&truth[field]);
            let disabled = match &truth["dedicated"] {
                Value::Null => Value::Null,
                account => flag(account["disabled"] == true),
            };
            let fields = row([
                ("userid", truth["userid"].clone()),
                ("unionid", text("unionid")),
                ("name", text("name")),
                ("mobile", text("mobile")),
                ("state_code", text("state_code")),
                ("telephone", text("telephone")),
                ("email", text("email")),
                ("org_email", text("org_email")),
                ("job_number", text("job_number")),
                ("title", text("title")),
                ("work_place", text("work_place")),
                ("remark", text("remark")),
                ("avatar", text("avatar")),
                ("extension", text("extension")),
                ("hired_date", text("hired_on")),
                ("manager_userid", text("manager")),
                ("main_dept_id", main_department(&truth)),
                ("is_activated", flag(truth["active"] == true)),
                ("is_admin", flag(truth["admin"] != 0)),
                ("is_boss", flag(truth["boss"] == true)),
                ("is_senior", flag(truth["senior"] == true)),
                ("is_mobile_hidden", flag(truth["hide_mobile"] == true)),
                ("is_disabled", disabled),
                ("gone_at", Value::Null),
            ]);
            (plain(&truth["userid"]), fields)
        })
        .collect()
}

fn true_memberships(sim: &Sim) -> Table {
    let mut memberships = Table::new();
    for truth in sim.truth(Subject::Users) {
        let main = main_department(&truth);
        for place in truth["departments"].as_array().expect("departments") {
            let key = format!("{}/{}", plain(&truth["userid"]), place["dept_id"]);
            let fields = row([
                ("userid", truth["userid"].clone()),
                ("dept_id", place["dept_id"].clone()),
                ("is_leader", flag(place["leader"] == true)),
                ("is_main", flag(place["dept_id"] == main)),
                ("member_order", place["order"].clone()),
                ("title", given(&place["title"])),
                ("work_place", given(&place["work_place"])),
            ]);
            memberships.insert(key, fields);
        }
    }
    memberships
}

fn true_roles(sim: &Sim) -> Table {
    sim.truth(Subject::Roles)
        .map(|truth| {
            let fields = row([
                ("role_id", truth["role_id"].clone()),
                ("group_id", truth["group_id"].clone()),
                ("name", given(&truth["name"])),
            ]);
            (plain(&truth["role_id"]), fields)
        })
        .collect()
}

fn true_role_groups(sim: &Sim) -> Table {
    sim.truth(Subject::RoleGroups)
        .map(|truth| {
            let fields = row([("group_id", truth["group_id"].clone()), ("name", given(&truth["name"]))]);
            (plain(&truth["group_id"]), fields)
        })
        .collect()
}

fn true_role_memberships(sim: &Sim) -> Table {
    let mut memberships = Table::new();
    for truth in sim.truth(Subject::Users) {
        for role in truth["roles"].as_array().expect("roles") {
            let key = format!("{}/{}", plain(&truth["userid"]), role["role_id"]);
            let mut managed: Vec<i64> =
                role["manages"].as_array().expect("ids").iter().filter_map(Value::as_i64).collect();
            managed.sort_unstable();
            let managed = if managed.is_empty() { Value::Null } else { json!(json!(managed).to_string()) };
            let fields = row([
                ("userid", truth["userid"].clone()),
                ("role_id", role["role_id"].clone()),
                ("manage_dept_ids", managed),
            ]);
            memberships.insert(key, fields);
        }
    }
    memberships
}

fn compare(what: &str, stored: &Table, truth: &Table, differences: &mut Vec<String>) {
    for (key, expected) in truth {
        match stored.get(key) {
            None => differences.push(format!("{what} {key} is missing")),
            Some(row) => {
                for (field, value) in expected {
                    if row[field] != *value && !is_same_document(&row[field], value) {
                        differences.push(format!("{what} {key}: {field} is {}, not {value}", row[field]));
                    }
                }
            }
        }
    }
    for key in stored.keys().filter(|key| !truth.contains_key(*key)) {
        differences.push(format!("{what} {key} should not be there"));
    }
}

/// Servers give documents back in an order and with spaces of their own.
fn is_same_document(stored: &Value, expected: &Value) -> bool {
    let parsed = |text: &Value| text.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    parsed(stored).is_some_and(|document| Some(document) == parsed(expected))
}

/// Follows the change log from its begin to its end: the result must be the mirror.
fn replay(database: &Database, corp_id: &str, tables: &Tables, differences: &mut Vec<String>) {
    let mut replayed: BTreeMap<(String, String), (bool, Row)> = BTreeMap::new();
    let mut last = 0;
    let log = database.rows(
        "SELECT seq, entity, entity_id, action, new_values FROM ding_change WHERE corp_id = ? ORDER BY seq",
        corp_id,
    );
    for change in log {
        let seq = change["seq"].as_i64().expect("a number");
        if seq != last + 1 {
            differences.push(format!("the change log jumps from {last} to {seq}"));
        }
        last = seq;
        let key = (plain(&change["entity"]), plain(&change["entity_id"]));
        let values: Row = change["new_values"]
            .as_str()
            .map(|text| serde_json::from_str(text).expect("JSON"))
            .unwrap_or_default();
        let action = plain(&change["action"]);
        let known = replayed.get(&key).map(|(lives, _)| *lives);
        let fits = match action.as_str() {
            "insert" => known != Some(true),
            // What is personal of somebody who is gone may still be erased, which does not bring him back.
            "update" => known.is_some(),
            "delete" => known == Some(true),
            "restore" => known == Some(false),
            _ => false,
        };
        if !fits {
            differences.push(format!("change {seq} of {key:?}: {action} where lives was {known:?}"));
        }
        let entry = replayed.entry(key).or_default();
        if action == "insert" {
            entry.1.clear();
        }
        entry.1.extend(values);
        if action != "update" {
            entry.0 = action != "delete";
        }
    }
    let living = |entity: &str| -> BTreeMap<String, Row> {
        let mine = replayed.iter().filter(|((kind, _), (lives, _))| kind == entity && *lives);
        mine.map(|((_, id), (_, row))| (id.clone(), row.clone())).collect()
    };
    same("department", &tables.departments, &living("department"), differences);
    same("role", &tables.roles, &living("role"), differences);
    same("role_group", &tables.role_groups, &living("role_group"), differences);
    let employees = living("employee");
    same("employee", &tables.employees, &employees, differences);
    same_memberships(tables, &employees, differences);
}

/// A value of the log in the form of the table: documents are texts there, flags numbers, large numbers numbers.
fn as_stored(value: &Value, like: &Value) -> Value {
    match (value, like) {
        (Value::Bool(flag), _) => json!(i64::from(*flag)),
        (Value::String(text), Value::Number(_)) => {
            text.parse::<i64>().map_or_else(|_| value.clone(), |number| json!(number))
        }
        (Value::Array(_) | Value::Object(_), Value::String(text)) => {
            let stored: Value = serde_json::from_str(text).unwrap_or_default();
            if stored == *value { like.clone() } else { value.clone() }
        }
        _ => value.clone(),
    }
}

fn same(what: &str, stored: &Table, replayed: &BTreeMap<String, Row>, differences: &mut Vec<String>) {
    for (key, row) in stored {
        let Some(log) = replayed.get(key) else {
            differences.push(format!("the change log does not lead to {what} {key}"));
            continue;
        };
        for (field, value) in row {
            let logged = log.get(field).map_or(Value::Null, |logged| as_stored(logged, value));
            if logged != *value {
                differences.push(format!(
                    "the change log leads to {what} {key}: {field} = {logged}, stored is {value}"
                ));
            }
        }
    }
    for key in replayed.keys().filter(|key| !stored.contains_key(*key)) {
        differences.push(format!("the change log leads to {what} {key}, which is not stored"));
    }
}

fn same_memberships(tables: &Tables, employees: &BTreeMap<String, Row>, differences: &mut Vec<String>) {
    let mut memberships = BTreeSet::new();
    let mut roles = BTreeSet::new();
    for (userid, row) in employees {
        let empty = Vec::new();
        for place in row.get("departments").and_then(Value::as_array).unwrap_or(&empty) {
            let order = as_stored(&place["member_order"], &json!(0));
            let leader = as_stored(&place["is_leader"], &Value::Null);
            memberships.insert(format!("{userid}/{} {leader} {order}", plain(&place["dept_id"])));
        }
        for role in row.get("roles").and_then(Value::as_array).unwrap_or(&empty) {
            roles.insert(format!("{userid}/{}", plain(role)));
        }
    }
    let stored: BTreeSet<String> = tables
        .memberships
        .iter()
        .map(|(key, row)| format!("{key} {} {}", row["is_leader"], row["member_order"]))
        .collect();
    for odd in stored.symmetric_difference(&memberships).take(20) {
        differences.push(format!("membership {odd} stands in the table or in the change log only"));
    }
    let stored: BTreeSet<String> = tables.role_memberships.keys().cloned().collect();
    for odd in stored.symmetric_difference(&roles).take(20) {
        differences.push(format!("role {odd} stands in the table or in the change log only"));
    }
}
