//! What people decide on held deletions, with the record of it.

use dingsync::sim::Change;
use serde_json::{Value, json};

use super::{CHANGES, DELETED, GONE, GUARD, audited, leave, leavers, run, run_json};
use crate::support::{Daemon, UNBOUNDED, simulator};

async fn held(daemon: &Daemon) -> Value {
    daemon.status("main").await.expect("a status")["reconcile"]["held"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discarded_stays_until_it_is_seen_or_another_run_finds_it_gone() {
    let sim = simulator(120, 12, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more(GUARD);
    daemon.follow(&sim).await;
    sim.set_callback(None);
    let gone = leavers(&sim, 30);
    leave(&sim, &gone);
    run(&daemon, &["reconcile", "--quick"], 2).await;
    let count = |sql: &str| daemon.database().number(sql);
    let before = count(CHANGES);
    let done = run_json(&daemon, &["reconcile", "discard"], 0).await;
    assert_eq!((&done["decided"], &done["held"]), (&json!(30), &json!(0)), "{done:#}");
    assert_eq!((count(DELETED), count(GONE), count(CHANGES)), (0, 30, before), "the rows stay");
    assert_eq!(held(&daemon).await, json!(null));
    let record = audited(&daemon, "reconcile.discard");
    assert_eq!(record.len(), 1);
    assert!(record[0]["who"].as_str().unwrap().starts_with("command line: "), "{record:?}");
    assert!(record[0]["subject"].as_str().unwrap().contains("30"), "{record:?}");

    // One of them is read by itself: what a person said still holds.
    run(&daemon, &["sync", "employee", &gone[0]], 2).await;
    assert_eq!((count(DELETED), held(&daemon).await), (0, json!(null)));
    // Another run that finds them gone holds them again.
    let again = run_json(&daemon, &["reconcile", "--quick"], 2).await;
    assert_eq!(held(&daemon).await["objects"]["employee"], 30, "{again:#}");

    // Who comes back leaves the list by himself.
    for userid in &gone {
        sim.change(&Change::PersonReturn { userid: userid.clone() }).unwrap();
    }
    run(&daemon, &["reconcile", "--quick"], 0).await;
    assert_eq!((held(&daemon).await, count(GONE), count(DELETED)), (json!(null), 0, 0));
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_single_events_left_held_is_approved_apart_and_without_a_daemon() {
    let sim = simulator(120, 12, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more(GUARD);
    daemon.follow(&sim).await;
    let gone = leavers(&sim, 20);
    leave(&sim, &gone);
    sim.settled().await;
    daemon
        .wait("main", "held deletions", |status| {
            status["queue"]["pending"] == 0
                && status["queue"]["running"] == 0
                && status["queue"]["held"] == 15
        })
        .await;
    let found_by = held(&daemon).await["found_by"].clone();
    assert_eq!(found_by, json!({ "events": 15 }));
    daemon.stop().await;
    // One is back by now, which DingTalk's answer tells.
    let returner = daemon.database().rows(
        "SELECT userid FROM ding_employee WHERE corp_id = ? AND gone_at IS NOT NULL AND deleted_at IS NULL \
         ORDER BY userid",
        &sim.credentials().corp_id,
    )[0]["userid"]
        .as_str()
        .unwrap()
        .to_owned();
    sim.set_callback(None);
    sim.change(&Change::PersonReturn { userid: returner }).unwrap();
    run(&daemon, &["reconcile", "approve", "777777"], 64).await;
    run(&daemon, &["reconcile", "approve", "nonsense"], 64).await;
    let done = run_json(&daemon, &["reconcile", "approve", "events"], 0).await;
    assert_eq!(
        (&done["decided"], &done["deleted"], &done["back"]),
        (&json!(15), &json!(14), &json!(1)),
        "{done:#}"
    );
    assert_eq!((daemon.database().number(DELETED), daemon.database().number(GONE)), (19, 0));
    assert_eq!(audited(&daemon, "reconcile.approve").len(), 1);
    // Nothing is left to decide: that is no error, and no second record.
    run(&daemon, &["reconcile", "approve"], 0).await;
    assert_eq!(audited(&daemon, "reconcile.approve").len(), 1);
    run(&daemon, &["verify"], 0).await;
}
