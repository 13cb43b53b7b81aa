//! `dingsync forget`.

use dingsync::sim::Change;
use serde_json::Value;

use super::{mark, row_of, tables_with, tell_differences};
use crate::support::{Daemon, UNBOUNDED, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_gone_is_forgotten_at_once_and_one_who_is_there_is_not() {
    let sim = simulator(60, 8, 1).await;
    tell_differences(&sim);
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    let secrets = mark(&sim, "00017");
    sim.settled().await;
    daemon.at_rest("main").await;
    let forget = async |id: &str| {
        let output = daemon.run(&["forget", "employee", id, "--json"]).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, error) = forget("00017").await;
    assert_eq!(code, Some(64), "{error}");
    assert!(error.contains("remove the person in DingTalk first"), "{error}");
    assert!(row_of(daemon.database(), "00017")["name"].is_string());
    let (code, _, error) = forget("nobody").await;
    assert!(code == Some(64) && error.contains("nobody with the userid"), "{error}");

    sim.change(&Change::PersonLeave { userid: "00017".to_owned() }).unwrap();
    sim.settled().await;
    daemon.at_rest("main").await;
    let (code, output, error) = forget("name:秘密之名").await;
    assert_eq!(code, Some(0), "{error}");
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&output["userid"], &output["erased"]["people"]), (&"00017".into(), &1.into()), "{output}");
    assert!(output["erased"]["messages"].as_i64() > Some(0), "{output}");
    assert_eq!(tables_with(daemon.database(), &secrets), Vec::<String>::new());
    let audit = "SELECT who, subject FROM dingsync_audit WHERE action = 'employee.forget' AND corp_id = ?";
    let noted = daemon.database().rows(audit, &sim.credentials().corp_id);
    assert_eq!(noted.len(), 1);
    assert!(noted[0]["who"].as_str().unwrap().starts_with("command line: "));
    assert!(noted[0]["subject"].as_str().unwrap().contains("00017"));

    let (code, output, error) = forget("00017").await;
    assert_eq!(code, Some(0), "{error}");
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(output["erased"]["people"], 0, "{output}");
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
    assert!(!secrets.iter().any(|secret| daemon.log().contains(secret.as_str())));
}
