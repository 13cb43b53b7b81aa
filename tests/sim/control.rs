//! The routes under `/sim`, and the command.

use dingsync::sim::{Args, Options, run};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, client, items, small, start, text};
use crate::receiver::{Manner, Receiver};

async fn call(api: &Api, method: &str, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}{path}", api.sim.url());
    let method = method.parse().expect("a method");
    // As curl sends it: without saying that it is JSON.
    let request = api.client.request(method, url).body(body.to_string());
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

async fn done(api: &Api, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = call(api, method, path, body).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

#[tokio::test]
async fn faults_push_rate_and_applications_are_shown_and_merged() {
    let api = start(small()).await;
    let merged = done(&api, "POST", "/sim/faults", json!({"paths": {"*": {"busy": 1.0}}})).await;
    assert_eq!(merged["paths"]["*"]["busy"], json!(1.0));
    assert_eq!(api.code("/topapi/v2/user/get", json!({"userid": "00017"})).await, "-1");
    done(&api, "GET", "/sim", json!({})).await;
    let (status, answer) = call(&api, "POST", "/sim/faults", json!({"nonsense": 1})).await;
    assert_eq!(status, 400);
    assert!(text(&answer["error"]).contains("nonsense"), "{answer}");
    assert_eq!(done(&api, "GET", "/sim/faults", json!({})).await, merged, "a wrong patch changes nothing");
    done(&api, "DELETE", "/sim/faults", json!({})).await;
    assert_eq!(api.code("/topapi/v2/user/get", json!({"userid": "00017"})).await, "0");

    let push = done(&api, "POST", "/sim/push", json!({"shape": "mixed", "timestamp": "timeStamp"})).await;
    assert_eq!((&push["shape"], &push["retry_after_ms"]), (&json!("mixed"), &json!([10_000, 30_000])));
    assert_eq!(done(&api, "GET", "/sim/push", json!({})).await, push);

    done(&api, "POST", "/sim/rate", json!({"rate": 1})).await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(api.code("/topapi/v2/user/get", json!({"userid": "00017"})).await);
    }
    assert!(codes.contains(&"90018".to_owned()), "{codes:?}");
    done(&api, "POST", "/sim/rate", json!({"rate": 0})).await;

    let path = format!("/sim/apps/{}", api.sim.credentials().app_key);
    let settings = done(&api, "POST", &path, json!({"scope": {"departments": []}})).await;
    assert_eq!(settings["scope"], json!({"departments": [], "people": []}));
    assert_eq!(done(&api, "GET", &path, json!({})).await, settings);
    assert_eq!(call(&api, "GET", "/sim/apps/nobody", json!({})).await.0, 404);
    assert_eq!(api.code("/topapi/v2/user/get", json!({"userid": "00017"})).await, "50002");

    done(&api, "POST", "/sim/tokens/kill", json!({})).await;
    assert_eq!(api.code("/topapi/v2/user/get", json!({"userid": "00017"})).await, "40014");
}

