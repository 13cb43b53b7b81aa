//! What differs is found and repaired, wherever the run is interrupted, and what does not differ is left alone.

use std::process::{Child, Stdio};

use dingsync::sim::{Change, Plan, Subject};
use serde_json::json;

use super::{CHANGES, run, run_json};
use crate::support::{Daemon, UNBOUNDED, is_at_rest, mirror, simulator, until};

/// A reconcile that the daemon carries out and a command waits for.
fn begun(daemon: &Daemon) -> Child {
    let mut command = daemon.command(&["reconcile"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
}

fn kill(daemon: &mut Daemon, mut command: Child) {
    daemon.kill();
    command.kill().expect("it runs, or has ended");
    command.wait().expect("a child");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_two_thousand_events_lost_is_found_repaired_and_found_no_more() {
    let sim = simulator(1_000, 80, 1).await;
    sim.merge_faults(&json!({ "events": { "loss_share": 0.5 } })).unwrap();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    // As many leave in these seconds as in a year.
    daemon.configure_more("[guard]\nmax_deletions = 0\n");
    daemon.follow(&sim).await;
    sim.live(&Plan { count: 2_000, interval_ms: 1.0, focus_share: 0.0, ..Plan::default() });
    sim.life_ended().await;
    sim.settled().await;
    daemon.wait("main", "rest", is_at_rest).await;
    let lost = mirror::differences(daemon.database(), &sim).len();
    assert!(lost > 50, "only {lost} differences: the test shows nothing");
    let found = run_json(&daemon, &["verify"], 2).await;
    assert_eq!(found["state"], "complete", "{found}");
    let differences = found["differences"].as_array().unwrap();
    let fields = differences.iter().filter(|one| one["difference"] == "changed").map(|one| &one["fields"]);
    assert!(
        fields.clone().count() > 20
            && fields.into_iter().all(|fields| fields[0]["stored"] != fields[0]["actual"])
    );
    let table = run(&daemon, &["reconcile", "--dry-run"], 2).await;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for kind in ["changed", "created", "gone"] {
        assert!(table.contains(kind), "{table}");
    }
    run(&daemon, &["reconcile"], 0).await;
    let found = run_json(&daemon, &["verify"], 0).await;
    assert_eq!(found["differences"], json!([]));
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_where_nothing_differs() {
    let sim = simulator(200, 20, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    let state = |daemon: &Daemon| {
        let rows = "SELECT userid, updated_at FROM ding_employee WHERE corp_id = ? ORDER BY userid";
        (daemon.database().number(CHANGES), daemon.database().rows(rows, &sim.credentials().corp_id))
    };
    let before = state(&daemon);
    for arguments in [&["reconcile"][..], &["reconcile", "--quick"], &["verify"], &["reconcile", "--dry-run"]]
    {
        run(&daemon, arguments, 0).await;
    }
    assert_eq!(state(&daemon), before);
    let status = daemon.status("main").await.unwrap();
    let last = &status["reconcile"]["last"];
    assert_eq!(last["state"], "complete", "{status:#}");
    assert_eq!(last["found"], json!({ "created": 0, "changed": 0, "gone": 0, "held": 0, "hidden": 0 }));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_that_is_killed_anywhere_ends_right() {
    let sim = simulator(120, 12, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    sim.set_callback(None);
    let open = "SELECT count(*) FROM dingsync_run WHERE state IN ('queued', 'running')";
    for point in 0..10_u64 {
        sim.live(&Plan { count: 30, interval_ms: 1.0, ..Plan::default() });
        sim.life_ended().await;
        let command = begun(&daemon);
        // Calls are counted, not seconds: the points lie all over a run, from its first call to its repairs.
        let calls = || sim.counters().calls.values().map(|count| count.total).sum::<u64>();
        let (begin, wanted) = (calls(), 1 + point * point * 4 + sim.status().people as u64 % 7);
        until("the run has made its calls, or is over", || {
            calls() >= begin + wanted || (calls() > begin && daemon.database().number(open) == 0)
        })
        .await;
        kill(&mut daemon, command);
        daemon.start().await;
    }
    daemon.wait("main", "the end of all runs", |status| status["reconcile"]["running"].is_null()).await;
    daemon.agrees_with(&sim, "main").await;
    run(&daemon, &["verify"], 0).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_that_is_killed_among_the_people_goes_on_there_with_what_it_has_found() {
    let sim = simulator(700, 12, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    sim.set_callback(None);
    let people = sim.truth(Subject::Users).filter_map(|person| Some(person["userid"].as_str()?.to_owned()));
    let mut people: Vec<String> = people.collect();
    people.sort();
    // No page shows who somebody's manager is.
    let edit = Change::PersonManager { userid: people[0].clone(), manager: people.pop() };
    sim.change(&edit).expect("a possible change");
    sim.merge_faults(&json!({ "paths": { "*": { "slow": 1.0, "slow_ms": [20, 40] } } })).unwrap();
    let command = begun(&daemon);
    let places = || daemon.database().number("SELECT count(*) FROM dingsync_run_place");
    until("it is among the people", || places() > 0).await;
    kill(&mut daemon, command);
    sim.merge_faults(&json!({ "paths": { "*": { "slow": 0.0 } } })).unwrap();
    daemon.start().await;
    daemon.says("a run goes on where it was interrupted among the people").await;
    let found = format!(
        "SELECT count(*) FROM dingsync_run_item JOIN dingsync_run ON dingsync_run.id = run_id \
         WHERE options = '' AND kind = 'reconcile' AND finished_at IS NOT NULL AND entity_id = '{}'",
        people[0]
    );
    until("the run has ended", || daemon.database().number(&found) == 1).await;
    daemon.agrees_with(&sim, "main").await;
    assert_eq!(daemon.database().number("SELECT count(*) FROM dingsync_run_place"), 0);
    daemon.stop().await;
}
