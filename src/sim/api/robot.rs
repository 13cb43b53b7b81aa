//! A group robot: `POST /robot/send?access_token=…&timestamp=…&sign=…`, with 加签 as its security setting. It takes twenty
//! messages a minute.
//!
//! Not in the protocol notes; as DingTalk's public documents of custom robots have it. The codes are theirs, the texts
//! shortened.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{Request, Response, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::envelope::json_response;
use super::request::Params;
use super::trouble::{self, Met};
use crate::http::read_body;
use crate::sim::state::Shared;
use crate::sim::sync::lock;

/// Its path.
pub(crate) const PATH: &str = "/robot/send";
/// What tells it from other robots.
pub(crate) const TOKEN: &str = "5imrobot000000000000000000000000";
/// Signs its messages.
pub(crate) const SECRET: &str = "SEC5imrobot000000000000000000000";

const MESSAGES_A_MINUTE: usize = 20;
const HOUR_MS: i64 = 3_600_000;
const BODY_LIMIT: usize = 20_000;
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// What came into the group, and when.
#[derive(Debug, Default)]
pub(crate) struct Group(Mutex<Vec<(i64, String)>>);

impl Group {
    /// The texts, in the order in which they came.
    pub(crate) fn texts(&self) -> Vec<String> {
        lock(&self.0).iter().map(|(_, text)| text.clone()).collect()
    }

    fn take(&self, now: i64, text: &str) -> bool {
        let mut messages = lock(&self.0);
        let lately = messages.iter().filter(|(at, _)| now - at < 60_000).count();
        if lately >= MESSAGES_A_MINUTE {
            return false;
        }
        messages.push((now, text.to_owned()));
        true
    }
}

/// Takes a message.
pub(crate) async fn send(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response<Body> {
    lock(&shared.calls).arrived(PATH, tokio::time::Instant::now());
    match trouble::meet(&shared, &shared.faults(), PATH, peer.ip()).await {
        Met::Nothing => {}
        Met::Answer { response, .. } => return response,
        Met::Busy => return answer(-1, "系统繁忙"),
        Met::Hang => {
            shared.stop.cancelled().await;
            return trouble::broken();
        }
    }
    let (parts, body) = request.into_parts();
    let query = Params::from_form(parts.uri.query().unwrap_or_default().as_bytes());
    let text = |name: &str| query.text(name).unwrap_or_default();
    if text("access_token") != TOKEN {
        return answer(300_005, "token is not exist");
    }
    let now = shared.clock.now_ms();
    let is_fresh = text("timestamp").parse::<i64>().is_ok_and(|at| (now - at).abs() <= HOUR_MS);
    if !is_fresh || text("sign") != signature(&text("timestamp")) {
        return answer(310_000, "sign not match");
    }
    let body = read_body(body, BODY_LIMIT, BODY_DEADLINE).await.unwrap_or_default();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    match message["text"]["content"].as_str() {
        Some(content) if message["msgtype"] == "text" && !content.is_empty() => {
            if shared.group.take(now, content) {
                answer(0, "ok")
            } else {
                answer(130_101, "send too fast, exceed 20 times per minute")
            }
        }
        _ => answer(40_035, "缺少参数 json"),
    }
}

fn signature(timestamp: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length is a key");
    mac.update(format!("{timestamp}\n{SECRET}").as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

fn answer(errcode: i64, errmsg: &str) -> Response<Body> {
    json_response(StatusCode::OK, json!({ "errcode": errcode, "errmsg": errmsg }).to_string())
}
