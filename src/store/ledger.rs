//! The ledger: one row for each object that was ever heard of. It is the queue, the memory of what was read, and the
//! tombstone of what is gone.
//!
//! A hint adds one to `wanted`; a claim notes the value it answers; the end of the read moves `done` there. A hint that
//! comes while the object is being read leaves `wanted > done`, so it is read once more. A claim is a lease: `ready_at`
//! then says when it runs out, after which anybody may claim the object again, and the one who lost it cannot finish.

use std::time::Duration;

use jiff::Timestamp;

use super::change::{Cause, Provenance};
use super::error::StoreError;
use super::sql::{Conn, Row, Value, args, key_lists, placeholders, row_batches};
use crate::lane::Lane;

/// What an object is, and so which read owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The list of all role groups and roles; one object for the organisation.
    RoleCatalogue,
    /// A department's row.
    Department,
    /// The children and direct members of a department.
    Walk,
    /// The member list of a role.
    RoleMembers,
    /// A person.
    Employee,
}

impl Kind {
    /// In the order in which background work is taken: what makes others visible comes first.
    pub const ALL: [Self; 5] =
        [Self::RoleCatalogue, Self::Department, Self::Walk, Self::RoleMembers, Self::Employee];

    /// The word in `dingsync_object.kind`.
    pub fn label(self) -> &'static str {
        match self {
            Self::RoleCatalogue => "roles",
            Self::Department => "department",
            Self::Walk => "walk",
            Self::RoleMembers => "role_members",
            Self::Employee => "employee",
        }
    }

    fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }
}

/// The id of the only [`Kind::RoleCatalogue`].
pub const CATALOGUE: &str = "*";

fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::Live => 0,
        Lane::Background => 1,
    }
}

fn lane_of(number: Option<i64>) -> Lane {
    if number == Some(0) { Lane::Live } else { Lane::Background }
}

/// What the hints expect a read to show; several can be on record at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expectations(i64);

impl Expectations {
    /// Nothing in particular.
    pub const NONE: Self = Self(0);
    /// The object is there (it was added).
    pub const PRESENT: Self = Self(1);
    /// The object is there and differs from what is stored (it was modified).
    pub const CHANGED: Self = Self(2);
    /// The object is gone (it left).
    pub const GONE: Self = Self(4);

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of `other` is among them.
    pub fn any_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Marks an object as dirty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub object_id: String,
    /// How urgent.
    pub lane: Lane,
    /// What it expects.
    pub expects: Expectations,
    /// How many events it stands for.
    pub events: i64,
    /// Why.
    pub provenance: Provenance,
    /// The run that it belongs to; 0 for none.
    pub run_id: i64,
}

impl Hint {
    /// A hint without an event behind it.
    pub fn of(kind: Kind, object_id: impl Into<String>, lane: Lane, cause: Cause) -> Self {
        Self {
            kind,
            object_id: object_id.into(),
            lane,
            expects: Expectations::NONE,
            events: 0,
            provenance: Provenance::of(cause),
            run_id: 0,
        }
    }
}

/// What the last read said of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was never read.
    Unread,
    /// It is there.
    Present,
    /// It is gone.
    Gone,
    /// It is outside of the application's scope.
    Hidden,
    /// It is gone, but the deletion guard holds its row.
    Held,
}

impl Standing {
    const ALL: [Self; 5] = [Self::Unread, Self::Present, Self::Gone, Self::Hidden, Self::Held];

    /// The word that people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::Present => "present",
            Self::Gone => "gone",
            Self::Hidden => "hidden",
            Self::Held => "held",
        }
    }

    fn number(self) -> i64 {
        Self::ALL.iter().position(|standing| *standing == self).map_or(0, |number| number as i64)
    }

    fn of_number(number: Option<i64>) -> Self {
        let index = number.and_then(|number| usize::try_from(number).ok());
        index.and_then(|index| Self::ALL.get(index)).copied().unwrap_or(Self::Unread)
    }
}

