//! How many deletions are admitted, from runs and from single events, by one process and by several.

use dingsync::sim::{Change, Subject};
use serde_json::json;

use super::{CHANGES, DELETED, GONE, GUARD, leave, leavers, run, run_json};
use crate::support::callback::Caller;
use crate::support::{Daemon, UNBOUNDED, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn forty_per_cent_gone_are_held_then_approved_and_come_back_with_their_history() {
    let sim = simulator(300, 30, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    sim.set_callback(None);
    let gone = leavers(&sim, 120);
    let ids = |daemon: &Daemon| {
        let sql = "SELECT id, userid FROM ding_employee WHERE corp_id = ? ORDER BY userid";
        daemon.database().rows(sql, &sim.credentials().corp_id)
    };
    let rows = ids(&daemon);
    leave(&sim, &gone);
    let plan = run_json(&daemon, &["reconcile", "--dry-run"], 2).await;
    assert_eq!(plan["found"]["held"], 120, "the plan says what would be held: {plan:#}");
    assert_eq!(daemon.database().number(GONE), 0, "a plan writes nothing");

    let report = run_json(&daemon, &["reconcile"], 2).await;
    assert_eq!((&report["found"]["held"], &report["held"]), (&json!(120), &json!(120)), "{report:#}");
    let count = |sql: &str| daemon.database().number(sql);
    assert_eq!((count(DELETED), count(GONE)), (0, 120), "held as one, and known to be gone at once");
    let status = daemon.status("main").await.unwrap();
    assert_eq!(status["queue"]["held"], 120);
    assert_eq!(status["reconcile"]["held"]["objects"]["employee"], 120, "{status:#}");
    assert_eq!(status["reconcile"]["held"]["run"], report["run"], "{status:#}");
    assert!(daemon.log().contains("dingsync reconcile approve"), "the log says what to do");
    let (_, metrics) = daemon.get("/metrics").await.unwrap();
    assert!(metrics.contains("dingsync_held_deletions{corp=\"main\"} 120"), "{metrics}");

    // Held stays held, and another night writes nothing.
    let changes = count(CHANGES);
    run(&daemon, &["reconcile", "--quick"], 2).await;
    assert_eq!(count(CHANGES), changes);

    let run_id = report["run"].to_string();
    let done = run_json(&daemon, &["reconcile", "approve", &run_id], 0).await;
    assert_eq!((&done["decided"], &done["deleted"]), (&json!(120), &json!(120)), "{done:#}");
    assert_eq!((count(DELETED), count(GONE)), (120, 0));
    let manual = "SELECT count(*) FROM ding_change WHERE action = 'delete' AND cause = 'manual'";
    assert_eq!(count(manual), 120);
    assert_eq!(daemon.status("main").await.unwrap()["reconcile"]["held"], json!(null));
    run(&daemon, &["verify"], 0).await;

    for userid in &gone {
        sim.change(&Change::PersonReturn { userid: userid.clone() }).unwrap();
    }
    run(&daemon, &["reconcile"], 0).await;
    let restored = "SELECT count(*) FROM ding_change WHERE action = 'restore'";
    assert_eq!((count(restored), count(DELETED), count(GONE)), (120, 0, 0));
    assert_eq!(ids(&daemon), rows, "the same rows as before");
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_do_not_both_admit_the_last_deletion() {
    let sim = simulator(200, 20, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more(GUARD);
    daemon.follow(&sim).await;
    let is_shared = daemon.configuration().contains("://") && !daemon.configuration().contains("sqlite://");
    let mut second = daemon.beside(&[&sim], UNBOUNDED);
    if is_shared {
        second.configure_more(GUARD);
        second.start().await;
    }
    leave(&sim, &leavers(&sim, 60));
    sim.settled().await;
    daemon
        .wait("main", "held deletions", |status| {
            status["queue"]["pending"] == 0 && status["queue"]["running"] == 0 && status["queue"]["held"] != 0
        })
        .await;
    let count = |sql: &str| daemon.database().number(sql);
    // 4 % of the 200 of the window's begin.
    assert_eq!((count(DELETED), count(GONE)), (8, 52));
    if is_shared {
        second.stop().await;
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dissolved_organisation_changes_nothing_and_is_said_loudly() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    let before = daemon.database().number(CHANGES);
    let caller = Caller::new(daemon.callback_url("main"), &sim.credentials());
    caller.push(r#"{"EventType":"org_remove","eventId":"the-end"}"#).await;
    daemon.says("org_remove").await;
    daemon.at_rest("main").await;
    assert_eq!((daemon.database().number(CHANGES), daemon.database().number(DELETED)), (before, 0));
    let stored = "SELECT count(*) FROM dingsync_inbox WHERE event_type = 'org_remove'";
    assert_eq!(daemon.database().number(stored), 1, "the event is taken");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn departments_without_members_are_never_held() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more("[guard]\nmax_deletions = 1\nmax_share = 0.01\n");
    for number in 0..12 {
        sim.change(&Change::DepartmentCreate { name: format!("空部门{number}"), parent_id: 1 }).unwrap();
    }
    daemon.follow(&sim).await;
    sim.set_callback(None);
    let empty: Vec<i64> = sim
        .truth(Subject::Departments)
        .filter(|department| department["name"].as_str().is_some_and(|name| name.starts_with("空部门")))
        .filter_map(|department| department["dept_id"].as_i64())
        .collect();
    assert_eq!(empty.len(), 12);
    for dept_id in empty {
        sim.change(&Change::DepartmentRemove { dept_id, evacuate: false }).unwrap();
    }
    let report = run_json(&daemon, &["reconcile"], 0).await;
    assert_eq!((&report["found"]["gone"], &report["held"]), (&json!(12), &json!(0)), "{report:#}");
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_held_and_approved_like_people() {
    let sim = simulator(120, 12, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more("[guard]\nmax_deletions = 1\nmax_share = 0.01\n");
    sim.change(&Change::RoleGroupCreate { name: "演练".to_owned() }).unwrap();
    let group = sim.truth(Subject::RoleGroups).find(|group| group["name"] == "演练").unwrap();
    let group_id = group["group_id"].as_i64().unwrap();
    for number in 0..3 {
        sim.change(&Change::RoleCreate { group_id, name: format!("演练{number}") }).unwrap();
    }
    daemon.follow(&sim).await;
    sim.set_callback(None);
    let of_group = sim.truth(Subject::Roles).filter(|role| role["group_id"] == group_id);
    let roles: Vec<i64> = of_group.filter_map(|role| role["role_id"].as_i64()).collect();
    for &role_id in &roles {
        sim.change(&Change::RoleDelete { role_id, silently: false }).unwrap();
    }
    let report = run_json(&daemon, &["reconcile"], 2).await;
    assert_eq!((&report["found"]["held"], &report["held"]), (&json!(3), &json!(3)), "{report:#}");
    let gone = "SELECT count(*) FROM ding_role WHERE deleted_at IS NOT NULL";
    assert_eq!(daemon.database().number(gone), 0);
    let status = daemon.status("main").await.unwrap();
    assert_eq!(status["reconcile"]["held"]["objects"]["role"], 3, "{status:#}");
    let done = run_json(&daemon, &["reconcile", "approve"], 0).await;
    assert_eq!(done["deleted"], 3, "{done:#}");
    assert_eq!(daemon.database().number(gone), 3);
    run(&daemon, &["reconcile"], 0).await;
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn userids_that_other_people_have_by_now_are_held_like_deletions() {
    let sim = simulator(200, 20, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more(GUARD);
    daemon.follow(&sim).await;
    let recycle = |userids: &[String]| {
        for userid in userids {
            sim.change(&Change::PersonRecycle { userid: userid.clone(), name: None }).unwrap();
        }
    };
    let deletions = "SELECT count(*) FROM ding_change WHERE entity = 'employee' AND action = 'delete'";
    let count = |sql: &str| daemon.database().number(sql);
    let people = leavers(&sim, 60);
    // 4 % of 200 by single events, the rest of these is held.
    recycle(&people[..20]);
    sim.settled().await;
    daemon.wait("main", "held deletions", |status| status["queue"]["held"] == 12).await;
    assert_eq!((count(deletions), count(GONE)), (8, 0), "nobody is gone, so nobody is suspended");
    sim.set_callback(None);
    recycle(&people[20..]);
    let plan = run_json(&daemon, &["reconcile", "--dry-run"], 2).await;
    assert_eq!(plan["found"]["held"], 52, "{plan:#}");
    let report = run_json(&daemon, &["reconcile"], 2).await;
    assert_eq!((&report["found"]["held"], &report["held"]), (&json!(52), &json!(52)), "{report:#}");
    assert_eq!((count(deletions), count(GONE)), (8, 0));
    run_json(&daemon, &["reconcile", "approve"], 0).await;
    assert_eq!(count(deletions), 60);
    run(&daemon, &["verify"], 0).await;
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_department_with_people_anywhere_below_counts() {
    let sim = simulator(60, 8, 1).await;
    let create = |name: &str, parent_id: i64| {
        let create = Change::DepartmentCreate { name: name.to_owned(), parent_id };
        sim.change(&create).expect("a name").departments[0]
    };
    let upper = create("上级", 1);
    let lower = create("下级", upper);
    let people = leavers(&sim, 1);
    let go = |departments: Vec<i64>| {
        sim.change(&Change::PersonMove { userid: people[0].clone(), departments }).expect("a department");
    };
    go(vec![lower]);
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more("[guard]\nmax_deletions = 1\nmax_share = 0.01\n");
    daemon.follow(&sim).await;
    sim.set_callback(None);
    go(vec![1]);
    for dept_id in [lower, upper] {
        sim.change(&Change::DepartmentRemove { dept_id, evacuate: false }).unwrap();
    }
    let report = run_json(&daemon, &["reconcile"], 2).await;
    assert_eq!((&report["found"]["held"], &report["held"]), (&json!(2), &json!(2)), "{report:#}");
    daemon.stop().await;
}
