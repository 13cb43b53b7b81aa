//! Trouble with DingTalk: throttled, busy, broken, away, and permissions that come and go.

use std::fs;
use std::time::Instant;

use dingsync::sim::{Change, Field, Plan, Sim, Subject};
use serde_json::{Value, json};

use crate::support::callback::Caller;
use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator};

fn userids(sim: &Sim, count: usize) -> Vec<String> {
    let ids = sim.truth(Subject::Users).filter_map(|person| person["userid"].as_str().map(str::to_owned));
    ids.take(count).collect()
}

fn edit(sim: &Sim, userid: &str, field: Field, value: &str) {
    let change = Change::PersonEdit { userid: userid.to_owned(), field, value: value.to_owned() };
    sim.change(&change).expect("a possible change");
}

fn state(status: &Value) -> &str {
    status["dingtalk"]["state"].as_str().expect("a state")
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_arrives_through_throttling_errors_dying_tokens_and_a_minute_without_dingtalk() {
    let sim = simulator(1_200, 90, 3).await;
    sim.set_rate(40);
    sim.merge_push_settings(&json!({ "retry_after_ms": [100, 300] })).unwrap();
    let trouble = json!({ "busy": 0.05, "http": 0.03, "reset": 0.02 });
    sim.merge_faults(&json!({ "paths": { "*": trouble }, "token_life_ms": 2000 })).unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    sim.set_callback(Some(daemon.callback_url("main")));
    sim.live(&Plan { count: 200, interval_ms: 100.0, ..Plan::default() });
    daemon.wait("main", "a part of the people", |status| status["bootstrap"]["employees"] != 0).await;
    sim.merge_faults(&json!({ "away": { "for_ms": 60_000 } })).unwrap();
    daemon.wait("main", "trouble", |status| state(status) == "unreachable").await;
    sim.life_ended().await;
    sim.settled().await;
    let rest = |status: &Value| {
        assert_eq!(status["queue"]["parked"], 0, "nobody is parked for DingTalk's trouble");
        is_at_rest(status) && status["queue"]["confirming"] == 0
    };
    daemon.wait("main", "rest", rest).await;
    daemon.agrees_with(&sim, "main").await;
    let counters = sim.counters();
    for (path, count) in &counters.calls {
        println!(
            "{path}: {} calls, at most {} in a second, {:?}",
            count.total, count.most_in_a_second, count.results
        );
    }
    println!("{} tokens", counters.tokens_issued);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_address_pauses_everything_and_is_told() {
    for form in ["html", "json"] {
        let sim = simulator(200, 20, 1).await;
        sim.merge_faults(&json!({ "ban": { "form": form, "spell": { "for_ms": 3_000 } } })).unwrap();
        let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
        daemon.start().await;
        daemon.wait("main", "ban", |status| state(status) == "banned").await;
        let during: u64 = sim.counters().calls.values().map(|count| count.total).sum();
        assert!(during <= 40, "{during} calls to a DingTalk that refuses all of them");
        daemon.agrees_with(&sim, "main").await;
        assert_eq!(state(&daemon.status("main").await.unwrap()), "ok");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_wide_throttle_is_waited_out() {
    let sim = simulator(200, 20, 1).await;
    sim.merge_faults(&json!({ "overload": { "spell": { "for_ms": 4_000 } } })).unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.wait("main", "throttle", |status| state(status) == "throttled").await;
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_keeps_under_its_own_rate() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], "requests_per_second = 10");
    let begun = Instant::now();
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
    // Over all the time: what a busy machine holds up arrives together.
    let most = 10 * (begun.elapsed().as_secs() + 1);
    for (path, count) in sim.counters().calls.iter().filter(|(path, _)| path.starts_with("/topapi")) {
        assert!(count.total <= most, "{path}: {} calls, at most {most} in this time", count.total);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_tokens_are_renewed_by_one_caller_at_a_time() {
    let sim = simulator(400, 40, 1).await;
    sim.merge_faults(&json!({ "token_life_ms": 300 })).unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
    let counters = sim.counters();
    let fetched: u64 = ["/v1.0/oauth2/accessToken", "/gettoken"]
        .iter()
        .filter_map(|path| counters.calls.get(*path))
        .map(|count| count.total)
        .sum();
    // A caller may find the token of another one dead already, but a crowd never fetches one each.
    assert!(
        fetched <= counters.tokens_issued * 2 + 2,
        "{fetched} fetches for {} tokens",
        counters.tokens_issued
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_point_that_is_taken_away_parks_nobody_and_its_return_is_noticed() {
    let sim = simulator(200, 20, 1).await;
    let key = sim.credentials().app_key;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    let all = sim.app_settings(&key).unwrap().permissions;
    let fewer: Vec<&String> = all.iter().filter(|point| *point != "qyapi_get_member").collect();
    sim.merge_app_settings(&key, &json!({ "permissions": fewer })).unwrap();
    for userid in userids(&sim, 10) {
        edit(&sim, &userid, Field::Title, "顾问");
    }
    let status = daemon.wait("main", "permission", |status| state(status) == "permission").await;
    assert_eq!(status["queue"]["parked"], 0);
    sim.settled().await;
    sim.merge_app_settings(&key, &json!({ "permissions": all })).unwrap();
    daemon.agrees_with(&sim, "main").await;
    assert!(daemon.log().contains("qyapi_get_member"), "the operator is told which: {}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_not_shown_any_more_keep_their_values() {
    let sim = simulator(200, 20, 1).await;
    let key = sim.credentials().app_key;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    let filled = "SELECT count(*) FROM ding_employee WHERE mobile IS NOT NULL";
    let before = daemon.database().number(filled);
    sim.merge_app_settings(&key, &json!({ "mobile_field": false, "personal_fields": false })).unwrap();
    for userid in userids(&sim, 20) {
        edit(&sim, &userid, Field::Title, "顾问");
    }
    sim.settled().await;
    let status = daemon.wait("main", "rest", is_at_rest).await;
    assert_eq!(daemon.database().number(filled), before);
    let lost = &status["dingtalk"]["lost_permissions"];
    assert_eq!(*lost, json!(["mobile", "personal_information"]));
    let titled = "SELECT count(*) FROM ding_employee WHERE title = '顾问'";
    assert!(daemon.database().number(titled) >= 20, "everything else is mirrored");
    // One person's mobile is really cleared, and the permission is back.
    sim.merge_app_settings(&key, &json!({ "mobile_field": true, "personal_fields": true })).unwrap();
    daemon.at_rest("main").await;
    sim.change(&Change::PersonClear { userid: "00017".to_owned(), field: Field::Telephone }).unwrap();
    sim.settled().await;
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_scope_hides_and_deletes_nobody() {
    let sim = simulator(300, 30, 1).await;
    let key = sim.credentials().app_key;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
    let everybody = "SELECT count(*) FROM ding_employee WHERE deleted_at IS NULL";
    let places = "SELECT count(*) FROM ding_employee_department";
    let before = (daemon.database().number(everybody), daemon.database().number(places));
    let small =
        sim.truth(Subject::Departments).last().and_then(|department| department["dept_id"].as_i64()).unwrap();
    sim.merge_app_settings(&key, &json!({ "scope": { "departments": [small] } })).unwrap();
    let output = daemon.run(&["reconcile", "--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    daemon.at_rest("main").await;
    let after = (daemon.database().number(everybody), daemon.database().number(places));
    assert_eq!(after, before, "nobody is gone, and nobody has left a department");
    let status = daemon.status("main").await.unwrap();
    assert!(status["queue"]["hidden"].as_i64().unwrap() > 100, "{status}");
    sim.merge_app_settings(&key, &json!({ "scope": { "departments": [1] } })).unwrap();
    let output = daemon.run(&["reconcile"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    daemon.agrees_with(&sim, "main").await;
    assert_eq!(daemon.status("main").await.unwrap()["queue"]["hidden"], 0, "everybody is in sight again");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_dingtalk_away_from_the_start_callbacks_are_taken_and_everything_comes_later() {
    let sim = simulator(200, 20, 1).await;
    sim.merge_faults(&json!({ "away": {} })).unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    let caller = Caller::new(daemon.callback_url("main"), &sim.credentials());
    caller.push(r#"{"EventType":"user_modify_org","eventId":"early","userId":["00017","00018"]}"#).await;
    let status = daemon.wait("main", "trouble", |status| state(status) == "unreachable").await;
    assert_eq!(status["bootstrap"]["state"], "pending");
    let queue = &status["queue"];
    let open = queue["pending"].as_i64().unwrap() + queue["running"].as_i64().unwrap();
    assert_eq!(open, 2, "{queue}");
    sim.merge_faults(&json!({ "away": null })).unwrap();
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_told_and_a_corrected_secret_is_enough() {
    let sim = simulator(200, 20, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let secret = daemon.folder().join("secret");
    fs::write(&secret, "wrong").unwrap();
    daemon.configure_without("app_secret");
    daemon.configure_corp("main", &format!("app_secret_file = {secret:?}"));
    daemon.start().await;
    daemon.wait("main", "refusal", |status| state(status) == "credentials").await;
    let caller = Caller::new(daemon.callback_url("main"), &sim.credentials());
    caller.push(r#"{"EventType":"user_modify_org","eventId":"early","userId":["00017"]}"#).await;
    fs::write(&secret, sim.credentials().app_secret).unwrap();
    daemon.agrees_with(&sim, "main").await;
    let log = daemon.log();
    assert!(log.contains("app_secret") && !log.contains(&sim.credentials().app_secret), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_deletions_than_the_guard_admits_are_held() {
    let sim = simulator(200, 20, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more("[guard]\nmax_deletions = 5\nmax_share = 0.04\nwindow = \"1h\"\n");
    daemon.follow(&sim).await;
    let leavers: Vec<String> = sim
        .truth(Subject::Users)
        .filter(|person| person["admin"] == 0 && person["boss"] == false)
        .filter_map(|person| person["userid"].as_str().map(str::to_owned))
        .take(30)
        .collect();
    sim.change(&Change::PeopleLeave { userids: leavers }).unwrap();
    sim.settled().await;
    let status = daemon
        .wait("main", "held deletions", |status| {
            status["queue"]["pending"] == 0 && status["queue"]["running"] == 0 && status["queue"]["held"] != 0
        })
        .await;
    // 4 % of the 200 of the window's begin.
    assert_eq!(status["queue"]["held"], 22, "{status}");
    let count = |condition: &str| {
        daemon.database().number(&format!("SELECT count(*) FROM ding_employee WHERE {condition}"))
    };
    assert_eq!(count("deleted_at IS NOT NULL"), 8);
    assert_eq!(count("deleted_at IS NULL AND gone_at IS NOT NULL"), 22, "gone_at is set at once");
    let (_, metrics) = daemon.get("/metrics").await.unwrap();
    assert!(metrics.contains("dingsync_held_deletions{corp=\"main\"} 22"), "{metrics}");

    // Held stays held, however often it is read, until somebody says otherwise.
    let output = daemon.run(&["reconcile"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("22 deletions are held"), "{output:?}");
    daemon.stop().await;
    let count = |condition: &str| {
        daemon.database().number(&format!("SELECT count(*) FROM ding_employee WHERE {condition}"))
    };
    assert_eq!(count("deleted_at IS NOT NULL"), 8);
    let mut allowed = daemon.command(&["reconcile"]);
    allowed.env("DINGSYNC_GUARD__MAX_DELETIONS", "0");
    let output = tokio::task::spawn_blocking(move || allowed.output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(count("deleted_at IS NOT NULL"), 30);
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
}
