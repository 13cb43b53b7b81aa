//! Of several daemons one catches up, for all.

use serde_json::json;

use super::engines;
use crate::catch_up::{FAILED_LIST, assert_agrees, calls, caught_up, lose_events, now, rename};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_away_while_others_worked_is_a_gap() {
    for engine in engines() {
        let sim = simulator(80, 10, 3).await;
        let mut worker = Daemon::on(engine, &[&sim], UNBOUNDED);
        let mut receiver = worker.beside(&[&sim], UNBOUNDED);
        worker.spawn(&["--only", "work"]);
        worker.ready().await;
        worker.at_rest("main").await;
        receiver.spawn(&["--only", "receive"]);
        receiver.ready().await;
        let shown = || worker.database().number("SELECT count(received_at) FROM dingsync_catch_up");
        until("the receiver shows that it takes callbacks", || shown() == 1).await;
        receiver.stop().await;
        lose_events(&sim, 1.0);
        rename(&sim, "00017", "新名");
        // As if that had taken longer than DingTalk repeats its pushes.
        worker.database().script("UPDATE dingsync_catch_up SET received_at = received_at - 120000");
        let since = now();
        receiver.spawn(&["--only", "receive"]);
        receiver.ready().await;
        caught_up(&worker, &since).await;
        worker.says("reasons=\"down\"").await;
        assert_agrees(&worker, &sim);
        receiver.stop().await;
        worker.stop().await;
    }
}
