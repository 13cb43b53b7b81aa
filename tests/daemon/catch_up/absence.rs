//! Nobody was there for a while.

use std::time::Duration;

use dingsync::clock::{Clock as _, SystemClock};
use dingsync::sim::{Change, Plan, Sim};
use jiff::tz::TimeZone;
use serde_json::json;

use super::{
    FAILED_LIST, assert_agrees, calls, caught_up, compared_minutes_ago, list_at_once, lose_events, now,
    rename,
};
use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_changes_in_an_absence_are_found_after_the_start_some_of_them_in_the_failed_list() {
    let sim = simulator(600, 60, 21).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more("[guard]\nmax_deletions = 0");
    daemon.follow(&sim).await;
    // In both shapes, one after the other; half of the events are in no list either.
    lose_events(&sim, 0.5);
    for (turn, shape) in ["nested_text", "flat"].into_iter().enumerate() {
        list_at_once(&sim, shape);
        if turn == 0 {
            daemon.kill();
        } else {
            daemon.stop().await;
        }
        sim.live(&Plan { count: 500, interval_ms: 0.0, ..Plan::default() });
        sim.life_ended().await;
        sim.settled().await;
        let failed = sim.status().failed_events;
        assert!(failed > 100, "{failed} events failed");
        let since = now();
        daemon.start().await;
        let status = caught_up(&daemon, &since).await;
        assert_agrees(&daemon, &sim);
        assert_eq!(sim.status().failed_events, 0, "the list was read to its end");
        let made = calls(&sim, FAILED_LIST) + calls(&sim, "/auth/scopes");
        assert_eq!(status["metered"]["calls"], json!(made), "every metered call is counted");
    }
    let listed = "SELECT count(*) FROM dingsync_inbox WHERE event_key LIKE 'failed:%'";
    assert!(daemon.database().number(listed) > 200, "what the list showed is in the inbox");
    assert!(calls(&sim, "/v1.0/contact/empLeaveRecords") > 0, "leavers are asked for");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_got_a_role_over_some_departments_in_an_absence_has_it_over_them() {
    let sim = simulator(40, 5, 3).await;
    let group = sim.change(&Change::RoleGroupCreate { name: "值班".to_owned() }).expect("a name");
    let role = Change::RoleCreate { group_id: group.role_groups[0], name: "夜班".to_owned() };
    let role_id = sim.change(&role).expect("a group").roles[0];
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    daemon.stop().await;
    lose_events(&sim, 1.0);
    let joiner = Change::PersonJoin { userid: None, name: None, departments: vec![1] };
    let joiner = sim.change(&joiner).expect("a department").people.remove(0);
    for userid in ["00017".to_owned(), joiner] {
        sim.change(&Change::RoleGive { role_id, userids: vec![userid.clone()] }).expect("a person");
        sim.change(&Change::RoleScope { userid, role_id, departments: vec![1] }).expect("a member");
    }
    sim.settled().await;
    let since = now();
    daemon.start().await;
    caught_up(&daemon, &since).await;
    assert_agrees(&daemon, &sim);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_without_callbacks_catches_up_by_comparison_alone() {
    let sim = simulator(80, 10, 3).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_without("callback_");
    daemon.spawn(&["--only", "work"]);
    daemon.ready().await;
    daemon.at_rest("main").await;
    daemon.stop().await;
    rename(&sim, "00017", "新名");
    let since = now();
    daemon.spawn(&["--only", "work"]);
    daemon.ready().await;
    caught_up(&daemon, &since).await;
    assert_agrees(&daemon, &sim);
    assert_eq!(calls(&sim, FAILED_LIST), 0, "nothing was ever pushed to it");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_night_the_oldest_details_are_read_again() {
    let sim = simulator(100, 12, 3).await;
    let mut ahead = Duration::from_secs(25);
    // Everything has to be prepared before that time of the day comes; on a slow machine it is chosen later.
    let (mut daemon, list, begun) = loop {
        let tonight = SystemClock.now() + ahead;
        let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
        let time = tonight.to_zoned(TimeZone::get("Asia/Shanghai").unwrap()).strftime("%H:%M:%S").to_string();
        daemon.configure_more(&format!("[reconcile]\ndaily_at = \"{time}\"\ndetails_every_days = 4"));
        daemon.follow(&sim).await;
        let list = let_details_be_old(&daemon, &sim);
        let begun = SystemClock.now();
        if begun < tonight {
            break (daemon, list, begun.as_millisecond());
        }
        daemon.stop().await;
        ahead *= 2;
    };
    daemon.says("details that are the oldest are read again").await;
    daemon
        .wait("main", "comparison", |status| {
            status["reconcile"]["last_complete_at"].is_string() && is_at_rest(status)
        })
        .await;
    let read = format!("SELECT count(*) FROM dingsync_object WHERE kind = 'employee' AND read_at >= {begun}");
    assert_eq!(daemon.database().number(&read), 25, "a fourth of a hundred people");
    let read = format!("{read} AND object_id IN ({list})");
    assert_eq!(daemon.database().number(&read), 10, "the oldest of all are among them");
    daemon.stop().await;
}

/// As if everybody's details were a day old, and ten people's older than the others'; brings the list of those.
fn let_details_be_old(daemon: &Daemon, sim: &Sim) -> String {
    compared_minutes_ago(daemon, 0);
    let day = 86_400_000;
    daemon.database().script(&format!("UPDATE dingsync_object SET read_at = read_at - {day}"));
    let old = "SELECT userid FROM ding_employee WHERE corp_id = ? ORDER BY userid LIMIT 10";
    let old = daemon.database().rows(old, &sim.credentials().corp_id);
    let old: Vec<&str> = old.iter().filter_map(|row| row["userid"].as_str()).collect();
    let list = format!("'{}'", old.join("','"));
    daemon.database().script(&format!(
        "UPDATE dingsync_object SET read_at = read_at - {day} WHERE kind = 'employee' AND object_id IN ({list})"
    ));
    list
}
