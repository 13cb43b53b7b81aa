//! What no event has told is found without a hand.

mod absence;
mod failed_list;
mod gaps;
mod metered;
mod subscription;

use dingsync::clock::{Clock as _, SystemClock};
use dingsync::sim::{Change, Sim};
use serde_json::{Value, json};

use crate::support::{Daemon, is_at_rest, mirror};

pub(crate) const FAILED_LIST: &str = "/call_back/get_call_back_failed_result";

/// Events that cannot be delivered are listed at once.
fn list_at_once(sim: &Sim, shape: &str) {
    let settings = json!({ "retry_after_ms": [], "failed_list_delay_ms": 0, "failed_shape": shape });
    sim.merge_push_settings(&settings).expect("known settings");
}

/// No event arrives, nor is it listed.
fn lose_events(sim: &Sim, share: f64) {
    sim.merge_faults(&json!({ "events": { "loss_share": share } })).expect("known faults");
}

/// Events go where nobody listens.
fn push_in_vain(sim: &Sim) {
    sim.set_callback(Some("http://127.0.0.1:9/nobody".parse().expect("a URL")));
}

fn rename(sim: &Sim, userid: &str, name: &str) {
    sim.change(&Change::PersonRename { userid: userid.to_owned(), name: name.to_owned() }).expect("a person");
}

/// The time as the status shows it.
fn now() -> String {
    format!("{:.3}", SystemClock.now())
}

/// Waits until a comparison that nobody asked for, begun after `since`, and all that follows it has been done.
async fn caught_up(daemon: &Daemon, since: &str) -> Value {
    daemon
        .wait("main", "catching up", |status| {
            let catch_up = &status["catch_up"];
            catch_up["last_at"].as_str().is_some_and(|at| at >= since)
                && catch_up["done"] == true
                && is_at_rest(status)
        })
        .await
}

/// Waits until something may have been missed for `reason`.
async fn missed_for(daemon: &Daemon, reason: &str) {
    let has = |status: &Value| {
        let reasons = status["catch_up"]["reasons"].as_array();
        reasons.is_some_and(|reasons| reasons.iter().any(|known| known == reason))
    };
    daemon.wait("main", &format!("gap `{reason}`"), has).await;
}

/// As if the last comparison that nobody asked for had begun so many minutes ago.
fn compared_minutes_ago(daemon: &Daemon, minutes: i64) {
    let at = SystemClock.now().as_millisecond() - minutes * 60_000;
    daemon.database().script(&format!("UPDATE dingsync_catch_up SET reconciled_at = {at}"));
}

/// As if the failed list had not been asked for an hour.
fn let_list_be_due(daemon: &Daemon) {
    daemon.database().script("UPDATE dingsync_catch_up SET asked_at = 0, gap_until = NULL");
}

fn comparisons(daemon: &Daemon) -> i64 {
    daemon.database().number("SELECT count(*) FROM dingsync_run WHERE kind = 'reconcile'")
}

/// The mirror is what the simulator says, confirming reads that wait aside.
fn assert_agrees(daemon: &Daemon, sim: &Sim) {
    let differences = mirror::differences(daemon.database(), sim);
    assert!(differences.is_empty(), "{differences:#?}\n{}", daemon.log());
}

pub(crate) fn calls(sim: &Sim, path: &str) -> u64 {
    sim.counters().calls.get(path).map_or(0, |count| count.total)
}