/// The read that follows an answer which may be older than its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// None.
    No,
    /// The first one after a contradiction.
    FirstContradiction,
    /// The second one.
    SecondContradiction,
    /// After a read that did not show what its events announced.
    Quiet,
}

impl Confirm {
    const ALL: [Self; 4] = [Self::No, Self::FirstContradiction, Self::SecondContradiction, Self::Quiet];

    fn number(self) -> i64 {
        Self::ALL.iter().position(|stage| *stage == self).map_or(0, |number| number as i64)
    }

    fn of_number(number: Option<i64>) -> Self {
        let index = number.and_then(|number| usize::try_from(number).ok());
        index.and_then(|index| Self::ALL.get(index)).copied().unwrap_or(Self::No)
    }
}

/// Which objects a worker would take, and on which terms.
#[derive(Debug, Clone, Copy)]
pub struct ClaimWish {
    /// Only these.
    pub kind: Kind,
    /// Only from here.
    pub lane: Lane,
    /// At most so many.
    pub limit: usize,
    /// Under this number, which nobody else uses.
    pub lease: i64,
    /// Until then.
    pub until: Timestamp,
}

/// An object that a worker holds.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The number of its row.
    pub id: i64,
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub object_id: String,
    /// The lease; only its holder can finish.
    pub lease: i64,
    /// How urgent.
    pub lane: Lane,
    /// True where there are hints to answer; false for a confirming read.
    pub hinted: bool,
    /// What the hints expect.
    pub expects: Expectations,
    /// Events whose effect no read has shown yet.
    pub unproven: i64,
    /// The confirming read that this is, or that it makes up for.
    pub confirm: Confirm,
    /// Why.
    pub provenance: Provenance,
    /// The run that marked it; 0 for none.
    pub run_id: i64,
    /// What the last read said.
    pub standing: Standing,
    /// Failures in a row for which the object itself is to blame.
    pub attempts: i64,
    /// Where a read of several pages goes on.
    pub progress: Option<String>,
    /// Since when there are hints to answer.
    pub pending_since: Option<Timestamp>,
}

/// The end of a read that brought an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// What it said.
    pub standing: Standing,
    /// Whether it changed a row.
    pub changed: bool,
    /// Events that still lack their effect.
    pub unproven: i64,
    /// What remains expected, for the confirming read.
    pub expects: Expectations,
    /// The confirming read that comes next, and when.
    pub confirm: Confirm,
    /// How long until it.
    pub confirm_in: Duration,
}

/// How many objects of one lane wait, and since when the oldest does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneCount {
    /// Still to be read, retries included.
    pub pending: i64,
    /// When the oldest hint came.
    pub oldest: Option<Timestamp>,
}

/// The state of the queue at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events and people's requests.
    pub live: LaneCount,
    /// The rest.
    pub background: LaneCount,
    /// Being read.
    pub running: i64,
    /// Waiting for a confirming read.
    pub confirming: i64,
    /// Set aside because of the object itself.
    pub parked: i64,
    /// Outside of the application's scope.
    pub hidden: i64,
    /// Gone, but held by the deletion guard.
    pub held: i64,
}

/// Between two reads of one object: what comes meanwhile is answered by the second.
const GAP_MS: i64 = 1000;

const HINT_COLUMNS: &str = "corp, kind, object_id, wanted, lane, ready_at, pending_since, expects, unproven, cause, \
                            event_id, operator_userid, run_id";
