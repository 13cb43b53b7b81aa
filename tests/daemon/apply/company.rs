//! A company whose OA has been in use for years, and in which dingsync is introduced.

use dingsync::sim::{Change, Field, Plan, Sim, Subject};
use serde_json::Value;

use super::{Oa, agrees, toml_of};
use crate::support::database::Row;
use crate::support::{Daemon, UNBOUNDED, resend_all, simulator};

/// How large it is. A company of 3,000 people with 300 of them in its OA and 1,000 changes goes the same way.
struct Size {
    people: usize,
    departments: usize,
    /// People who are in the OA already.
    known: usize,
    changes: u64,
    kills: usize,
}

const SIZE: Size = Size { people: 400, departments: 40, known: 60, changes: 200, kills: 5 };

/// What is the OA's own.
const LOCAL: &str =
    "INSERT INTO sys_dept (dept_name, full_name, remark) VALUES ('外部合作', 'x/y', 'not DingTalk''s');
    INSERT INTO sys_user (user_name, password, nick_name, job_no, email, remark) VALUES
        ('admin', '$2a$10$hash', '超级管理员', NULL, 'root@localhost', 'never touch'),
        ('robot', '$2a$10$robot', '接口账号', 'L-000', '', NULL),
        ('former', '$2a$10$former', '早已离开', 'L-001', NULL, 'left before DingTalk came');
    INSERT INTO sys_role (role_name, role_key) VALUES ('超级管理员', 'admin');";

const LOCAL_ROWS: [&str; 4] = [
    "SELECT * FROM sys_dept WHERE remark LIKE 'not DingTalk%'",
    "SELECT user_id, dept_id, user_name, password, nick_name, phonenumber, email, job_no, status, is_senior, \
     manager_id, dept_full_name, hired, joined, gone_at, ding_userid, ding_unionid, remark, del_flag \
     FROM sys_user WHERE user_name IN ('admin', 'robot', 'former') ORDER BY user_id",
    "SELECT * FROM sys_role WHERE role_key = 'admin'",
    "SELECT given.user_id, given.role_id FROM sys_user_role AS given JOIN sys_role AS role \
     ON role.role_id = given.role_id WHERE role.role_key = 'admin' ORDER BY given.user_id",
];

fn local_rows(oa: &Oa) -> Vec<Vec<Row>> {
    LOCAL_ROWS.iter().map(|sql| oa.rows(sql)).collect()
}

/// What is the OA's own in the rows of people whom DingTalk knows.
fn local_columns(oa: &Oa) -> Vec<Row> {
    oa.rows(
        "SELECT user_id, user_name, password, remark FROM sys_user WHERE user_name LIKE 'login-%' ORDER BY user_id",
    )
}

/// What is the OA's own stays as it was.
fn same_rows(before: &(Vec<Vec<Row>>, Vec<Row>), after: &(Vec<Vec<Row>>, Vec<Row>)) {
    let all = |rows: &(Vec<Vec<Row>>, Vec<Row>)| -> Vec<Row> {
        rows.0.iter().flatten().chain(&rows.1).cloned().collect()
    };
    let (before, after) = (all(before), all(after));
    let changed: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert_eq!((before.len(), changed), (after.len(), Vec::new()), "rows of the OA's own, before and after");
}

/// Gives `count` people job numbers that nobody else has, and puts them into the OA: with their logins, with passwords,
/// in old departments. Brings their userids.
fn introduce(sim: &Sim, oa: &Oa, count: usize) -> Vec<String> {
    oa.script(LOCAL);
    let userids: Vec<String> = sim
        .truth(Subject::Users)
        .filter_map(|person| person["userid"].as_str().map(str::to_owned))
        .take(count)
        .collect();
    let mut rows = Vec::new();
    for (number, userid) in userids.iter().enumerate() {
        let value = format!("OLD-{number:04}");
        let edit =
            Change::PersonEdit { userid: userid.clone(), field: Field::JobNumber, value: value.clone() };
        sim.change(&edit).expect("a change");
        rows.push(format!(
            "('login-{number}', '$2a$10${number}', '旧名{number}', '{value}', '备注 {number}', 1, '1380000')"
        ));
    }
    oa.script(&format!(
        "INSERT INTO sys_user (user_name, password, nick_name, job_no, remark, dept_id, phonenumber) VALUES {};
         INSERT INTO sys_dept (dept_name, remark) VALUES ('{}', 'the root');
         INSERT INTO sys_user_role (user_id, role_id) SELECT user_id, role_id FROM sys_user, sys_role
             WHERE user_name IN ('admin', 'login-1') AND role_key = 'admin';",
        rows.join(", "),
        sim.status().organisation,
    ));
    userids
}

async fn company(size: &Size, daemon: &mut Daemon, oa: &Oa, sim: &Sim) {
    daemon.configure_more("[guard]\nmax_deletions = 0");
    daemon.configure_more(&toml_of(&oa.mapping()));
    let known = introduce(sim, oa, size.known);
    let before = (local_rows(oa), local_columns(oa));
    daemon.start().await;
    agrees(daemon, oa, sim).await;

    let count = |sql: &str| usize::try_from(oa.number(sql)).expect("a count");
    assert_eq!(count("SELECT count(*) FROM sys_user"), size.people + 3, "nobody is there twice");
    assert_eq!(count("SELECT count(*) FROM sys_dept"), size.departments + 1, "no department is there twice");
    let linked = daemon.database().rows(
        "SELECT ding_id, oa_id FROM ding_link WHERE corp_id = ? AND entity = 'employee' AND linked_by = 'find'",
        &sim.credentials().corp_id,
    );
    assert_eq!(linked.len(), known.len(), "all who were there are linked");
    for (number, userid) in known.iter().enumerate() {
        assert_eq!(oa.user(userid)["user_name"], format!("login-{number}"), "the login stays");
    }
    same_rows(&before, &(local_rows(oa), local_columns(oa)));

    sim.merge_push_settings(&serde_json::json!({ "retry_after_ms": [100, 300] })).expect("known settings");
    sim.set_callback(Some(daemon.callback_url("main")));
    let last = |daemon: &Daemon| daemon.database().number("SELECT max(seq) FROM ding_change");
    sim.live(&Plan { count: size.changes, interval_ms: 15.0, focus_share: 0.2, ..Plan::default() });
    for _ in 0..size.kills {
        let then = last(daemon);
        // Each life of the daemon brings something into the OA's tables, and ends somewhere in the midst of it.
        let moved = |status: &Value| {
            let cursor = status["apply"]["cursor"].as_str().and_then(|cursor| cursor.parse::<i64>().ok());
            sim.life().running == 0 || cursor > Some(then)
        };
        daemon.wait("main", "applied changes", moved).await;
        daemon.kill();
        daemon.start().await;
    }
    sim.life_ended().await;
    resend_all(sim).await;
    agrees(daemon, oa, sim).await;
    same_rows(&before, &(local_rows(oa), local_columns(oa)));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_that_is_there_already_is_linked_and_followed() {
    let sim = simulator(SIZE.people, SIZE.departments, 21).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let oa = Oa::beside(&daemon).await;
    company(&SIZE, &mut daemon, &oa, &sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_whose_tables_are_in_another_database_is_linked_and_followed() {
    let sim = simulator(SIZE.people, SIZE.departments, 22).await;
    let oa = Oa::apart();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    company(&SIZE, &mut daemon, &oa, &sim).await;
}
