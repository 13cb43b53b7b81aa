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
    let apply = json!({ "apply": { "oa": of("main"), "neighbour": of("second") } });
    daemon.configure_more(&toml::to_string(&apply).expect("TOML"));
    daemon.start().await;
    for corp in ["main", "second"] {
        daemon.wait(corp, "rest of what is applied", is_applied).await;
    }
    let number = |sql: &str| daemon.database().number(sql);
    for entity in ["department", "employee", "role"] {
        let rows = format!("SELECT count(DISTINCT oa_id) FROM ding_link WHERE entity = '{entity}'");
        let links = format!("SELECT count(*) FROM ding_link WHERE entity = '{entity}'");
        assert_eq!(number(&rows), number(&links), "a {entity} shares its row");
    }
    let output = run(&daemon, &["apply", "status", "--corp", "main", "--json"], 0).await;
    let mine: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let output = run(&daemon, &["apply", "status", "--corp", "second", "--json"], 0).await;
    let theirs: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let refused = |status: &Value| {
        let objects = status[0]["objects"].as_array().expect("objects").clone();
        let said = |object: &&Value| {
            object["message"].as_str().is_some_and(|text| text.contains("fills the same tables"))
        };
        objects.iter().filter(said).count()
    };
    assert!(refused(&mine) + refused(&theirs) > 0, "{mine:#}\n{theirs:#}");
    daemon.stop().await;
}
