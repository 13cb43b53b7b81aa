//! Marking objects as dirty.

use std::sync::LazyLock;

use jiff::Timestamp;

use super::{ANSWER_LAG, Doubt, GAP, Hint, lane_number};
use crate::store::conn::Conn;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::insert::Insert;
use crate::store::sql::Value;

const HINT_COLUMNS: [&str; 14] = [
    "corp",
    "kind",
    "object_id",
    "wanted",
    "lane",
    "ready_at",
    "pending_since",
    "expects",
    "doubt",
    "event_at",
    "cause",
    "event_id",
    "operator_userid",
    "run_id",
];

const KEY: &str = "corp, kind, object_id";

/// What becomes of an object that the ledger knows already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marking {
    /// Nothing.
    IfUnknown,
    /// It is read again.
    Always,
}

/// A hint makes an idle object ready (a [`GAP`] after its last read at the earliest), lifts a waiting one into its lane,
/// and never shortens a back-off. Two events within [`ANSWER_LAG`], or before a read has shown the first, leave more than
/// one in doubt. No assignment reads a column that one before it has changed.
fn merge(dialect: Dialect) -> String {
    let was = |column: &str| format!("dingsync_object.{column}");
    let new = |column: &str| dialect.incoming(column);
    let waits = format!("{} > {}", was("wanted"), was("done"));
    let weaker = format!("{waits} AND {} > {}", was("cause"), new("cause"));
    let gap = GAP.as_millis();
    let assignments = [
        format!(
            "ready_at = CASE WHEN {lease} IS NOT NULL THEN {ready} \
             WHEN {waits} AND {parked} IS NULL THEN {ready} \
             WHEN {read} + {gap} > {new_ready} AND {read} <= {new_ready} THEN {read} + {gap} \
             ELSE {new_ready} END",
            lease = was("lease"),
            ready = was("ready_at"),
            parked = was("parked_reason"),
            read = was("read_at"),
            new_ready = new("ready_at"),
        ),
        format!(
            "lane = CASE WHEN ({waits} OR {lease} IS NOT NULL) AND {lane} < {new_lane} THEN {lane} \
             ELSE {new_lane} END",
            lease = was("lease"),
            lane = was("lane"),
            new_lane = new("lane"),
        ),
        format!(
            "pending_since = CASE WHEN {waits} THEN {} ELSE {} END",
            was("pending_since"),
            new("pending_since")
        ),
        format!("event_id = CASE WHEN {weaker} THEN {} ELSE {} END", was("event_id"), new("event_id")),
        format!(
            "operator_userid = CASE WHEN {weaker} THEN {} ELSE {} END",
            was("operator_userid"),
            new("operator_userid")
        ),
        format!("cause = CASE WHEN {weaker} THEN {} ELSE {} END", was("cause"), new("cause")),
        format!(
            "run_id = CASE WHEN {new_run} <> 0 THEN {new_run} WHEN {waits} THEN {} ELSE 0 END",
            was("run_id"),
            new_run = new("run_id"),
        ),
        format!("expects = {} | {}", was("expects"), new("expects")),
        format!(
            "doubt = CASE WHEN {new_doubt} = {none} THEN {doubt} \
             WHEN {doubt} <> {none} OR {event_at} + {lag} > {new_event} THEN {several} \
             ELSE {new_doubt} END",
            doubt = was("doubt"),
            new_doubt = new("doubt"),
            event_at = was("event_at"),
            new_event = new("event_at"),
            none = Doubt::None.number(),
            several = Doubt::Several.number(),
            lag = ANSWER_LAG.as_millis(),
        ),
        format!("event_at = COALESCE({}, {})", new("event_at"), was("event_at")),
        "parked_reason = NULL".to_owned(),
        "parked_at = NULL".to_owned(),
        format!("wanted = {} + 1", was("wanted")),
    ];
    dialect.merge(KEY, &assignments.join(", "))
}

/// The end of the statement that marks.
fn ending(dialect: Dialect, marking: Marking) -> &'static str {
    static MERGES: [LazyLock<String>; 3] = [
        LazyLock::new(|| merge(Dialect::Sqlite)),
        LazyLock::new(|| merge(Dialect::Postgres)),
        LazyLock::new(|| merge(Dialect::Mysql)),
    ];
    static KEEPS: [LazyLock<String>; 3] = [
        LazyLock::new(|| Dialect::Sqlite.keep(KEY)),
        LazyLock::new(|| Dialect::Postgres.keep(KEY)),
        LazyLock::new(|| Dialect::Mysql.keep(KEY)),
    ];
    match marking {
        Marking::Always => &MERGES[dialect as usize],
        Marking::IfUnknown => &KEEPS[dialect as usize],
    }
}

impl Conn {
    /// Marks objects as dirty, at the end of the transaction.
    pub async fn hint(&mut self, corp_id: &str, hints: &[Hint], now: Timestamp) -> Result<(), StoreError> {
        self.put_off_marks(corp_id, hints, now, Marking::Always).await
    }

    /// Marks only those objects that the ledger does not know, at the end of the transaction.
    pub async fn hint_unknown(
        &mut self,
        corp_id: &str,
        hints: &[Hint],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.put_off_marks(corp_id, hints, now, Marking::IfUnknown).await
    }

    /// Marks objects of an organisation, in the order of their keys.
    pub(super) async fn mark_now(
        &mut self,
        corp: i64,
        hints: &[Hint],
        now: Timestamp,
        marking: Marking,
    ) -> Result<(), StoreError> {
        let hints = coalesced(hints);
        let now = now.as_millisecond();
        let mut values = Vec::with_capacity(hints.len() * HINT_COLUMNS.len());
        for hint in &hints {
            values.extend([
                Value::from(corp),
                hint.kind.label().into(),
                Value::from(&hint.object_id),
                1_i64.into(),
                lane_number(hint.lane).into(),
                now.into(),
                now.into(),
                hint.expects.0.into(),
                hint.doubt.number().into(),
                (hint.doubt > Doubt::None).then_some(now).into(),
                hint.provenance.cause.rank().into(),
                hint.provenance.event_id.clone().into(),
                hint.provenance.operator_userid.clone().into(),
                hint.run_id.into(),
            ]);
        }
        let ending = ending(self.dialect(), marking);
        self.insert_rows(&Insert { table: "dingsync_object", columns: &HINT_COLUMNS, ending }, values).await
    }
}

/// One hint for each object, in key order.
fn coalesced(hints: &[Hint]) -> Vec<Hint> {
    let mut ordered = hints.to_vec();
    ordered.sort_by(|left, right| {
        (left.kind.label(), &left.object_id).cmp(&(right.kind.label(), &right.object_id))
    });
    ordered.dedup_by(|later, kept| {
        let same = (later.kind, &later.object_id) == (kept.kind, &kept.object_id);
        if same {
            kept.lane = kept.lane.min(later.lane);
            kept.expects = kept.expects.and(later.expects);
            kept.doubt = kept.doubt.and(later.doubt);
            kept.run_id = kept.run_id.max(later.run_id);
            if later.provenance.cause >= kept.provenance.cause {
                kept.provenance = later.provenance.clone();
            }
        }
        same
    });
    ordered
}
