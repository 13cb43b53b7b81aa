//! The operators' side of the OA's own tables: how far they are, what is refused, and which row is whose.

use std::time::Duration;

use dingsync::sim::Sim;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{answer, asked, rename, run, run_json, told};
use crate::support::{Daemon, UNBOUNDED, simulator, until};

const TABLES: &str = "CREATE TABLE sys_dept (dept_id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE sys_user (user_id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (name <> '坏'), mobile TEXT,
                           gone INTEGER NOT NULL DEFAULT 0)";
const MAPPING: &str = r#"
[apply.oa.department]
upsert = "INSERT INTO sys_dept (dept_id, name) VALUES (:oa_id, :name) ON CONFLICT (dept_id) DO UPDATE SET name = excluded.name"
[apply.oa.employee]
find = "SELECT user_id FROM sys_user WHERE mobile = :mobile AND gone = 0"
upsert = "INSERT INTO sys_user (user_id, name, mobile) VALUES (:oa_id, :name, :mobile) ON CONFLICT (user_id) DO UPDATE SET name = excluded.name, mobile = excluded.mobile"
delete = "UPDATE sys_user SET gone = 1 WHERE user_id = :oa_id"
"#;

fn opened(daemon: &Daemon) -> Connection {
    let database = Connection::open(daemon.database().file()).expect("a database");
    database.busy_timeout(Duration::from_secs(10)).expect("a patience");
    database
}

fn change_tables(daemon: &Daemon, sql: &str) {
    opened(daemon).execute_batch(sql).expect(sql);
}

fn text(daemon: &Daemon, sql: &str) -> String {
    opened(daemon).query_row(sql, [], |row| row.get(0)).expect(sql)
}

fn name_in_oa(daemon: &Daemon, oa_id: &str) -> String {
    text(daemon, &format!("SELECT name FROM sys_user WHERE user_id = {oa_id}"))
}

/// A company that is in the mirror, and nowhere else yet.
async fn pulled() -> (Sim, Daemon) {
    let sim = simulator(30, 5, 1).await;
    let daemon = Daemon::on("sqlite", &[&sim], UNBOUNDED);
    daemon.configure_more(super::TOKENS);
    run(&daemon, 64, &["apply", "status"]).await;
    daemon.configure_more(MAPPING);
    run(&daemon, 0, &["bootstrap"]).await;
    (sim, daemon)
}

/// The same, with tables that are filled by a daemon.
async fn filled() -> (Sim, Daemon) {
    let (sim, mut daemon) = pulled().await;
    change_tables(&daemon, TABLES);
    daemon.follow(&sim).await;
    let database = daemon.shared_database();
    let follows = "SELECT count(*) FROM dingsync_apply WHERE phase = 'following'";
    until("the tables follow", || database.number(follows) == 1).await;
    (sim, daemon)
}

