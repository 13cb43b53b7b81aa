//! Which changes count as found by a comparison alone.

use dingsync::sim::Change;

use super::{lose_events, rename};
use crate::support::{Daemon, UNBOUNDED, simulator};

async fn unannounced(daemon: &Daemon, entity: &str) -> u64 {
    let (_, metrics) = daemon.get("/metrics").await.expect("metrics");
    let name = format!("dingsync_unannounced_changes_total{{corp=\"main\",entity=\"{entity}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name)).expect(&name);
    value.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_event_told_does_not_count_and_everything_else_counts_once() {
    let sim = simulator(120, 14, 13).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    rename(&sim, "00018", "有事件");
    sim.settled().await;
    lose_events(&sim, 1.0);
    rename(&sim, "00017", "没有事件");
    let department =
        sim.change(&Change::DepartmentCreate { name: "新部门".to_owned(), parent_id: 1 }).unwrap();
    // A person whom first a page shows and then his own read.
    let departments = vec![department.departments[0]];
    sim.change(&Change::PersonJoin { userid: Some("newcomer".to_owned()), name: None, departments }).unwrap();
    for _ in 0..2 {
        assert!(daemon.run(&["reconcile"]).await.status.success());
        daemon.agrees_with(&sim, "main").await;
        assert_eq!(unannounced(&daemon, "employee").await, 2, "{}", daemon.log());
        assert_eq!(unannounced(&daemon, "department").await, 1, "{}", daemon.log());
    }
    lose_events(&sim, 0.0);
    rename(&sim, "00017", "又有事件");
    sim.settled().await;
    daemon.agrees_with(&sim, "main").await;
    assert_eq!(unannounced(&daemon, "employee").await, 2);
    daemon.stop().await;
}
