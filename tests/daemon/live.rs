//! An organisation that lives on while everything that can happen to answers, events and the daemon happens.

use std::time::Duration;

use dingsync::sim::{Plan, Sim};
use serde_json::json;

use crate::support::{Daemon, UNBOUNDED, resend_all, simulator};

/// A thousand changes a few milliseconds apart, half of them on the same dozen people and a few departments.
fn busy() -> Plan {
    Plan { count: 1_000, interval_ms: 4.0, focus_share: 0.5, focus_objects: 12, ..Plan::default() }
}

/// Lagging answers; events delayed, shuffled, a tenth of them doubled, in every HTTP shape.
fn make_it_hard(sim: &Sim) {
    sim.merge_push_settings(&json!({
        "shape": "mixed", "signature": "mixed", "timestamp": "mixed", "scalar_share": 0.2, "diff_info": "array",
        "content_types": ["application/json", "text/plain", ""],
    }))
    .expect("known settings");
    sim.merge_faults(&json!({
        "answer_lag_ms": [0, 2000],
        "events": { "duplicate_share": 0.1, "delay_ms": [0, 1500] },
    }))
    .expect("known settings");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_organisation_with_lagging_answers_and_shuffled_events_is_mirrored() {
    let sim = simulator(1_200, 90, 2).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
    sim.set_callback(Some(daemon.callback_url("main")));
    make_it_hard(&sim);
    sim.live(&busy());
    sim.life_ended().await;
    sim.settled().await;
    daemon.agrees_with(&sim, "main").await;
    let push = sim.counters().push;
    println!("{push:?}");
    // On a busy machine a connection may time out, and a commit take longer than a callback waits for it: then DingTalk comes
    // again.
    let is_right =
        push.given_up == 0 && push.failed.keys().all(|reason| ["status", "unreachable"].contains(reason));
    let rejected = daemon.status("main").await.unwrap()["inbox"]["rejected"].clone();
    assert!(is_right && rejected == 0, "every callback is answered rightly: {push:?}, {rejected} refused");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_every_second_loses_nothing_that_it_acknowledged() {
    let sim = simulator(1_200, 90, 5).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    sim.set_callback(Some(daemon.callback_url("main")));
    make_it_hard(&sim);
    // With event ids, so that what is stored can be counted.
    sim.merge_push_settings(&json!({ "shape": "documented", "retry_after_ms": [100, 300] })).unwrap();
    // The pull takes longer than a life of the daemon.
    sim.merge_faults(&json!({ "paths": { "*": { "slow": 1.0, "slow_ms": [20, 200] } } })).unwrap();
    sim.live(&Plan { interval_ms: 10.0, ..busy() });
    for _ in 0..12 {
        daemon.spawn(&[]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        daemon.kill();
    }
    daemon.start().await;
    sim.life_ended().await;
    let resent = resend_all(&sim).await;
    daemon.agrees_with(&sim, "main").await;
    let push = sim.counters().push;
    println!("{push:?}");
    let stored = daemon.database().number("SELECT count(*) FROM dingsync_inbox");
    let different = push.events - push.duplicated - resent;
    assert_eq!(stored, i64::try_from(different).unwrap(), "every event is stored once: {push:?}");
    daemon.stop().await;
}
