//! What only a token with the scope `approve` may ask for.

use dingsync::sim::Change;
use reqwest::Method;
use serde_json::{Value, json};

use super::{TOKENS, answer, request, run, running, sent, told};
use crate::reconcile::{leave, leavers};
use crate::support::{Daemon, UNBOUNDED, simulator};

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

#[tokio::test(flavor = "multi_thread")]
async fn held_deletions_are_decided_on_through_the_api() {
    let sim = simulator(60, 6, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more(&format!("{TOKENS}[guard]\nmax_deletions = 5\nmax_share = 0.1\n"));
    daemon.follow(&sim).await;
    sim.set_callback(None);
    let gone = leavers(&sim, 10);
    leave(&sim, &gone);
    run(&daemon, 2, &["reconcile", "--quick"]).await;
    let (approve, discard) = ("/api/v1/main/reconcile/approve", "/api/v1/main/reconcile/discard");
    for path in [approve, discard] {
        assert_eq!(told(&daemon, path, &json!({})).await.0, 403, "an operator's token");
        assert_eq!(judged(&daemon, path, &json!({ "run": 4711 })).await.0, 404);
        assert_eq!(judged(&daemon, path, &json!({ "run": "all" })).await.0, 400);
        let (status, decided) = judged(&daemon, path, &json!({ "run": "events" })).await;
        assert_eq!((status, &decided["decided"]), (202, &json!(0)), "a run found them, no event");
    }
    let (status, decided) = judged(&daemon, approve, &json!({})).await;
    assert_eq!((status, &decided["objects"]), (202, &json!({ "employee": gone.len() })), "{decided}");
    daemon
        .wait("main", "deletion", |status| {
            status["reconcile"]["held"].is_null() && status["queue"]["held"] == 0
        })
        .await;
    daemon.agrees_with(&sim, "main").await;
    let audit = answer(&daemon, "/api/v1/main/audit?limit=1").await;
    let entry = &audit["entries"][0];
    assert_eq!((&entry["who"], &entry["action"]), (&json!("token judge"), &json!("reconcile.approve")));
    daemon.stop().await;
}
