//! The first pull under DingTalk's limit on calls.

use std::time::{Duration, Instant};

use crate::support::{Daemon, is_at_rest, simulator};
use crate::table;

const PEOPLE: usize = 1_200;
const DEPARTMENTS: usize = 60;
const RATE: u32 = 20;

pub(crate) async fn measure() {
    table::begin(
        "Under a limit",
        "20 calls a second for each API, refused beyond; everybody's details take a call each.",
        &["people", "time", "the limit allows", "ratio", "calls refused", "people there"],
    );
    let sim = simulator(PEOPLE, DEPARTMENTS, 1).await;
    sim.set_rate(RATE);
    let mut daemon = Daemon::on("sqlite", &[&sim], &format!("requests_per_second = {RATE}"));
    let started = Instant::now();
    daemon.spawn(&[]);
    daemon.wait_for("main", "everybody's details", Duration::from_mins(10), is_at_rest).await;
    let time = started.elapsed();
    let counters = sim.counters();
    let refused: u64 = counters
        .calls
        .values()
        .flat_map(|count| &count.results)
        .filter(|(result, _)| is_refusal(result))
        .map(|(_, count)| count)
        .sum();
    let least = Duration::from_secs_f64(PEOPLE as f64 / f64::from(RATE));
    let there =
        daemon.database().number("SELECT count(*) FROM ding_employee WHERE detail_read_at IS NOT NULL");
    table::row(&[
        PEOPLE.to_string(),
        table::seconds(time),
        table::seconds(least),
        table::ratio(time.as_secs_f64(), least.as_secs_f64()),
        refused.to_string(),
        format!("{there}"),
    ]);
}

/// The codes of too many calls (`errors.md §3`).
fn is_refusal(result: &str) -> bool {
    ["90018", "90002", "88"].contains(&result)
}
