//! How the process starts, shows itself and stops.

use std::process::Stdio;
use std::time::Duration;

use dingsync::sim::{Change, Plan};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::callback::Caller;
use crate::support::database::Database;
use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_is_under_way_and_the_next_start_goes_on() {
    let sim = simulator(400, 40, 1).await;
    sim.merge_faults(&json!({ "paths": { "*": { "slow": 1.0, "slow_ms": [300, 900] } } })).unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.wait("main", "work", |status| status["queue"]["running"] != 0).await;
    daemon.stop().await;
    let log = daemon.log();
    assert!(log.contains("SIGTERM") && log.contains("stopped"), "{log}");
    let leased = "SELECT count(*) FROM dingsync_object WHERE lease IS NOT NULL";
    assert_eq!(daemon.database().number(leased), 0, "nothing is left half done");
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_with_a_dingtalk_that_hangs_ends_all_the_same_and_a_second_signal_at_once() {
    let sim = simulator(100, 12, 1).await;
    sim.merge_faults(&json!({ "paths": { "*": { "hang": 1.0 } } })).unwrap();
    for second in [false, true] {
        let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
        daemon.start().await;
        let caller = Caller::new(daemon.callback_url("main"), &sim.credentials());
        caller.push(r#"{"EventType":"user_modify_org","eventId":"e1","userId":["00017"]}"#).await;
        daemon.wait("main", "read", |status| status["queue"]["running"] == 1).await;
        daemon.signal("TERM");
        if second {
            daemon.says("a second signal leaves at once").await;
            daemon.signal("INT");
            assert_eq!(daemon.ended().await, Some(1), "{}", daemon.log());
        } else {
            assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_refused_and_after_a_kill_the_next_one_starts() {
    let sim = simulator(100, 12, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    let output = daemon.run(&["serve"]).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(75), "{error}");
    let holder = format!("serve, process {}", daemon.pid());
    assert!(error.contains("in use") && error.contains(&holder), "{error}");
    daemon.kill();
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_beside_a_command_takes_its_ports_at_once_and_the_database_once_that_has_ended() {
    let sim = simulator(100, 12, 1).await;
    sim.merge_faults(&json!({ "paths": { "*": { "hang": 1.0 } } })).unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let mut command = daemon.command(&["bootstrap"]);
    let mut command = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let lock = daemon.folder().join("dingsync.db.lock");
    until("the command has the database", || {
        std::fs::read_to_string(&lock).is_ok_and(|holder| holder.starts_with("bootstrap"))
    })
    .await;
    daemon.spawn(&[]);
    daemon.says("waiting for the database").await;
    assert_eq!(daemon.get("/readyz").await.unwrap().0, 503);
    assert_eq!(daemon.get("/healthz").await.unwrap().0, 200);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(http.post(daemon.callback_url("main")).send().await.unwrap().status(), 503);
    command.kill().unwrap();
    command.wait().unwrap();
    sim.merge_faults(&json!({ "paths": null })).unwrap();
    daemon.ready().await;
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_needs_no_secret_and_a_worker_takes_over_what_it_stored() {
    let sim = simulator(60, 8, 1).await;
    let mut receiver = Daemon::new(&[&sim], UNBOUNDED);
    let whole = receiver.configuration();
    receiver.configure_without("app_secret");
    receiver.spawn(&["--only", "receive"]);
    receiver.ready().await;
    sim.set_callback(Some(receiver.callback_url("main")));
    sim.change(&Change::PersonRename { userid: "00017".to_owned(), name: "新名".to_owned() }).unwrap();
    sim.settled().await;
    assert_eq!(sim.counters().push.accepted, 1);
    assert_eq!(sim.counters().calls.len(), 0, "a receiver calls nobody");
    receiver.stop().await;
    receiver.configure(&whole);
    receiver.spawn(&["--only", "work"]);
    receiver.ready().await;
    receiver.agrees_with(&sim, "main").await;
    let refused = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(refused.post(receiver.callback_url("main")).send().await.is_err(), "a worker takes no callbacks");
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_metrics_and_status_have_the_promised_form() {
    let sim = simulator(100, 12, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    sim.set_callback(Some(daemon.callback_url("main")));
    sim.live(&Plan { count: 50, interval_ms: 5.0, ..Plan::default() });
    sim.life_ended().await;
    sim.settled().await;
    daemon.at_rest("main").await;
    assert_eq!(daemon.get("/healthz").await.unwrap().0, 200);
    assert_eq!(daemon.get("/readyz").await.unwrap().0, 200);
    let (status, metrics) = daemon.get("/metrics").await.unwrap();
    assert_eq!(status, 200);
    for name in [
        "callbacks_total{corp=\"main\",result=\"accepted\"}",
        "ack_seconds_bucket{",
        "queue_pending{corp=\"main\",lane=\"live\"} 0",
        "queue_oldest_seconds{corp=\"main\",lane=\"background\"}",
        "queue_parked{corp=\"main\",reason=",
        "api_calls_total{corp=\"main\",path=\"/topapi/v2/user/get\",result=\"ok\"}",
        "api_throttled_seconds_total{corp=\"main\"}",
        "metered_calls_month{corp=\"main\"} 2",
        "metered_calls_limit{corp=\"main\"} 2500",
        "changes_total{corp=\"main\",entity=\"employee\",action=\"update\",cause=\"event\"}",
        "unannounced_changes_total{corp=\"main\",entity=\"department\"}",
        "event_to_row_seconds_count{corp=\"main\"}",
        "bootstrap_state{corp=\"main\",state=\"complete\"} 1",
        "last_reconcile_timestamp_seconds{corp=\"main\"}",
        "held_deletions{corp=\"main\"} 0",
        "dingtalk_up{corp=\"main\",state=\"ok\"} 1",
        "leader 1",
        "build_info{version=",
    ] {
        assert!(metrics.contains(&format!("dingsync_{name}")), "{name} is missing in\n{metrics}");
    }
    for name in ["姓名", "00017", &sim.credentials().app_key] {
        assert!(!metrics.contains(name));
    }
    let status = daemon.status("main").await.unwrap();
    for path in [
        "/dingtalk/state",
        "/dingtalk/since",
        "/dingtalk/last_ok_at",
        "/bootstrap/state",
        "/bootstrap/employees",
        "/bootstrap/departments",
        "/bootstrap/started_at",
        "/bootstrap/finished_at",
        "/bootstrap/error",
        "/queue/pending",
        "/queue/running",
        "/queue/parked",
        "/queue/held",
        "/queue/hidden",
        "/queue/confirming",
        "/queue/live/pending",
        "/queue/live/oldest_seconds",
        "/queue/background/pending",
        "/queue/background/oldest_seconds",
        "/inbox/received",
        "/inbox/duplicates",
        "/inbox/rejected",
        "/inbox/last_event_at",
        "/inbox/last_rejected",
        "/reconcile/last_complete_at",
        "/reconcile/running",
        "/reconcile/held",
        "/catch_up/done",
        "/catch_up/gap_since",
        "/catch_up/reasons",
        "/catch_up/last_at",
        "/catch_up/failed_list_asked_at",
        "/metered/month",
        "/metered/calls",
        "/metered/limit",
    ] {
        assert!(status.pointer(path).is_some(), "{path} is missing in {status:#}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_logs_are_json_and_name_no_secret_and_nobody() {
    let sim = simulator(200, 20, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more("[log]\nformat = \"json\"\nlevel = \"trace\"\n");
    let trouble = json!({ "busy": 0.05, "http": 0.05, "reset": 0.05 });
    sim.merge_faults(&json!({ "paths": { "*": trouble }, "token_life_ms": 500 })).unwrap();
    daemon.start().await;
    sim.set_callback(Some(daemon.callback_url("main")));
    sim.live(&Plan { count: 100, interval_ms: 5.0, ..Plan::default() });
    sim.life_ended().await;
    sim.settled().await;
    daemon.at_rest("main").await;
    daemon.stop().await;
    let log = daemon.log();
    let mut ours = 0;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).expect(line);
        let target = line["target"].as_str().unwrap();
        ours += usize::from(target.starts_with("dingsync"));
    }
    assert!(ours > 100, "{ours} lines");
    let keys = sim.credentials();
    let connection = Connection::open(daemon.database().file()).unwrap();
    let mut people = connection.prepare("SELECT name, mobile, email FROM ding_employee").unwrap();
    let personal: Vec<[Option<String>; 3]> = people
        .query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let ours: String = log.lines().filter(|line| line.contains("\"target\":\"dingsync")).collect();
    for secret in [keys.app_secret, keys.callback_token, keys.callback_aes_key, "access_token=".to_owned()] {
        assert!(!log.contains(&secret), "a secret is in the log");
    }
    for text in personal.into_iter().flatten().flatten().filter(|text| text.chars().count() > 2) {
        assert!(!ours.contains(&text), "{text} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_at_the_start_is_waited_for() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let folder = daemon.folder().join("later");
    let config = daemon.configuration();
    daemon.configure(&config.replace("/dingsync.db", "/later/dingsync.db"));
    daemon.spawn(&[]);
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    let reason = loop {
        if let Some((503, body)) = daemon.get("/readyz").await {
            break serde_json::from_str::<Value>(&body).unwrap();
        }
        assert!(std::time::Instant::now() < deadline, "{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(reason["reason"].is_string() && reason["detail"].is_string(), "{reason}");
    assert_eq!(daemon.get("/healthz").await.unwrap().0, 200);
    std::fs::create_dir(&folder).unwrap();
    daemon.ready().await;
    daemon.wait("main", "rest", is_at_rest).await;
    assert_eq!(Database::at(&folder.join("dingsync.db")).number("SELECT count(*) FROM ding_employee"), 60);
    daemon.stop().await;
}
