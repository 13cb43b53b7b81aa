//! People who have been gone for long.

use std::collections::BTreeMap;

use dingsync::sim::Change;
use serde_json::Value;

use super::{long_ago, mark, row_of, tables_with, tell_differences};
use crate::support::database::Database;
use crate::support::{Daemon, UNBOUNDED, simulator, until};

/// What the change log says of a person, followed to its end.
fn replayed(database: &Database, userid: &str) -> (bool, BTreeMap<String, Value>) {
    let sql =
        "SELECT action, new_values FROM ding_change WHERE entity_id = ? AND entity = 'employee' ORDER BY seq";
    let (mut lives, mut values) = (false, BTreeMap::new());
    for change in database.rows(sql, userid) {
        let action = change["action"].as_str().expect("a word");
        if action == "insert" {
            values.clear();
        }
        if action != "update" {
            lives = action != "delete";
        }
        let new: BTreeMap<String, Value> = change["new_values"]
            .as_str()
            .map(|text| serde_json::from_str(text).expect("JSON"))
            .unwrap_or_default();
        values.extend(new);
    }
    (lives, values)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_personal_of_a_leaver_is_erased_everywhere_after_a_time() {
    let sim = simulator(60, 8, 1).await;
    tell_differences(&sim);
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    let secrets = mark(&sim, "00017");
    sim.settled().await;
    daemon.at_rest("main").await;
    let userids = vec!["00017".to_owned(), "00018".to_owned()];
    sim.change(&Change::PeopleLeave { userids }).unwrap();
    sim.settled().await;
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
    let database = &*daemon.shared_database();
    let places = tables_with(database, &secrets);
    for table in ["ding_employee", "ding_change", "dingsync_inbox"] {
        assert!(places.iter().any(|place| place.starts_with(&format!("{table}:"))), "{table} in {places:?}");
    }
    let ago = long_ago(database);
    database.script(&format!("UPDATE ding_employee SET deleted_at = {ago} WHERE userid = '00017'"));
    // What a run found of him: an earlier one, whose findings are kept.
    database.script(&format!(
        "INSERT INTO dingsync_run_item (run_id, entity, entity_id, difference, fields) \
         SELECT max(id), 'employee', '00017', 'changed', \
         '[{{\"field\":\"email\",\"stored\":\"{}\",\"actual\":null}}]' FROM dingsync_run",
        secrets[0],
    ));
    let before = row_of(database, "00017");
    daemon.configure_more("[retention]\nleavers_days = 30\n");
    daemon.start().await;
    daemon.says("the personal fields of people who are gone were erased").await;
    assert_eq!(tables_with(database, &secrets), Vec::<String>::new());
    let row = row_of(database, "00017");
    for column in ["userid", "deleted_at", "gone_at", "created_at", "manager_userid", "main_dept_id"] {
        assert_eq!(row[column], before[column], "{column}");
    }
    assert!(row["name"].is_null() && row["unionid"].is_null() && row["extension"].is_null(), "{row:?}");
    assert!(row_of(database, "00018")["name"].is_string(), "who left lately is kept");
    let findings = "SELECT count(*) FROM dingsync_run_item WHERE fields IS NOT NULL AND entity_id = '00017'";
    assert_eq!(database.number(findings), 1, "the name of the field stays");

    let (lives, values) = replayed(database, "00017");
    assert!(!lives, "an erasure does not bring anybody back");
    for column in ["unionid", "name", "mobile", "email", "title", "hired_date", "avatar"] {
        assert!(values[column].is_null(), "{column} is {}", values[column]);
    }
    let sql =
        "SELECT action, cause, new_values FROM ding_change WHERE entity_id = ? ORDER BY seq DESC LIMIT 1";
    let told = &database.rows(sql, "00017")[0];
    assert_eq!((&told["action"], &told["cause"]), (&"update".into(), &"manual".into()));
    let new: Value = serde_json::from_str(told["new_values"].as_str().unwrap()).unwrap();
    assert!(
        new["mobile"].is_null() && new.get("mobile").is_some() && new.get("deleted_at").is_none(),
        "{new}"
    );
    daemon.agrees_with(&sim, "main").await;

    // Nobody can say who it was: whoever comes under this id is new.
    sim.set_callback(Some(daemon.callback_url("main")));
    sim.change(&Change::PersonReturn { userid: "00017".to_owned() }).unwrap();
    sim.settled().await;
    until("he is back", || row_of(database, "00017")["deleted_at"].is_null()).await;
    daemon.agrees_with(&sim, "main").await;
    let again = "SELECT count(*) FROM ding_change WHERE entity_id = '00017' AND action = 'insert'";
    assert_eq!(database.number(again), 2);
    daemon.stop().await;
}
