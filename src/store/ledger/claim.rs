//! Leases: an object is worked on by one worker at a time, and only the holder of its lease can say what became of it.

use jiff::Timestamp;

use super::{
    Claim, ClaimWish, Confirm, Doubt, Expectations, Finish, GAP, Kind, Standing, lane_number, lane_of,
};
use crate::store::change::{Cause, Provenance};
use crate::store::conn::Conn;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Value, args, key_lists, placeholders};

const CLAIM_COLUMNS: &str = "id, kind, object_id, claimed, lane, wanted, done, expects, doubt, event_at, confirm, \
                             cause, event_id, operator_userid, run_id, standing, attempts, progress, pending_since";

impl Conn {
    /// Leases objects that are ready, the longest ready first; confirming reads, which are due at their time, before
    /// the rest of their lane. A read of several pages that was interrupted goes on where it was, unless a hint has come
    /// since: its first pages would be older than that.
    pub async fn claim(
        &mut self,
        corp_id: &str,
        wish: &ClaimWish,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let mut claims = self.free_objects(corp, wish, "confirm > 0", wish.limit, now).await?;
        if !wish.only_confirming && claims.len() < wish.limit {
            let more = wish.limit - claims.len();
            claims.extend(self.free_objects(corp, wish, "confirm = 0", more, now).await?);
        }
        let keys: Vec<Value> = claims.iter().map(|claim| Value::Integer(claim.id)).collect();
        for list in key_lists(&keys) {
            let sql = format!(
                "UPDATE dingsync_object SET lease = ?, ready_at = ?, \
                 progress = CASE WHEN wanted > claimed THEN NULL ELSE progress END, claimed = wanted \
                 WHERE id IN ({})",
                placeholders(list.len()),
            );
            let args: Vec<Value> =
                args![wish.lease, wish.until.as_millisecond()].iter().cloned().chain(list).collect();
            self.execute(sql, &args).await?;
        }
        Ok(claims)
    }