#[tokio::test]
async fn changes_life_and_deliveries_are_driven_over_http() {
    let api = start(small()).await;
    let receiver = Receiver::start(&api.sim.credentials()).await;
    let url = receiver.url.as_str();
    let set = done(&api, "POST", "/sim/callback", json!({"url": url, "check": true})).await;
    assert_eq!(set, json!({"url": url, "checked": true}));
    receiver.answer(Manner::Failing);
    let (status, answer) = call(&api, "POST", "/sim/callback", json!({"url": url, "check": true})).await;
    assert_eq!((status, &answer["error"]), (400, &json!("HTTP status 500")));
    assert_eq!(call(&api, "POST", "/sim/callback", json!({"url": "nonsense"})).await.0, 400);
    receiver.answer(Manner::Right);
    receiver.taken();

    let rename = json!({"kind": "person_rename", "userid": "00017", "name": "李四"});
    let made = done(&api, "POST", "/sim/changes", rename.clone()).await;
    let happening = &made["happenings"][0];
    assert_eq!((&happening["kind"], &happening["name"]), (&json!("person_rename"), &json!("李四")));
    assert_eq!(happening["events"], json!(["user_modify_org"]));
    let wrong = json!([rename, {"kind": "person_leave", "userid": "nobody"}]);
    let (status, answer) = call(&api, "POST", "/sim/changes", wrong).await;
    assert_eq!(status, 409);
    assert_eq!(answer["error"], json!("no employee has the userid \"nobody\""));
    assert_eq!(items(&answer["happenings"]).len(), 1, "the first was made");
    assert_eq!(call(&api, "POST", "/sim/changes", json!({"kind": "person_fly"})).await.0, 400);
    let settled = done(&api, "POST", "/sim/settle", json!({"timeout_ms": 20_000})).await;
    assert_eq!((&settled["accepted"], &settled["pending"]), (&json!(2 + 1 - 1), &json!(0)));
    assert_eq!(receiver.taken().len(), 2);

    done(&api, "DELETE", "/sim/counters", json!({})).await;
    let plan = json!({"count": 200, "interval_ms": 0, "kinds": ["person_edit", "department_rename"]});
    done(&api, "POST", "/sim/life", plan).await;
    let life = done(&api, "POST", "/sim/life/wait", json!({})).await;
    assert_eq!((&life["running"], &life["made"]), (&json!(0), &json!(200)));
    done(&api, "POST", "/sim/settle", json!({})).await;
    assert_eq!(receiver.taken().len(), 200);
    let status = done(&api, "GET", "/sim", json!({})).await;
    assert_eq!((&status["people"], &status["departments"]), (&json!(120), &json!(25)));
    assert_eq!(status["counters"]["push"]["accepted"], json!(200));
    assert_eq!(call(&api, "POST", "/sim/life", json!({"kinds": ["nonsense"]})).await.0, 400);

    done(&api, "POST", "/sim/life", json!({"count": 0, "interval_ms": 5})).await;
    assert_eq!(call(&api, "POST", "/sim/life/wait", json!({"timeout_ms": 20})).await.0, 408);
    assert_eq!(done(&api, "DELETE", "/sim/life", json!({})).await["running"], json!(0));

    done(&api, "POST", "/sim/settle", json!({})).await;
    done(&api, "POST", "/sim/push", json!({"retry_after_ms": []})).await;
    receiver.answer(Manner::Failing);
    done(&api, "POST", "/sim/changes", rename).await;
    done(&api, "POST", "/sim/settle", json!({})).await;
    assert_eq!(done(&api, "POST", "/sim/resend", json!({})).await, json!({"events": 1}));
}

#[tokio::test]
async fn the_truth_streams_line_by_line() {
    let api = start(Options { users: 1300, departments: 60, rate: 0, ..Options::default() }).await;
    for (subject, count) in [("departments", 60), ("users", 1300), ("roles", 27), ("role_groups", 7)] {
        let url = format!("{}/sim/truth/{subject}", api.sim.url());
        let response = api.client.get(url).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        let text = response.text().await.unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), count, "{subject}");
    }
    assert_eq!(call(&api, "GET", "/sim/truth/secrets", json!({})).await.0, 404);
}

#[tokio::test]
async fn control_works_while_the_api_is_away() {
    let api = start(small()).await;
    done(&api, "POST", "/sim/faults", json!({"away": {}})).await;
    api.send("/topapi/v2/user/get", json!({"userid": "00017"})).await.expect_err("away");
    done(&api, "POST", "/sim/faults", json!({"away": null})).await;
    assert_eq!(api.code("/topapi/v2/user/get", json!({"userid": "00017"})).await, "0");
}

#[tokio::test]
async fn the_printed_configuration_fits_the_simulator() {
    let api = start(small()).await;
    let parsed: toml::Table = api.sim.daemon_toml().parse().expect("TOML");
    let main = &parsed["corps"]["main"];
    let keys = api.sim.credentials();
    for (key, value) in [
        ("corp_id", &keys.corp_id),
        ("app_key", &keys.app_key),
        ("app_secret", &keys.app_secret),
        ("callback_token", &keys.callback_token),
        ("callback_aes_key", &keys.callback_aes_key),
        ("oapi_url", &api.sim.url()),
        ("api_url", &api.sim.url()),
    ] {
        assert_eq!(main[key].as_str(), Some(value.as_str()), "{key}");
    }
}

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

#[tokio::test]
async fn the_command_serves_until_it_is_told_to_stop() {
    use clap::{CommandFactory as _, Parser as _};
    let help = Command::command().render_long_help().to_string();
    for word in ["--users", "--changes-per-second", "/sim/faults", "/sim/truth/departments"] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let line = format!("sim --users 50 --departments 9 --seed 3 --listen {free} --changes-per-second 500");
    let command = Command::try_parse_from(line.split(' ')).expect("good arguments");
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(command.args, shutdown.clone()));
    let client = client();
    let status = async || -> Option<Value> {
        client.get(format!("http://{free}/sim")).send().await.ok()?.json().await.ok()
    };
    let status = loop {
        match status().await {
            Some(status) if status["life"]["made"].as_u64() > Some(3) => break status,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(status["organisation"], json!("云帆集团"));
    shutdown.cancel();
    running.await.expect("no panic").expect("a clean end");
    client.get(format!("http://{free}/sim")).send().await.expect_err("nobody listens any more");
}
