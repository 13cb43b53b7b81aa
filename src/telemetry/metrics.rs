//! Every metric, its name and its labels, in one place. Labels are bounded; the organisation's is the name that the
//! configuration gives it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::dingtalk::client::{Condition, Observer};
use crate::lane::Lane;
use crate::store::{BootstrapState, Counts, Logged};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CorpLabel {
    corp: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    corp: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    corp: String,
    path: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    corp: String,
    lane: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    corp: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabels {
    corp: String,
    entity: &'static str,
    action: &'static str,
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EntityLabels {
    corp: String,
    entity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    corp: String,
    state: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

const ACK_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
const EVENT_BUCKETS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// The process's metrics. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    callbacks: Family<ResultLabels, Counter>,
    ack: Family<CorpLabel, Histogram, fn() -> Histogram>,
    pending: Family<LaneLabels, Gauge<i64, AtomicI64>>,
    oldest: Family<LaneLabels, Seconds>,
    parked: Family<ReasonLabels, Gauge<i64, AtomicI64>>,
    calls: Family<CallLabels, Counter>,
    throttled: Family<CorpLabel, Counter<f64, AtomicU64>>,
    changes: Family<ChangeLabels, Counter>,
    unannounced: Family<EntityLabels, Counter>,
    event_to_row: Family<CorpLabel, Histogram, fn() -> Histogram>,
    bootstrap: Family<StateLabels, Gauge<i64, AtomicI64>>,
    people: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    departments: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    last_reconcile: Family<CorpLabel, Seconds>,
    held: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    hidden: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    up: Family<StateLabels, Gauge<i64, AtomicI64>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A set of metrics in a registry of its own.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("dingsync");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program's version", build);

        macro_rules! family {
            ($name:literal, $help:literal) => {{
                let family = Family::default();
                registry.register($name, $help, family.clone());
                family
            }};
        }
        let ack: Family<CorpLabel, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(ACK_BUCKETS));
        registry.register_with_unit(
            "ack",
            "From the last byte of a callback to its reply",
            Unit::Seconds,
            ack.clone(),
        );
        let event_to_row: Family<CorpLabel, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(EVENT_BUCKETS));
        registry.register_with_unit(
            "event_to_row",
            "From the arrival of an event to the commit of what it changed",
            Unit::Seconds,
            event_to_row.clone(),
        );
        Self {
            callbacks: family!("callbacks", "Callbacks by how they were answered"),
            ack,
            pending: family!("queue_pending", "Objects that still have to be read"),
            oldest: family!("queue_oldest_seconds", "Age of the oldest of them"),
            parked: family!("queue_parked", "Objects set aside because of themselves"),
            calls: family!("api_calls", "Calls of DingTalk by path and result"),
            throttled: family!("api_throttled_seconds", "Time for which DingTalk asked us to pause"),
            changes: family!("changes", "Changes of the mirror"),
            unannounced: family!(
                "unannounced_changes",
                "Changes that a reconcile found and no event had told"
            ),
            event_to_row,
            bootstrap: family!("bootstrap_state", "1 for the state that the first pull is in"),
            people: family!("employees", "Current people in the mirror"),
            departments: family!("departments", "Current departments in the mirror"),
            last_reconcile: family!(
                "last_reconcile_timestamp_seconds",
                "When everything was last compared, 0 for never"
            ),
            held: family!("held_deletions", "Deletions that wait for an approval"),
            hidden: family!("hidden_objects", "Objects outside of the application's contact scope"),
            up: family!("dingtalk_up", "1 for the condition that DingTalk is in"),
            registry: Arc::new(registry),
        }
    }

    /// The Prometheus text format.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// A callback was answered.
    pub fn callback(&self, corp: &str, result: &'static str, took: Duration) {
        self.callbacks.get_or_create(&ResultLabels { corp: corp.to_owned(), result }).inc();
        self.ack.get_or_create(&CorpLabel { corp: corp.to_owned() }).observe(took.as_secs_f64());
    }

    /// Rows changed.
    pub fn changed(&self, corp: &str, logged: &[Logged]) {
        for change in logged {
            let labels = ChangeLabels {
                corp: corp.to_owned(),
                entity: change.entity.label(),
                action: change.action.label(),
                cause: change.cause.label(),
            };
            self.changes.get_or_create(&labels).inc();
        }
    }

    /// A reconcile found something that no event had told.
    pub fn unannounced(&self, corp: &str, entity: &'static str) {
        self.unannounced.get_or_create(&EntityLabels { corp: corp.to_owned(), entity }).inc();
    }

    /// An event's change was committed.
    pub fn event_mirrored(&self, corp: &str, took: Duration) {
        self.event_to_row.get_or_create(&CorpLabel { corp: corp.to_owned() }).observe(took.as_secs_f64());
    }

    /// The queue, as it is at the moment of a scrape.
    pub fn queue(&self, corp: &str, counts: &Counts, now: Timestamp) {
        for (lane, count) in [(Lane::Live, &counts.live), (Lane::Background, &counts.background)] {
            let labels = LaneLabels { corp: corp.to_owned(), lane: lane.label() };
            self.pending.get_or_create(&labels).set(count.pending);
            let age = count.oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64().max(0.0));
            self.oldest.get_or_create(&labels).set(age);
        }
        let labels = ReasonLabels { corp: corp.to_owned(), reason: "object" };
        self.parked.get_or_create(&labels).set(counts.parked);
        let corp = CorpLabel { corp: corp.to_owned() };
        self.held.get_or_create(&corp).set(counts.held);
        self.hidden.get_or_create(&corp).set(counts.hidden);
    }

    /// The organisation as a whole, as it is at the moment of a scrape.
    pub fn organisation(
        &self,
        corp: &str,
        bootstrap: BootstrapState,
        (people, departments): (i64, i64),
        last_reconcile: Option<Timestamp>,
        condition: Condition,
    ) {
        for state in BootstrapState::ALL {
            let labels = StateLabels { corp: corp.to_owned(), state: state.label() };
            self.bootstrap.get_or_create(&labels).set(i64::from(state == bootstrap));
        }
        for known in Condition::ALL {
            let labels = StateLabels { corp: corp.to_owned(), state: known.label() };
            self.up.get_or_create(&labels).set(i64::from(known == condition));
        }
        let corp = CorpLabel { corp: corp.to_owned() };
        self.people.get_or_create(&corp).set(people);
        self.departments.get_or_create(&corp).set(departments);
        let seconds = last_reconcile.map_or(0.0, |at| at.as_millisecond() as f64 / 1000.0);
        self.last_reconcile.get_or_create(&corp).set(seconds);
    }
}

/// Counts one organisation's calls of DingTalk.
#[derive(Debug, Clone)]
pub struct CallCounter {
    /// Where to.
    pub metrics: Metrics,
    /// Whose.
    pub corp: String,
}

impl Observer for CallCounter {
    fn called(&self, path: &'static str, result: &'static str) {
        let labels = CallLabels { corp: self.corp.clone(), path, result };
        self.metrics.calls.get_or_create(&labels).inc();
    }

    fn throttled(&self, pause: Duration) {
        let labels = CorpLabel { corp: self.corp.clone() };
        self.metrics.throttled.get_or_create(&labels).inc_by(pause.as_secs_f64());
    }
}
