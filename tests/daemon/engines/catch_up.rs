//! Of several daemons one catches up, for all.

use serde_json::json;

use super::engines;
use crate::catch_up::{FAILED_LIST, calls};
use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator, until};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_daemons_one_asks_and_the_one_that_takes_over_has_missed_nothing() {
    for engine in engines() {
        let sim = simulator(80, 10, 3).await;
        let mut first = Daemon::on(engine, &[&sim], UNBOUNDED);
        let mut second = first.beside(&[&sim], UNBOUNDED);
        first.start().await;
        first.at_rest("main").await;
        second.start().await;
        first.wait("main", "call", |status| status["catch_up"]["failed_list_asked_at"].is_string()).await;
        let heard = || first.database().number("SELECT min(heard_at) FROM dingsync_replica");
        let before = heard();
        until("each has heard of the other again", || heard() > before + 3_000).await;
        first.stop().await;
        second.says("this process leads").await;
        let status = second.wait("main", "rest", is_at_rest).await;
        assert_eq!(calls(&sim, FAILED_LIST), 1, "one of them asks, and not again because another one leads");
        assert_eq!(status["catch_up"]["gap_since"], json!(null), "{status:#}");
        assert_eq!(status["metered"]["calls"], json!(2));
        second.stop().await;
    }
}
