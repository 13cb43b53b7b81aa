//! The list of events that could not be delivered.

use dingsync::sim::Change;
use serde_json::json;

use super::{
    FAILED_LIST, assert_agrees, calls, caught_up, compared_minutes_ago, comparisons, let_list_be_due,
    list_at_once, missed_for, now, push_in_vain, rename,
};
use crate::support::{Daemon, UNBOUNDED, is_at_rest, mirror, simulator, until};

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_name_nobody_make_everything_of_their_kind_be_read() {
    let sim = simulator(120, 14, 5).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    // What follows is not a comparison's doing.
    compared_minutes_ago(&daemon, 0);
    list_at_once(&sim, "nameless");
    push_in_vain(&sim);
    rename(&sim, "00017", "新名");
    sim.change(&Change::PersonJoin { userid: None, name: None, departments: vec![1] }).unwrap();
    sim.change(&Change::DepartmentCreate { name: "新部门".to_owned(), parent_id: 1 }).unwrap();
    sim.settled().await;
    let_list_be_due(&daemon);
    missed_for(&daemon, "failed_events").await;
    daemon.says("everything of their kind is read").await;
    until("the mirror agrees", || mirror::differences(daemon.database(), &sim).is_empty()).await;
    assert_eq!(comparisons(&daemon), 0, "no comparison was made within the hour");
    // An hour later there is one.
    let since = now();
    compared_minutes_ago(&daemon, 61);
    caught_up(&daemon, &since).await;
    assert_eq!(comparisons(&daemon), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_answer_is_lost_is_a_gap_and_is_not_repeated() {
    let sim = simulator(80, 10, 5).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    daemon.wait("main", "call", |status| status["catch_up"]["failed_list_asked_at"].is_string()).await;
    compared_minutes_ago(&daemon, 0);
    let before = calls(&sim, FAILED_LIST);
    sim.merge_faults(&json!({ "paths": { FAILED_LIST: { "reset": 1.0 } } })).unwrap();
    let_list_be_due(&daemon);
    missed_for(&daemon, "lost_answer").await;
    assert_eq!(calls(&sim, FAILED_LIST), before + 1, "another call would clear more");
    let begun = "SELECT count(*) FROM dingsync_catch_up WHERE begun_at IS NOT NULL";
    assert_eq!(daemon.database().number(begun), 0);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_a_call_and_its_answer_is_noticed_by_the_next_start() {
    let sim = simulator(80, 10, 5).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    daemon.wait("main", "call", |status| status["catch_up"]["failed_list_asked_at"].is_string()).await;
    sim.merge_faults(&json!({ "paths": { FAILED_LIST: { "hang": 1.0 } } })).unwrap();
    let_list_be_due(&daemon);
    let begun = "SELECT count(*) FROM dingsync_catch_up WHERE begun_at IS NOT NULL";
    until("a call is noted before it is made", || daemon.database().number(begun) == 1).await;
    daemon.kill();
    // It took away what it showed.
    sim.merge_faults(&json!({ "paths": null, "events": { "loss_share": 1.0 } })).unwrap();
    rename(&sim, "00017", "新名");
    let since = now();
    daemon.start().await;
    daemon.says("an answer of the list of failed events was lost").await;
    caught_up(&daemon, &since).await;
    assert_agrees(&daemon, &sim);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_and_leavers_that_are_refused_are_left_out_and_nothing_else() {
    let sim = simulator(80, 10, 5).await;
    let leavers = "/v1.0/contact/empLeaveRecords";
    sim.merge_faults(&json!({ "unknown_methods": [FAILED_LIST] })).unwrap();
    let permissions = sim.app_settings(&sim.credentials().app_key).unwrap().permissions;
    let fewer: Vec<&String> = permissions.iter().filter(|point| *point != "Contact.Common.Read").collect();
    sim.merge_app_settings(&sim.credentials().app_key, &json!({ "permissions": fewer })).unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    daemon.says("events that failed cannot be asked for").await;
    rename(&sim, "00018", "有事件");
    sim.settled().await;
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
    rename(&sim, "00017", "新名");
    let since = now();
    daemon.start().await;
    let status = caught_up(&daemon, &since).await;
    assert_agrees(&daemon, &sim);
    assert_eq!(status["dingtalk"]["state"], "ok", "{status:#}");
    assert!(calls(&sim, leavers) > 0 && is_at_rest(&status));
    assert_eq!(status["metered"]["calls"], json!(2), "what DingTalk did not carry out does not count");
    daemon.stop().await;
}
