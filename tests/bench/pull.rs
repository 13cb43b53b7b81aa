//! The first pull: until everybody is visible, until everybody's details are there, in how much memory, with how many
//! calls.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dingsync::sim::{Sim, Subject};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;

use crate::api::Api;
use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator};
use crate::{engines, memory, table};

const PATIENCE: Duration = Duration::from_mins(20);
/// As many as the daemon has on the wire.
const CALLS_IN_FLIGHT: usize = 16;
/// People on a page (`contacts-api.md §5`).
const PAGE: usize = 100;

pub(crate) async fn measure(sizes: &[usize]) {
    table::begin(
        "The first pull",
        "Against a loop that reads the same departments and pages and throws them away, with as many calls at once; the \
         simulator answers from the same two cores. Memory is the most that the process ever held.",
        &[
            "people",
            "engine",
            "visible",
            "people/s",
            "to the loop",
            "with details",
            "people/s",
            "memory, visible",
            "memory",
            "calls",
            "to the least",
        ],
    );
    for &people in sizes {
        let sim = simulator(people, (people / 20).max(10), 1).await;
        let bare = read_and_throw_away(&sim).await;
        table::row(
            &[
                &[people.to_string(), "the loop".to_owned(), table::seconds(bare), table::rate(people, bare)]
                    [..],
                &vec![String::new(); 7],
            ]
            .concat(),
        );
        for engine in engines() {
            pull(engine, &sim, people, bare).await;
        }
    }
}

async fn pull(engine: &str, sim: &Sim, people: usize, bare: Duration) {
    sim.reset_counters();
    let mut daemon = Daemon::on(engine, &[sim], UNBOUNDED);
    let started = Instant::now();
    daemon.spawn(&[]);
    daemon.wait_for("main", "everybody", PATIENCE, |status| status["bootstrap"]["state"] == "complete").await;
    let (visible, memory_visible) = (started.elapsed(), memory::peak(daemon.pid()));
    daemon.wait_for("main", "everybody's details", PATIENCE, is_at_rest).await;
    let detailed = started.elapsed();
    let count =
        daemon.database().number("SELECT count(*) FROM ding_employee WHERE detail_read_at IS NOT NULL");
    assert_eq!(count, people as i64);
    let calls: u64 = sim.counters().calls.values().map(|count| count.total).sum();
    table::row(&[
        people.to_string(),
        engine.to_owned(),
        table::seconds(visible),
        table::rate(people, visible),
        table::ratio(visible.as_secs_f64(), bare.as_secs_f64()),
        table::seconds(detailed),
        table::rate(people, detailed),
        format!("{memory_visible:.0} MiB"),
        format!("{:.0} MiB", memory::peak(daemon.pid())),
        calls.to_string(),
        table::ratio(calls as f64, least_calls(sim) as f64),
    ]);
}

/// The children of every department and its fields, the pages of those that have members, everybody's details, and the
/// roles: with nothing asked twice and nothing in vain (`contacts-api.md §10`).
fn least_calls(sim: &Sim) -> usize {
    let mut members: HashMap<i64, usize> = HashMap::new();
    let mut people = 0;
    for person in sim.truth(Subject::Users) {
        people += 1;
        for department in person["departments"].as_array().into_iter().flatten() {
            *members.entry(department["dept_id"].as_i64().expect("an id")).or_default() += 1;
        }
    }
    assert!(members.len() > 1, "the truth tells who is in which department");
    let departments = sim.truth(Subject::Departments).count();
    let pages: usize = members.values().map(|members| members.div_ceil(PAGE)).sum();
    let token_scope_and_roles = 3;
    2 * departments + pages + people + token_scope_and_roles
}

async fn read_and_throw_away(sim: &Sim) -> Duration {
    let api = Api::of(sim).await;
    let started = Instant::now();
    let department = async |dept_id: i64| {
        let children = api.post("department/listsub", &json!({ "dept_id": dept_id })).await;
        let mut cursor = json!(0);
        while !cursor.is_null() {
            let page =
                json!({ "dept_id": dept_id, "cursor": cursor, "size": PAGE, "contain_access_limit": true });
            cursor = api.post("user/list", &page).await["result"]["next_cursor"].take();
        }
        let children = children["result"].as_array().cloned().unwrap_or_default();
        children.iter().filter_map(|child| child["dept_id"].as_i64()).collect::<Vec<i64>>()
    };
    let mut waiting = vec![1];
    let mut reading = FuturesUnordered::new();
    loop {
        while reading.len() < CALLS_IN_FLIGHT
            && let Some(dept_id) = waiting.pop()
        {
            reading.push(department(dept_id));
        }
        match reading.next().await {
            Some(children) => waiting.extend(children),
            None => return started.elapsed(),
        }
    }
}
