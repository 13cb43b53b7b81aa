//! Whether the process lives, and whether a callback could be committed now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::store::{Conn, Operation, Outage, Store, StoreError, Turn};

/// A look at the database is good for this long, however often somebody asks.
const GOOD_FOR: Duration = Duration::from_secs(1);
const STOPPING: &str = "stopping";
const DEADLINE: Duration = Duration::from_secs(2);

/// Finds out whether the database can be written.
pub(super) struct Readiness {
    store: Store,
    in_place: Arc<AtomicBool>,
    stopping: CancellationToken,
    last: Mutex<Option<(Instant, Result<(), Unready>)>>,
}

#[derive(Debug, Clone)]
struct Unready {
    reason: &'static str,
    detail: String,
}

impl Readiness {
    pub(super) fn new(store: Store, in_place: Arc<AtomicBool>, stopping: CancellationToken) -> Self {
        Self { store, in_place, stopping, last: Mutex::new(None) }
    }

    /// Whether the database can be written, a short while ago at the earliest.
    pub(super) async fn database_is_up(&self) -> bool {
        match self.look().await {
            Ok(()) => true,
            Err(unready) => unready.reason == STOPPING,
        }
    }

    async fn look(&self) -> Result<(), Unready> {
        if self.stopping.is_cancelled() {
            return Err(Unready { reason: STOPPING, detail: "the daemon is stopping".to_owned() });
        }
        if !self.in_place.load(Ordering::Acquire) {
            let detail = "the database is not in place yet; the log says what it waits for".to_owned();
            return Err(Unready { reason: "starting", detail });
        }
        let mut last = self.last.lock().await;
        if let Some((at, result)) = last.as_ref()
            && at.elapsed() < GOOD_FOR
        {
            return result.clone();
        }
        let result = match tokio::time::timeout(DEADLINE, self.store.write(Probe)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let reason = error.outage().map_or("statement", Outage::label);
                Err(Unready { reason, detail: error.to_string() })
            }
            Err(_) => {
                Err(Unready { reason: Outage::Busy.label(), detail: "no commit within 2 s".to_owned() })
            }
        };
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

struct Probe;

impl Operation for Probe {
    type Output = ();
    const TURN: Turn = Turn::Urgent;

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.probe_write().await
    }
}

/// 200 while the tasks move.
pub(super) async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    let still = shared.ops.pulses.still();
    if still.is_empty() {
        return Json(json!({ "alive": true })).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "alive": false, "tasks": still }))).into_response()
}

/// 200 when a callback could be committed now.
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    match shared.readiness.look().await {
        Ok(()) => Json(json!({ "ready": true })).into_response(),
        Err(Unready { reason, detail }) => {
            let body = json!({ "ready": false, "reason": reason, "detail": detail });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}
