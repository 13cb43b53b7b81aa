//! `explain`, `events` and `tasks`, and the same questions to the API.

use dingsync::sim::Change;
use serde_json::{Value, json};

use super::{answer, asked, rename, run, run_json, running, told};
use crate::support::callback::Caller;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_explained_with_all_that_touched_him() {
    let (sim, mut daemon) = running(80, 10).await;
    rename(&sim, "00017", "新名");
    sim.settled().await;
    daemon.at_rest("main").await;
    let told = run_json(&daemon, 0, &["explain", "employee", "name:新名"]).await;
    assert_eq!(
        (&told["entity"], &told["id"], &told["corp"]),
        (&json!("employee"), &json!("00017"), &json!("main"))
    );
    assert_eq!(told["stored"]["name"], "新名");
    assert_eq!(told["dingtalk"]["state"], "present");
    assert_eq!(told["dingtalk"]["differences"], json!([]));
    assert_eq!(told["tasks"][0]["kind"], "employee");
    assert_eq!(told["tasks"][0]["cause"], "event");
    assert_eq!(told["tasks"][0]["standing"], "present");
    assert_eq!(told["changes"][0]["new_values"]["name"], "新名");
    assert_eq!(told["changes"][0]["cause"], "event");
    assert_eq!(told["events"][0]["event_type"], "user_modify_org");
    assert_eq!(told["events"][0]["employees"], json!(["00017"]));
    assert_eq!(told["events"].as_array().unwrap().len(), 1, "{}", told["events"]);
    assert_eq!(told["events_looked_back_to"], Value::Null, "to the beginning");
    let department = told["stored"]["departments"][0]["dept_id"].to_string();
    assert!(told["names"]["department"][&department].is_string(), "{}", told["names"]);

    // Without an event: DingTalk says something else, and a run tells so.
    sim.set_callback(None);
    rename(&sim, "00017", "另名");
    let api = answer(&daemon, "/api/v1/main/explain/employee/00017").await;
    let difference = &api["dingtalk"]["differences"][0];
    assert_eq!(
        (&difference["field"], &difference["stored"], &difference["actual"]),
        (&json!("name"), &json!("新名"), &json!("另名"))
    );
    assert!(api["verdict"].to_string().contains("dingsync sync employee 00017"), "{}", api["verdict"]);
    run(&daemon, 2, &["verify"]).await;
    let text = run(&daemon, 0, &["explain", "employee", "00017"]).await;
    for part in [
        "新名 → 另名",
        "DingTalk says something else now of name",
        "verify",
        "user_modify_org",
        "because of event",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let offline = run_json(&daemon, 0, &["explain", "employee", "00017", "--offline"]).await;
    assert_eq!(offline["dingtalk"], Value::Null);
    assert_eq!(offline["runs"][0]["difference"], "changed");
    run(&daemon, 0, &["sync", "employee", "00017"]).await;

    // DingTalk away: what is known is told, and that it is away.
    sim.merge_faults(&json!({ "paths": { "*": { "reset": 1.0 } } })).unwrap();
    let away = run_json(&daemon, 0, &["explain", "employee", "00017"]).await;
    assert_eq!(away["stored"]["name"], "另名");
    assert_eq!(away["dingtalk"]["state"], "unknown");
    assert!(away["dingtalk"]["error"].is_string(), "{away}");
    run(&daemon, 75, &["explain", "employee", "nobody-at-all"]).await;
    sim.merge_faults(&json!({ "paths": null })).unwrap();
    let nobody = run_json(&daemon, 0, &["explain", "employee", "nobody-at-all"]).await;
    assert_eq!((&nobody["stored"], &nobody["dingtalk"]["state"]), (&Value::Null, &json!("gone")));
    run(&daemon, 64, &["explain", "employee", "mobile:10000000000"]).await;
    daemon.stop().await;
    // A question needs no daemon.
    run(&daemon, 0, &["explain", "department", "1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn departments_and_roles_are_explained_too() {
    let (sim, mut daemon) = running(60, 8).await;
    let department = run_json(&daemon, 0, &["explain", "department", "1"]).await;
    assert_eq!(department["stored"]["name"], sim.status().organisation);
    assert_eq!(department["tasks"].as_array().unwrap().len(), 2, "{}", department["tasks"]);
    assert_eq!(department["dingtalk"]["differences"], json!([]));
    let role = sim.truth(dingsync::sim::Subject::Roles).next().unwrap();
    let role_id = role["role_id"].to_string();
    let told = run_json(&daemon, 0, &["explain", "role", &role_id]).await;
    assert_eq!((&told["stored"]["name"], &told["dingtalk"]["state"]), (&role["name"], &json!("present")));
    assert_eq!(told["dingtalk"]["differences"], json!([]));
    let told = run_json(&daemon, 0, &["explain", "role", "987654321"]).await;
    assert_eq!((&told["stored"], &told["dingtalk"]["state"]), (&Value::Null, &json!("gone")));
    sim.set_callback(None);
    sim.change(&Change::OrganisationRename { name: "新集团".to_owned() }).unwrap();
    let told = answer(&daemon, "/api/v1/main/explain/department/1").await;
    assert_eq!(told["dingtalk"]["differences"][0]["actual"], "新集团");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_shown_and_replayed() {
    let (sim, mut daemon) = running(60, 8).await;
    sim.set_callback(None);
    let caller = Caller::new(daemon.callback_url("main"), &sim.credentials());
    for (number, userid) in ["00017", "00018", "00017", "00019"].iter().enumerate() {
        let kind = if number == 3 { "user_active_org" } else { "user_modify_org" };
        let message = json!({ "EventType": kind, "eventId": format!("e{number}"), "userId": [userid],
            "diffInfo": { "curr": { "name": "秘密" } } });
        caller.push(&message.to_string()).await;
    }
    daemon.at_rest("main").await;
    let all = run_json(&daemon, 0, &["events", "list"]).await;
    let ids = |page: &Value| -> Vec<String> {
        let events = page["events"].as_array().unwrap();
        events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&all), ["e3", "e2", "e1", "e0"]);
    assert!(!all.to_string().contains("秘密"), "{all}");
    let some = run_json(&daemon, 0, &["events", "list", "--object", "employee:00017"]).await;
    assert_eq!(ids(&some), ["e2", "e0"]);
    let some = answer(&daemon, "/api/v1/main/events?type=user_active_org").await;
    assert_eq!(ids(&some), ["e3"]);
    let page = answer(&daemon, "/api/v1/main/events?limit=3").await;
    assert_eq!(ids(&page), ["e3", "e2", "e1"]);
    let next = page["next"].as_str().unwrap();
    assert_eq!(ids(&answer(&daemon, &format!("/api/v1/main/events?before={next}")).await), ["e0"]);
    for (wish, expected) in [
        ("since=2026-01-01T00:00:00Z", 4),
        ("until=2026-01-01T00:00:00Z", 0),
        ("since=2100-01-01T00:00:00Z", 0),
        ("until=2100-01-01T00:00:00Z", 4),
    ] {
        let page = answer(&daemon, &format!("/api/v1/main/events?{wish}")).await;
        assert_eq!(page["events"].as_array().unwrap().len(), expected, "{wish}: {page}");
    }
    let list = run(&daemon, 0, &["events", "list", "--since", "1h"]).await;
    assert!(list.contains("user_active_org") && !list.contains("秘密"), "{list}");

    let first = all["events"][3]["id"].to_string();
    let shown = run_json(&daemon, 0, &["events", "show", &first]).await;
    assert_eq!(shown["message"]["diffInfo"]["curr"]["name"], "秘密");
    assert_eq!(shown["marks"], json!([["employee", "00017"]]));
    run(&daemon, 1, &["events", "show", "999999"]).await;
    assert_eq!(asked(&daemon, "/api/v1/main/events/999999").await.0, 404);

    rename(&sim, "00017", "新名");
    rename(&sim, "00018", "另名");
    run(&daemon, 64, &["events", "replay"]).await;
    run(&daemon, 0, &["events", "replay", &first]).await;
    daemon.at_rest("main").await;
    let change = |name: &str| {
        format!("SELECT count(*) FROM ding_change WHERE cause = 'manual' AND event_id = '{name}'")
    };
    assert_eq!(daemon.database().number(&change("e0")), 1);
    let (status, replayed) =
        told(&daemon, "/api/v1/main/events/replay", &json!({ "type": "user_modify_org" })).await;
    assert_eq!((status, &replayed["events"], &replayed["next"]), (202, &json!(3), &Value::Null));
    daemon.agrees_with(&sim, "main").await;
    assert_eq!(daemon.database().number(&change("e1")), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_tasks_are_listed_retried_and_discarded() {
    let (sim, mut daemon) = running(60, 8).await;
    sim.set_callback(None);
    // As a worker leaves them behind when DingTalk refuses to show them.
    daemon.database().script(
        "UPDATE dingsync_object SET wanted = wanted + 1, ready_at = NULL, attempts = 3, \
         parked_at = 1767225600000, parked_reason = 'bad_request: refused' \
         WHERE kind = 'employee' AND object_id IN ('00017', '00018', '00019')",
    );
    daemon.wait("main", "parked", |status| status["queue"]["parked"] == 3).await;
    let parked = run_json(&daemon, 0, &["tasks", "list", "--state", "parked"]).await;
    let ids: Vec<&str> =
        parked["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3, "{parked}");
    assert_eq!(parked["tasks"][0]["parked_reason"], "bad_request: refused");
    let page = answer(&daemon, "/api/v1/main/tasks?state=parked&limit=2").await;
    assert_eq!(page["tasks"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    let rest = answer(&daemon, &format!("/api/v1/main/tasks?state=parked&limit=2&after={next}")).await;
    assert_eq!((rest["tasks"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let shown = run(&daemon, 0, &["tasks", "show", "employee", "00017"]).await;
    assert!(shown.contains("parked because") && shown.contains("refused"), "{shown}");
    run(&daemon, 1, &["tasks", "show", "employee", "nobody"]).await;
    run(&daemon, 64, &["tasks", "show", "person", "00017"]).await;
    let explained = run(&daemon, 0, &["explain", "employee", "00017", "--offline"]).await;
    assert!(explained.contains("dingsync tasks retry employee 00017"), "{explained}");

    rename(&sim, "00017", "新名");
    rename(&sim, "00018", "另名");
    run(&daemon, 0, &["tasks", "retry", "employee", "00017"]).await;
    daemon
        .wait("main", "read", |status| status["queue"]["parked"] == 2 && status["queue"]["pending"] == 0)
        .await;
    let (status, done) = told(&daemon, "/api/v1/main/tasks/employee/00018/discard", &json!({})).await;
    assert_eq!((status, &done["discarded"]), (200, &json!([["employee", "00018"]])));
    assert_eq!(told(&daemon, "/api/v1/main/tasks/employee/00018/discard", &json!({})).await.0, 409);
    run(&daemon, 1, &["tasks", "discard", "employee", "00018"]).await;
    let by = "SELECT count(*) FROM ding_employee WHERE name IN ('新名', '另名')";
    assert_eq!(daemon.database().number(by), 1, "what is discarded is not read");
    run(&daemon, 0, &["tasks", "retry", "--parked", "--reason", "unexpected"]).await;
    assert_eq!(daemon.status("main").await.unwrap()["queue"]["parked"], 1);
    run(&daemon, 0, &["tasks", "retry", "--parked"]).await;
    daemon.at_rest("main").await;
    run(&daemon, 0, &["sync", "employee", "00018"]).await;
    daemon.agrees_with(&sim, "main").await;
    let all = run(&daemon, 0, &["tasks", "list"]).await;
    assert!(all.contains("nothing waits"), "{all}");
    daemon.stop().await;
}