const HINT_VALUES: &str = "(?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// A hint makes an idle object ready (about a second after its last read at the earliest), lifts a waiting one into its
/// lane, and never shortens a back-off.
const HINT_MERGE: &str = "ON CONFLICT (corp, kind, object_id) DO UPDATE SET \
    ready_at = CASE \
        WHEN lease IS NOT NULL THEN ready_at \
        WHEN wanted > done AND parked_reason IS NULL THEN ready_at \
        WHEN read_at + 1000 > excluded.ready_at THEN read_at + 1000 \
        ELSE excluded.ready_at END, \
    lane = CASE WHEN (wanted > done OR lease IS NOT NULL) AND lane < excluded.lane THEN lane ELSE excluded.lane END, \
    pending_since = CASE WHEN wanted > done THEN pending_since ELSE excluded.pending_since END, \
    event_id = CASE WHEN wanted > done AND cause > excluded.cause THEN event_id ELSE excluded.event_id END, \
    operator_userid = CASE WHEN wanted > done AND cause > excluded.cause THEN operator_userid \
        ELSE excluded.operator_userid END, \
    cause = CASE WHEN wanted > done AND cause > excluded.cause THEN cause ELSE excluded.cause END, \
    run_id = CASE WHEN excluded.run_id <> 0 THEN excluded.run_id ELSE run_id END, \
    expects = expects | excluded.expects, \
    unproven = unproven + excluded.unproven, \
    parked_reason = NULL, \
    parked_at = NULL, \
    wanted = wanted + 1";

const CLAIM_COLUMNS: &str = "id, kind, object_id, lease, lane, wanted, done, expects, unproven, confirm, cause, event_id, \
                             operator_userid, run_id, standing, attempts, progress, pending_since";

