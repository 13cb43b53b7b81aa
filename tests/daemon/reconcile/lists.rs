//! Nothing is concluded from lists that are incomplete, nor from an answer that people's own contradict.

use dingsync::sim::{Change, Sim, Subject};
use serde_json::json;

use super::{CHANGES, DELETED, GONE, PEOPLE, notes, run, run_json};
use crate::support::{Daemon, UNBOUNDED, simulator};

/// The department with the most direct members, and how many.
fn largest(sim: &Sim) -> (i64, usize) {
    let mut members = std::collections::BTreeMap::<i64, usize>::new();
    for person in sim.truth(Subject::Users) {
        for place in person["departments"].as_array().expect("departments") {
            *members.entry(place["dept_id"].as_i64().expect("a number")).or_default() += 1;
        }
    }
    members.into_iter().max_by_key(|(_, count)| *count).expect("a department")
}

/// Nobody is gone, and nothing was written since there were `before` changes.
fn nothing_happened(daemon: &Daemon, before: i64) {
    let database = daemon.database();
    assert_eq!((database.number(DELETED), database.number(GONE), database.number(CHANGES)), (0, 0, before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_empty_or_cut_off_deletes_nobody_and_makes_the_run_partial() {
    // Two departments: nearly everybody is in one of them.
    let sim = simulator(560, 2, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    let (dept_id, members) = largest(&sim);
    assert!(members >= 500, "{members} people are in department {dept_id}");
    let before = daemon.database().number(CHANGES);
    let named = format!("department {dept_id}");
    for (faults, kind) in [
        (json!({ "empty_departments": [dept_id] }), "unread"),
        (json!({ "failing_pages": [{ "dept_id": dept_id, "page": 3, "errcode": 60_019 }] }), "unread"),
    ] {
        sim.merge_faults(&faults).unwrap();
        for arguments in [&["reconcile", "--quick"][..], &["reconcile"], &["verify"]] {
            let run = run_json(&daemon, arguments, 1).await;
            assert_eq!(run["state"], "partial", "{run:#}");
            assert_eq!(run["differences"], json!([]), "{run:#}");
            let said = notes(&run, kind);
            assert!(said.iter().any(|text| text.contains(&named)), "{run:#}");
            nothing_happened(&daemon, before);
        }
        sim.merge_faults(&json!({ "empty_departments": [], "failing_pages": [] })).unwrap();
    }
    let status = daemon.status("main").await.unwrap();
    assert_eq!(status["reconcile"]["last"]["state"], "partial", "{status:#}");
    let run = run_json(&daemon, &["reconcile", "--quick"], 0).await;
    assert_eq!(run["state"], "complete", "{run:#}");
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_end_too_early_are_noticed_by_who_is_missing_and_by_the_number_of_people() {
    let sim = simulator(160, 2, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    run(&daemon, &["bootstrap"], 0).await;
    let before = daemon.database().number(CHANGES);
    let (dept_id, members) = largest(&sim);
    sim.merge_faults(&json!({ "cut_lists": { dept_id.to_string(): 40 } })).unwrap();
    let report = run_json(&daemon, &["reconcile", "--quick"], 1).await;
    let said = notes(&report, "unread").join("\n");
    assert!(said.contains(&format!("leaves out {} people", members - 40)), "{report:#}");
    nothing_happened(&daemon, before);

    // Nobody here knows of the new ones, so that nobody misses them; but DingTalk counts them.
    sim.merge_faults(&json!({ "cut_lists": { dept_id.to_string(): members } })).unwrap();
    sim.change(&Change::PeopleImport { count: 30, departments: vec![dept_id] }).unwrap();
    let report = run_json(&daemon, &["reconcile"], 1).await;
    assert_eq!(report["state"], "partial");
    assert!(notes(&report, "count").join("\n").contains("190"), "{report:#}");
    sim.merge_faults(&json!({ "cut_lists": null })).unwrap();
    run(&daemon, &["reconcile", "--quick"], 0).await;
    assert_eq!(daemon.database().number(PEOPLE), 190);
    run(&daemon, &["verify"], 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_department_that_is_said_to_be_gone_with_people_in_it_is_not_believed() {
    let sim = simulator(120, 12, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    run(&daemon, &["bootstrap"], 0).await;
    let before = daemon.database().number(CHANGES);
    let place = |person: serde_json::Value| person["departments"][0]["dept_id"].as_i64();
    let dept_id = sim.truth(Subject::Users).filter_map(place).find(|dept_id| *dept_id != 1).unwrap();
    sim.merge_faults(&json!({ "denied_departments": [dept_id] })).unwrap();
    for arguments in [&["reconcile", "--quick"][..], &["reconcile"]] {
        let report = run_json(&daemon, arguments, 1).await;
        let said = notes(&report, "unread").join("\n");
        assert!(said.contains(&format!("department {dept_id}")), "{report:#}");
        nothing_happened(&daemon, before);
    }
    let living =
        format!("SELECT count(*) FROM ding_department WHERE dept_id = {dept_id} AND deleted_at IS NULL");
    assert_eq!(daemon.database().number(&living), 1);
    sim.merge_faults(&json!({ "denied_departments": [] })).unwrap();
    run(&daemon, &["reconcile"], 0).await;
}