    /// Takes the rows of ready objects that nobody else is taking.
    async fn free_objects(
        &mut self,
        corp: i64,
        wish: &ClaimWish,
        which: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError> {
        let sql = format!(
            "SELECT {CLAIM_COLUMNS} FROM dingsync_object \
             WHERE corp = ? AND kind = ? AND lane = ? AND {which} AND ready_at <= ? \
             ORDER BY ready_at LIMIT ? {}",
            self.dialect().take_free_rows(),
        );
        let args = args![corp, wish.kind.label(), lane_number(wish.lane), now.as_millisecond(), limit];
        self.rows(sql, args).await?.iter().map(|row| claim_of(row, corp, wish.lease, now)).collect()
    }

    /// Keeps leases. Those that are lost, or whose row somebody is writing at the moment, are left alone.
    pub async fn renew(&mut self, claims: &[Claim], until: Timestamp) -> Result<(), StoreError> {
        let keys: Vec<Value> = claims.iter().map(|claim| Value::Integer(claim.id)).collect();
        for list in key_lists(&keys) {
            let sql = format!(
                "SELECT id, lease FROM dingsync_object WHERE id IN ({}) AND lease IS NOT NULL {}",
                placeholders(list.len()),
                self.dialect().take_free_rows(),
            );
            let mut kept = Vec::new();
            for row in self.rows(sql, &list).await? {
                let held = row.integer(0)?.zip(row.integer(1)?);
                if let Some((id, lease)) = held
                    && claims.iter().any(|claim| (claim.id, claim.lease) == (id, lease))
                {
                    kept.push(Value::Integer(id));
                }
            }
            for list in key_lists(&kept) {
                let sql = format!(
                    "UPDATE dingsync_object SET ready_at = ? WHERE id IN ({})",
                    placeholders(list.len()),
                );
                let args: Vec<Value> = [until.as_millisecond().into()].into_iter().chain(list).collect();
                self.execute(sql, &args).await?;
            }
        }
        Ok(())
    }

    /// Ends a read with an answer. The whole transaction fails when the lease has been lost.
    pub fn finish(&mut self, claim: &Claim, finish: &Finish, now: Timestamp) {
        let confirm_at = match finish.confirm {
            Confirm::No => None,
            _ => Some((now + finish.confirm_in).as_millisecond()),
        };
        let again_at = (now + GAP).as_millisecond();
        let now = now.as_millisecond();
        let number = self.dialect().number_argument();
        let assignments = format!(
            "ready_at = CASE WHEN wanted > claimed THEN {number} ELSE {number} END, \
                   lane = CASE WHEN wanted > claimed THEN lane ELSE 1 END, \
                   pending_since = CASE WHEN wanted = claimed THEN NULL WHEN event_at >= ? THEN event_at ELSE ? END, \
                   expects = CASE WHEN wanted > claimed THEN expects ELSE ? END, \
                   doubt = CASE WHEN wanted > claimed AND (event_at >= ? OR event_at <> ?) THEN doubt ELSE ? END, \
                   confirm = ?, standing = ?, read_at = ?, \
                   done = claimed, lease = NULL, attempts = 0, progress = NULL"
        );
        let args = args![
            again_at,
            confirm_at,
            claim.claimed_at.as_millisecond(),
            now,
            finish.expects.0,
            claim.claimed_at.as_millisecond(),
            // An event may be seen after the claim with a time before it: replicas' clocks differ, and a commit is later
            // than the time that it notes.
            claim.event_at.map_or(i64::MIN, Timestamp::as_millisecond),
            finish.doubt.number(),
            finish.confirm.number(),
            finish.standing.number(),
            now,
        ];
        self.put_off_update(claim, &assignments, args, true);
    }

    /// Keeps the place in a read of several pages. The whole transaction fails when the lease has been lost.
    pub fn keep_progress(&mut self, claim: &Claim, progress: &str) {
        self.put_off_update(claim, "progress = ?", args![progress], true);
    }

    /// Gives an object back unread: not its own fault, so nothing is counted against it.
    pub fn release(&mut self, claim: &Claim, ready_at: Timestamp) {
        let args = args![ready_at.as_millisecond()];
        self.put_off_update(claim, "lease = NULL, ready_at = ?", args, false);
    }

    /// Gives an object back after a failure of its own, to be tried again at `ready_at`, or parks it with a reason.
    pub fn fail(&mut self, claim: &Claim, ready_at: Option<Timestamp>, reason: &str, now: Timestamp) {
        if let Some(ready_at) = ready_at {
            let assignments = "lease = NULL, attempts = attempts + 1, ready_at = ?";
            return self.put_off_update(claim, assignments, args![ready_at.as_millisecond()], false);
        }
        // A hint that came during the read does what it would do a moment later: it lifts the object out again.
        let number = self.dialect().number_argument();
        let assignments = format!(
            "lease = NULL, attempts = attempts + 1, \
             ready_at = CASE WHEN wanted > claimed THEN {number} END, \
             parked_reason = CASE WHEN wanted > claimed THEN NULL ELSE ? END, \
             parked_at = CASE WHEN wanted > claimed THEN NULL ELSE {number} END"
        );
        let args = args![(now + GAP).as_millisecond(), reason, now.as_millisecond()];
        self.put_off_update(claim, &assignments, args, false);
    }

    /// Voids every lease. Only for whoever holds the database alone: the former holders are dead.
    pub async fn void_leases(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "UPDATE dingsync_object SET lease = NULL, ready_at = ? WHERE lease IS NOT NULL";
        self.count(sql, args![now.as_millisecond()]).await
    }
}

fn claim_of(row: &Row, corp: i64, lease: i64, claimed_at: Timestamp) -> Result<Claim, StoreError> {
    let label = row.text(1)?.unwrap_or_default();
    let kind = Kind::of_label(&label).ok_or_else(|| {
        StoreError::Schema(format!("the queue holds an object of an unknown kind, {label}"))
    })?;
    let wanted = row.integer(5)?.unwrap_or_default();
    let done = row.integer(6)?.unwrap_or_default();
    Ok(Claim {
        id: row.integer(0)?.unwrap_or_default(),
        corp,
        kind,
        object_id: row.text(2)?.unwrap_or_default(),
        lease,
        lane: lane_of(row.integer(4)?),
        hinted: wanted > done,
        expects: Expectations(row.integer(7)?.unwrap_or_default()),
        doubt: Doubt::of_number(row.integer(8)?),
        event_at: row.millisecond(9)?,
        claimed_at,
        confirm: Confirm::of_number(row.integer(10)?),
        provenance: Provenance {
            cause: Cause::of_rank(row.integer(11)?.unwrap_or_default()),
            event_id: row.text(12)?,
            operator_userid: row.text(13)?,
        },
        run_id: row.integer(14)?.unwrap_or_default(),
        standing: Standing::of_number(row.integer(15)?),
        attempts: row.integer(16)?.unwrap_or_default(),
        progress: if wanted > row.integer(3)?.unwrap_or_default() { None } else { row.text(17)? },
        pending_since: row.millisecond(18)?,
    })
}
