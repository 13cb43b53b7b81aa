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

struct Measured<'sim> {
    sim: &'sim Sim,
    people: Vec<String>,
    /// Nothing stored, acknowledgements a second.
    stack: f64,
    /// The most that a disk allows which is waited for by 64 at a time.
    disk: f64,
}

impl Measured<'_> {
    async fn load(&self, url: &Url, count: usize) -> Outcome {
        let keys = self.sim.credentials();
        let warm = pushes(url, &keys, &self.people, 0, WARM_UP.min(count));
        send(url, warm).await;
        send(url, pushes(url, &keys, &self.people, 1, count)).await
    }

    fn row(&self, name: &str, outcome: &Outcome) {
        let bar = self.stack.min(self.disk);
        table::row(&[
            name.to_owned(),
            format!("{:.0}", outcome.per_second()),
            table::milliseconds(outcome.percentile(50)),
            table::milliseconds(outcome.percentile(99)),
            table::ratio(outcome.per_second(), bar),
        ]);
    }
}

pub(crate) async fn measure() {
    let sim = simulator(PEOPLE, 100, 1).await;
    let daemon = Daemon::on("sqlite", &[&sim], UNBOUNDED);
    let sync = disk::sync_time(daemon.folder());
    let people = (0..PEOPLE).map(|at| format!("person{at:05}")).collect();
    let mut measured = Measured { sim: &sim, people, stack: f64::INFINITY, disk: 64.0 / sync.as_secs_f64() };
    table::begin(
        "Durable acknowledgements",
        &format!(
            "Distinct signed callbacks from 64 connections. The disk keeps a page in {}, so that 64 waiting \
             together could be {:.0} a second; the ratio is to that, or to the first row where that is less.",
            table::milliseconds(sync),
            measured.disk
        ),
        &["receiver", "a second", "p50", "p99", "ratio"],
    );

    let url = daemon.callback_url("main");
    let bare = Receiver::storing_nothing(&daemon.folder().join("dingsync.toml"), url.clone()).await;
    let outcome = measured.load(&url, EVENTS).await;
    drop(bare);
    measured.stack = outcome.per_second();
    measured.row("the same stack, storing nothing", &outcome);

    let mut ours = 0.0;
    for engine in engines() {
        let mut daemon = Daemon::on(engine, &[&sim], UNBOUNDED);
        daemon.spawn(&["--only", "receive"]);
        daemon.ready().await;
        let outcome = measured.load(&daemon.callback_url("main"), EVENTS).await;
        assert_eq!(
            daemon.database().number("SELECT count(*) FROM dingsync_inbox"),
            (WARM_UP + EVENTS) as i64
        );
        measured.row(&format!("dingsync on {engine}"), &outcome);
        if engine == "sqlite" {
            ours = outcome.per_second();
        }
    }
    while_working(&measured).await;
    if let Some(peers) = std::env::var_os("DINGSYNC_BENCH_PEERS").map(PathBuf::from) {
        let best = peers_row(&measured, &peers).await;
        println!("\ndingsync on sqlite, to the better of the last two: {}", table::ratio(ours, best));
    }
}

/// The whole daemon: it reads everybody whom an event names while the next ones come.
async fn while_working(measured: &Measured<'_>) {
    let mut daemon = Daemon::on("sqlite", &[measured.sim], UNBOUNDED);
    daemon.start().await;
    daemon.at_rest("main").await;
    let outcome = measured.load(&daemon.callback_url("main"), EVENTS).await;
    measured.row("dingsync on sqlite, reading those people meanwhile", &outcome);
}

/// The receivers that people write; brings the acknowledgements a second of the faster one.
async fn peers_row(measured: &Measured<'_>, peers: &Path) -> f64 {
    let keys = measured.sim.credentials();
    let folder = tempfile::tempdir().expect("a folder");
    let express = {
        let receiver = Receiver::express(peers, folder.path(), &keys).await;
        measured.load(&receiver.url, FEWER_EVENTS).await
    };
    measured.row("Express, `wx-ding-aes`, a commit an event", &express);
    let fastapi = {
        let receiver = Receiver::fastapi(peers, folder.path(), &keys).await;
        measured.load(&receiver.url, FEWER_EVENTS).await
    };
    measured.row("FastAPI, `dingtalk-sdk`, a commit an event", &fastapi);
    express.per_second().max(fastapi.per_second())
}
