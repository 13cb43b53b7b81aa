//! Two organisations that fill the tables of one OA.

use dingsync::sim::{Credentials, Options};
use serde_json::{Value, json};

use super::{Oa, is_applied, run};
use crate::support::{Daemon, UNBOUNDED, simulator, simulator_of};

#[tokio::test(flavor = "multi_thread")]
async fn two_organisations_do_not_write_into_each_others_rows() {
    let first = simulator(40, 6, 51).await;
    let credentials = Credentials {
        corp_id: "dingne1ghbour".to_owned(),
        app_key: "dingne1ghbourapp".to_owned(),
        ..Credentials::default()
    };
    let second =
        simulator_of(Options { users: 30, departments: 5, seed: 52, credentials, ..Options::default() })
            .await;
    let oa = Oa::apart();
    // The mapping looks for departments by their ids, which both organisations count from 1.
    let of = |corp: &str| {
        let mut mapping = oa.mapping();
        mapping["corp"] = json!(corp);
        mapping
    };
    let mut daemon = Daemon::new(&[&first, &second], UNBOUNDED);
    daemon.configure_more(&toml::to_string(&json!({ "apply": { "oa": of("main") } })).expect("TOML"));
    daemon.start().await;
    daemon.wait("main", "rest of what is applied", is_applied).await;
    daemon.stop().await;
    // The second one comes to rows that are the first one's.
    let neighbour = json!({ "apply": { "neighbour": of("second") } });
    daemon.configure_more(&toml::to_string(&neighbour).expect("TOML"));
    daemon.start().await;
    daemon.wait("second", "rest of what is applied", is_applied).await;
    let number = |sql: &str| daemon.database().number(sql);
    for entity in ["department", "employee", "role"] {
        let rows = format!("SELECT count(DISTINCT oa_id) FROM ding_link WHERE entity = '{entity}'");
        let links = format!("SELECT count(*) FROM ding_link WHERE entity = '{entity}'");
        assert_eq!(number(&rows), number(&links), "a {entity} shares its row");
    }
    let output = run(&daemon, &["apply", "status", "--corp", "second", "--json"], 0).await;
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let objects = status[0]["objects"].as_array().expect("objects");
    let is_refused = |object: &Value| {
        object["message"].as_str().is_some_and(|text| text.contains("fills the same tables"))
    };
    assert!(objects.iter().any(is_refused), "{status:#}");
    daemon.stop().await;
}
