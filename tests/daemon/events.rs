//! Every kind of change, and the rows to which its events lead.

use dingsync::sim::{Change, Field, Kind, Plan, Sim, Subject};
use serde_json::{Value, json};

use crate::support::callback::Caller;
use crate::support::database::Database;
use crate::support::{Daemon, UNBOUNDED, mirror, simulator};

const KINDS: [Kind; 32] = [
    Kind::PersonJoin,
    Kind::PeopleImport,
    Kind::PersonRename,
    Kind::PersonEdit,
    Kind::PersonClear,
    Kind::PeopleEdit,
    Kind::PersonMove,
    Kind::PersonReorder,
    Kind::PersonManager,
    Kind::PersonActivate,
    Kind::PersonLeave,
    Kind::PeopleLeave,
    Kind::PersonReturn,
    Kind::PersonRecycle,
    Kind::AdminOn,
    Kind::AdminOff,
    Kind::DepartmentCreate,
    Kind::DepartmentRename,
    Kind::DepartmentReorder,
    Kind::DepartmentMove,
    Kind::DepartmentRemove,
    Kind::DepartmentManagers,
    Kind::RoleGroupCreate,
    Kind::RoleGroupRename,
    Kind::RoleGroupDelete,
    Kind::RoleCreate,
    Kind::RoleRename,
    Kind::RoleDelete,
    Kind::RoleGive,
    Kind::RoleTake,
    Kind::RoleScope,
    Kind::OrganisationRename,
];

/// A daemon with the whole organisation, which takes its callbacks.
async fn following(users: usize, departments: usize) -> (Sim, Daemon) {
    let sim = simulator(users, departments, 3).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    (sim, daemon)
}

async fn change(sim: &Sim, daemon: &Daemon, change: &Change) {
    sim.change(change).expect("a possible change");
    mirrored(sim, daemon).await;
}

async fn mirrored(sim: &Sim, daemon: &Daemon) {
    sim.settled().await;
    daemon.wait("main", "rest", crate::support::is_at_rest).await;
}

fn one(database: &Database, sql: &str, key: &str) -> Value {
    let corp = "ding5im0corp1d0000c2f4657eb6378f";
    let rows = database.rows(&sql.replace("{key}", key), corp);
    assert_eq!(rows.len(), 1, "{sql} {key}: {rows:?}");
    Value::Object(rows[0].clone())
}

fn log_of(daemon: &Daemon, entity: &str, id: &str) -> Vec<Value> {
    let sql = format!(
        "SELECT action, cause, event_id, operator_userid, old_values, new_values FROM ding_change \
         WHERE corp_id = ? AND entity = '{entity}' AND entity_id = '{id}' ORDER BY seq",
    );
    let rows = daemon.database().rows(&sql, "ding5im0corp1d0000c2f4657eb6378f");
    rows.into_iter().map(Value::Object).collect()
}

fn actions(log: &[Value]) -> Vec<&str> {
    log.iter().map(|change| change["action"].as_str().expect("an action")).collect()
}

