//! The pull of a whole organisation.

use std::time::{Duration, Instant};

use dingsync::clock::{Clock as _, SystemClock};
use dingsync::sim::{Plan, Sim, Subject};
use serde_json::json;

use crate::support::{Daemon, PATIENCE, UNBOUNDED, mirror, simulator};

fn calls(sim: &Sim, path: &str) -> u64 {
    sim.counters().calls.get(path).map_or(0, |count| count.total)
}

/// How many calls of an API path were answered as they should be.
fn answered(metrics: &str, path: &str) -> u64 {
    let counter = format!("dingsync_api_calls_total{{corp=\"main\",path=\"{path}\",result=\"ok\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&counter));
    count.expect("a counter").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_there_after_the_first_start() {
    let sim = simulator(1_200, 90, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
    let status = daemon.status("main").await.unwrap();
    let bootstrap = &status["bootstrap"];
    assert_eq!((&bootstrap["employees"], &bootstrap["departments"]), (&json!(1_200), &json!(90)));
    assert!(bootstrap["started_at"].is_string() && bootstrap["finished_at"].is_string(), "{bootstrap}");
    // The least that is possible (`contacts-api.md §10`, A3), and the lists that take one answer for large departments;
    // of calls that were answered, since one that is not answered in time is made again. A server may refuse a commit to
    // let another one pass: what that was to store is read again.
    let (_, metrics) = daemon.get("/metrics").await.unwrap();
    for (path, least) in [("department/listsub", 90), ("department/get", 90), ("user/get", 1_200)] {
        let most = if daemon.database().is_server() { least + least / 50 } else { least };
        let answered = answered(&metrics, &format!("/topapi/v2/{path}"));
        assert!((least..=most).contains(&answered), "{path}: {answered}\n{metrics}\n{}", daemon.log());
    }
    assert_eq!(calls(&sim, "/auth/scopes"), 1, "a metered call");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_pulls_nothing_and_writes_nothing() {
    let sim = simulator(200, 20, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
    let changes = "SELECT count(*) FROM ding_change";
    let before = daemon.database().number(changes);
    daemon.start().await;
    daemon.wait("main", "comparison", |status| status["reconcile"]["last_complete_at"].is_string()).await;
    daemon.agrees_with(&sim, "main").await;
    assert_eq!(daemon.database().number(changes), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_the_daemon_was_away_is_found_at_its_next_start() {
    let sim = simulator(300, 30, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    // In the middle of the pull: what has been stored by then is compared as well.
    daemon.wait("main", "people", |status| status["bootstrap"]["employees"] != 0).await;
    daemon.kill();
    sim.live(&Plan { count: 40, interval_ms: 1.0, ..Plan::default() });
    sim.life_ended().await;
    daemon.start().await;
    daemon.wait("main", "comparison", |status| status["reconcile"]["last_complete_at"].is_string()).await;
    daemon.agrees_with(&sim, "main").await;
    daemon.kill();
    sim.live(&Plan { count: 40, interval_ms: 1.0, ..Plan::default() });
    sim.life_ended().await;
    let started = SystemClock.now().to_string();
    daemon.start().await;
    daemon
        .wait("main", "comparison", |status| {
            status["reconcile"]["last_complete_at"].as_str().is_some_and(|at| at > started.as_str())
        })
        .await;
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_killed_again_and_again_goes_on_where_it_was() {
    let sim = simulator(600, 60, 4).await;
    sim.merge_faults(&json!({ "paths": { "*": { "slow": 1.0, "slow_ms": [150, 400] } } })).unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    for life in 1..=6 {
        daemon.spawn(&[]);
        let deadline = Instant::now() + PATIENCE;
        while calls(&sim, "/topapi/v2/user/list") < 6 * life {
            assert!(Instant::now() < deadline, "life {life} does nothing: {}", daemon.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        daemon.kill();
    }
    let scopes = calls(&sim, "/auth/scopes");
    assert_eq!(scopes, 1, "the metered call is not repeated");
    let walked = "SELECT count(*) FROM dingsync_object WHERE kind = 'walk' AND done > 0";
    let walked = u64::try_from(daemon.database().number(walked)).unwrap();
    assert!(walked > 0, "six lives have stored nothing");
    sim.reset_counters();
    daemon.start().await;
    daemon.wait("main", "pull", |status| status["bootstrap"]["state"] == "complete").await;
    if walked < 60 {
        let listed = calls(&sim, "/topapi/v2/department/listsub");
        assert!(listed <= 60 - walked, "{listed} calls: what an earlier life had stored is read again");
    }
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_begin_before_the_pull_has_ended_are_there_at_its_end() {
    let seeds = 1..=10;
    let all = seeds.map(|seed| async move {
        let sim = simulator(300, 40, seed).await;
        sim.merge_faults(&json!({ "paths": { "*": { "slow": 1.0, "slow_ms": [0, 150] } } })).unwrap();
        sim.merge_push_settings(&json!({ "retry_after_ms": [100, 300] })).unwrap();
        let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
        sim.set_callback(Some(daemon.callback_url("main")));
        sim.live(&Plan { count: 300, interval_ms: 10.0, focus_share: 0.3, ..Plan::default() });
        daemon.start().await;
        sim.life_ended().await;
        sim.settled().await;
        while sim.resend() > 0 {
            sim.settled().await;
        }
        daemon.agrees_with(&sim, "main").await;
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_organisation_and_single_people_are_pulled_as_far_as_they_are_visible() {
    let sim = simulator(400, 40, 6).await;
    let key = sim.credentials().app_key;
    let departments: Vec<_> = sim.truth(Subject::Departments).collect();
    let visible = departments
        .iter()
        .find(|one| {
            one["parent_id"] == 1 && departments.iter().any(|child| child["parent_id"] == one["dept_id"])
        })
        .and_then(|one| one["dept_id"].as_i64())
        .expect("a department with children below the root");
    let stranger = sim
        .truth(Subject::Users)
        .find(|person| {
            let places = person["departments"].as_array().unwrap();
            places.len() == 1 && places[0]["dept_id"] == 1
        })
        .and_then(|person| person["userid"].as_str().map(str::to_owned))
        .expect("somebody who is in the root alone");
    sim.merge_app_settings(&key, &json!({ "scope": { "departments": [visible], "people": [stranger] } }))
        .unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.at_rest("main").await;
    let mut below = vec![visible];
    let mut at = 0;
    while at < below.len() {
        let parent = below[at];
        let children = departments.iter().filter(|one| one["parent_id"] == parent);
        below.extend(children.filter_map(|one| one["dept_id"].as_i64()));
        at += 1;
    }
    let expected = sim
        .truth(Subject::Users)
        .filter(|person| {
            let places = person["departments"].as_array().unwrap();
            person["userid"] == stranger.as_str()
                || places.iter().any(|place| below.contains(&place["dept_id"].as_i64().unwrap()))
        })
        .count();
    let count = |sql: &str| daemon.database().number(sql);
    assert_eq!(count("SELECT count(*) FROM ding_employee WHERE deleted_at IS NULL"), expected as i64);
    assert_eq!(count("SELECT count(*) FROM ding_department WHERE deleted_at IS NULL"), below.len() as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_read_is_told_and_the_pull_completes_once_it_can() {
    let sim = simulator(400, 20, 7).await;
    let large = sim
        .truth(Subject::Departments)
        .filter_map(|department| department["dept_id"].as_i64())
        .max_by_key(|id| {
            sim.truth(Subject::Users)
                .filter(|person| {
                    person["departments"].as_array().unwrap().iter().any(|place| place["dept_id"] == *id)
                })
                .count()
        })
        .unwrap();
    sim.merge_faults(&json!({ "failing_pages": [{ "dept_id": large, "page": 1, "errcode": 400_002 }] }))
        .unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    let status = daemon.wait("main", "failure", |status| status["bootstrap"]["state"] == "failed").await;
    assert!(status["bootstrap"]["error"].is_string(), "{status}");
    assert_eq!(status["queue"]["parked"], 1);
    sim.merge_faults(&json!({ "failing_pages": [] })).unwrap();
    let output = daemon.run(&["sync", "department", &large.to_string()]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    daemon.wait("main", "pull", |status| status["bootstrap"]["state"] == "complete").await;
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_the_server_does_not_know_turn_off_what_needs_them_and_nothing_else() {
    let sim = simulator(200, 20, 8).await;
    let unknown = [
        "/auth/scopes",
        "/topapi/user/listid",
        "/topapi/user/count",
        "/topapi/role/list",
        "/topapi/role/simplelist",
        "/topapi/role/getrole",
        "/topapi/role/getrolegroup",
    ];
    sim.merge_faults(&json!({ "unknown_methods": unknown })).unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.wait("main", "rest", crate::support::is_at_rest).await;
    let people = daemon.database().number("SELECT count(*) FROM ding_employee");
    assert_eq!(people, 200);
    let differences: Vec<String> = mirror::differences(daemon.database(), &sim)
        .into_iter()
        .filter(|text| !text.starts_with("role"))
        .collect();
    assert_eq!(differences, Vec::<String>::new());
    let verify = daemon.run(&["verify"]).await;
    assert_eq!(verify.status.code(), Some(1), "what could not be read is no agreement");
    sim.merge_faults(&json!({ "unknown_methods": [] })).unwrap();
    daemon.agrees_with(&sim, "main").await;
}
