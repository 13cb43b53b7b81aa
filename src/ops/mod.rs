//! The operators' listener: health, readiness, metrics, status, the admin API. No business rules.

mod access;
mod api;
mod health;
mod reconcile;
mod status;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::answers::Filling;
use crate::clock::SharedClock;
use crate::config::OpsToken;
use crate::lifecycle::Pulses;
use crate::receive::InboxStats;
use crate::store::Store;
use crate::sync::Context;
use crate::telemetry::Metrics;

use self::health::Readiness;

/// One organisation, as far as this process has to do with it.
#[derive(Debug)]
pub struct Corp {
    /// Its name in the configuration.
    pub name: String,
    /// DingTalk's id of it.
    pub corp_id: String,
    /// Its workers; `None` in a process that only receives.
    pub context: Option<Arc<Context>>,
    /// Calls that DingTalk counts by the month, at most; 0 is no bound.
    pub metered_calls_per_month: u32,
    /// What came in; counts stay 0 where no callbacks are taken.
    pub inbox: Arc<InboxStats>,
    /// What fills its OA, if something does.
    pub filling: Option<Filling>,
}

/// What the routes need.
#[derive(Debug)]
pub struct Ops {
    /// The organisations.
    pub corps: Vec<Corp>,
    /// The database.
    pub store: Store,
    /// True once the database is in place: before that, nothing can be committed.
    pub in_place: Arc<AtomicBool>,
    /// Cancelled when the process begins to stop: then no further callbacks are wanted.
    pub stopping: CancellationToken,
    /// Signs of life.
    pub pulses: Pulses,
    /// Counts.
    pub metrics: Metrics,
    /// Who may use the API, from elsewhere or to write.
    pub tokens: Vec<OpsToken>,
    /// What is listened on, as it is configured.
    pub listen: String,
    /// Further names under which this machine may be asked by itself.
    pub hosts: Vec<String>,
    /// Tells the time.
    pub clock: SharedClock,
}

struct Shared {
    ops: Ops,
    readiness: Readiness,
    /// Answers that wait for news.
    waiting: Semaphore,
}

/// How many answers wait for news at once.
const WAITING: usize = 256;

/// The routes of the operators' listener.
pub fn router(ops: Ops) -> Router {
    let readiness = Readiness::new(ops.store.clone(), Arc::clone(&ops.in_place), ops.stopping.clone());
    let shared = Arc::new(Shared { ops, readiness, waiting: Semaphore::new(WAITING) });
    let api = api::router(&shared);
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(status::metrics))
        .merge(api)
        .fallback(api::unknown_path)
        .method_not_allowed_fallback(api::unknown_method)
        .layer(CatchPanicLayer::new())
        .with_state(shared)
}