fn member_of_several(sim: &Sim) -> Value {
    let several = |person: &Value| person["departments"].as_array().expect("a list").len() > 1;
    sim.truth(Subject::Users).find(several).expect("somebody in several departments")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_change_is_mirrored_without_a_comparison() {
    let (sim, daemon) = following(400, 40).await;
    for kind in KINDS {
        sim.live(&Plan { count: 4, interval_ms: 5.0, kinds: vec![kind], ..Plan::default() });
        sim.life_ended().await;
        mirrored(&sim, &daemon).await;
        let mut differences = mirror::differences(daemon.database(), &sim);
        if !differences.is_empty() {
            // Two events within one read's time are answered for good by the confirming one.
            daemon.at_rest("main").await;
            differences = mirror::differences(daemon.database(), &sim);
        }
        assert_eq!(differences, Vec::<String>::new(), "after {kind:?}");
    }
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_deletion_of_a_role_takes_it_from_everybody() {
    let (sim, daemon) = following(200, 20).await;
    let deletable = sim
        .truth(Subject::Roles)
        .find(|role| role["built_in"] == false)
        .map(|role| role["role_id"].as_i64().unwrap())
        .expect("a role that can be deleted");
    let userids: Vec<String> = sim
        .truth(Subject::Users)
        .take(30)
        .map(|person| person["userid"].as_str().unwrap().to_owned())
        .collect();
    change(&sim, &daemon, &Change::RoleGive { role_id: deletable, userids }).await;
    daemon.agrees_with(&sim, "main").await;
    change(&sim, &daemon, &Change::RoleDelete { role_id: deletable, silently: true }).await;
    daemon.agrees_with(&sim, "main").await;
    let holders = format!("SELECT count(*) FROM ding_employee_role WHERE role_id = {deletable}");
    assert_eq!(daemon.database().number(&holders), 0);
    assert_eq!(actions(&log_of(&daemon, "role", &deletable.to_string())), ["insert", "delete"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_department_moves_with_everybody_below_and_goes_with_its_children() {
    let (sim, daemon) = following(300, 60).await;
    let departments: Vec<Value> = sim.truth(Subject::Departments).collect();
    let parent_of = |id: &Value| {
        departments
            .iter()
            .find(|one| one["dept_id"] == *id)
            .map(|one| one["parent_id"].clone())
            .unwrap_or_default()
    };
    let moved = departments
        .iter()
        .find(|one| {
            let grandparent = parent_of(&one["parent_id"]);
            grandparent.is_i64() && departments.iter().any(|child| child["parent_id"] == one["dept_id"])
        })
        .expect("a department deep in the tree with children");
    let dept_id = moved["dept_id"].as_i64().unwrap();
    change(&sim, &daemon, &Change::DepartmentMove { dept_id, parent_id: 1 }).await;
    daemon.agrees_with(&sim, "main").await;
    let path =
        "SELECT full_name, id_path, level FROM ding_v_department WHERE corp_id = ? AND dept_id = {key}";
    let row = one(daemon.database(), path, &dept_id.to_string());
    assert_eq!(row["level"], 1);
    assert_eq!(row["id_path"], format!("1/{dept_id}"));
    assert_eq!(
        row["full_name"],
        format!("{}/{}", sim.status().organisation, moved["name"].as_str().unwrap())
    );

    change(&sim, &daemon, &Change::DepartmentRemove { dept_id, evacuate: true }).await;
    daemon.agrees_with(&sim, "main").await;
    let kept = "SELECT deleted_at FROM ding_department WHERE corp_id = ? AND dept_id = {key}";
    assert!(one(daemon.database(), kept, &dept_id.to_string())["deleted_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_stays_as_a_row_and_comes_back_as_the_same_person() {
    let (sim, daemon) = following(120, 12).await;
    let userid = member_of_several(&sim)["userid"].as_str().unwrap().to_owned();
    change(&sim, &daemon, &Change::PersonLeave { userid: userid.clone() }).await;
    let row = "SELECT unionid, deleted_at, gone_at FROM ding_employee WHERE corp_id = ? AND userid = '{key}'";
    let left = one(daemon.database(), row, &userid);
    assert!(left["deleted_at"].is_string() && left["gone_at"].is_string(), "{left}");
    let memberships = format!("SELECT count(*) FROM ding_employee_department WHERE userid = '{userid}'");
    assert_eq!(daemon.database().number(&memberships), 0);
    change(&sim, &daemon, &Change::PersonReturn { userid: userid.clone() }).await;
    daemon.agrees_with(&sim, "main").await;
    let back = one(daemon.database(), row, &userid);
    assert_eq!((&back["deleted_at"], &back["gone_at"]), (&Value::Null, &Value::Null));
    assert_eq!(back["unionid"], left["unionid"]);
    let log = log_of(&daemon, "employee", &userid);
    let told: Vec<&str> = actions(&log).into_iter().filter(|action| *action != "update").collect();
    assert_eq!(told, ["insert", "delete", "restore"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recycled_userid_is_another_person() {
    let (sim, daemon) = following(120, 12).await;
    let userid = "00017".to_owned();
    let row = "SELECT unionid, name, created_at FROM ding_employee WHERE corp_id = ? AND userid = '{key}'";
    let before = one(daemon.database(), row, &userid);
    change(&sim, &daemon, &Change::PersonRecycle { userid: userid.clone(), name: Some("钱七".to_owned()) })
        .await;
    daemon.agrees_with(&sim, "main").await;
    let after = one(daemon.database(), row, &userid);
    assert_eq!(after["name"], "钱七");
    assert!(after["unionid"] != before["unionid"] && after["created_at"] != before["created_at"], "{after}");
    let log = log_of(&daemon, "employee", &userid);
    let told: Vec<&str> = actions(&log).into_iter().filter(|action| *action != "update").collect();
    assert_eq!(told, ["insert", "delete", "insert"]);
    let whole = log.iter().rfind(|change| change["action"] == "insert").unwrap();
    let whole: Value = serde_json::from_str(whole["new_values"].as_str().unwrap()).unwrap();
    assert_eq!(whole["name"], "钱七", "an insert carries the whole row");
    assert!(whole["departments"].is_array() && whole["roles"].is_array());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_log_names_the_event_and_who_made_the_change() {
    let (sim, daemon) = following(60, 8).await;
    let caller = Caller::new(daemon.callback_url("main"), &sim.credentials());
    sim.set_callback(None);
    let rename = Change::PersonRename { userid: "00017".to_owned(), name: "赵六".to_owned() };
    sim.change(&rename).unwrap();
    let message = json!({
        "EventType": "user_modify_org", "eventId": "event-4711", "userId": ["00017"], "optStaffId": "manager0001",
    });
    caller.push(&message.to_string()).await;
    mirrored(&sim, &daemon).await;
    let log = log_of(&daemon, "employee", "00017");
    let last = log.last().unwrap();
    assert_eq!((&last["action"], &last["cause"]), (&json!("update"), &json!("event")));
    assert_eq!((&last["event_id"], &last["operator_userid"]), (&json!("event-4711"), &json!("manager0001")));
    let new: Value = serde_json::from_str(last["new_values"].as_str().unwrap()).unwrap();
    assert_eq!(new, json!({"name": "赵六"}), "an update carries what changed and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_hints_for_one_person_cost_a_handful_of_reads() {
    let (sim, daemon) = following(60, 8).await;
    daemon.at_rest("main").await;
    // With event ids: without them, changes of one millisecond have the same bytes.
    sim.merge_push_settings(&json!({ "shape": "documented" })).unwrap();
    sim.reset_counters();
    for number in 0..1000 {
        let value = format!("职位{number}");
        let edit = Change::PersonEdit { userid: "00017".to_owned(), field: Field::Title, value };
        sim.change(&edit).unwrap();
    }
    sim.settled().await;
    daemon.agrees_with(&sim, "main").await;
    assert_eq!(daemon.status("main").await.unwrap()["inbox"]["received"], 1000);
    let reads = sim.counters().calls["/topapi/v2/user/get"].total;
    println!("a thousand events: {reads} reads");
    // One a second while they come, and the confirming one.
    assert!(reads <= 12, "{reads} reads");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_the_end_of_the_organisation_deletes_nothing() {
    let (sim, daemon) = following(60, 8).await;
    let caller = Caller::new(daemon.callback_url("main"), &sim.credentials());
    caller.push(r#"{"EventType":"org_remove","eventId":"end"}"#).await;
    caller.push(r#"{"EventType":"user_leave_org","eventId":"false","userId":["00017"]}"#).await;
    caller.push(r#"{"EventType":"org_dept_remove","eventId":"false2","deptId":[1]}"#).await;
    daemon.agrees_with(&sim, "main").await;
    assert_eq!(actions(&log_of(&daemon, "employee", "00017")), ["insert", "update"]);
}
