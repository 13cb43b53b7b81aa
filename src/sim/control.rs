//! The routes under `/sim`, which steer a running simulator. Plain JSON, no token; errors are `{"error":"…"}`.
//!
//! | route | does |
//! |---|---|
//! | `GET /sim` | the status: sizes, counters, deliveries |
//! | `GET`, `POST`, `DELETE /sim/faults` | shows what goes wrong, merges (RFC 7396) into it, ends it all |
//! | `GET`, `POST /sim/push` | shows how events are pushed, merges into it |
//! | `POST /sim/rate` | `{"rate":20}` calls a second for each application and path, 0 for no limit |
//! | `POST /sim/callback` | `{"url":"http://…","check":true}`: where events go; `null` for nowhere; with `check`, sends `check_url`; `token` and `aes_key` change the keys |
//! | `GET`, `POST /sim/apps/{key}` | shows what an application may do, merges into it |
//! | `POST /sim/tokens/kill` | lets every access token die |
//! | `POST /sim/changes` | makes one change, or a list of them in order: `{"kind":"person_rename","userid":"00017","name":"李四"}` |
//! | `POST /sim/life` | starts random changes in the background: `{"count":1000,"interval_ms":3,"focus_share":0.5,"focus_objects":12,"kinds":[…]}` |
//! | `DELETE /sim/life` | ends them |
//! | `POST /sim/life/wait` | waits until they have ended, at most `{"timeout_ms":60000}` |
//! | `GET /sim/robot` | what was sent to the group robot at `/robot/send`, its webhook and its secret |
//! | `POST /sim/resend` | pushes everything in the failed list once more, now |
//! | `POST /sim/settle` | waits until every event has been acknowledged or given up, at most `{"timeout_ms":60000}` |
//! | `DELETE /sim/counters` | starts counting anew |
//! | `GET /sim/truth/departments`, `users`, `roles`, `role_groups` | the truth, one JSON object a line |

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::api;
use super::change::{Change, ChangeError, Happening};
use super::faults::Faults;
use super::handle::Sim;
use super::life::Plan;
use super::truth::Subject;

/// The routes of a simulator: its control, and the API for everything else.
pub(crate) fn router(sim: Sim) -> Router {
    let shared = std::sync::Arc::clone(sim.shared());
    Router::new()
        .route("/sim", get(async |State(sim): State<Sim>| Json(sim.status())))
        .route("/sim/faults", get(faults).post(merge_faults).delete(end_faults))
        .route("/sim/push", get(push).post(merge_push))
        .route("/sim/rate", post(set_rate))
        .route("/sim/callback", post(set_callback))
        .route("/sim/apps/{key}", get(app).post(merge_app))
        .route("/sim/tokens/kill", post(kill_tokens))
        .route("/sim/changes", post(change))
        .route("/sim/life", post(live).delete(end_life))
        .route("/sim/life/wait", post(wait_for_life))
        .route("/sim/robot", get(robot))
        .route(api::robot::PATH, post(api::robot::send).with_state(std::sync::Arc::clone(&shared)))
        .route("/sim/resend", post(resend))
        .route("/sim/settle", post(settle))
        .route("/sim/counters", delete(reset_counters))
        .route("/sim/truth/{subject}", get(truth))
        .with_state(sim)
        .fallback_service(axum::routing::any(api::serve).with_state(shared))
}

/// Why a control request was refused.
#[derive(Debug)]
enum ControlError {
    /// The body or a value in it is not what the route takes.
    Invalid(String),
    /// There is nothing of that name.
    NotFound(String),
    /// The directory refused a change; those before it in the list were made.
    Change { error: ChangeError, made: Vec<Happening> },
    /// What was waited for did not happen in time.
    TimedOut,
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Invalid(message) => (StatusCode::BAD_REQUEST, json!({ "error": message })),
            Self::NotFound(message) => (StatusCode::NOT_FOUND, json!({ "error": message })),
            Self::Change { error, made } => {
                let body = json!({ "error": error.to_string(), "happenings": made });
                (StatusCode::CONFLICT, body)
            }
            Self::TimedOut => (StatusCode::REQUEST_TIMEOUT, json!({ "error": "not yet" })),
        };
        (status, Json(body)).into_response()
    }
}

impl From<serde_json::Error> for ControlError {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// A JSON body whose errors are told as JSON.
struct JsonBody<T>(T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ControlError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ControlError> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|error| ControlError::Invalid(error.body_text()))?;
        // Most bodies are optional, and curl sends no content type that says JSON unless it is told to.
        let body: &[u8] = if body.trim_ascii().is_empty() { b"{}" } else { &body };
        Ok(Self(serde_json::from_slice(body)?))
    }
}

async fn faults(State(sim): State<Sim>) -> Json<Faults> {
    Json(sim.faults())
}

async fn merge_faults(
    State(sim): State<Sim>,
    JsonBody(patch): JsonBody<Value>,
) -> Result<Json<Faults>, ControlError> {
    Ok(Json(sim.merge_faults(&patch)?))
}

async fn end_faults(State(sim): State<Sim>) -> Json<Faults> {
    sim.set_faults(Faults::default());
    Json(sim.faults())
}

async fn push(State(sim): State<Sim>) -> impl IntoResponse {
    Json(sim.push_settings())
}

