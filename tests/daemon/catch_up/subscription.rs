//! `dingsync subscription`

use serde_json::{Value, json};

use super::rename;
use crate::support::{Daemon, UNBOUNDED, simulator};

fn event<'a>(report: &'a Value, event_type: &str) -> &'a Value {
    let events = report["events"].as_array().expect("events");
    events.iter().find(|event| event["event_type"] == event_type).expect(event_type)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_what_is_registered_and_what_has_come_and_changes_nothing() {
    let sim = simulator(60, 8, 9).await;
    let keys = sim.credentials();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    rename(&sim, "00017", "新名");
    sim.settled().await;
    let output = daemon.run(&["subscription", "--json"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reports: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reports[0]["registered"], json!({ "state": "none" }));
    assert!(event(&reports[0], "user_modify_org")["last_at"].is_string());
    assert_eq!(event(&reports[0], "user_leave_org")["last_at"], Value::Null);
    assert!(event(&reports[0], "user_leave_org")["name"].is_string());

    let shown = String::from_utf8_lossy(&daemon.run(&["subscription"]).await.stdout).into_owned();
    assert!(shown.contains("which is right where the console's event subscription is used"), "{shown}");
    assert!(!shown.lines().any(|line| line.split_whitespace().any(|word| word == "no")), "{shown}");
    let nonsense = daemon.run(&["events", "list", "--type", "user_leave"]).await;
    let shown = String::from_utf8_lossy(&nonsense.stdout).into_owned();
    assert!(nonsense.status.success(), "{shown}");
    assert!(shown.contains("`user_leave`") && shown.contains("user_leave_org"), "{shown}");

    // Somebody registers through the older API.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: String| -> Value {
        let answer = http.get(format!("{}{path}", sim.url())).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    };
    let token = get(format!("/gettoken?appkey={}&appsecret={}", keys.app_key, keys.app_secret)).await;
    let token = token["access_token"].as_str().unwrap();
    let body = json!({
        "call_back_tag": ["user_leave_org", "bpms_task_change"],
        "token": keys.callback_token, "aes_key": keys.callback_aes_key, "url": daemon.callback_url("main").as_str(),
    });
    let url = format!("{}/call_back/register_call_back?access_token={token}", sim.url());
    let answer = http
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(answer.contains("\"errcode\":0"), "{answer}");
    for arguments in [&["subscription"][..], &["subscription", "--json"]] {
        let output = daemon.run(arguments).await;
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && shown.contains("bpms_task_change"), "{shown}");
        for secret in [&keys.callback_token, &keys.callback_aes_key, &keys.app_secret] {
            assert!(!shown.contains(secret.as_str()), "a secret is shown: {shown}");
        }
        if arguments.len() == 1 {
            assert!(
                shown.contains("make sure that these are ticked") && shown.contains("事件订阅"),
                "{shown}"
            );
            assert!(shown.contains("user_add_org"), "{shown}");
        } else {
            let reports: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(reports[0]["registered"]["state"], "some");
            assert_eq!(event(&reports[0], "user_leave_org")["is_registered"], true);
        }
    }
    let still = get(format!("/call_back/get_call_back?access_token={token}")).await;
    assert_eq!(still["call_back_tag"].as_array().map(Vec::len), Some(2), "it is left as it is");
    daemon.stop().await;
}
