//! An endpoint for callbacks that keeps what came and answers well, or badly on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use dingsync::dingtalk::crypto::{AesKey, decrypt, encrypt, signature};
use dingsync::http::{Limits, serve};
use dingsync::sim::Credentials;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As DingTalk wants it.
    Right,
    /// HTTP 500.
    Failing,
    /// With the key `timestamp` in place of `timeStamp`.
    Misspelt,
    /// Under another owner key.
    ForSomebodyElse,
    /// Right, but after this long.
    Late(Duration),
}

/// A push as it came.
#[derive(Debug, Clone)]
pub(crate) struct Push {
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) content_type: Option<String>,
    pub(crate) encrypt: String,
    pub(crate) message: Value,
    pub(crate) owner: String,
}

impl Push {
    pub(crate) fn topic(&self) -> &str {
        self.message["EventType"].as_str().expect("a type")
    }

    pub(crate) fn time(&self) -> &str {
        self.query.get("timestamp").or_else(|| self.query.get("timeStamp")).expect("a time")
    }
}

#[derive(Debug)]
struct Inner {
    token: String,
    key: AesKey,
    manner: Mutex<Manner>,
    pushes: Mutex<Vec<Push>>,
}

/// A running endpoint; it ends with the value.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: Url,
    inner: Arc<Inner>,
    stop: CancellationToken,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Receiver {
    /// Starts one for an organisation's callback keys.
    pub(crate) async fn start(credentials: &Credentials) -> Self {
        let inner = Arc::new(Inner {
            token: credentials.callback_token.clone(),
            key: AesKey::parse(&credentials.callback_aes_key).expect("a key"),
            manner: Mutex::new(Manner::Right),
            pushes: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url =
            format!("http://{}/dingtalk/main/callback?own=1", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let router =
            Router::new().route("/dingtalk/main/callback", post(take)).with_state(Arc::clone(&inner));
        tokio::spawn(serve(listener, router, Limits::default(), stop.clone()));
        Self { url: url.parse().expect("a URL"), inner, stop }
    }

    pub(crate) fn answer(&self, manner: Manner) {
        *self.inner.manner.lock().expect("not poisoned") = manner;
    }

    /// What came so far; it is forgotten with this.
    pub(crate) fn taken(&self) -> Vec<Push> {
        std::mem::take(&mut self.inner.pushes.lock().expect("not poisoned"))
    }
}

async fn take(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let encrypted = body["encrypt"].as_str().expect("ciphertext").to_owned();
    let frame = decrypt(&inner.key, &encrypted).expect("the right key");
    let owner = String::from_utf8(frame.owner_key).expect("text");
    let push = Push {
        content_type: headers.get("content-type").map(|value| value.to_str().expect("text").to_owned()),
        message: serde_json::from_str(&frame.message).expect("JSON"),
        encrypt: encrypted.clone(),
        owner: owner.clone(),
        query,
    };
    let signed = signature(&inner.token, push.time(), &push.query["nonce"], &encrypted);
    for name in ["signature", "msg_signature"] {
        assert!(push.query.get(name).is_none_or(|theirs| *theirs == signed), "a wrong {name}");
    }
    inner.pushes.lock().expect("not poisoned").push(push);
    let manner = *inner.manner.lock().expect("not poisoned");
    let mut owner = owner;
    match manner {
        Manner::Failing => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Manner::ForSomebodyElse => "somebody-else".clone_into(&mut owner),
        Manner::Late(delay) => tokio::time::sleep(delay).await,
        Manner::Right | Manner::Misspelt => {}
    }
    let sealed = encrypt(&inner.key, [9; 16], "success", owner.as_bytes());
    let (time, nonce) = ("1767225600456", "Zx81nQpe");
    let time_key = if manner == Manner::Misspelt { "timestamp" } else { "timeStamp" };
    Json(json!({
        "msg_signature": signature(&inner.token, time, nonce, &sealed),
        time_key: time,
        "nonce": nonce,
        "encrypt": sealed,
    }))
    .into_response()
}