async fn oa_id_of(daemon: &Daemon, userid: &str) -> String {
    let found = answer(daemon, &format!("/api/v1/main/links?entity=employee&ding_id={userid}")).await;
    found["items"][0]["oa_id"].as_str().expect("a row").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_the_commands_fill_the_tables_themselves() {
    let (sim, daemon) = pulled().await;
    let out = run_json(&daemon, 75, &["apply", "retry"]).await;
    assert_eq!(out[0]["end"], "trouble");
    assert_eq!(out[0]["trouble"]["kind"], "mismatch", "{out}");
    let status = run_json(&daemon, 0, &["apply", "status"]).await;
    assert_eq!((&status[0]["state"], &status[0]["trouble"]["kind"]), (&json!("waiting"), &json!("mismatch")));

    change_tables(&daemon, TABLES);
    run(&daemon, 0, &["apply", "rebuild"]).await;
    assert_eq!(daemon.database().number("SELECT count(*) FROM sys_user"), 30);
    let status = run_json(&daemon, 0, &["apply", "status"]).await;
    let status = &status[0];
    for (field, expected) in [
        ("corp", json!("main")),
        ("name", json!("oa")),
        ("state", json!("following")),
        ("trouble", Value::Null),
        ("behind", json!(0)),
        ("due", json!(0)),
        ("parked", json!(0)),
        ("mapping_changed", json!(false)),
        ("objects", json!([])),
    ] {
        assert_eq!(status[field], expected, "{field}");
    }

    rename(&sim, "00017", "坏");
    run(&daemon, 0, &["sync", "employee", "00017"]).await;
    let retried = run_json(&daemon, 1, &["apply", "retry"]).await;
    assert_eq!((&retried[0]["end"], &retried[0]["parked"]), (&json!("done"), &json!(1)));
    assert_eq!(retried[0]["objects"][0]["statement"], "employee.upsert");
    run(&daemon, 0, &["apply", "retry", "employee", "00018"]).await;
    run(&daemon, 1, &["apply", "retry", "employee", "00017"]).await;

    daemon.configure(&daemon.configuration().replace("SET gone = 1", "SET gone = 2"));
    let status = run_json(&daemon, 0, &["apply", "status"]).await;
    assert_eq!(status[0]["mapping_changed"], true);
    assert!(run(&daemon, 0, &["apply", "status"]).await.contains("dingsync apply rebuild"));
    run(&daemon, 1, &["apply", "rebuild"]).await;
    let status = run_json(&daemon, 0, &["apply", "status"]).await;
    assert_eq!(status[0]["mapping_changed"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_shown_everywhere_and_tried_again() {
    let (sim, daemon) = filled().await;
    rename(&sim, "00017", "坏");
    let database = daemon.shared_database();
    let parked = "SELECT count(*) FROM dingsync_apply_object WHERE state = 'parked'";
    until("the object is parked", || database.number(parked) == 1).await;

    run(&daemon, 1, &["apply", "retry"]).await;
    let apply = answer(&daemon, "/api/v1/main/apply").await;
    assert_eq!(apply["parked"], 1);
    assert_eq!(apply["objects"][0]["id"], "00017");
    assert!(apply["objects"][0]["message"].as_str().is_some_and(|text| text.contains("CHECK")), "{apply}");
    let status = answer(&daemon, "/api/v1/status").await;
    assert_eq!(status["corps"]["main"]["apply"]["parked"], 1);
    assert_eq!(status["corps"]["main"]["apply"].get("objects"), None);
    let metrics = reqwest::get(daemon.ops_url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\ndingsync_apply_parked{corp=\"main\"} 1\n"), "{metrics}");
    assert!(metrics.contains("\ndingsync_apply_trouble{corp=\"main\",kind=\"away\"} 0\n"), "{metrics}");
    let explained = answer(&daemon, "/api/v1/main/explain/employee/00017?offline=true").await;
    assert_eq!(explained["oa"]["waiting"]["state"], "parked");
    assert_eq!(explained["oa"]["link"]["linked_by"], "key");
    assert!(explained["verdict"].to_string().contains("dingsync apply retry employee 00017"), "{explained}");
    assert!(run(&daemon, 0, &["explain", "employee", "00017", "--offline"]).await.contains("CHECK"));

    let (code, answer) = told(&daemon, "/api/v1/main/apply/retry", &json!({ "entity": "employee" })).await;
    assert_eq!(code, 400, "{answer}");
    let nobody = json!({ "entity": "employee", "id": "nobody" });
    assert_eq!(told(&daemon, "/api/v1/main/apply/retry", &nobody).await.0, 404);
    change_tables(
        &daemon,
        "CREATE TABLE sys_new (user_id INTEGER PRIMARY KEY, name TEXT NOT NULL, mobile TEXT, \
                               gone INTEGER NOT NULL DEFAULT 0);
         INSERT INTO sys_new SELECT * FROM sys_user; DROP TABLE sys_user; ALTER TABLE sys_new RENAME TO sys_user",
    );
    let (code, answer) = told(&daemon, "/api/v1/main/apply/retry", &json!({})).await;
    assert_eq!((code, &answer["retried"]), (202, &json!(1)));
    until("nothing is parked", || database.number(parked) == 0).await;
    let oa_id = oa_id_of(&daemon, "00017").await;
    until("the row is written", || name_in_oa(&daemon, &oa_id) == "坏").await;

    change_tables(&daemon, "DELETE FROM sys_user");
    run(&daemon, 0, &["apply", "rebuild"]).await;
    assert_eq!(database.number("SELECT count(*) FROM sys_user"), 30);
    let (code, answer) = told(&daemon, "/api/v1/main/apply/rebuild", &json!({})).await;
    assert_eq!((code, &answer["walk"]), (202, &json!(2)));
    let asked_for = "SELECT count(*) FROM dingsync_audit WHERE action IN ('apply.retry', 'apply.rebuild')";
    assert_eq!(database.number(asked_for), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_one_object_s_and_an_object_has_one_row() {
    let (_sim, daemon) = filled().await;
    let (mine, other) = (oa_id_of(&daemon, "00017").await, oa_id_of(&daemon, "00018").await);
    run(&daemon, 0, &["link", "employee", &mine, "00017"]).await;
    run(&daemon, 1, &["link", "employee", &other, "00017"]).await;
    run(&daemon, 1, &["link", "employee", "4711", "00017"]).await;
    run(&daemon, 1, &["link", "employee", "4711", "nobody"]).await;
    run(&daemon, 64, &["link", "employee", " ", "00017"]).await;
    run(&daemon, 1, &["unlink", "employee", &other, "00017"]).await;
    run(&daemon, 1, &["unlink", "employee", "nobody"]).await;
    let wish = json!({ "entity": "employee", "oa_id": other, "ding_id": "00017" });
    let (code, answer) = told(&daemon, "/api/v1/main/links", &wish).await;
    assert_eq!(code, 409);
    assert!(answer["error"].as_str().is_some_and(|text| text.contains("dingsync unlink employee 00017")));

    // The person gets the row of somebody who gets another one.
    let wish = json!({ "entity": "employee", "oa_id": other, "ding_id": "00017", "replace": true });
    let (code, answer) = told(&daemon, "/api/v1/main/links", &wish).await;
    assert_eq!((code, &answer["linked_by"]), (200, &json!("command")));
    let database = daemon.shared_database();
    let own = text(&daemon, "SELECT name FROM ding_employee WHERE userid = '00017'");
    until("the row is the person's", || name_in_oa(&daemon, &other) == own).await;
    let linked = "SELECT count(*) FROM ding_link WHERE entity = 'employee' AND ding_id = '00018'";
    until("the other one has a row again", || database.number(linked) == 1).await;

    // Without a link the row is looked for anew.
    change_tables(&daemon, &format!("DELETE FROM sys_user WHERE user_id = {mine}"));
    let (code, answer) =
        told(&daemon, "/api/v1/main/links/remove", &json!({ "entity": "employee", "ding_id": "00017" }))
            .await;
    assert_eq!((code, &answer["oa_id"]), (200, &json!(other)));
    let found = "SELECT count(*) FROM ding_link WHERE ding_id = '00017' AND linked_by = 'find'";
    until("the row is found", || database.number(found) == 1).await;
    run(&daemon, 0, &["unlink", "employee", "00017"]).await;
    assert_eq!(asked(&daemon, "/api/v1/main/links?entity=role_group&oa_id=1").await.0, 400);
    assert_eq!(asked(&daemon, "/api/v1/main/links?entity=employee").await.0, 400);
    let written = "SELECT count(*) FROM dingsync_audit WHERE action IN ('link', 'unlink')";
    assert_eq!(database.number(written), 4);
}
