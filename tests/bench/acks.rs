//! How many callbacks are durably acknowledged in a second.

use std::path::{Path, PathBuf};

use dingsync::sim::Sim;
use url::Url;

use crate::load::{Outcome, pushes, send};
use crate::receivers::Receiver;
use crate::support::{Daemon, UNBOUNDED, simulator};
use crate::{disk, engines, table};

const PEOPLE: usize = 2_000;
const EVENTS: usize = 60_000;
/// For those that would take minutes.
const FEWER_EVENTS: usize = 4_000;
const WARM_UP: usize = 2_000;

struct Load<'sim> {
    sim: &'sim Sim,
    people: Vec<String>,
}

impl Load<'_> {
    async fn send(&self, url: &Url, count: usize) -> Outcome {
        let keys = self.sim.credentials();
        let warm = pushes(url, &keys, &self.people, 0, WARM_UP.min(count));
        send(url, warm).await;
        send(url, pushes(url, &keys, &self.people, 1, count)).await
    }

    /// The daemon's own stack with nothing behind it.
    async fn send_to_nothing(&self, daemon: &Daemon) -> Outcome {
        let url = daemon.callback_url("main");
        let _receiver = Receiver::storing_nothing(&daemon.folder().join("dingsync.toml"), url.clone()).await;
        self.send(&url, EVENTS).await
    }

    async fn send_to_receiver(&self, engine: &str) -> Outcome {
        let mut daemon = Daemon::on(engine, &[self.sim], UNBOUNDED);
        daemon.spawn(&["--only", "receive"]);
        daemon.ready().await;
        let outcome = self.send(&daemon.callback_url("main"), EVENTS).await;
        assert_eq!(
            daemon.database().number("SELECT count(*) FROM dingsync_inbox"),
            (WARM_UP + EVENTS) as i64
        );
        outcome
    }

    /// The whole daemon: it reads everybody whom an event names while the next ones come.
    async fn send_while_working(&self) -> Outcome {
        let mut daemon = Daemon::on("sqlite", &[self.sim], UNBOUNDED);
        daemon.start().await;
        daemon.at_rest("main").await;
        self.send(&daemon.callback_url("main"), EVENTS).await
    }
}

pub(crate) async fn measure() {
    let sim = simulator(PEOPLE, 100, 1).await;
    let daemon = Daemon::on("sqlite", &[&sim], UNBOUNDED);
    let sync = disk::sync_time(daemon.folder());
    let most = 64.0 / sync.as_secs_f64();
    let load = Load { sim: &sim, people: (0..PEOPLE).map(|at| format!("person{at:05}")).collect() };

    let before = load.send_to_nothing(&daemon).await;
    let mut rows = Vec::new();
    for engine in engines() {
        rows.push((format!("dingsync on {engine}"), load.send_to_receiver(engine).await));
    }
    rows.push((
        "dingsync on sqlite, reading those people meanwhile".to_owned(),
        load.send_while_working().await,
    ));
    let after = load.send_to_nothing(&daemon).await;
    if let Some(peers) = std::env::var_os("DINGSYNC_BENCH_PEERS").map(PathBuf::from) {
        rows.extend(send_to_peers(&load, &peers).await);
    }

    table::begin(
        "Durable acknowledgements",
        &format!(
            "Distinct signed callbacks from 64 connections. The ratio is to the mean of the first two rows, or to what the \
             disk allows where that is less: it keeps a page in {}, so that 64 that wait together could be {most:.0} a \
             second.",
            table::milliseconds(sync),
        ),
        &["receiver", "a second", "p50", "p99", "ratio"],
    );
    let bar = most.min(f64::midpoint(before.per_second(), after.per_second()));
    let row = |name: &str, outcome: &Outcome| {
        table::row(&[
            name.to_owned(),
            format!("{:.0}", outcome.per_second()),
            table::milliseconds(outcome.percentile(50)),
            table::milliseconds(outcome.percentile(99)),
            table::ratio(outcome.per_second(), bar),
        ]);
    };
    row("the same stack, storing nothing, before", &before);
    row("the same, after", &after);
    rows.iter().for_each(|(name, outcome)| row(name, outcome));
    if let [(_, ours), .., (_, express), (_, fastapi)] = rows.as_slice()
        && std::env::var_os("DINGSYNC_BENCH_PEERS").is_some()
    {
        let best = express.per_second().max(fastapi.per_second());
        println!(
            "\ndingsync on sqlite, to the better of the last two: {}",
            table::ratio(ours.per_second(), best)
        );
    }
}

/// The receivers that people write.
async fn send_to_peers(load: &Load<'_>, peers: &Path) -> [(String, Outcome); 2] {
    let keys = load.sim.credentials();
    let folder = tempfile::tempdir().expect("a folder");
    let express = {
        let receiver = Receiver::express(peers, folder.path(), &keys).await;
        load.send(&receiver.url, FEWER_EVENTS).await
    };
    let fastapi = {
        let receiver = Receiver::fastapi(peers, folder.path(), &keys).await;
        load.send(&receiver.url, FEWER_EVENTS).await
    };
    [
        ("Express, `wx-ding-aes`, a commit an event".to_owned(), express),
        ("FastAPI, `dingtalk-sdk`, a commit an event".to_owned(), fastapi),
    ]
}
