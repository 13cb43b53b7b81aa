//! What only a token with the scope `approve` may ask for.

use dingsync::sim::Change;
use reqwest::Method;
use serde_json::{Value, json};

use super::{answer, request, running, sent, told};
use crate::support::Daemon;

/// Writes as whoever may decide.
async fn judged(daemon: &Daemon, path: &str, body: &Value) -> (u16, Value) {
    sent(request(daemon, Method::POST, path).bearer_auth("a-secret").json(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn leavers_are_forgotten_and_whoever_is_there_is_not() {
    let (sim, mut daemon) = running(40, 5).await;
    let forget = "/api/v1/main/employees/00017/forget";
    assert_eq!(told(&daemon, forget, &json!({})).await.0, 403, "an operator's token");
    let (status, refusal) = judged(&daemon, forget, &json!({})).await;
    assert!(status == 409 && refusal["error"].is_string(), "{refusal}");
    assert_eq!(judged(&daemon, "/api/v1/main/employees/nobody/forget", &json!({})).await.0, 404);
    sim.change(&Change::PersonLeave { userid: "00017".to_owned() }).unwrap();
    sim.settled().await;
    daemon.at_rest("main").await;
    let (status, forgotten) = judged(&daemon, forget, &json!({})).await;
    assert_eq!((status, &forgotten["erased"]["people"]), (200, &json!(1)), "{forgotten}");
    let row = answer(&daemon, "/api/v1/main/employees/00017").await;
    assert_eq!((&row["name"], &row["mobile"]), (&Value::Null, &Value::Null));
    assert!(row["deleted_at"].is_string(), "{row}");
    let audit = answer(&daemon, "/api/v1/main/audit?limit=1").await;
    let entry = &audit["entries"][0];
    assert_eq!((&entry["who"], &entry["action"]), (&json!("token judge"), &json!("employee.forget")));
    daemon.stop().await;
}
