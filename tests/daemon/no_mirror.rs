//! Where nobody has made a mirror: most likely it is the wrong folder, or the wrong database.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Daemon, UNBOUNDED, free_port, simulator};

/// The names of the files in a folder.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_to_make_a_mirror_makes_one() {
    let sim = simulator(30, 4, 1).await;
    let daemon = Daemon::on("sqlite", &[&sim], UNBOUNDED);
    let absolute = daemon.configuration();
    let file = daemon.database().file().to_path_buf();
    let url = format!("sqlite://{}", file.display());
    assert!(absolute.contains(&url), "{absolute}");
    daemon.configure(&absolute.replace(&url, "sqlite://elsewhere.db"));
    daemon.configure_more("[apply.oa.employee]\nupsert = \"INSERT INTO sys_user (id) VALUES (:userid)\"");
    let before = files(daemon.folder());
    let meant = daemon.folder().canonicalize().unwrap().join("elsewhere.db");
    for command in [
        &["verify"][..],
        &["reconcile"],
        &["reconcile", "approve"],
        &["sync", "employee", "00017"],
        &["explain", "employee", "00017"],
        &["events", "list"],
        &["tasks", "list"],
        &["apply", "status"],
        &["apply", "check"],
        &["apply", "rebuild"],
        &["link", "employee", "1", "00017"],
        &["unlink", "employee", "00017"],
        &["forget", "employee", "00017"],
        &["subscription"],
        &["serve", "--no-migrate"],
    ] {
        let output = daemon.run(command).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {error}");
        assert!(error.contains(&meant.display().to_string()), "{command:?}: {error}");
        assert!(
            error.contains("`dingsync migrate`") && error.contains("database.url"),
            "{command:?}: {error}"
        );
    }
    let check = daemon.run(&["check"]).await;
    let found = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(found.contains(&format!("{} holds no mirror yet", meant.display())), "{found}");
    let mut after = files(daemon.folder());
    after.retain(|name| !before.contains(name));
    assert_eq!(after, ["elsewhere.db.lock"], "the lock of `serve --no-migrate` alone");
    fs::write(&meant, "").unwrap();
    let output = daemon.run(&["verify"]).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("holds no mirror"), "an empty file: {error}");
    assert_eq!(fs::metadata(&meant).unwrap().len(), 0);
    assert_eq!(daemon.run(&["bootstrap"]).await.status.code(), Some(0));
    assert_eq!(daemon.run(&["verify"]).await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_what_to_do_about_the_database_that_is_meant() {
    let sim = simulator(30, 4, 1).await;
    let daemon = Daemon::on("sqlite", &[&sim], UNBOUNDED);
    let good = daemon.configuration();
    let url = format!("sqlite://{}", daemon.database().file().display());
    let port = free_port();
    let folder = daemon.folder().join("no/such/folder");
    for (other, remedy) in [
        (
            format!("postgres://oa:hushhush@127.0.0.1:{port}/people"),
            "the server of the database people at 127.0.0.1",
        ),
        (
            format!("mysql://oa:hushhush@127.0.0.1:{port}/people"),
            "the server of the database people at 127.0.0.1",
        ),
        (format!("sqlite://{}/a.db", folder.display()), "the folder of "),
    ] {
        daemon.configure(&good.replace(&url, &other));
        let output = daemon.run(&["check", "--json"]).await;
        assert_eq!(output.status.code(), Some(75), "{other}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let findings: Vec<Value> = serde_json::from_str(&text).expect("a list");
        let found = findings.iter().find(|one| one["topic"] == "database").expect("a finding");
        assert_eq!(found["verdict"], "later", "{other}: {found}");
        assert!(found["remedy"].as_str().unwrap().contains(remedy), "{other}: {found}");
        assert!(!text.contains("hushhush"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_says_what_it_did() {
    let sim = simulator(30, 4, 1).await;
    let daemon = Daemon::on("sqlite", &[&sim], UNBOUNDED);
    for did in ["the schema was made", "the schema was up to date already"] {
        let said = String::from_utf8_lossy(&daemon.run(&["migrate"]).await.stdout).into_owned();
        assert_eq!(said, format!("{}: {did}\n", daemon.database().file().display()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unwise_about_a_token_is_told_and_not_refused() {
    let sim = simulator(30, 4, 1).await;
    let mut daemon = Daemon::on("sqlite", &[&sim], UNBOUNDED);
    daemon.configure_more(
        "[ops.tokens.oa]\ntoken = \"fifteen-letters\"\nscopes = [\"read\", \"push\"]\n\
         [ops.tokens.console]\ntoken = \"sixteen--letters\"",
    );
    let check = daemon.run(&["check"]).await;
    let found = String::from_utf8_lossy(&check.stdout).into_owned();
    assert_eq!(check.status.code(), Some(0), "{found}");
    assert!(found.contains("ops.tokens.oa.token has fewer than 16 characters"), "{found}");
    assert!(
        found.contains("ops.tokens.oa.scopes names `push`, for which there is no endpoint yet"),
        "{found}"
    );
    assert!(!found.contains("ops.tokens.console") && !found.contains("fifteen-letters"), "{found}");
    daemon.start().await;
    daemon.says("`openssl rand -hex 24` makes a better one").await;
    daemon.stop().await;
}
