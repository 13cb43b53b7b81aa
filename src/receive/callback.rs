//! `POST /dingtalk/{corp}/callback`: DingTalk's pushes over HTTP (`events.md §2` to `§4`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::warn;

use super::door::{Door, DoorError};
use super::gaps::Gaps;
use super::keys::{CallbackEndpoint, Envelope, Opened};
use super::stats::Rejection;
use super::{Classify, incoming};
use crate::clock::SharedClock;
use crate::dingtalk::event::Event;
use crate::http::{BodyError, read_body};
use crate::random::Random;
use crate::store::{Arrival, FieldSet, GapReason};
use crate::telemetry::Metrics;

const LARGEST_BODY: usize = 1024 * 1024;
const BODY_DEADLINE: Duration = Duration::from_secs(5);
/// DingTalk gives up after at most 3 s (`events.md §2.1`); an answer after this is for nobody.
const COMMIT_DEADLINE: Duration = Duration::from_secs(10);

/// How a callback can be answered: the values of the label `result`.
pub const CALLBACK_RESULTS: &[&str] = &[
    "accepted",
    "duplicate",
    "handshake",
    "unavailable",
    "shape",
    "signature",
    "decrypt",
    "owner",
    "too_large",
    "too_slow",
];

/// Everything that answering a callback needs.
#[derive(Debug)]
pub struct Callbacks {
    /// By the name in the path.
    pub endpoints: HashMap<String, CallbackEndpoint>,
    /// Which objects an event marks.
    pub classify: Classify,
    /// Columns of people whose values are taken out of messages.
    pub excluded: Arc<FieldSet>,
    /// Where events are committed.
    pub door: Door,
    /// What was missed is noted here.
    pub gaps: Gaps,
    /// Stamps replies.
    pub clock: SharedClock,
    /// Nonces and random prefixes.
    pub random: Random,
    /// Counts and times.
    pub metrics: Metrics,
}

/// The routes of the public listener: callbacks and nothing else.
pub fn router(callbacks: Callbacks) -> Router {
    Router::new()
        .route("/dingtalk/{corp}/callback", post(callback))
        .layer(CatchPanicLayer::new())
        .with_state(Arc::new(callbacks))
}

async fn callback(
    State(callbacks): State<Arc<Callbacks>>,
    Path(corp): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response {
    let Some(endpoint) = callbacks.endpoints.get(&corp) else { return StatusCode::NOT_FOUND.into_response() };
    let body = read_body(body, LARGEST_BODY, BODY_DEADLINE).await;
    let arrived = Instant::now();
    let (result, response) = match body {
        Err(error) => {
            let (rejection, status) = match error {
                BodyError::TooLarge => (Rejection::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
                BodyError::TooSlow => (Rejection::TooSlow, StatusCode::REQUEST_TIMEOUT),
                BodyError::Broken => (Rejection::Shape, StatusCode::BAD_REQUEST),
            };
            callbacks.reject(endpoint, rejection, status)
        }
        Ok(body) => callbacks.answer(endpoint, query.as_deref().unwrap_or_default(), &body).await,
    };
    callbacks.metrics.callback(&endpoint.name, result, arrived.elapsed());
    response
}

impl Callbacks {
    async fn answer(
        &self,
        endpoint: &CallbackEndpoint,
        query: &str,
        body: &[u8],
    ) -> (&'static str, Response) {
        let opened = match Envelope::read(query, body).and_then(|envelope| endpoint.open(&envelope)) {
            Ok(opened) => opened,
            Err(rejection @ (Rejection::Signature | Rejection::Owner)) => {
                return self.reject(endpoint, rejection, StatusCode::FORBIDDEN);
            }
            Err(rejection) => {
                // The signature is good: DingTalk holds the event for one that could not be delivered.
                if rejection == Rejection::Decrypt {
                    self.gaps.note(&endpoint.corp_id, GapReason::Undecryptable, self.clock.now());
                }
                return self.reject(endpoint, rejection, StatusCode::BAD_REQUEST);
            }
        };
        let Ok(event) = Event::parse(opened.message.clone()) else {
            return self.reject(endpoint, Rejection::Shape, StatusCode::BAD_REQUEST);
        };
        if event.is_handshake() {
            return ("handshake", self.success(&opened));
        }
        if event.corp_id.as_ref().is_some_and(|corp_id| *corp_id != endpoint.corp_id) {
            self.tell_foreign(endpoint);
        }
        if opened.is_under_previous_keys && endpoint.stats.met_previous_keys() {
            // While a key is being changed, a push under the other one may have been refused.
            self.gaps.note(&endpoint.corp_id, GapReason::KeyChanged, self.clock.now());
        }
        let incoming = incoming(&endpoint.corp_id, self.classify, &self.excluded, event);
        let accepted = tokio::time::timeout(COMMIT_DEADLINE, self.door.accept(incoming)).await;
        match accepted.unwrap_or(Err(DoorError::TooSlow)) {
            Ok(arrival) => {
                endpoint.stats.arrived(arrival);
                let result = match arrival {
                    Arrival::New => "accepted",
                    Arrival::Duplicate => "duplicate",
                };
                (result, self.success(&opened))
            }
            Err(error) => {
                self.gaps.note(&endpoint.corp_id, GapReason::Refused, self.clock.now());
                if endpoint.stats.is_worth_telling(self.clock.now(), "unavailable") {
                    warn!(corp = endpoint.name, %error, "events are refused with 503; DingTalk sends them again");
                }
                ("unavailable", StatusCode::SERVICE_UNAVAILABLE.into_response())
            }
        }
    }

    /// The keys are right, so the event is taken: most often `corp_id` is mistyped.
    fn tell_foreign(&self, endpoint: &CallbackEndpoint) {
        if endpoint.stats.is_worth_telling(self.clock.now(), "foreign") {
            warn!(
                corp = endpoint.name,
                "an event names another organisation than corp_id; compare corp_id with the console's first page"
            );
        }
    }

    fn success(&self, opened: &Opened<'_>) -> Response {
        let timestamp = self.clock.now().as_millisecond().to_string();
        match opened.success(timestamp, &self.random) {
            Some(reply) => axum::Json(reply).into_response(),
            // The key was replaced by an unusable one between the two looks at it.
            None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }

    /// Refuses without a detail: what is wrong is for the operator, not for whoever sent it.
    fn reject(
        &self,
        endpoint: &CallbackEndpoint,
        rejection: Rejection,
        status: StatusCode,
    ) -> (&'static str, Response) {
        if endpoint.stats.rejected_at(self.clock.now(), rejection) {
            warn!(
                corp = endpoint.name,
                reason = rejection.label(),
                remedy = rejection.remedy(),
                "a push was refused; if it was DingTalk's, the remedy helps"
            );
        }
        (rejection.label(), (status, [(header::CONNECTION, "close")]).into_response())
    }
}
