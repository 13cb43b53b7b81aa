//! A database that goes away and comes back, and connections that are cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dingsync::sim::Plan;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::engines;
use super::servers::Servers;
use crate::support::{Daemon, UNBOUNDED, resend_all, simulator};

/// A proxy that cuts each connection after a while, in the midst of whatever is said.
struct Cutter {
    address: SocketAddr,
    cutting: Arc<AtomicBool>,
    cuts: Arc<AtomicU64>,
}

impl Cutter {
    async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (cutting, cuts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (is_cutting, count) = (Arc::clone(&cutting), Arc::clone(&cuts));
        tokio::spawn(async move {
            let mut number = 0u64;
            while let Ok((mut client, _)) = listener.accept().await {
                number += 1;
                // Different, but the same in every run.
                let life = Duration::from_millis(40 + number * 37 % 400);
                let (is_cutting, count) = (Arc::clone(&is_cutting), Arc::clone(&count));
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    let end = async {
                        loop {
                            tokio::time::sleep(life).await;
                            if is_cutting.load(Ordering::Relaxed) {
                                return;
                            }
                        }
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        () = end => drop(count.fetch_add(1, Ordering::Relaxed)),
                    }
                });
            }
        });
        Self { address, cutting, cuts }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_in_the_midst_of_a_commit_lose_nothing() {
    for engine in engines() {
        let sim = simulator(300, 30, 9).await;
        let mut daemon = Daemon::on(engine, &[&sim], UNBOUNDED);
        let url: url::Url = daemon.database().url().parse().expect("a URL");
        let port = url.port().expect("a port");
        let cutter = Cutter::before(([127, 0, 0, 1], port).into()).await;
        let through =
            daemon.configuration().replace(&format!(":{port}/"), &format!(":{}/", cutter.address.port()));
        daemon.configure(&through);
        sim.merge_push_settings(&json!({ "shape": "documented", "retry_after_ms": [100, 300] })).unwrap();
        daemon.start().await;
        daemon.at_rest("main").await;
        sim.set_callback(Some(daemon.callback_url("main")));
        cutter.cutting.store(true, Ordering::Relaxed);
        sim.live(&Plan { count: 500, interval_ms: 10.0, ..Plan::default() });
        sim.life_ended().await;
        cutter.cutting.store(false, Ordering::Relaxed);
        resend_all(&sim).await;
        daemon.agrees_with(&sim, "main").await;
        let cuts = cutter.cuts.load(Ordering::Relaxed);
        assert!(cuts > 20, "{engine}: only {cuts} connections were cut");
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_for_a_while_is_waited_for() {
    let servers = Servers::start().await;
    for (engine, how, away) in
        [("postgres", "stop", Duration::from_secs(30)), ("mariadb", "kill", Duration::from_secs(5))]
    {
        let sim = simulator(400, 40, 12).await;
        let mut daemon = Daemon::at(engine, servers.url(engine), &[&sim], UNBOUNDED);
        sim.merge_push_settings(&json!({ "shape": "documented", "retry_after_ms": [1_000, 3_000] })).unwrap();
        // More people leave than a company has in an hour.
        daemon.configure_more("[guard]\nmax_deletions = 0");
        daemon.follow(&sim).await;
        sim.live(&Plan { count: 2_000, interval_ms: 10.0, ..Plan::default() });
        daemon.wait("main", "events", |status| status["inbox"]["received"].as_u64() > Some(100)).await;
        servers.control(engine, how).await;
        while daemon.ready_status().await != Some(503) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let reason = daemon.get("/readyz").await.expect("an answer").1;
        assert!(reason.contains("unreachable"), "{engine}: {reason}");
        assert_eq!(daemon.get("/healthz").await.expect("an answer").0, 200);
        let verify = daemon.run(&["verify"]).await;
        assert_eq!(verify.status.code(), Some(75), "{engine}: {}", String::from_utf8_lossy(&verify.stderr));
        tokio::time::sleep(away).await;
        servers.control(engine, "start").await;
        daemon.ready().await;
        sim.life_ended().await;
        resend_all(&sim).await;
        daemon.agrees_with(&sim, "main").await;
        daemon.says("the database is back").await;
        let complaints = daemon.log().lines().filter(|line| line.contains("WARN")).count();
        assert!(complaints < 30, "{engine}: {complaints} warnings of one outage:\n{}", daemon.log());
        let push = sim.counters().push;
        assert!(push.failed.values().sum::<u64>() > 0, "the outage was not noticed: {push:?}");
        daemon.stop().await;
    }
}