async fn merge_push(
    State(sim): State<Sim>,
    JsonBody(patch): JsonBody<Value>,
) -> Result<impl IntoResponse, ControlError> {
    Ok(Json(sim.merge_push_settings(&patch)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    rate: u32,
}

async fn set_rate(State(sim): State<Sim>, JsonBody(Rate { rate }): JsonBody<Rate>) -> impl IntoResponse {
    sim.set_rate(rate);
    Json(json!({ "rate": rate }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Callback {
    url: Option<String>,
    token: Option<String>,
    aes_key: Option<String>,
    #[serde(default)]
    check: bool,
}

async fn set_callback(
    State(sim): State<Sim>,
    JsonBody(wanted): JsonBody<Callback>,
) -> Result<impl IntoResponse, ControlError> {
    let url = wanted.url.as_deref().map(Url::parse).transpose();
    let url = url.map_err(|error| ControlError::Invalid(format!("url: {error}")))?;
    let current = sim.credentials();
    let token = wanted.token.unwrap_or(current.callback_token);
    let aes_key = wanted.aes_key.unwrap_or(current.callback_aes_key);
    sim.set_callback_keys(&token, &aes_key)
        .map_err(|error| ControlError::Invalid(format!("aes_key: {error}")))?;
    sim.set_callback(url.clone());
    let url = url.map(String::from);
    let checked = if wanted.check { sim.check_callback().await } else { None };
    match checked {
        Some(Err(failure)) => Err(ControlError::Invalid(failure.to_string())),
        Some(Ok(())) => Ok(Json(json!({ "url": url, "checked": true }))),
        None => Ok(Json(json!({ "url": url, "checked": false }))),
    }
}

async fn app(State(sim): State<Sim>, Path(key): Path<String>) -> Result<impl IntoResponse, ControlError> {
    sim.app_settings(&key).map(Json).ok_or_else(|| no_app(&key))
}

fn no_app(key: &str) -> ControlError {
    ControlError::NotFound(format!("no application has the key {key:?}"))
}

async fn merge_app(
    State(sim): State<Sim>,
    Path(key): Path<String>,
    JsonBody(patch): JsonBody<Value>,
) -> Result<impl IntoResponse, ControlError> {
    let settings = sim.merge_app_settings(&key, &patch)?;
    settings.map(Json).ok_or_else(|| no_app(&key))
}

async fn kill_tokens(State(sim): State<Sim>) -> impl IntoResponse {
    sim.kill_tokens();
    Json(json!({}))
}

#[derive(Serialize)]
struct Happenings {
    happenings: Vec<Happening>,
}

async fn change(
    State(sim): State<Sim>,
    JsonBody(wanted): JsonBody<Value>,
) -> Result<Json<Happenings>, ControlError> {
    let changes: Vec<Change> = match wanted {
        Value::Array(_) => serde_json::from_value(wanted)?,
        single => vec![serde_json::from_value(single)?],
    };
    let mut happenings = Vec::with_capacity(changes.len());
    for change in &changes {
        match sim.change(change) {
            Ok(happening) => happenings.push(happening),
            Err(error) => {
                return Err(ControlError::Change { error, made: happenings });
            }
        }
    }
    Ok(Json(Happenings { happenings }))
}

async fn robot(State(sim): State<Sim>) -> impl IntoResponse {
    let (webhook, secret) = sim.robot();
    Json(json!({ "webhook": webhook, "secret": secret, "messages": sim.robot_messages() }))
}

async fn live(State(sim): State<Sim>, JsonBody(plan): JsonBody<Plan>) -> impl IntoResponse {
    sim.live(&plan);
    Json(sim.life())
}

async fn end_life(State(sim): State<Sim>) -> impl IntoResponse {
    sim.end_life();
    sim.life_ended().await;
    Json(sim.life())
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Patience {
    timeout_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { timeout_ms: 60_000 }
    }
}

impl Patience {
    async fn wait(self, for_what: impl Future<Output = ()>) -> Result<(), ControlError> {
        let timeout = Duration::from_millis(self.timeout_ms);
        tokio::time::timeout(timeout, for_what).await.map_err(|_| ControlError::TimedOut)
    }
}

async fn wait_for_life(
    State(sim): State<Sim>,
    JsonBody(patience): JsonBody<Patience>,
) -> Result<impl IntoResponse, ControlError> {
    patience.wait(sim.life_ended()).await?;
    Ok(Json(sim.life()))
}

async fn resend(State(sim): State<Sim>) -> impl IntoResponse {
    Json(json!({ "events": sim.resend() }))
}

async fn settle(
    State(sim): State<Sim>,
    JsonBody(patience): JsonBody<Patience>,
) -> Result<impl IntoResponse, ControlError> {
    patience.wait(sim.settled()).await?;
    Ok(Json(sim.counters().push))
}

async fn reset_counters(State(sim): State<Sim>) -> impl IntoResponse {
    sim.reset_counters();
    Json(json!({}))
}

/// Lines that go out together.
const LINES: usize = 500;

async fn truth(State(sim): State<Sim>, Path(subject): Path<String>) -> Result<Response, ControlError> {
    let subject: Subject = serde_json::from_value(Value::String(subject.clone()))
        .map_err(|_| ControlError::NotFound(format!("there is no truth about {subject:?}")))?;
    let mut lines = sim.truth(subject);
    let chunks = std::iter::from_fn(move || {
        let mut chunk = String::new();
        for line in lines.by_ref().take(LINES) {
            chunk.push_str(&line.to_string());
            chunk.push('\n');
        }
        (!chunk.is_empty()).then_some(Ok::<_, std::convert::Infallible>(chunk))
    });
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}
