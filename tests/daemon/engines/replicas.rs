//! Several daemons on one database.

use std::time::Duration;

use dingsync::sim::{Plan, Sim};
use serde_json::{Value, json};

use super::engines;
use crate::support::{Daemon, UNBOUNDED, is_at_rest, resend_all, simulator};

/// Notes each lease that was taken from a worker whose time was not over, which must never be.
const WATCH_LEASES: &[&str] = &[
    "CREATE TABLE watched (object_id TEXT)",
    "CREATE FUNCTION watch() RETURNS trigger AS $$ BEGIN \
         IF OLD.lease IS NOT NULL AND NEW.lease IS NOT NULL AND OLD.lease <> NEW.lease \
             AND OLD.ready_at > (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 500 THEN \
             INSERT INTO watched VALUES (NEW.kind || ' ' || NEW.object_id); \
         END IF; RETURN NEW; END $$ LANGUAGE plpgsql",
    "CREATE TRIGGER watch BEFORE UPDATE ON dingsync_object FOR EACH ROW EXECUTE FUNCTION watch()",
];

async fn leaders(replicas: &[Daemon]) -> usize {
    let mut leaders = 0;
    for replica in replicas {
        if let Some((200, metrics)) = replica.get("/metrics").await {
            leaders += usize::from(metrics.contains("dingsync_leader 1\n"));
        }
    }
    leaders
}

/// Every push goes to the next daemon, as behind a load balancer that knows nothing.
fn spread(sim: &Sim, replicas: &[Daemon], turn: usize) {
    sim.set_callback(Some(replicas[turn % replicas.len()].callback_url("main")));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_of_which_one_is_killed_every_second_mirror_everything_within_one_allowance() {
    const RATE: f64 = 240.0;
    let sim = simulator(1_200, 90, 11).await;
    let bound = format!("requests_per_second = {RATE}");
    let first = Daemon::on("postgres", &[&sim], &bound);
    let (second, third) = (first.beside(&[&sim], &bound), first.beside(&[&sim], &bound));
    let mut replicas = vec![first, second, third];
    // More people leave than a company has in an hour.
    replicas.iter().for_each(|replica| replica.configure_more("[guard]\nmax_deletions = 0"));
    assert!(replicas[0].run(&["migrate"]).await.status.success());
    for statement in WATCH_LEASES {
        replicas[0].database().script(statement);
    }
    for replica in &mut replicas {
        replica.spawn(&[]);
    }
    for replica in &mut replicas {
        replica.ready().await;
    }
    replicas[0].at_rest("main").await;
    sim.reset_counters();
    sim.merge_push_settings(&json!({ "shape": "documented", "retry_after_ms": [100, 300] })).unwrap();
    spread(&sim, &replicas, 0);
    sim.live(&Plan { count: 5_000, interval_ms: 6.0, ..Plan::default() });
    for turn in 0..30 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        spread(&sim, &replicas, turn);
        let victim = turn % replicas.len();
        if turn % 2 == 0 {
            replicas[victim].kill();
        } else {
            replicas[(turn - 1) % 3].spawn(&[]);
        }
    }
    for replica in &mut replicas {
        replica.ready().await;
    }
    sim.life_ended().await;
    resend_all(&sim).await;
    // Those that were killed last count for some seconds yet, and share the allowance.
    let at_rest = |status: &Value| is_at_rest(status) && status["queue"]["confirming"] == 0;
    replicas[0].wait("main", "rest", at_rest).await;
    replicas[0].agrees_with(&sim, "main").await;
    let stolen = replicas[0].database().rows("SELECT object_id FROM watched", "");
    assert_eq!(stolen, Vec::new(), "two worked on one object");
    for (path, count) in sim.counters().calls {
        if path.starts_with("/topapi/") {
            assert!(count.most_in_a_second as f64 <= RATE, "{path}: {count:?}");
        }
    }
    assert_eq!(leaders(&replicas).await, 1);
    for replica in &mut replicas {
        replica.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_leads_when_the_leader_dies() {
    let sim = simulator(60, 8, 3).await;
    for engine in engines() {
        let mut first = Daemon::on(engine, &[&sim], UNBOUNDED);
        first.start().await;
        first.at_rest("main").await;
        let mut second = first.beside(&[&sim], UNBOUNDED);
        second.start().await;
        assert_eq!(leaders(std::slice::from_ref(&first)).await, 1, "{engine}");
        assert_eq!(leaders(std::slice::from_ref(&second)).await, 0, "{engine}");
        first.kill();
        second.says("this process leads").await;
        // It does what only one may do.
        let verify = second.run(&["verify"]).await;
        assert_eq!(verify.status.code(), Some(0), "{engine}: {}", String::from_utf8_lossy(&verify.stdout));
        second.stop().await;
        // Who stops in order leaves the lead to the next one at once.
        first.start().await;
        first.agrees_with(&sim, "main").await;
        first.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_takes_callbacks_without_a_secret_and_another_one_works() {
    let sim = simulator(100, 10, 4).await;
    for engine in engines() {
        let mut worker = Daemon::on(engine, &[&sim], UNBOUNDED);
        let mut receiver = worker.beside(&[&sim], UNBOUNDED);
        receiver.configure_without("app_secret");
        worker.spawn(&["--only", "work"]);
        worker.ready().await;
        worker.at_rest("main").await;
        receiver.spawn(&["--only", "receive"]);
        receiver.ready().await;
        sim.set_callback(Some(receiver.callback_url("main")));
        sim.live(&Plan { count: 60, interval_ms: 10.0, ..Plan::default() });
        sim.life_ended().await;
        sim.settled().await;
        worker.agrees_with(&sim, "main").await;
        assert_eq!(sim.counters().push.given_up, 0, "{engine}");
        sim.set_callback(None);
        receiver.stop().await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_goes_says_so_before_it_stops_listening() {
    let sim = simulator(40, 5, 6).await;
    let mut daemon = Daemon::on("postgres", &[&sim], UNBOUNDED);
    daemon.configure(&daemon.configuration().replace("[ops]", "shutdown_delay = \"3s\"\n[ops]"));
    daemon.start().await;
    daemon.at_rest("main").await;
    daemon.signal("TERM");
    daemon.says("stopping").await;
    // A load balancer that asks is told; whoever has not asked yet is still served.
    let mut pushed = 0;
    sim.set_callback(Some(daemon.callback_url("main")));
    while daemon.ready_status().await == Some(503) {
        if let Some(Ok(())) = sim.check_callback().await {
            pushed += 1;
        }
    }
    assert!(pushed > 0, "{}", daemon.log());
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());
}
