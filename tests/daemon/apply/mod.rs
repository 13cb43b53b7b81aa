//! The OA's own tables, filled by statements that its people write.

mod company;
mod delivered;
mod dependents;
mod expected;
mod leaving;
mod links;
mod mapping;
mod names;
mod neighbours;
mod oa;
mod outage;
mod places;
mod rebuild;

use std::process::Output;

use dingsync::sim::{Change, Sim};
use serde_json::{Value, json};

use self::expected::differences;
use self::oa::Oa;
use crate::support::{Daemon, PATIENCE, UNBOUNDED, is_at_rest};

/// The configuration's text.
fn toml_of(mapping: &Value) -> String {
    toml::to_string(&json!({ "apply": { "oa": mapping } })).expect("TOML")
}

/// A daemon that has not been started, and the OA's tables in a database of their own.
fn daemon_and_oa(sim: &Sim) -> (Daemon, Oa) {
    let oa = Oa::apart();
    let daemon = Daemon::new(&[sim], UNBOUNDED);
    daemon.configure_more(&toml_of(&oa.mapping()));
    (daemon, oa)
}

/// Starts the daemon, waits until all is in the OA's tables, and lets the events come.
async fn follow(daemon: &mut Daemon, sim: &Sim) {
    daemon.start().await;
    applied(daemon).await;
    sim.set_callback(Some(daemon.callback_url("main")));
}

/// Whether all that the mirror holds has been carried into the OA's tables, what is parked excepted.
fn is_applied(status: &Value) -> bool {
    let apply = &status["apply"];
    is_at_rest(status) && apply["state"] == "following" && apply["behind"] == 0 && apply["due"] == 0
}

/// Waits for that, with nothing parked.
async fn applied(daemon: &Daemon) -> Value {
    let status = daemon
        .wait("main", "rest of what is applied", |status| {
            is_applied(status) && status["apply"]["parked"] == 0 && status["apply"]["trouble"].is_null()
        })
        .await;
    status["apply"].clone()
}

/// Waits until `count` objects are parked and everything else has been applied.
async fn parked(daemon: &Daemon, count: u64) -> Value {
    let is_it = |status: &Value| {
        let apply = &status["apply"];
        is_at_rest(status)
            && apply["state"] == "following"
            && apply["behind"] == 0
            && apply["parked"] == count
    };
    let status = daemon.wait("main", "parked objects", is_it).await;
    status["apply"].clone()
}

/// Makes a change, and waits until it has arrived.
async fn change(sim: &Sim, daemon: &Daemon, change: &Change) {
    sim.change(change).expect("a possible change");
    sim.settled().await;
    applied(daemon).await;
}

fn rename(userid: &str, name: &str) -> Change {
    Change::PersonRename { userid: userid.to_owned(), name: name.to_owned() }
}

/// Waits until the OA's tables are what the mapping says of the mirror, and fails with what differs.
async fn agrees(daemon: &Daemon, oa: &Oa, sim: &Sim) {
    let corp_id = sim.credentials().corp_id;
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let apply = applied(daemon).await;
        let found = differences(daemon.database(), oa, &corp_id);
        // A confirming read may have found something new meanwhile: then what was compared were two moments.
        let last = daemon.database().number("SELECT COALESCE(max(seq), 0) FROM ding_change");
        if apply["cursor"] == json!(last.to_string()) {
            assert!(
                found.is_empty(),
                "{} differences:\n{}\n{}",
                found.len(),
                found.iter().take(40).cloned().collect::<Vec<_>>().join("\n"),
                daemon.log()
            );
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the mirror does not come to rest: {apply}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must end with this code.
async fn run(daemon: &Daemon, arguments: &[&str], code: i32) -> Output {
    let output = daemon.run(arguments).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\nstdout:\n{out}\nstderr:\n{err}");
    output
}

/// What `apply status` says of the first organisation.
async fn told(daemon: &Daemon) -> Value {
    let output = run(daemon, &["apply", "status", "--json"], 0).await;
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    printed[0].clone()
}

/// What `apply status` says of an object that is not applied.
fn object<'status>(status: &'status Value, entity: &str, id: &str) -> &'status Value {
    let objects = status["objects"].as_array().expect("objects");
    let found = objects.iter().find(|object| object["entity"] == entity && object["id"] == id);
    assert!(found.is_some(), "{entity} {id} is not among {status:#}");
    found.unwrap_or(&Value::Null)
}

/// The link of an object, if there is one: the OA's key, and whether its row is marked as gone.
fn link(daemon: &Daemon, entity: &str, ding_id: &str) -> Option<(i64, bool)> {
    let sql = format!(
        "SELECT oa_id, removed_at FROM ding_link WHERE entity = '{entity}' AND ding_id = '{ding_id}' ORDER BY id"
    );
    let rows = daemon.database().rows(&sql, "");
    assert!(rows.len() < 2, "{rows:?}");
    rows.first().map(|row| (expected::integer(&row["oa_id"]), !row["removed_at"].is_null()))
}
