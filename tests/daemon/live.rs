//! Changes that come as callbacks.

use dingsync::sim::Plan;
use serde_json::json;

use crate::support::{Daemon, UNBOUNDED, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_organisation_with_lagging_answers_and_shuffled_events_is_mirrored() {
    let seed = std::env::var("SEED").map_or(2, |s| s.parse().unwrap());
    let sim = simulator(1_200, 90, seed).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
    sim.set_callback(Some(daemon.callback_url("main")));
    sim.merge_push_settings(
        &json!({ "shape": "mixed", "signature": "mixed", "timestamp": "mixed", "scalar_share": 0.2 }),
    )
    .unwrap();
    sim.merge_faults(&json!({
        "answer_lag_ms": [0, 2000],
        "events": { "duplicate_share": 0.1, "delay_ms": [0, 1500] },
    }))
    .unwrap();
    sim.live(&Plan {
        count: 1_000,
        interval_ms: 4.0,
        focus_share: 0.5,
        focus_objects: 12,
        ..Plan::default()
    });
    sim.life_ended().await;
    sim.settled().await;
    daemon.agrees_with(&sim, "main").await;
    let push = sim.counters().push;
    assert_eq!(push.given_up, 0, "{push:?}");
    println!("{push:?}");
    daemon.stop().await;
}
