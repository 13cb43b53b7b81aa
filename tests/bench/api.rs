//! Calls of the simulator's API without any of the daemon's code.

use dingsync::sim::Sim;
use serde_json::Value;

/// A client with a token.
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    pub(crate) async fn of(sim: &Sim) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let (base, keys) = (sim.url(), sim.credentials());
        let url = format!("{base}/gettoken?appkey={}&appsecret={}", keys.app_key, keys.app_secret);
        let answer = http.get(url).send().await.expect("an answer").json::<Value>().await.expect("JSON");
        let token = answer["access_token"].as_str().expect("a token").to_owned();
        Self { http, base, token }
    }

    /// What a method of `topapi/v2` answers.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/topapi/v2/{path}?access_token={}", self.base, self.token);
        let answer = self.http.post(url).json(body).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }
}
