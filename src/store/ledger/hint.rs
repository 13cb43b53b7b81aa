//! Marking objects as dirty.

use std::sync::LazyLock;

use jiff::Timestamp;

use super::{ANSWER_LAG, Doubt, GAP, Hint, lane_number};
use crate::store::error::StoreError;
use crate::store::sql::{Conn, args, row_batches};

const HINT_COLUMNS: &str = "corp, kind, object_id, wanted, lane, ready_at, pending_since, expects, doubt, event_at, \
                            cause, event_id, operator_userid, run_id";
const HINT_VALUES: &str = "(?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// A hint makes an idle object ready (a [`GAP`] after its last read at the earliest), lifts a waiting one into its lane,
/// and never shortens a back-off. Two events within [`ANSWER_LAG`], or before a read has shown the first, leave more than
/// one in doubt.
static HINT_MERGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "ON CONFLICT (corp, kind, object_id) DO UPDATE SET \
         ready_at = CASE \
             WHEN lease IS NOT NULL THEN ready_at \
             WHEN wanted > done AND parked_reason IS NULL THEN ready_at \
             WHEN read_at + {gap} > excluded.ready_at AND read_at <= excluded.ready_at THEN read_at + {gap} \
             ELSE excluded.ready_at END, \
         lane = CASE WHEN (wanted > done OR lease IS NOT NULL) AND lane < excluded.lane THEN lane \
             ELSE excluded.lane END, \
         pending_since = CASE WHEN wanted > done THEN pending_since ELSE excluded.pending_since END, \
         event_id = CASE WHEN wanted > done AND cause > excluded.cause THEN event_id ELSE excluded.event_id END, \
         operator_userid = CASE WHEN wanted > done AND cause > excluded.cause THEN operator_userid \
             ELSE excluded.operator_userid END, \
         cause = CASE WHEN wanted > done AND cause > excluded.cause THEN cause ELSE excluded.cause END, \
         run_id = CASE WHEN excluded.run_id <> 0 THEN excluded.run_id WHEN wanted > done THEN run_id ELSE 0 END, \
         expects = expects | excluded.expects, \
         doubt = CASE WHEN excluded.doubt = {none} THEN doubt \
             WHEN doubt <> {none} OR event_at + {lag} > excluded.event_at THEN {several} \
             ELSE excluded.doubt END, \
         event_at = COALESCE(excluded.event_at, event_at), \
         parked_reason = NULL, \
         parked_at = NULL, \
         wanted = wanted + 1",
        gap = GAP.as_millis(),
        lag = ANSWER_LAG.as_millis(),
        none = Doubt::None.number(),
        several = Doubt::Several.number(),
    )
});

impl Conn {
    /// Marks objects as dirty. In key order, so that two transactions that hint the same objects do not lock each other.
    pub async fn hint(&mut self, corp_id: &str, hints: &[Hint], now: Timestamp) -> Result<(), StoreError> {
        self.hint_with(corp_id, hints, now, &HINT_MERGE).await
    }

    /// Marks only those objects that the ledger does not know.
    pub async fn hint_unknown(
        &mut self,
        corp_id: &str,
        hints: &[Hint],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.hint_with(corp_id, hints, now, "ON CONFLICT (corp, kind, object_id) DO NOTHING").await
    }

    async fn hint_with(
        &mut self,
        corp_id: &str,
        hints: &[Hint],
        now: Timestamp,
        merge: &str,
    ) -> Result<(), StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let hints = coalesced(hints);
        let now = now.as_millisecond();
        for batch in row_batches(&hints) {
            let values = vec![HINT_VALUES; batch.len()].join(", ");
            let sql = format!("INSERT INTO dingsync_object ({HINT_COLUMNS}) VALUES {values} {merge}");
            let mut args = Vec::with_capacity(batch.len() * 13);
            for hint in batch {
                args.extend_from_slice(args![
                    corp,
                    hint.kind.label(),
                    &hint.object_id,
                    lane_number(hint.lane),
                    now,
                    now,
                    hint.expects.0,
                    hint.doubt.number(),
                    (hint.doubt > Doubt::None).then_some(now),
                    hint.provenance.cause.rank(),
                    hint.provenance.event_id.clone(),
                    hint.provenance.operator_userid.clone(),
                    hint.run_id,
                ]);
            }
            self.execute(sql, &args).await?;
        }
        Ok(())
    }
}

/// One hint for each object, in key order.
fn coalesced(hints: &[Hint]) -> Vec<Hint> {
    let mut ordered = hints.to_vec();
    ordered.sort_by(|left, right| (left.kind, &left.object_id).cmp(&(right.kind, &right.object_id)));
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
