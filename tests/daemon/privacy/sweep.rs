//! What is old goes, what is young stays.

use dingsync::sim::Change;

use super::long_ago;
use crate::support::{Daemon, UNBOUNDED, simulator, until};

fn rename(userid: &str, name: &str) -> Change {
    Change::PersonRename { userid: userid.to_owned(), name: name.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_changes_audit_entries_and_runs_are_deleted() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    for number in 0..6 {
        sim.change(&rename("00017", &format!("名{number}"))).unwrap();
        sim.settled().await;
    }
    daemon.at_rest("main").await;
    assert_eq!(daemon.run(&["reconcile"]).await.status.code(), Some(0));
    daemon.stop().await;
    let database = &*daemon.shared_database();
    let count = |table: &str| database.number(&format!("SELECT count(*) FROM {table}"));
    assert_eq!(count("dingsync_inbox"), 6);
    let (last_run, last_change) = (
        database.number("SELECT max(id) FROM dingsync_run"),
        database.number("SELECT max(seq) FROM ding_change"),
    );
    let corp_id = sim.credentials().corp_id;
    database.script("UPDATE dingsync_inbox SET received_at = 1000");
    database.script(
        "INSERT INTO dingsync_inbox (corp_id, event_key, event_type, received_at, message) \
         VALUES ('dingOther', 'id:1', 'x', 1000, '{}')",
    );
    // The command has left an entry of its own, a young one.
    database.script("DELETE FROM dingsync_audit");
    for at in [1000, 1000, 4_000_000_000_000_i64] {
        database.script(&format!(
            "INSERT INTO dingsync_audit (at, corp_id, who, action, subject) \
             VALUES ({at}, '{corp_id}', 'token x', 'y', '{{}}')"
        ));
    }
    database.script(&format!("UPDATE dingsync_run SET finished_at = 1000 WHERE id < {last_run}"));
    database.script(
        "INSERT INTO dingsync_run_item (run_id, entity, entity_id, difference, fields) \
         SELECT min(id), 'employee', '00017', 'changed', '[]' FROM dingsync_run",
    );
    let old = last_change - 3;
    database
        .script(&format!("UPDATE ding_change SET changed_at = {} WHERE seq <= {old}", long_ago(database)));
    // Nothing is deleted of what is to be kept for ever.
    daemon.configure_more("[retention]\ninbox_days = 0\naudit_days = 0\nruns_days = 0\n");
    daemon.start().await;
    daemon.at_rest("main").await;
    daemon.stop().await;
    assert_eq!((count("dingsync_inbox"), count("dingsync_audit"), count("dingsync_run_item")), (7, 3, 1));
    assert_eq!(database.number("SELECT min(seq) FROM ding_change"), 1);

    daemon.configure_without("[retention]");
    daemon.configure_without("inbox_days");
    daemon.configure_without("audit_days");
    daemon.configure_without("runs_days");
    daemon.configure_more("[retention]\nchanges_days = 30\n");
    daemon.start().await;
    daemon.says("what is older than `retention` says was deleted").await;
    until("the old changes are gone", || database.number("SELECT min(seq) FROM ding_change") == old + 1)
        .await;
    let others = "SELECT count(*) FROM dingsync_inbox WHERE corp_id = 'dingOther'";
    assert_eq!(database.number(others), 1, "an organisation that is not configured is left alone");
    assert_eq!(count("dingsync_inbox"), 1);
    assert_eq!(count("dingsync_audit"), 1, "a young entry stays");
    assert_eq!(count("dingsync_run_item"), 0);
    assert_eq!(database.number("SELECT count(*) FROM dingsync_run WHERE finished_at = 1000"), 0);
    assert!(database.number("SELECT min(id) FROM dingsync_run") >= last_run);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_cannot_be_kept_for_less_than_dingtalk_may_send_them_again() {
    let sim = simulator(20, 4, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more("[retention]\ninbox_days = 7\n");
    let output = daemon.run(&["config"]).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert!(error.contains("retention.inbox_days") && error.contains("failed list"), "{error}");
}
