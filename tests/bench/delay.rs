//! From a change in DingTalk to the row in the mirror.

use std::time::{Duration, Instant};

use dingsync::sim::{Change, Field, Sim, Subject};
use serde_json::json;

use crate::api::Api;
use crate::support::{Daemon, UNBOUNDED, simulator};
use crate::watch::Watch;
use crate::{engines, table};

const PEOPLE: usize = 1_000;
const LOOK: Duration = Duration::from_micros(100);

pub(crate) async fn measure() {
    let sim = simulator(PEOPLE, 60, 1).await;
    let people: Vec<String> =
        sim.truth(Subject::Users).filter_map(|person| person["userid"].as_str().map(str::to_owned)).collect();
    let api = answer_time(&sim, &people).await;
    table::begin(
        "From event to row",
        &format!(
            "{PEOPLE} changes one after another: from the change until its committed row is seen, and what of that is \
             not the API's own {} (median of `user/get`).",
            table::milliseconds(api)
        ),
        &["engine", "p50", "p99", "p50 beyond the API", "p99 beyond the API"],
    );
    for (turn, engine) in engines().into_iter().enumerate() {
        let mut daemon = Daemon::on(engine, &[&sim], UNBOUNDED);
        daemon.follow(&sim).await;
        let mut watch = Watch::open(&daemon.database().url()).await;
        let mut times = Vec::with_capacity(people.len());
        for (at, userid) in people.iter().enumerate() {
            let title = format!("职位 {turn} {at}");
            let change =
                Change::PersonEdit { userid: userid.clone(), field: Field::Title, value: title.clone() };
            let started = Instant::now();
            sim.change(&change).expect("a change");
            while watch.title(userid).await.as_ref() != Some(&title) {
                // This task has a thread of its own, and the runtime's clock is coarser.
                std::thread::sleep(LOOK);
                assert!(
                    started.elapsed() < Duration::from_secs(90),
                    "{userid} never changed\n{}",
                    daemon.log()
                );
            }
            times.push(started.elapsed());
        }
        sim.set_callback(None);
        times.sort_unstable();
        let (p50, p99) = (table::percentile(&times, 50), table::percentile(&times, 99));
        table::row(&[
            engine.to_owned(),
            table::milliseconds(p50),
            table::milliseconds(p99),
            table::milliseconds(p50.saturating_sub(api)),
            table::milliseconds(p99.saturating_sub(api)),
        ]);
    }
}

async fn answer_time(sim: &Sim, people: &[String]) -> Duration {
    let api = Api::of(sim).await;
    let mut times = Vec::new();
    for userid in people.iter().take(500) {
        let started = Instant::now();
        let answer = api.post("user/get", &json!({ "userid": userid })).await;
        times.push(started.elapsed());
        assert_eq!(answer["errcode"], 0);
    }
    times.sort_unstable();
    table::percentile(&times, 50)
}
