//! What is taken from DingTalk, and how it is answered.

use std::fs;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::compat::{Python, with_keys};
use crate::support::callback::{Caller, Push};
use crate::support::{Daemon, PATIENCE, UNBOUNDED, simulator};

const OTHER_TOKEN: &str = "An0therCallbackToken";
const OTHER_KEY: &str = "An0therCa11backAesKeyWith43CharactersInA11z";

async fn running() -> (dingsync::sim::Sim, Daemon, Caller) {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    let caller = Caller::new(daemon.callback_url("main"), &sim.credentials());
    (sim, daemon, caller)
}

fn stored_events(daemon: &Daemon) -> i64 {
    daemon.database().number("SELECT count(*) FROM dingsync_inbox")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_handshake_is_answered_under_the_owner_key_that_it_came_with() {
    let (sim, daemon, caller) = running().await;
    let handshakes = [
        r#"{"EventType":"check_url"}"#,
        r#"{"EventType":"check_create_suite_url","Random":"Ab3dE6gH","TestSuiteKey":"suite4xxxxxxxxxxxxxxx"}"#,
        r#"{"EventType":"check_update_suite_url","Random":"Ab3dE6gH"}"#,
    ];
    let credentials = sim.credentials();
    let as_corp = Caller::new(daemon.callback_url("main"), &credentials).owned_by(&credentials.corp_id);
    for handshake in handshakes {
        caller.push(handshake).await;
        as_corp.push(handshake).await;
    }
    assert_eq!(stored_events(&daemon), 0, "a handshake is no event");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_push_is_taken_once() {
    let (_sim, daemon, caller) = running().await;
    let mut number = 0;
    for signature in [&["signature"][..], &["msg_signature"], &["signature", "msg_signature"]] {
        for timestamp in ["timestamp", "timeStamp"] {
            for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
                number += 1;
                let message =
                    format!(r#"{{"EventType":"user_modify_org","eventId":"e{number}","userId":["00017"]}}"#);
                let Push { query, body, .. } = caller.message(&message);
                let signed = query[0].1.clone();
                let mut renamed: Vec<_> = signature.iter().map(|name| (*name, signed.clone())).collect();
                renamed.extend([(timestamp, query[1].1.clone()), ("nonce", query[2].1.clone())]);
                let push = Push { query: renamed, body, content_type };
                caller.assert_success(&caller.send(&push).await);
                // DingTalk's retry.
                caller.assert_success(&caller.send(&push).await);
            }
        }
    }
    assert_eq!(stored_events(&daemon), number);
    let inbox = daemon.status("main").await.unwrap()["inbox"].clone();
    assert_eq!((&inbox["received"], &inbox["duplicates"]), (&json!(number), &json!(number)));
    assert_eq!(inbox["rejected"], 0);
    assert!(inbox["last_event_at"].is_string(), "{inbox}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_knows_is_stored_and_acknowledged() {
    let (_sim, daemon, caller) = running().await;
    let message =
        r#"{"EventType":"something_new_org","eventId":"n1","brandNew":{"deep":[1,2,3]},"userId":["00017"]}"#;
    caller.push(message).await;
    caller.push(r#"{"EventType":"bpms_instance_change","corpId":"x","processInstanceId":"p"}"#).await;
    caller.push("{}").await;
    assert_eq!(stored_events(&daemon), 3);
    let stored = daemon.database().rows("SELECT message FROM dingsync_inbox WHERE event_id = 'n1'", "");
    assert_eq!(stored[0]["message"], message, "the message is kept as it came");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_without_an_event_id_are_stored_once_and_read_again() {
    let (sim, daemon, caller) = running().await;
    daemon.at_rest("main").await;
    sim.reset_counters();
    let message = r#"{"EventType":"user_modify_org","TimeStamp":"1767225600123","UserId":["00017"]}"#;
    caller.push(message).await;
    daemon.at_rest("main").await;
    let reads = |sim: &dingsync::sim::Sim| {
        sim.counters().calls.get("/topapi/v2/user/get").map_or(0, |count| count.total)
    };
    let before = reads(&sim);
    assert!(before > 0);
    caller.push(message).await;
    daemon.at_rest("main").await;
    assert!(reads(&sim) > before, "two changes can have the same bytes");
    assert_eq!(stored_events(&daemon), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_keys_change_both_pairs_are_taken_and_each_is_answered_with_its_own() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_corp(
        "main",
        &format!("callback_token_previous = \"{OTHER_TOKEN}\"\ncallback_aes_key_previous = \"{OTHER_KEY}\""),
    );
    daemon.start().await;
    let caller = || Caller::new(daemon.callback_url("main"), &sim.credentials());
    caller().push(r#"{"EventType":"org_change","eventId":"a"}"#).await;
    caller().with_keys(OTHER_TOKEN, OTHER_KEY).push(r#"{"EventType":"org_change","eventId":"b"}"#).await;
    let third = caller().with_keys("Y3tAnotherToken", OTHER_KEY);
    let (status, body) = third.send(&third.message(r#"{"EventType":"org_change","eventId":"c"}"#)).await;
    assert_eq!((status, body.as_str()), (403, ""), "refused without a word");
    assert_eq!(stored_events(&daemon), 2);
    let inbox = daemon.status("main").await.unwrap()["inbox"].clone();
    assert_eq!(inbox["last_rejected"]["reason"], "signature");
    assert!(inbox["last_rejected"]["remedy"].as_str().unwrap().contains("callback_token"), "{inbox}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aes_key_that_changes_without_its_token_is_told_from_the_one_before() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let token = sim.credentials().callback_token;
    daemon.configure_corp(
        "main",
        &format!("callback_token_previous = \"{token}\"\ncallback_aes_key_previous = \"{OTHER_KEY}\""),
    );
    daemon.start().await;
    let caller = || Caller::new(daemon.callback_url("main"), &sim.credentials());
    caller().push(r#"{"EventType":"org_change","eventId":"a"}"#).await;
    caller().with_keys(&token, OTHER_KEY).push(r#"{"EventType":"org_change","eventId":"b"}"#).await;
    assert_eq!(stored_events(&daemon), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_change_in_their_files_are_used_without_a_restart() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let credentials = sim.credentials();
    let (token, key) = (daemon.folder().join("token"), daemon.folder().join("key"));
    fs::write(&token, format!("{}\n", credentials.callback_token)).unwrap();
    fs::write(&key, format!("{}\n", credentials.callback_aes_key)).unwrap();
    daemon.configure_without("callback_");
    daemon
        .configure_corp("main", &format!("callback_token_file = {token:?}\ncallback_aes_key_file = {key:?}"));
    daemon.start().await;
    let caller = || Caller::new(daemon.callback_url("main"), &credentials);
    caller().push(r#"{"EventType":"org_change","eventId":"a"}"#).await;
    fs::write(&token, OTHER_TOKEN).unwrap();
    fs::write(&key, OTHER_KEY).unwrap();
    let renewed = caller().with_keys(OTHER_TOKEN, OTHER_KEY);
    let push = renewed.message(r#"{"EventType":"org_change","eventId":"b"}"#);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = renewed.send(&push).await;
        if answer.0 == 200 {
            renewed.assert_success(&answer);
            break;
        }
        assert!(Instant::now() < deadline, "the new keys are not used: {}", daemon.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_committed_is_not_acknowledged() {
    let (sim, daemon, caller) = running().await;
    daemon.at_rest("main").await;
    let blocker = Connection::open(daemon.database().file()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let push = caller.message(r#"{"EventType":"user_modify_org","eventId":"late","userId":["00017"]}"#);
    let (status, body) = caller.send(&push).await;
    assert_eq!((status, body.as_str()), (503, ""));
    let (status, body) = daemon.get("/readyz").await.unwrap();
    let reason: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &reason["reason"]), (503, &json!("busy")));
    assert_eq!(daemon.get("/healthz").await.unwrap().0, 200, "the process is well");
    blocker.execute_batch("ROLLBACK").unwrap();
    let deadline = Instant::now() + PATIENCE;
    while caller.send(&push).await.0 != 200 {
        assert!(Instant::now() < deadline, "it does not recover: {}", daemon.log());
    }
    assert_eq!(stored_events(&daemon), 1);
    daemon.agrees_with(&sim, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_callbacks_of_known_organisations_is_served() {
    let sim = simulator(60, 8, 1).await;
    let silent = simulator(30, 4, 2).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let url = silent.url();
    daemon.configure_more(&format!(
        "[corps.silent]\ncorp_id = \"dingsilent\"\napp_key = \"{}\"\napp_secret = \"{}\"\noapi_url = \"{url}\"\napi_url = \"{url}\"\n{UNBOUNDED}\n",
        silent.credentials().app_key,
        silent.credentials().app_secret,
    ));
    daemon.start().await;
    for corp in ["silent", "nobody"] {
        let caller = Caller::new(daemon.callback_url(corp), &sim.credentials());
        assert_eq!(caller.send(&caller.message(r#"{"EventType":"check_url"}"#)).await.0, 404, "{corp}");
    }
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = daemon.callback_url("main");
    assert_eq!(http.get(url.clone()).send().await.unwrap().status(), 405);
    for path in ["/", "/healthz", "/metrics", "/api/v1/status"] {
        assert_eq!(http.get(url.join(path).unwrap()).send().await.unwrap().status(), 404, "{path}");
    }
    // Without callbacks it lives by comparison; it is pulled all the same.
    daemon.wait("silent", "pull", |status| status["bootstrap"]["state"] == "complete").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_package_and_the_daemon_understand_each_other() {
    let (sim, daemon, _) = running().await;
    let python = tokio::task::spawn_blocking(Python::prepare).await.unwrap();
    let credentials = sim.credentials();
    let messages = [
        json!({"EventType": "user_modify_org", "eventId": "py1", "userId": ["00017"]}).to_string(),
        json!({"EventType": "中文事件 😀", "eventId": "py2"}).to_string(),
        json!({"EventType": "check_url"}).to_string(),
    ];
    let lines: Vec<Value> = messages.iter().map(|message| json!({ "message": message })).collect();
    let (encrypt, decrypt) = (with_keys("encrypt", &credentials), with_keys("decrypt", &credentials));
    let (python, sealed) = tokio::task::spawn_blocking(move || {
        let sealed = python.filter(&encrypt, &lines);
        (python, sealed)
    })
    .await
    .unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut replies = Vec::new();
    for line in sealed {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        let response = http
            .post(daemon.callback_url("main"))
            .query(&[
                ("signature", text("signature")),
                ("timestamp", text("timestamp")),
                ("nonce", text("nonce")),
            ])
            .body(json!({ "encrypt": text("encrypt") }).to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let reply: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        replies.push(json!({
            "signature": reply["msg_signature"], "timestamp": reply["timeStamp"],
            "nonce": reply["nonce"], "encrypt": reply["encrypt"],
        }));
    }
    let opened = tokio::task::spawn_blocking(move || python.filter(&decrypt, &replies)).await.unwrap();
    assert_eq!(opened, vec![json!({"message": "success"}); 3]);
    let stored = daemon.database().rows("SELECT message FROM dingsync_inbox ORDER BY id", "");
    let stored: Vec<&str> = stored.iter().filter_map(|row| row["message"].as_str()).collect();
    assert_eq!(stored, messages[..2]);
}
