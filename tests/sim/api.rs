//! A client without opinions: it sends what it is told to and gives back what came.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use dingsync::clock::Clock;
use dingsync::sim::{Options, Sim, Subject};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    /// 2026-01-01 in UTC, as milliseconds: where it starts.
    pub(crate) const START: i64 = 1_767_225_600_000;

    pub(crate) fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::Relaxed)).expect("in range")
    }
}

/// A simulator with its clock and a client that has a token.
pub(crate) struct Api {
    pub(crate) sim: Sim,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: reqwest::Client,
    pub(crate) token: String,
}

/// Starts a simulator without a limit of calls, unless `options` sets one.
pub(crate) async fn start(options: Options) -> Api {
    let clock = Arc::new(ManualClock(AtomicI64::new(ManualClock::START)));
    let sim = Sim::start(options, clock.clone()).await.expect("the simulator starts");
    let client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client");
    let mut api = Api { sim, clock, client, token: String::new() };
    api.token = api.fresh_token().await;
    api
}

/// Options of a small organisation without a limit of calls.
pub(crate) fn small() -> Options {
    Options { users: 120, departments: 25, rate: 0, ..Options::default() }
}

impl Api {
    pub(crate) async fn fresh_token(&self) -> String {
        let keys = self.sim.credentials();
        let answer =
            self.get(&format!("/gettoken?appkey={}&appsecret={}", keys.app_key, keys.app_secret)).await;
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// A GET without a token of its own.
    pub(crate) async fn get(&self, path_and_query: &str) -> Value {
        let url = format!("{}{path_and_query}", self.sim.url());
        let response = self.client.get(url).send().await.expect("an answer");
        response.json().await.expect("JSON")
    }

    /// A classic GET with the token.
    pub(crate) async fn classic(&self, path: &str, query: &str) -> Value {
        self.get(&format!("{path}?access_token={}&{query}", self.token)).await
    }

    /// A POST of JSON with the token in the query.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let response = self.send(path, body).await.expect("an answer");
        response.json().await.expect("JSON")
    }

    pub(crate) async fn send(&self, path: &str, body: Value) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}{path}?access_token={}", self.sim.url(), self.token);
        self.client.post(url).json(&body).send().await
    }

    /// The `result` of a call that has to succeed.
    pub(crate) async fn result(&self, path: &str, body: Value) -> Value {
        let mut answer = self.post(path, body).await;
        assert_eq!(answer["errcode"], json!(0), "{path}: {answer}");
        answer["result"].take()
    }

    /// The effective error code of a call that has to fail.
    pub(crate) async fn code(&self, path: &str, body: Value) -> String {
        let answer = self.post(path, body).await;
        match answer["sub_code"].as_str() {
            Some(code) => code.to_owned(),
            None => answer["errcode"].to_string(),
        }
    }

    /// A modern GET with the token in its header.
    pub(crate) async fn modern(&self, path_and_query: &str) -> (u16, Value) {
        let url = format!("{}{path_and_query}", self.sim.url());
        let request = self.client.get(url).header("x-acs-dingtalk-access-token", &self.token);
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    /// A POST of JSON without any token.
    pub(crate) async fn bare(&self, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.sim.url());
        let response = self.client.post(url).json(&body).send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }
}

/// Lays a merge patch over what goes wrong.
pub(crate) fn faults(api: &Api, patch: &Value) {
    api.sim.merge_faults(patch).expect("known switches");
}

/// Lays a merge patch over what the application may do.
pub(crate) fn settings(api: &Api, patch: &Value) {
    let key = api.sim.credentials().app_key.clone();
    api.sim.merge_app_settings(&key, patch).expect("known settings").expect("a known application");
}

/// A department below another one that is not the root, with its parent.
pub(crate) fn nested(api: &Api) -> (i64, i64) {
    let departments = api.sim.truth(Subject::Departments);
    departments
        .filter_map(|line| Some((line["dept_id"].as_i64()?, line["parent_id"].as_i64()?)))
        .find(|(_, parent)| *parent != 1)
        .expect("a department below another")
}

/// A whole number in an answer.
pub(crate) fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

/// A text in an answer.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// A list in an answer.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// A client that asks nobody for a proxy.
pub(crate) fn client() -> reqwest::Client {
    // Each test is a process of its own only under some runners.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client")
}
