//! The schemas of the engines describe the same tables, and are made by whoever comes first.

use std::collections::BTreeSet;

use super::engines;
use crate::support::database::Database;
use crate::support::{Daemon, UNBOUNDED, simulator};

/// `table.column`, and whether it may be empty, of all tables of ours.
fn columns(database: &Database) -> BTreeSet<String> {
    let sql = match database {
        Database::Sqlite(_) => {
            "SELECT t.name AS tab, c.name AS col, c.\"notnull\" = 0 AND c.pk = 0 AS optional \
             FROM sqlite_schema AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'"
        }
        Database::Postgres(_) => {
            "SELECT c.table_name::text AS tab, c.column_name::text AS col, c.is_nullable = 'YES' AS optional \
             FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name) \
             WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'"
        }
        Database::Mysql(_) => {
            "SELECT CAST(c.table_name AS CHAR) AS tab, CAST(c.column_name AS CHAR) AS col, \
             c.is_nullable = 'YES' AS optional \
             FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name) \
             WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE'"
        }
    };
    let ours = |table: &str| table.starts_with("ding_") || table.starts_with("dingsync_");
    database
        .rows(sql, "")
        .iter()
        .map(|row| {
            let (table, column) =
                (row["tab"].as_str().expect("a name"), row["col"].as_str().expect("a name"));
            // MySQL's instants may all be empty: before version 8.2 it gave them values of its own otherwise.
            let is_instant = ["_at"].iter().any(|end| column.ends_with(end)) && table.starts_with("ding_");
            let empty = if is_instant { "?".to_owned() } else { row["optional"].to_string() };
            format!("{table}.{column} {empty}")
        })
        .filter(|line| ours(line))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemas_of_all_engines_describe_the_same_tables() {
    let sim = simulator(10, 3, 1).await;
    let file = Daemon::on("sqlite", &[&sim], UNBOUNDED);
    assert!(file.run(&["migrate"]).await.status.success());
    let expected = columns(file.database());
    assert!(expected.len() > 120, "{expected:?}");
    for engine in engines() {
        let daemon = Daemon::on(engine, &[&sim], UNBOUNDED);
        let migrated = daemon.run(&["migrate"]).await;
        assert!(migrated.status.success(), "{engine}: {}", String::from_utf8_lossy(&migrated.stderr));
        let found = columns(daemon.database());
        let apart: Vec<&String> = expected.symmetric_difference(&found).collect();
        assert!(apart.is_empty(), "{engine}: {apart:?}");
    }
}

/// Migrations that the database has seen.
fn steps_made(daemon: &Daemon) -> i64 {
    daemon.database().number("SELECT count(*) FROM dingsync_migration")
}

/// Migrations that there are, the same number for each engine.
fn steps_known() -> usize {
    std::fs::read_dir("migrations/sqlite").expect("the migrations").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn six_commands_that_migrate_at_once_make_one_schema() {
    let sim = simulator(10, 3, 1).await;
    for engine in engines() {
        let daemon = Daemon::on(engine, &[&sim], UNBOUNDED);
        let runs = (0..6).map(|_| daemon.run(&["migrate"]));
        for run in futures_util::future::join_all(runs).await {
            assert!(run.status.success(), "{engine}: {}", String::from_utf8_lossy(&run.stderr));
        }
        assert_eq!(usize::try_from(steps_made(&daemon)).ok(), Some(steps_known()), "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_only_where_it_cannot_be_lived_with() {
    let sim = simulator(10, 3, 1).await;
    for engine in engines() {
        let daemon = Daemon::on(engine, &[&sim], UNBOUNDED);
        assert!(daemon.run(&["migrate"]).await.status.success());
        let note = |version: i64, oldest: i64| {
            format!(
                "INSERT INTO dingsync_migration (version, description, checksum, min_compatible_version, applied_at) \
                 VALUES ({version}, 'later', 'x', {oldest}, 0)"
            )
        };
        daemon.database().execute(&note(900, 2));
        assert!(daemon.run(&["migrate"]).await.status.success(), "{engine}");
        daemon.database().execute(&note(901, 900));
        let refused = daemon.run(&["migrate"]).await;
        assert_eq!(refused.status.code(), Some(1), "{engine}");
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains("migration 901") && text.contains("newer dingsync"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_our_names_that_are_not_ours_are_refused() {
    let sim = simulator(10, 3, 1).await;
    for engine in engines() {
        let daemon = Daemon::on(engine, &[&sim], UNBOUNDED);
        daemon.database().execute("CREATE TABLE ding_employee (x INT)");
        let refused = daemon.run(&["migrate"]).await;
        assert_eq!(refused.status.code(), Some(1), "{engine}");
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains("ding_employee") && text.contains("rename"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_statements_make_the_schema_that_the_program_knows() {
    let sim = simulator(10, 3, 1).await;
    for engine in engines() {
        let daemon = Daemon::on(engine, &[&sim], UNBOUNDED);
        let printed = daemon.run(&["migrate", "--print"]).await;
        daemon.database().script(&String::from_utf8(printed.stdout).unwrap());
        let migrated = daemon.run(&["migrate"]).await;
        assert!(migrated.status.success(), "{engine}: {}", String::from_utf8_lossy(&migrated.stderr));
        assert_eq!(usize::try_from(steps_made(&daemon)).ok(), Some(steps_known()), "{engine}");
    }
}

/// MySQL commits every statement of a definition by itself, so that a process that dies leaves some of them behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_interrupted_after_any_of_its_statements_is_finished_by_the_next_one() {
    let sim = simulator(10, 3, 1).await;
    for engine in engines().into_iter().filter(|engine| *engine != "postgres") {
        let whole = Daemon::on(engine, &[&sim], UNBOUNDED);
        let printed = String::from_utf8(whole.run(&["migrate", "--print"]).await.stdout).unwrap();
        let statements: Vec<&str> = printed.split_inclusive(";\n").collect();
        assert!(statements.len() > 20, "{printed}");
        assert!(whole.run(&["migrate"]).await.status.success());
        let expected = columns(whole.database());
        for interrupted in 1..statements.len() {
            let daemon = Daemon::on(engine, &[&sim], UNBOUNDED);
            daemon.database().script(&statements[..interrupted].concat());
            let migrated = daemon.run(&["migrate"]).await;
            let said = String::from_utf8_lossy(&migrated.stderr).into_owned();
            assert!(migrated.status.success(), "{engine} after {interrupted} statements: {said}");
            assert_eq!(columns(daemon.database()), expected, "{engine} after {interrupted} statements");
        }
    }
}
