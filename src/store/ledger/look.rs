//! Looking at the ledger without changing it.

use jiff::Timestamp;

use super::{Counts, Kind, LaneCount, ObjectState, Standing, lane_number, lane_of};
use crate::lane::Lane;
use crate::store::conn::Conn;
use crate::store::error::StoreError;
use crate::store::sql::{Value, args, placeholders};

impl Conn {
    /// For each lane and kind, the earliest moment at which something is ready; live work first, then in the order of
    /// [`Kind::ALL`]. While details wait, which is told as well, of people in the background only confirming reads, unless
    /// some are to be read `beside` the rest.
    pub async fn next_ready(
        &mut self,
        corp_id: &str,
        beside: bool,
    ) -> Result<(bool, Vec<(Lane, Kind, Timestamp)>), StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let details_wait = self.details_wait(corp_id).await?;
        let mut parts = Vec::new();
        let mut args = Vec::new();
        for lane in Lane::ALL {
            for kind in Kind::ALL {
                let only_confirming =
                    details_wait && !beside && (lane, kind) == (Lane::Background, Kind::Employee);
                let confirming = if only_confirming { "AND confirm > 0" } else { "" };
                parts.push(format!(
                    "SELECT * FROM (SELECT lane, kind, ready_at FROM dingsync_object \
                     WHERE corp = ? AND lane = ? AND kind = ? AND ready_at IS NOT NULL {confirming} \
                     ORDER BY ready_at LIMIT 1) AS first_{}",
                    parts.len(),
                ));
                args.extend_from_slice(args![corp, lane_number(lane), kind.label()]);
            }
        }
        let rows = self.rows(parts.join(" UNION ALL "), &args).await?;
        let mut ready = Vec::with_capacity(rows.len());
        for row in &rows {
            let kind = row.text(1)?.as_deref().and_then(Kind::of_label);
            ready.extend(kind.zip(row.millisecond(2)?).map(|(kind, at)| (kind, at, row.integer(0))));
        }
        let mut ready: Vec<(Lane, Kind, Timestamp)> = ready
            .into_iter()
            .map(|(kind, at, lane)| Ok((lane_of(lane?), kind, at)))
            .collect::<Result<_, StoreError>>()?;
        ready.sort_unstable();
        Ok((details_wait, ready))
    }

    /// What the queue holds at this moment.
    pub async fn counts(&mut self, corp_id: &str) -> Result<Counts, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let mut counts = Counts::default();
        let sql = "SELECT lane, count(*), min(pending_since) FROM dingsync_object \
                   WHERE corp = ? AND ready_at IS NOT NULL GROUP BY lane";
        for row in self.rows(sql, args![corp]).await? {
            let lane =
                LaneCount { pending: row.integer(1)?.unwrap_or_default(), oldest: row.millisecond(2)? };
            match lane_of(row.integer(0)?) {
                Lane::Live => counts.live = lane,
                Lane::Background => counts.background = lane,
            }
        }
        let sql = "SELECT lane, count(*) FROM dingsync_object \
                   WHERE corp = ? AND lease IS NOT NULL GROUP BY lane";
        for row in self.rows(sql, args![corp]).await? {
            let running = row.integer(1)?.unwrap_or_default();
            counts.running += running;
            match lane_of(row.integer(0)?) {
                Lane::Live => counts.live.pending -= running,
                Lane::Background => counts.background.pending -= running,
            }
        }
        let sql = "SELECT count(*) FROM dingsync_object \
                   WHERE corp = ? AND confirm > 0 AND wanted = done AND lease IS NULL AND ready_at IS NOT NULL";
        counts.confirming = self.number(sql, args![corp]).await?;
        counts.background.pending -= counts.confirming;
        let sql = "SELECT count(*) FROM dingsync_object WHERE corp = ? AND parked_at IS NOT NULL";
        counts.parked = self.number(sql, args![corp]).await?;
        let sql = "SELECT count(*) FROM dingsync_object WHERE corp = ? AND standing = 3";
        counts.hidden = self.number(sql, args![corp]).await?;
        counts.held = self.held_count(corp_id).await?;
        Ok(counts)
    }

    /// How many objects are parked, by the first word of the reason.
    pub async fn parked_reasons(&mut self, corp_id: &str) -> Result<Vec<(String, i64)>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let sql = "SELECT parked_reason FROM dingsync_object WHERE corp = ? AND parked_at IS NOT NULL";
        let mut reasons: Vec<(String, i64)> = Vec::new();
        for row in self.rows(sql, args![corp]).await? {
            let text = row.text(0)?.unwrap_or_default();
            let word = text.split(':').next().unwrap_or_default().to_owned();
            match reasons.iter_mut().find(|(known, _)| *known == word) {
                Some((_, count)) => *count += 1,
                None => reasons.push((word, 1)),
            }
        }
        Ok(reasons)
    }

    /// How many objects of a run, of the given kinds, still have to be read, and how many of them are parked.
    pub async fn run_remains(
        &mut self,
        corp_id: &str,
        run_id: i64,
        kinds: &[Kind],
    ) -> Result<(i64, i64), StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let marks = placeholders(kinds.len());
        let sql = format!(
            "SELECT count(*) FROM dingsync_object WHERE corp = ? AND lane IN (0, 1) AND kind IN ({marks}) \
             AND ready_at IS NOT NULL AND run_id = ? AND wanted > done",
        );
        let mut args: Vec<Value> = vec![corp.into()];
        args.extend(kinds.iter().map(|kind| Value::from(kind.label())));
        args.push(run_id.into());
        let waiting = self.number(sql, &args).await?;
        let sql = format!(
            "SELECT count(*) FROM dingsync_object WHERE corp = ? AND parked_at IS NOT NULL \
             AND kind IN ({marks}) AND run_id = ?",
        );
        Ok((waiting, self.number(sql, &args).await?))
    }

    /// What the last read said of each object; those that the ledger does not know are left out.
    pub async fn standings(
        &mut self,
        corp_id: &str,
        kind: Kind,
        object_ids: &[String],
    ) -> Result<Vec<(String, Standing, i64)>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let keys: Vec<Value> = object_ids.iter().map(Value::from).collect();
        let mut standings = Vec::new();
        let (same, columns) = (of_kind(corp, kind), "object_id, standing, run_id");
        for row in self.rows_listed(columns, "dingsync_object", &same, "object_id", &keys).await? {
            let standing = Standing::of_number(row.integer(1)?);
            let run_id = row.integer(2)?.unwrap_or_default();
            standings.push((row.text(0)?.unwrap_or_default(), standing, run_id));
        }
        Ok(standings)
    }

    /// Whether an event has come for any of the people since `since`.
    pub async fn have_events_since(
        &mut self,
        corp_id: &str,
        userids: &[String],
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let keys: Vec<Value> = userids.iter().map(Value::from).collect();
        let same = of_kind(corp, Kind::Employee);
        for row in self.rows_listed("event_at", "dingsync_object", &same, "object_id", &keys).await? {
            if row.millisecond(0)?.is_some_and(|event_at| event_at > since) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Objects whose last read said that they are hidden, or gone and held.
    pub async fn apart(&mut self, corp_id: &str) -> Result<Vec<(Kind, String)>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let sql = "SELECT kind, object_id FROM dingsync_object WHERE corp = ? AND standing > 2";
        let mut apart = Vec::new();
        for row in self.rows(sql, args![corp]).await? {
            let kind = row.text(0)?.as_deref().and_then(Kind::of_label);
            apart.extend(kind.zip(row.text(1)?));
        }
        Ok(apart)
    }

    /// Whether an object still waits to be read or is being read, parked or not; `None` where it is unknown.
    pub async fn object_state(
        &mut self,
        corp_id: &str,
        kind: Kind,
        object_id: &str,
    ) -> Result<Option<ObjectState>, StoreError> {
        let sql = "SELECT wanted, done, lease, lane, standing, parked_reason, read_at FROM dingsync_object \
                   WHERE corp = ? AND kind = ? AND object_id = ?";
        let corp = self.corp_number(corp_id).await?;
        let Some(row) = self.row(sql, args![corp, kind.label(), object_id]).await? else {
            return Ok(None);
        };
        Ok(Some(ObjectState {
            wanted: row.integer(0)?.unwrap_or_default(),
            done: row.integer(1)?.unwrap_or_default(),
            is_leased: row.integer(2)?.is_some(),
            lane: lane_of(row.integer(3)?),
            standing: Standing::of_number(row.integer(4)?),
            parked_reason: row.text(5)?,
            read_at: row.millisecond(6)?,
        }))
    }
}

/// The first columns of the ledger's key.
pub(in crate::store) fn of_kind(corp: i64, kind: Kind) -> [(&'static str, Value); 2] {
    [("corp", corp.into()), ("kind", kind.label().into())]
}
