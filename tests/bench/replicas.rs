//! Several daemons on one PostgreSQL share the work.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator};
use crate::{engines, table};

const PEOPLE: usize = 8_000;
const PATIENCE: Duration = Duration::from_mins(10);

pub(crate) async fn measure() {
    if !engines().contains(&"postgres") {
        return;
    }
    table::begin(
        "Replicas on one PostgreSQL",
        &format!(
            "The first pull of {PEOPLE} people with everybody's details, when each answer takes 50 ms, as DingTalk's do; \
             sixteen calls at once a replica, no other limit."
        ),
        &["replicas", "time", "people/s", "to one replica"],
    );
    let mut one = None;
    for count in [1, 2, 4] {
        let sim = simulator(PEOPLE, PEOPLE / 20, 1).await;
        let slow = json!({ "paths": { "*": { "slow": 1.0, "slow_ms": [50, 50] } } });
        sim.merge_faults(&slow).expect("a fault");
        let first = Daemon::on("postgres", &[&sim], UNBOUNDED);
        assert!(first.run(&["migrate"]).await.status.success());
        let others: Vec<Daemon> = (1..count).map(|_| first.beside(&[&sim], UNBOUNDED)).collect();
        let mut replicas: Vec<Daemon> = [first].into_iter().chain(others).collect();
        let started = Instant::now();
        for replica in &mut replicas {
            replica.spawn(&[]);
        }
        replicas[0].wait_for("main", "everybody's details", PATIENCE, is_at_rest).await;
        let time = started.elapsed();
        let one = *one.get_or_insert(time);
        table::row(&[
            count.to_string(),
            table::seconds(time),
            table::rate(PEOPLE, time),
            table::ratio(one.as_secs_f64(), time.as_secs_f64()),
        ]);
    }
}
