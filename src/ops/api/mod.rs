//! The admin API: what the command line can do, for programs; and the mirror's rows and changes for the OA's programs.

mod applied;
mod change_feed;
mod decisions;
mod parameters;
mod reads;
mod writes;

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::access::{Gate, admit};
use super::{Corp, Shared, status};
use crate::answers::AnswerError;
use crate::store::StoreError;

/// All routes under `/api/v1`.
pub(super) fn router(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    let readable = Router::new()
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/changes", get(change_feed::changes))
        .route("/api/v1/{corp}/employees", get(reads::employees))
        .route("/api/v1/{corp}/employees/{id}", get(reads::employee))
        .route("/api/v1/{corp}/departments", get(reads::departments))
        .route("/api/v1/{corp}/departments/{id}", get(reads::department))
        .route("/api/v1/{corp}/roles", get(reads::roles))
        .route("/api/v1/{corp}/roles/{id}", get(reads::role))
        .route("/api/v1/{corp}/role_groups", get(reads::role_groups))
        .route("/api/v1/{corp}/role_groups/{id}", get(reads::role_group))
        .route("/api/v1/{corp}/events", get(reads::events))
        .route("/api/v1/{corp}/events/{id}", get(reads::event))
        .route("/api/v1/{corp}/tasks", get(reads::tasks))
        .route("/api/v1/{corp}/tasks/{kind}/{id}", get(reads::task))
        .route("/api/v1/{corp}/runs", get(reads::runs))
        .route("/api/v1/{corp}/runs/{id}", get(reads::run))
        .route("/api/v1/{corp}/explain/{entity}/{id}", get(reads::explain))
        .route("/api/v1/{corp}/audit", get(reads::audit))
        .route("/api/v1/{corp}/apply", get(applied::status))
        .route("/api/v1/{corp}/links", get(applied::links))
        .route_layer(from_fn_with_state(Gate::new(shared, "read"), admit));
    let operable = Router::new()
        .route("/api/v1/{corp}/events/replay", post(writes::replay_many))
        .route("/api/v1/{corp}/events/{id}/replay", post(writes::replay))
        .route("/api/v1/{corp}/tasks/{kind}/{id}/retry", post(writes::retry))
        .route("/api/v1/{corp}/tasks/{kind}/{id}/discard", post(writes::discard))
        .route("/api/v1/{corp}/sync", post(writes::sync))
        .route("/api/v1/{corp}/bootstrap", post(writes::bootstrap))
        .route("/api/v1/{corp}/reconcile", post(writes::reconcile))
        .route("/api/v1/{corp}/apply/retry", post(applied::retry))
        .route("/api/v1/{corp}/apply/rebuild", post(applied::rebuild))
        .route("/api/v1/{corp}/links", post(applied::link))
        .route("/api/v1/{corp}/links/remove", post(applied::unlink))
        .route_layer(from_fn_with_state(Gate::new(shared, "operate"), admit));
    let decidable = Router::new()
        .route("/api/v1/{corp}/employees/{id}/forget", post(decisions::forget))
        .route("/api/v1/{corp}/reconcile/approve", post(decisions::approve))
        .route("/api/v1/{corp}/reconcile/discard", post(decisions::discard))
        .route("/api/v1/{corp}/apply/approve", post(applied::approve))
        .route_layer(from_fn_with_state(Gate::new(shared, "approve"), admit));
    readable.merge(operable).merge(decidable)
}

/// There is nothing at this path.
pub(super) async fn unknown_path() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is nothing here")
}

/// There is something at this path, but not for this method.
pub(super) async fn unknown_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path is for another method")
}

/// An answer that says no, as JSON: `{"error":…}`.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Map<String, Value>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let mut body = Map::new();
        body.insert("error".to_owned(), Value::String(text.into()));
        Self { status, body }
    }

    fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<AnswerError> for Refusal {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Unknown(text) => Self::new(StatusCode::NOT_FOUND, text),
            AnswerError::Unusable(text) => Self::bad(text),
            AnswerError::Refused(text) => Self::new(StatusCode::CONFLICT, text),
            AnswerError::NotKept { text, oldest, last } => {
                let mut refusal = Self::new(StatusCode::GONE, text);
                refusal.body.insert("oldest".to_owned(), json!(oldest.to_string()));
                refusal.body.insert("last".to_owned(), json!(last.to_string()));
                refusal
            }
            AnswerError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::Unavailable { .. } | StoreError::Conflict(_) | StoreError::Closed(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

type Answer<T> = Result<Json<T>, Refusal>;

impl Shared {
    /// The organisation of a path.
    fn corp(&self, name: &str) -> Result<&Corp, Refusal> {
        self.ops.corps.iter().find(|corp| corp.name == name).ok_or_else(|| {
            let text =
                "no organisation of that name is configured here: it is the NAME of a table [corps.NAME]";
            Refusal::new(StatusCode::NOT_FOUND, text)
        })
    }
}
