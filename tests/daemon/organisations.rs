//! Several organisations in one daemon: what ails one is nobody else's trouble.

use dingsync::sim::{Credentials, Faults, Options, Plan, Sim};
use serde_json::{Value, json};

use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator, simulator_of};

async fn second_simulator(users: usize) -> Sim {
    let credentials = Credentials {
        corp_id: "dingsec0ndcorp".to_owned(),
        app_key: "dingsec0ndapp".to_owned(),
        callback_token: "Sec0ndToken".to_owned(),
        callback_aes_key: "Sec0ndCa11backAesKeyWith43CharactersInA11Az".to_owned(),
        ..Credentials::default()
    };
    simulator_of(Options { users, departments: 30, seed: 9, credentials, ..Options::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_are_mirrored_each_with_its_own_rows() {
    let (first, second) = (simulator(300, 30, 1).await, second_simulator(200).await);
    let mut daemon = Daemon::new(&[&first, &second], UNBOUNDED);
    daemon.start().await;
    for (sim, name) in [(&first, "main"), (&second, "second")] {
        sim.set_callback(Some(daemon.callback_url(name)));
        sim.live(&Plan { count: 200, interval_ms: 5.0, ..Plan::default() });
    }
    for (sim, name) in [(&first, "main"), (&second, "second")] {
        sim.life_ended().await;
        sim.settled().await;
        daemon.agrees_with(sim, name).await;
    }
    let corps = daemon.database().number("SELECT count(*) FROM ding_corp WHERE bootstrap_state = 'complete'");
    assert_eq!(corps, 2);
    daemon.stop().await;
}

/// Troubles the second organisation, and looks whether the first one is mirrored as if nothing were wrong.
async fn first_is_mirrored_while_second_has(trouble: &Value) {
    let (first, second) = (simulator(200, 20, 1).await, second_simulator(1_000).await);
    let mut daemon = Daemon::new(&[&first, &second], UNBOUNDED);
    daemon.start().await;
    daemon.wait("main", "rest", is_at_rest).await;
    daemon.wait("second", "rest", is_at_rest).await;
    second.merge_faults(trouble).expect("a known fault");
    for (sim, name) in [(&first, "main"), (&second, "second")] {
        sim.set_callback(Some(daemon.callback_url(name)));
    }
    second.live(&Plan { count: 300, interval_ms: 2.0, ..Plan::default() });
    second.life_ended().await;
    second.settled().await;
    assert_eq!(second.counters().push.given_up, 0, "its events are taken all the same");
    let waiting = daemon.wait("second", "backlog", |status| status["queue"]["pending"] != 0).await;
    assert_eq!(waiting["queue"]["parked"], 0);
    first.live(&Plan { count: 200, interval_ms: 5.0, ..Plan::default() });
    first.life_ended().await;
    first.settled().await;
    daemon.agrees_with(&first, "main").await;
    let queue = daemon.status("second").await.expect("a status")["queue"].clone();
    assert_ne!((&queue["pending"], &queue["running"]), (&json!(0), &json!(0)), "the other one still waits");
    second.set_faults(Faults::default());
    daemon.agrees_with(&second, "second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_holds_the_other_up_in_nothing() {
    first_is_mirrored_while_second_has(&json!({ "paths": { "*": { "hang": 1.0 } } })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_broken_holds_the_other_up_in_nothing() {
    first_is_mirrored_while_second_has(&json!({ "paths": { "*": { "http": 1.0 } } })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_throttled_holds_the_other_up_in_nothing() {
    let slow = json!({ "overload": { "spell": {} } });
    first_is_mirrored_while_second_has(&slow).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_that_is_switched_off_is_left_alone() {
    let (first, second) = (simulator(60, 8, 1).await, second_simulator(60).await);
    let mut daemon = Daemon::new(&[&first, &second], UNBOUNDED);
    daemon.start().await;
    daemon.at_rest("second").await;
    daemon.stop().await;
    daemon.configure_corp("second", "enabled = false\ncalls_in_flight = 0");
    second.reset_counters();
    daemon.start().await;
    daemon.agrees_with(&first, "main").await;
    assert!(second.counters().calls.is_empty());
    assert!(daemon.status("second").await.unwrap().is_null());
    let rows = "SELECT count(*) FROM ding_employee WHERE corp_id = 'dingsec0ndcorp' AND deleted_at IS NULL";
    assert_eq!(daemon.database().number(rows), 60, "its rows stay");
}
