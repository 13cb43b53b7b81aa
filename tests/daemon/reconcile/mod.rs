//! Comparing everything, and repairing it: what is believed, what is held, who decides.

mod decide;
mod guard;
mod hidden;
mod lists;
mod repair;

use std::process::Output;

use dingsync::sim::{Change, Sim, Subject};
use serde_json::Value;

use crate::support::Daemon;

const PEOPLE: &str = "SELECT count(*) FROM ding_employee WHERE deleted_at IS NULL";
const GONE: &str = "SELECT count(*) FROM ding_employee WHERE deleted_at IS NULL AND gone_at IS NOT NULL";
const DELETED: &str = "SELECT count(*) FROM ding_employee WHERE deleted_at IS NOT NULL";
const CHANGES: &str = "SELECT count(*) FROM ding_change";

/// A guard that a small organisation can set off.
const GUARD: &str = "[guard]\nmax_deletions = 5\nmax_share = 0.04\nwindow = \"1h\"\n";

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that must end with this code.
async fn run(daemon: &Daemon, arguments: &[&str], code: i32) -> Output {
    let output = daemon.run(arguments).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}:\n{}\n{error}", text(&output));
    output
}

/// The same with `--json`: what it prints of the first organisation.
async fn run_json(daemon: &Daemon, arguments: &[&str], code: i32) -> Value {
    let output = run(daemon, &[arguments, &["--json"]].concat(), code).await;
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    printed[0].clone()
}

fn notes(run: &Value, kind: &str) -> Vec<String> {
    let notes = run["notes"].as_array().expect("notes").iter();
    notes
        .filter(|note| note["kind"] == kind)
        .map(|note| note["text"].as_str().unwrap_or("").to_owned())
        .collect()
}

/// People who can leave without the organisation losing an administrator.
pub(super) fn leavers(sim: &Sim, count: usize) -> Vec<String> {
    sim.truth(Subject::Users)
        .filter(|person| person["admin"] == 0 && person["boss"] == false)
        .filter_map(|person| person["userid"].as_str().map(str::to_owned))
        .take(count)
        .collect()
}

pub(super) fn leave(sim: &Sim, userids: &[String]) {
    sim.change(&Change::PeopleLeave { userids: userids.to_vec() }).expect("they can leave");
}

/// What the audit trail says of an action.
fn audited(daemon: &Daemon, action: &str) -> Vec<Value> {
    let sql = "SELECT who, action, subject FROM dingsync_audit ORDER BY id";
    let rows = daemon.database().rows(sql, "");
    rows.into_iter().filter(|row| row["action"] == action).map(Value::Object).collect()
}
