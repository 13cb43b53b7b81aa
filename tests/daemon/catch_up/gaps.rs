//! What the daemon knows to have missed while it ran.

use dingsync::sim::Change;
use rusqlite::Connection;

use super::{
    assert_agrees, caught_up, compared_minutes_ago, comparisons, lose_events, missed_for, now, rename,
};
use crate::support::callback::Caller;
use crate::support::{Daemon, UNBOUNDED, simulator};

const OTHER_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const MESSAGE: &str = r#"{"EventType":"user_modify_org","eventId":"e1","userId":["00018"]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_cannot_be_decrypted_leads_to_a_comparison_once_an_hour() {
    let sim = simulator(100, 12, 7).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    lose_events(&sim, 1.0);
    // A change that pages show, and one that only details do.
    rename(&sim, "00017", "新名");
    let manager = Change::PersonManager { userid: "00020".to_owned(), manager: Some("00021".to_owned()) };
    sim.change(&manager).unwrap();
    let token = sim.credentials().callback_token;
    let unreadable =
        Caller::new(daemon.callback_url("main"), &sim.credentials()).with_keys(&token, OTHER_KEY);
    let since = now();
    assert_eq!(unreadable.send(&unreadable.message(MESSAGE)).await.0, 400);
    caught_up(&daemon, &since).await;
    assert_agrees(&daemon, &sim);
    assert_eq!(comparisons(&daemon), 1);
    let (_, metrics) = daemon.get("/metrics").await.unwrap();
    let unannounced = "dingsync_unannounced_changes_total{corp=\"main\",entity=\"employee\"}";
    assert!(metrics.contains(&format!("{unannounced} 2\n")), "each difference counts once:\n{metrics}");
    // Whoever sends more of them causes no more.
    for _ in 0..20 {
        assert_eq!(unreadable.send(&unreadable.message(MESSAGE)).await.0, 400);
    }
    missed_for(&daemon, "undecryptable").await;
    daemon.at_rest("main").await;
    assert_eq!(comparisons(&daemon), 1, "not within the hour");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_s_calls_are_no_gap() {
    let sim = simulator(60, 8, 7).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    let stranger =
        Caller::new(daemon.callback_url("main"), &sim.credentials()).with_keys("another", OTHER_KEY);
    assert_eq!(stranger.send(&stranger.message(MESSAGE)).await.0, 403);
    // A later gap is noted; the stranger's would stand beside it.
    let token = sim.credentials().callback_token;
    compared_minutes_ago(&daemon, 0);
    let unreadable =
        Caller::new(daemon.callback_url("main"), &sim.credentials()).with_keys(&token, OTHER_KEY);
    assert_eq!(unreadable.send(&unreadable.message(MESSAGE)).await.0, 400);
    missed_for(&daemon, "undecryptable").await;
    let status = daemon.status("main").await.unwrap();
    assert_eq!(status["catch_up"]["reasons"], serde_json::json!(["undecryptable"]), "{status:#}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_got_503_is_noted_once_the_database_is_back() {
    let sim = simulator(60, 8, 7).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    if !daemon.database().url().starts_with("sqlite") {
        return;
    }
    daemon.follow(&sim).await;
    lose_events(&sim, 1.0);
    rename(&sim, "00017", "新名");
    let caller = Caller::new(daemon.callback_url("main"), &sim.credentials());
    let since = now();
    let blocker = Connection::open(daemon.database().file()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(caller.send(&caller.message(MESSAGE)).await.0, 503);
    blocker.execute_batch("ROLLBACK").unwrap();
    caught_up(&daemon, &since).await;
    daemon.says("reasons=\"refused\"").await;
    assert_agrees(&daemon, &sim);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_under_the_previous_keys_tells_that_a_key_was_changed() {
    let sim = simulator(60, 8, 7).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let previous = "callback_token_previous = \"previous\"";
    daemon.configure_corp("main", &format!("{previous}\ncallback_aes_key_previous = \"{OTHER_KEY}\""));
    daemon.follow(&sim).await;
    let before =
        Caller::new(daemon.callback_url("main"), &sim.credentials()).with_keys("previous", OTHER_KEY);
    let since = now();
    before.push(MESSAGE).await;
    caught_up(&daemon, &since).await;
    daemon.says("reasons=\"key_changed\"").await;
    assert_agrees(&daemon, &sim);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_a_file_that_changes_is_a_gap() {
    let sim = simulator(60, 8, 7).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let keys = sim.credentials();
    std::fs::write(daemon.folder().join("token"), &keys.callback_token).unwrap();
    daemon.configure_without("callback_token");
    daemon.configure_corp("main", "callback_token_file = \"token\"");
    daemon.follow(&sim).await;
    let since = now();
    sim.set_callback_keys("another1", &keys.callback_aes_key).unwrap();
    std::fs::write(daemon.folder().join("token"), "another1").unwrap();
    caught_up(&daemon, &since).await;
    daemon.says("reasons=\"key_changed\"").await;
    rename(&sim, "00017", "新名");
    sim.settled().await;
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
}
