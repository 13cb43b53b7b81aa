//! Calls that DingTalk counts by the month.

use serde_json::json;

use super::{FAILED_LIST, assert_agrees, calls, caught_up, now, rename};
use crate::support::{Daemon, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_that_is_used_up_is_kept_and_said_and_the_mirror_goes_on() {
    let sim = simulator(80, 10, 9).await;
    let mut daemon = Daemon::new(&[&sim], "requests_per_second = 0\nmetered_calls_per_month = 2");
    daemon.follow(&sim).await;
    daemon.wait("main", "two calls", |status| status["metered"]["calls"] == 2).await;
    daemon.stop().await;
    rename(&sim, "00017", "新名");
    let since = now();
    daemon.start().await;
    let status = caught_up(&daemon, &since).await;
    assert_agrees(&daemon, &sim);
    daemon.says("metered_calls_per_month is used up").await;
    assert_eq!(status["metered"]["calls"], json!(2));
    assert_eq!(status["metered"]["limit"], json!(2));
    assert_eq!(status["dingtalk"]["state"], "ok", "{status:#}");
    assert_eq!(calls(&sim, FAILED_LIST) + calls(&sim, "/auth/scopes"), 2, "no further call was made");
    let (_, metrics) = daemon.get("/metrics").await.unwrap();
    for name in ["metered_calls_month{corp=\"main\"} 2", "metered_calls_limit{corp=\"main\"} 2"] {
        assert!(metrics.contains(&format!("dingsync_{name}")), "{name} is missing in\n{metrics}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_over_starts_and_commands() {
    let sim = simulator(60, 8, 9).await;
    let mut daemon = Daemon::new(&[&sim], "requests_per_second = 0");
    daemon.follow(&sim).await;
    daemon.wait("main", "two calls", |status| status["metered"]["calls"] == 2).await;
    assert!(daemon.run(&["subscription"]).await.status.success());
    assert!(daemon.run(&["reconcile", "--quick"]).await.status.success());
    let made =
        calls(&sim, FAILED_LIST) + calls(&sim, "/auth/scopes") + calls(&sim, "/call_back/get_call_back");
    assert_eq!(made, 4);
    daemon.wait("main", "four calls", |status| status["metered"]["calls"] == 4).await;
    daemon.stop().await;
}
