//! The state of everything, for people and for Prometheus.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::reconcile::{self, Held, LastReconcile};
use super::{Corp, Shared};
use crate::answers::{ApplyStatus, apply_status};
use crate::dingtalk::client::Condition;
use crate::store::{BootstrapState, LaneCount, RunKind, StoreError, rfc3339};
use crate::sync::{Context, FieldPermission, metering_month};

#[derive(Serialize)]
struct Status {
    corps: BTreeMap<String, CorpStatus>,
}

#[derive(Serialize)]
struct CorpStatus {
    dingtalk: Option<DingTalk>,
    bootstrap: Bootstrap,
    queue: Queue,
    inbox: Inbox,
    reconcile: Reconcile,
    catch_up: CatchUp,
    metered: Metered,
    /// `null` where no OA is filled.
    apply: Option<ApplyStatus>,
}

#[derive(Serialize)]
struct DingTalk {
    state: &'static str,
    since: String,
    last_ok_at: Option<String>,
    /// Field permissions that seem to have been taken away; stored values are kept.
    lost_permissions: Vec<&'static str>,
}

#[derive(Serialize)]
struct Bootstrap {
    state: &'static str,
    employees: i64,
    departments: i64,
    started_at: Option<String>,
    finished_at: Option<String>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Queue {
    pending: i64,
    running: i64,
    parked: i64,
    held: i64,
    hidden: i64,
    confirming: i64,
    live: Lane,
    background: Lane,
}

#[derive(Serialize)]
struct Lane {
    pending: i64,
    oldest_seconds: f64,
}

#[derive(Serialize)]
struct Inbox {
    received: u64,
    duplicates: u64,
    rejected: u64,
    last_event_at: Option<String>,
    last_rejected: Option<Rejected>,
}

#[derive(Serialize)]
struct Rejected {
    at: String,
    reason: &'static str,
    remedy: &'static str,
}

#[derive(Serialize)]
struct Reconcile {
    last_complete_at: Option<String>,
    running: Option<Running>,
    held: Option<Held>,
    last: Option<LastReconcile>,
}

#[derive(Serialize)]
struct Running {
    run: i64,
    kind: &'static str,
    phase: Option<String>,
    compared: i64,
}

/// What may have been missed, and how far it has been looked for.
#[derive(Serialize)]
struct CatchUp {
    /// Nothing is left to be looked for or to be marked.
    done: bool,
    gap_since: Option<String>,
    reasons: Vec<&'static str>,
    /// The last comparison that nobody asked for.
    last_at: Option<String>,
    failed_list_asked_at: Option<String>,
}

/// Calls that DingTalk counts by the month.
#[derive(Serialize)]
struct Metered {
    month: String,
    calls: i64,
    /// `null` is no bound of our own.
    limit: Option<u32>,
}

fn text(instant: Option<Timestamp>) -> Option<String> {
    instant.map(rfc3339)
}

fn lane(count: &LaneCount, now: Timestamp) -> Lane {
    let age = count.oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64().max(0.0));
    Lane { pending: count.pending, oldest_seconds: (age * 1000.0).round() / 1000.0 }
}

