//! `mirror.exclude_fields`.

use dingsync::sim::{Change, Field};

use super::{mark, row_of, tables_with, tell_differences};
use crate::support::{Daemon, UNBOUNDED, mirror, simulator};

const EXCLUDED: [&str; 5] = ["mobile", "email", "title", "work_place", "remark"];

#[tokio::test(flavor = "multi_thread")]
async fn excluded_fields_are_erased_where_they_are_and_never_stored_again() {
    let sim = simulator(60, 8, 1).await;
    tell_differences(&sim);
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    let secrets: Vec<String> = mark(&sim, "00017").into_iter().take(5).collect();
    sim.settled().await;
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
    let database = &*daemon.shared_database();
    // What a comparison found, and what stands beside a membership.
    database.script(&format!(
        "INSERT INTO dingsync_run_item (run_id, entity, entity_id, difference, fields) \
         SELECT max(id), 'employee', '00017', 'changed', \
         '[{{\"field\":\"mobile\",\"stored\":\"{}\",\"actual\":null}}]' FROM dingsync_run",
        secrets[4],
    ));
    database.script("UPDATE ding_employee_department SET title = 'SecretTitle' WHERE userid = '00018'");
    assert_eq!(
        tables_with(database, &secrets[2..3]).len(),
        3,
        "the place is in the row, the log and the inbox"
    );

    daemon.configure_more(
        "[mirror]\nexclude_fields = [\"mobile\", \"email\", \"title\", \"work_place\", \"remark\"]\n",
    );
    daemon.start().await;
    daemon.says("was erased from everything that is stored").await;
    assert_eq!(tables_with(database, &secrets), Vec::<String>::new());
    let given = EXCLUDED.map(|column| format!("{column} IS NOT NULL")).join(" OR ");
    let holding = format!("SELECT count(*) FROM ding_employee WHERE {given}");
    assert_eq!(database.number(&holding), 0);
    let row = row_of(database, "00017");
    assert_eq!(row["name"], "秘密之名", "the others stay");
    assert_eq!(row["job_number"], "SECRET-JOB");

    // Events, answers and comparisons bring nothing of it back.
    sim.set_callback(Some(daemon.callback_url("main")));
    for (field, value) in [(Field::Email, "other-mail@example.com"), (Field::Remark, "OtherRemark")] {
        let edit = Change::PersonEdit { userid: "00019".to_owned(), field, value: value.to_owned() };
        sim.change(&edit).unwrap();
    }
    sim.change(&Change::PersonRename { userid: "00019".to_owned(), name: "新名".to_owned() }).unwrap();
    sim.settled().await;
    daemon.at_rest("main").await;
    assert_eq!(daemon.run(&["verify"]).await.status.code(), Some(0), "what is left out is no difference");
    assert_eq!(daemon.run(&["reconcile"]).await.status.code(), Some(0));
    let others = ["other-mail@example.com".to_owned(), "OtherRemark".to_owned()];
    assert_eq!(tables_with(database, &others), Vec::<String>::new());
    assert_eq!(row_of(database, "00019")["name"], "新名");
    assert_eq!(database.number(&holding), 0);

    // An empty list would say that there is nobody.
    let (status, said) = daemon.get("/api/v1/main/employees?mobile=13800000000").await.unwrap();
    assert!(status == 400 && said.contains("mirror.exclude_fields"), "{status} {said}");
    let (status, said) = daemon.get("/api/v1/main/employees?name=nobody&mobile=13800000000").await.unwrap();
    assert!(status == 400 && said.contains("mirror.exclude_fields"), "{status} {said}");
    let output = daemon.run(&["explain", "employee", "mobile:13800000000"]).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert!(error.contains("mirror.exclude_fields"), "{error}");
    let differences = mirror::differences(database, &sim);
    let unexpected: Vec<&String> = differences
        .iter()
        .filter(|line| !EXCLUDED.iter().any(|column| line.contains(&format!(": {column} is null"))))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");

    // A second start finds nothing to erase; without the setting everything comes back by a comparison.
    daemon.stop().await;
    daemon.start().await;
    daemon.at_rest("main").await;
    daemon.stop().await;
    assert_eq!(daemon.log().matches("was erased from everything").count(), 1);
    daemon.configure_without("[mirror]");
    daemon.configure_without("exclude_fields");
    daemon.start().await;
    assert_eq!(daemon.run(&["reconcile"]).await.status.code(), Some(0));
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_people_are_told_apart_by_cannot_be_left_out() {
    let sim = simulator(20, 4, 1).await;
    for (name, reason) in [("unionid", "told apart"), ("nmae", "knows only mobile")] {
        let daemon = Daemon::new(&[&sim], UNBOUNDED);
        daemon.configure_more(&format!("[mirror]\nexclude_fields = [\"mobile\", \"{name}\"]\n"));
        let output = daemon.run(&["config"]).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{error}");
        assert!(error.contains("mirror.exclude_fields") && error.contains(reason), "{error}");
    }
}
