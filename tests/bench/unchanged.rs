//! What a comparison of an unchanged organisation writes.

use std::time::Instant;

use crate::support::{Daemon, UNBOUNDED, simulator};
use crate::{engines, table};

const PEOPLE: usize = 2_000;
const TABLES: [&str; 7] = [
    "ding_department",
    "ding_employee",
    "ding_employee_department",
    "ding_role_group",
    "ding_role",
    "ding_employee_role",
    "ding_change",
];

pub(crate) async fn measure() {
    table::begin(
        "A comparison of an unchanged organisation",
        "Everything is read again, everybody's details too; triggers count each row of the mirror that is written.",
        &["engine", "people", "time", "rows written"],
    );
    for engine in engines() {
        let sim = simulator(PEOPLE, 100, 1).await;
        let mut daemon = Daemon::on(engine, &[&sim], UNBOUNDED);
        daemon.start().await;
        daemon.at_rest("main").await;
        triggers(engine).iter().for_each(|statement| daemon.database().script(statement));
        // The triggers count, or a zero would say nothing.
        daemon.database().script("UPDATE ding_department SET name = name WHERE dept_id = 1");
        assert_eq!(daemon.database().number("SELECT count(*) FROM bench_written"), 1);
        let started = Instant::now();
        let reconciled = daemon.run(&["reconcile"]).await;
        assert!(reconciled.status.success(), "{}", String::from_utf8_lossy(&reconciled.stderr));
        let time = started.elapsed();
        daemon.at_rest("main").await;
        let written = daemon.database().number("SELECT count(*) FROM bench_written") - 1;
        table::row(&[engine.to_owned(), PEOPLE.to_string(), table::seconds(time), written.to_string()]);
    }
}

/// Statements after which each written row of the mirror leaves one behind.
fn triggers(engine: &str) -> Vec<String> {
    let mut statements = vec!["CREATE TABLE bench_written (name VARCHAR(64))".to_owned()];
    if engine == "postgres" {
        statements.push(
            "CREATE FUNCTION bench_note() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO bench_written VALUES (TG_TABLE_NAME); RETURN NULL; END $$"
                .to_owned(),
        );
    }
    for table in TABLES {
        for event in ["INSERT", "UPDATE", "DELETE"] {
            let insert = format!("INSERT INTO bench_written VALUES ('{table}')");
            let body = match engine {
                "sqlite" => format!("BEGIN {insert}; END"),
                "postgres" => "FOR EACH ROW EXECUTE FUNCTION bench_note()".to_owned(),
                _ => format!("FOR EACH ROW {insert}"),
            };
            let name = format!("bench_{table}_{event}");
            statements.push(format!("CREATE TRIGGER {name} AFTER {event} ON {table} {body}"));
        }
    }
    statements
}
