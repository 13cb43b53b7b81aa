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

use crate::dingtalk::Class;
use crate::dingtalk::client::Condition;
use crate::dingtalk::endpoint::MIRROR_READS;
use crate::lane::Lane;
use crate::store::{Action, BootstrapState, Cause, Counts, Entity, Logged};

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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    corp: String,
    kind: &'static str,
}

/// What the OA's tables may wait for. Whatever else it is counts as the last one.
const TROUBLES: [&str; 7] = ["away", "read_only", "denied", "mismatch", "busy", "store", "failed"];

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
    notices: Family<ResultLabels, Counter>,
    event_to_row: Family<CorpLabel, Histogram, fn() -> Histogram>,
    bootstrap: Family<StateLabels, Gauge<i64, AtomicI64>>,
    people: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    departments: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    last_reconcile: Family<CorpLabel, Seconds>,
    held: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    metered: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    metered_limit: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    hidden: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    up: Family<StateLabels, Gauge<i64, AtomicI64>>,
    apply_behind: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    apply_due: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    apply_parked: Family<CorpLabel, Gauge<i64, AtomicI64>>,
    apply_trouble: Family<KindLabels, Gauge<i64, AtomicI64>>,
    leader: Gauge<i64, AtomicI64>,
    database: Gauge<i64, AtomicI64>,
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

        let leader: Gauge<i64, AtomicI64> = Gauge::default();
        registry.register("leader", "1 while this process does what only one may do", leader.clone());
        let database: Gauge<i64, AtomicI64> = Gauge::default();
        registry.register("database_up", "1 while the database can be written", database.clone());

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
            notices: family!("notices", "Messages to the group robot by whether they got through"),
            event_to_row,
            bootstrap: family!("bootstrap_state", "1 for the state that the first pull is in"),
            people: family!("employees", "Current people in the mirror"),
            departments: family!("departments", "Current departments in the mirror"),
            last_reconcile: family!(
                "last_reconcile_timestamp_seconds",
                "When everything was last compared, 0 for never"
            ),
            metered: family!(
                "metered_calls_month",
                "Calls of this month that count against the organisation's quota"
            ),
            metered_limit: family!(
                "metered_calls_limit",
                "Calls that may count against the organisation's quota in a month, 0 for no bound"
            ),
            held: family!("held_deletions", "Deletions that wait for an approval"),
            hidden: family!("hidden_objects", "Objects outside of the application's contact scope"),
            up: family!("dingtalk_up", "1 for the condition that DingTalk is in"),
            apply_behind: family!("apply_behind", "Changes that the OA's tables do not have yet"),
            apply_due: family!("apply_due", "Objects that wait for their turn at the OA's tables"),
            apply_parked: family!(
                "apply_parked",
                "Objects that the OA's database refuses, or that the deletion guard holds"
            ),
            apply_trouble: family!("apply_trouble", "1 for what the OA's tables wait for, if they do"),
            leader,
            database,
            registry: Arc::new(registry),
        }
    }

    /// Whether this process does what only one may do.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Whether the database can be written.
    pub fn database(&self, is_up: bool) {
        self.database.set(i64::from(is_up));
    }

    /// Shows an organisation's counters from the start, at 0: an alert cannot tell a missing one from a quiet one.
    pub fn introduce(&self, corp: &str, callback_results: &[&'static str]) {
        let label = CorpLabel { corp: corp.to_owned() };
        drop(self.ack.get_or_create(&label));
        drop(self.event_to_row.get_or_create(&label));
        drop(self.throttled.get_or_create(&label));
        for &result in callback_results {
            drop(self.callbacks.get_or_create(&ResultLabels { corp: corp.to_owned(), result }));
        }
        for endpoint in MIRROR_READS {
            let labels = CallLabels { corp: corp.to_owned(), path: endpoint.path, result: "ok" };
            drop(self.calls.get_or_create(&labels));
        }
        for entity in Entity::ALL.map(Entity::label) {
            drop(self.unannounced.get_or_create(&EntityLabels { corp: corp.to_owned(), entity }));
            for action in Action::ALL.map(Action::label) {
                let cause = Cause::Event.label();
                drop(self.changes.get_or_create(&ChangeLabels {
                    corp: corp.to_owned(),
                    entity,
                    action,
                    cause,
                }));
            }
        }
    }

    /// The Prometheus text format.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(classic(&text))
    }

    /// A callback was answered.
    pub fn callback(&self, corp: &str, result: &'static str, took: Duration) {
        self.callbacks.get_or_create(&ResultLabels { corp: corp.to_owned(), result }).inc();
        self.ack.get_or_create(&CorpLabel { corp: corp.to_owned() }).observe(took.as_secs_f64());
    }

    /// A call of DingTalk ended.
    pub fn called(&self, corp: &str, path: &'static str, result: &'static str) {
        self.calls.get_or_create(&CallLabels { corp: corp.to_owned(), path, result }).inc();
    }

    /// DingTalk asked for a pause.
    pub fn throttled(&self, corp: &str, pause: Duration) {
        self.throttled.get_or_create(&CorpLabel { corp: corp.to_owned() }).inc_by(pause.as_secs_f64());
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
            if change.is_unannounced {
                let entity = change.entity.label();
                self.unannounced.get_or_create(&EntityLabels { corp: corp.to_owned(), entity }).inc();
            }
        }
    }

    /// A reconcile found something that no event had told.
    pub fn unannounced(&self, corp: &str, entity: &'static str) {
        self.unannounced.get_or_create(&EntityLabels { corp: corp.to_owned(), entity }).inc();
    }

    /// A message to the group robot was sent, or could not be.
    pub fn notice(&self, corp: &str, is_sent: bool) {
        let result = if is_sent { "ok" } else { "failed" };
        self.notices.get_or_create(&ResultLabels { corp: corp.to_owned(), result }).inc();
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
        let corp = CorpLabel { corp: corp.to_owned() };
        self.held.get_or_create(&corp).set(counts.held);
        self.hidden.get_or_create(&corp).set(counts.hidden);
    }

    /// Parked objects by the class of their refusal.
    pub fn parked(&self, corp: &str, reasons: &[(String, i64)]) {
        for reason in [Class::BadRequest, Class::Unexpected, Class::Gone, Class::Hidden].map(Class::label) {
            let count = reasons.iter().find(|(known, _)| known == reason).map_or(0, |(_, count)| *count);
            let labels = ReasonLabels { corp: corp.to_owned(), reason };
            self.parked.get_or_create(&labels).set(count);
        }
    }

    /// Calls of this month that count against the organisation's quota.
    pub fn metered(&self, corp: &str, calls: i64, limit: u32) {
        let corp = CorpLabel { corp: corp.to_owned() };
        self.metered.get_or_create(&corp).set(calls);
        self.metered_limit.get_or_create(&corp).set(limit.into());
    }

    /// How far the OA's tables follow: changes that they lack, objects that are due, and those that are parked; and what
    /// they wait for.
    pub fn apply(&self, corp: &str, (behind, due, parked): (i64, i64, i64), trouble: Option<&str>) {
        let label = CorpLabel { corp: corp.to_owned() };
        self.apply_behind.get_or_create(&label).set(behind);
        self.apply_due.get_or_create(&label).set(due);
        self.apply_parked.get_or_create(&label).set(parked);
        let [.., other] = TROUBLES;
        let trouble = trouble.map(|kind| TROUBLES.into_iter().find(|known| *known == kind).unwrap_or(other));
        for kind in TROUBLES {
            let labels = KindLabels { corp: corp.to_owned(), kind };
            self.apply_trouble.get_or_create(&labels).set(i64::from(trouble == Some(kind)));
        }
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

/// From `OpenMetrics` to the Prometheus text format, which names a counter by its sample and knows no units, no infos
/// and no end mark.
fn classic(open_metrics: &str) -> String {
    let mut classic = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        if line.starts_with("# HELP ") {
            help = line;
            continue;
        }
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
            classic.extend([line, "\n"]);
            continue;
        };
        let (suffix, kind) = match kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            kind => ("", kind),
        };
        let text =
            help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).map_or("", |(_, text)| text);
        classic.extend(["# HELP ", name, suffix, " ", text, "\n"]);
        classic.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_public_name_is_there_in_the_classic_format() {
        let metrics = Metrics::new();
        metrics.introduce("main", &["accepted"]);
        metrics.callback("main", "accepted", Duration::from_millis(3));
        metrics.queue("main", &Counts::default(), Timestamp::UNIX_EPOCH);
        metrics.parked("main", &[]);
        metrics.metered("main", 0, 2500);
        metrics.organisation("main", BootstrapState::Pending, (0, 0), None, Condition::Ok);
        metrics.apply("main", (3, 2, 1), Some("unheard-of"));
        let text = metrics.encode().unwrap();
        for name in [
            "callbacks_total counter",
            "ack_seconds histogram",
            "queue_pending gauge",
            "queue_oldest_seconds gauge",
            "queue_parked gauge",
            "api_calls_total counter",
            "api_throttled_seconds_total counter",
            "metered_calls_month gauge",
            "metered_calls_limit gauge",
            "changes_total counter",
            "unannounced_changes_total counter",
            "event_to_row_seconds histogram",
            "bootstrap_state gauge",
            "last_reconcile_timestamp_seconds gauge",
            "held_deletions gauge",
            "dingtalk_up gauge",
            "leader gauge",
            "build_info gauge",
            "apply_behind gauge",
            "apply_due gauge",
            "apply_parked gauge",
            "apply_trouble gauge",
        ] {
            assert!(text.contains(&format!("# TYPE dingsync_{name}\n")), "{name} is missing in:\n{text}");
        }
        assert!(text.contains("dingsync_callbacks_total{corp=\"main\",result=\"accepted\"} 1"), "{text}");
        assert!(text.contains("dingsync_apply_trouble{corp=\"main\",kind=\"failed\"} 1"), "{text}");
        assert!(text.contains("dingsync_apply_trouble{corp=\"main\",kind=\"away\"} 0"), "{text}");
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
    }
}