impl Conn {
    /// Marks objects as dirty. In key order, so that two transactions that hint the same objects do not lock each other.
    pub async fn hint(&mut self, corp_id: &str, hints: &[Hint], now: Timestamp) -> Result<(), StoreError> {
        self.hint_with(corp_id, hints, now, HINT_MERGE).await
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
            let mut args = Vec::with_capacity(batch.len() * 12);
            for hint in batch {
                args.extend_from_slice(args![
                    corp,
                    hint.kind.label(),
                    &hint.object_id,
                    lane_number(hint.lane),
                    now,
                    now,
                    hint.expects.0,
                    hint.events,
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

    /// Leases objects that are ready, the longest ready first.
    pub async fn claim(
        &mut self,
        corp_id: &str,
        wish: &ClaimWish,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError> {
        let ClaimWish { kind, lane, limit, lease, until } = *wish;
        let corp = self.corp_number(corp_id).await?;
        let sql = format!(
            "UPDATE dingsync_object SET lease = ?, claimed = wanted, ready_at = ? WHERE id IN ( \
                 SELECT id FROM dingsync_object \
                 WHERE corp = ? AND lane = ? AND kind = ? AND ready_at <= ? ORDER BY ready_at LIMIT ?) \
             RETURNING {CLAIM_COLUMNS}",
        );
        let args = args![
            lease,
            until.as_millisecond(),
            corp,
            lane_number(lane),
            kind.label(),
            now.as_millisecond(),
            limit,
        ];
        self.rows(sql, args).await?.iter().map(claim_of).collect()
    }

    /// Keeps a lease; false if it is lost.
    pub async fn renew(&mut self, claim: &Claim, until: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE dingsync_object SET ready_at = ? \
                   WHERE id = ? AND lease = ?";
        let args = args![until.as_millisecond(), claim.id, claim.lease];
        Ok(self.execute(sql, args).await? == 1)
    }

    /// Ends a read with an answer. Fails, and with it the whole transaction, when the lease has been lost.
    pub async fn finish(&mut self, claim: &Claim, finish: &Finish, now: Timestamp) -> Result<(), StoreError> {
        let confirm_at = match finish.confirm {
            Confirm::No => None,
            _ => Some((now + finish.confirm_in).as_millisecond()),
        };
        let now = now.as_millisecond();
        let sql = "UPDATE dingsync_object SET \
                   ready_at = CASE WHEN wanted > claimed THEN ? ELSE ? END, \
                   lane = CASE WHEN wanted > claimed THEN lane ELSE 1 END, \
                   pending_since = CASE WHEN wanted > claimed THEN ? ELSE NULL END, \
                   expects = CASE WHEN wanted > claimed THEN expects ELSE ? END, \
                   unproven = unproven - ? + ?, confirm = ?, standing = ?, read_at = ?, \
                   changed_at = CASE WHEN ? = 1 THEN ? ELSE changed_at END, \
                   done = claimed, lease = NULL, attempts = 0, progress = NULL \
                   WHERE id = ? AND lease = ?";
        let args = args![
            now + GAP_MS,
            confirm_at,
            now,
            finish.expects.0,
            claim.unproven,
            finish.unproven,
            finish.confirm.number(),
            finish.standing.number(),
            now,
            finish.changed,
            now,
            claim.id,
            claim.lease,
        ];
        match self.execute(sql, args).await? {
            1 => Ok(()),
            _ => Err(StoreError::LeaseLost),
        }
    }

    /// Keeps the place in a read of several pages. Fails when the lease has been lost.
    pub async fn keep_progress(&mut self, claim: &Claim, progress: &str) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_object SET progress = ? \
                   WHERE id = ? AND lease = ?";
        let args = args![progress, claim.id, claim.lease];
        match self.execute(sql, args).await? {
            1 => Ok(()),
            _ => Err(StoreError::LeaseLost),
        }
    }

    /// Gives an object back unread: not its own fault, so nothing is counted against it.
    pub async fn release(&mut self, claim: &Claim, ready_at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_object SET lease = NULL, ready_at = ? \
                   WHERE id = ? AND lease = ?";
        let args = args![ready_at.as_millisecond(), claim.id, claim.lease];
        self.execute(sql, args).await?;
        Ok(())
    }

    /// Gives an object back after a failure of its own, to be tried again at `ready_at`, or parks it with a reason.
    pub async fn fail(
        &mut self,
        claim: &Claim,
        ready_at: Option<Timestamp>,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let parked_at = ready_at.is_none().then(|| now.as_millisecond());
        let sql = "UPDATE dingsync_object SET lease = NULL, attempts = attempts + 1, ready_at = ?, \
                   parked_reason = ?, parked_at = ? \
                   WHERE id = ? AND lease = ?";
        let args = args![
            ready_at.map(Timestamp::as_millisecond),
            parked_at.map(|_| reason),
            parked_at,
            claim.id,
            claim.lease,
        ];
        self.execute(sql, args).await?;
        Ok(())
    }

    /// Voids every lease. Only for whoever holds the database alone: the former holders are dead.
    pub async fn void_leases(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "UPDATE dingsync_object SET lease = NULL, ready_at = ? WHERE lease IS NOT NULL";
        self.execute(sql, args![now.as_millisecond()]).await
    }

    /// For each lane and kind, the earliest moment at which something is ready; live work first, then in the order of
    /// [`Kind::ALL`].
    pub async fn next_ready(&mut self, corp_id: &str) -> Result<Vec<(Lane, Kind, Timestamp)>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let mut parts = Vec::new();
        let mut args = Vec::new();
        for lane in Lane::ALL {
            for kind in Kind::ALL {
                parts.push(
                    "SELECT * FROM (SELECT lane, kind, ready_at FROM dingsync_object \
                     WHERE corp = ? AND lane = ? AND kind = ? AND ready_at IS NOT NULL \
                     ORDER BY ready_at LIMIT 1)",
                );
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
        Ok(ready)
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
                   WHERE corp = ? AND confirm > 0 AND wanted = done AND lease IS NULL";
        counts.confirming = self.number(sql, args![corp]).await?;
        counts.background.pending -= counts.confirming;
        let sql = "SELECT count(*) FROM dingsync_object WHERE corp = ? AND parked_reason IS NOT NULL";
        counts.parked = self.number(sql, args![corp]).await?;
        let sql = "SELECT standing, count(*) FROM dingsync_object \
                   WHERE corp = ? AND standing > 2 GROUP BY standing";
        for row in self.rows(sql, args![corp]).await? {
            let number = row.integer(1)?.unwrap_or_default();
            match Standing::of_number(row.integer(0)?) {
                Standing::Held => counts.held = number,
                _ => counts.hidden = number,
            }
        }
        Ok(counts)
    }

    /// How many objects are parked, by the first word of the reason.
    pub async fn parked_reasons(&mut self, corp_id: &str) -> Result<Vec<(String, i64)>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let sql = "SELECT parked_reason FROM dingsync_object WHERE corp = ? AND parked_reason IS NOT NULL";
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
            "SELECT count(*) FROM dingsync_object WHERE corp = ? AND parked_reason IS NOT NULL \
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
        for list in key_lists(&keys) {
            let sql = format!(
                "SELECT object_id, standing, run_id FROM dingsync_object \
                 WHERE corp = ? AND kind = ? AND object_id IN ({})",
                placeholders(list.len()),
            );
            let args: Vec<Value> = [corp.into(), kind.label().into()].into_iter().chain(list).collect();
            for row in self.rows(sql, &args).await? {
                let standing = Standing::of_number(row.integer(1)?);
                let run_id = row.integer(2)?.unwrap_or_default();
                standings.push((row.text(0)?.unwrap_or_default(), standing, run_id));
            }
        }
        Ok(standings)
    }

    /// Whether an object still waits to be read or is being read, parked or not; `None` where it is unknown.
    pub async fn object_state(
        &mut self,
        corp_id: &str,
        kind: Kind,
        object_id: &str,
    ) -> Result<Option<ObjectState>, StoreError> {
        let sql = "SELECT wanted, done, lease, standing, parked_reason, read_at FROM dingsync_object \
                   WHERE corp = ? AND kind = ? AND object_id = ?";
        let corp = self.corp_number(corp_id).await?;
        let Some(row) = self.row(sql, args![corp, kind.label(), object_id]).await? else {
            return Ok(None);
        };
        Ok(Some(ObjectState {
            wanted: row.integer(0)?.unwrap_or_default(),
            done: row.integer(1)?.unwrap_or_default(),
            is_leased: row.integer(2)?.is_some(),
            standing: Standing::of_number(row.integer(3)?),
            parked_reason: row.text(4)?,
            read_at: row.millisecond(5)?,
        }))
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
            kept.events += later.events;
            kept.run_id = kept.run_id.max(later.run_id);
            if later.provenance.cause >= kept.provenance.cause {
                kept.provenance = later.provenance.clone();
            }
        }
        same
    });
    ordered
}

/// Where one object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectState {
    /// Hints counted.
    pub wanted: i64,
    /// Hints answered.
    pub done: i64,
    /// A worker holds it.
    pub is_leased: bool,
    /// What the last read said.
    pub standing: Standing,
    /// Why it is set aside, if it is.
    pub parked_reason: Option<String>,
    /// The last read.
    pub read_at: Option<Timestamp>,
}

fn claim_of(row: &Row) -> Result<Claim, StoreError> {
    let label = row.text(1)?.unwrap_or_default();
    let kind = Kind::of_label(&label).ok_or_else(|| {
        StoreError::Schema(format!("the queue holds an object of an unknown kind, {label}"))
    })?;
    let wanted = row.integer(5)?.unwrap_or_default();
    let done = row.integer(6)?.unwrap_or_default();
    Ok(Claim {
        id: row.integer(0)?.unwrap_or_default(),
        kind,
        object_id: row.text(2)?.unwrap_or_default(),
        lease: row.integer(3)?.unwrap_or_default(),
        lane: lane_of(row.integer(4)?),
        hinted: wanted > done,
        expects: Expectations(row.integer(7)?.unwrap_or_default()),
        unproven: row.integer(8)?.unwrap_or_default(),
        confirm: Confirm::of_number(row.integer(9)?),
        provenance: Provenance {
            cause: Cause::of_rank(row.integer(10)?.unwrap_or_default()),
            event_id: row.text(11)?,
            operator_userid: row.text(12)?,
        },
        run_id: row.integer(13)?.unwrap_or_default(),
        standing: Standing::of_number(row.integer(14)?),
        attempts: row.integer(15)?.unwrap_or_default(),
        progress: row.text(16)?,
        pending_since: row.millisecond(17)?,
    })
}