impl Shared {
    async fn corp_status(&self, corp: &Corp) -> Result<CorpStatus, StoreError> {
        let now = self.ops.clock.now();
        let mut reader = self.ops.store.reader().await?;
        let snapshot = reader.snapshot(&corp.corp_id).await?;
        let month = metering_month(now);
        let calls = reader.metered_calls(&corp.corp_id, &month).await?;
        let record = snapshot.corp;
        let counts = snapshot.counts;
        let (employees, departments) = snapshot.populations;
        // It is not kept while another one is waited for.
        drop(reader);
        let running = snapshot.run.filter(|run| run.kind != RunKind::Bootstrap).map(|run| Running {
            run: run.id,
            kind: run.kind.label(),
            phase: run.phase,
            compared: run.progress,
        });
        let state = record.as_ref().map_or(BootstrapState::Pending, |record| record.bootstrap);
        Ok(CorpStatus {
            dingtalk: corp.context.as_deref().map(dingtalk),
            bootstrap: Bootstrap {
                state: state.label(),
                employees,
                departments,
                started_at: text(record.as_ref().and_then(|record| record.bootstrap_started_at)),
                finished_at: text(record.as_ref().and_then(|record| record.bootstrap_complete_at)),
                error: record.as_ref().and_then(|record| record.bootstrap_error.clone()),
            },
            queue: Queue {
                pending: counts.live.pending + counts.background.pending,
                running: counts.running,
                parked: counts.parked,
                held: counts.held,
                hidden: counts.hidden,
                confirming: counts.confirming,
                live: lane(&counts.live, now),
                background: lane(&counts.background, now),
            },
            inbox: Inbox {
                received: corp.inbox.received(),
                duplicates: corp.inbox.duplicates(),
                rejected: corp.inbox.rejected(),
                last_event_at: text(record.as_ref().and_then(|record| record.last_event_at)),
                last_rejected: corp.inbox.last_rejected().map(|(at, rejection)| Rejected {
                    at: rfc3339(at),
                    reason: rejection.label(),
                    remedy: rejection.remedy(),
                }),
            },
            reconcile: Reconcile {
                last_complete_at: text(record.as_ref().and_then(|record| record.last_reconcile_at)),
                running,
                held: reconcile::held(&snapshot.held),
                last: snapshot.last_reconcile.map(|(run, notes)| reconcile::last(run, notes)),
            },
            catch_up: CatchUp {
                done: snapshot.catch_up.is_done(),
                gap_since: text(snapshot.catch_up.gap_since),
                reasons: snapshot.catch_up.reasons.iter().map(|reason| reason.label()).collect(),
                last_at: text(snapshot.catch_up.reconciled_at),
                failed_list_asked_at: text(snapshot.catch_up.asked_at),
            },
            metered: Metered {
                month,
                calls,
                limit: Some(corp.metered_calls_per_month).filter(|&limit| limit > 0),
            },
            apply: self.apply_status(corp).await?,
        })
    }

    /// How far the organisation's OA follows, where one is filled.
    async fn apply_status(&self, corp: &Corp) -> Result<Option<ApplyStatus>, StoreError> {
        let Some(filling) = &corp.filling else { return Ok(None) };
        let place = (corp.name.as_str(), corp.corp_id.as_str());
        apply_status(&self.ops.store, place, filling, None).await.map(Some)
    }

    /// Brings the gauges that are only known to the database up to date.
    async fn refresh_gauges(&self) -> Result<(), StoreError> {
        let metrics = &self.ops.metrics;
        for corp in &self.ops.corps {
            let now = self.ops.clock.now();
            let mut reader = self.ops.store.reader().await?;
            let snapshot = reader.snapshot(&corp.corp_id).await?;
            metrics.queue(&corp.name, &snapshot.counts, now);
            metrics.parked(&corp.name, &reader.parked_reasons(&corp.corp_id).await?);
            let record = snapshot.corp;
            let month = metering_month(now);
            let calls = reader.metered_calls(&corp.corp_id, &month).await?;
            metrics.metered(&corp.name, calls, corp.metered_calls_per_month);
            let condition =
                corp.context.as_ref().map_or(Condition::Ok, |context| context.client.health().condition);
            metrics.organisation(
                &corp.name,
                record.as_ref().map_or(BootstrapState::Pending, |record| record.bootstrap),
                snapshot.populations,
                record.and_then(|record| record.last_reconcile_at),
                condition,
            );
            drop(reader);
            if let Some(status) = self.apply_status(corp).await? {
                let trouble = status.trouble.as_ref().map(|trouble| trouble.kind.as_str());
                metrics.apply(&corp.name, (status.behind, status.due, status.parked + status.held), trouble);
            }
        }
        Ok(())
    }
}

fn dingtalk(context: &Context) -> DingTalk {
    let health = context.client.health();
    DingTalk {
        state: health.condition.label(),
        since: rfc3339(health.since),
        last_ok_at: text(health.last_ok_at),
        lost_permissions: context.permissions.lost().into_iter().map(FieldPermission::label).collect(),
    }
}

/// `GET /api/v1/status`
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let mut corps = BTreeMap::new();
    for corp in &shared.ops.corps {
        match shared.corp_status(corp).await {
            Ok(status) => drop(corps.insert(corp.name.clone(), status)),
            Err(error) => {
                let body = json!({ "error": error.to_string() });
                return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
            }
        }
    }
    Json(Status { corps }).into_response()
}

/// `GET /metrics`
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    shared.ops.metrics.database(shared.readiness.database_is_up().await);
    if let Err(error) = shared.refresh_gauges().await {
        // The counters are worth having without the gauges.
        tracing::debug!(%error, "gauges are outdated");
    }
    match shared.ops.metrics.encode() {
        Ok(text) => {
            let content_type = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
