//! `dingsync_catch_up`: what may have been missed, and how far catching up is.

use jiff::Timestamp;

use super::error::StoreError;
use super::sql::args;
use crate::store::conn::Conn;

/// Why something may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// Nobody was there to take callbacks.
    Down,
    /// An authentic callback was answered with 503.
    Refused,
    /// A callback with a valid signature could not be decrypted.
    Undecryptable,
    /// Events stood in the list of those that could not be delivered.
    FailedEvents,
    /// A callback's key was changed.
    KeyChanged,
    /// An answer of the failed list, which clears what it shows, did not arrive.
    LostAnswer,
    /// An earlier comparison was given up.
    Unfinished,
}

impl GapReason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Down,
        Self::Refused,
        Self::Undecryptable,
        Self::FailedEvents,
        Self::KeyChanged,
        Self::LostAnswer,
        Self::Unfinished,
    ];

    /// The word in the status.
    pub fn label(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Refused => "refused",
            Self::Undecryptable => "undecryptable",
            Self::FailedEvents => "failed_events",
            Self::KeyChanged => "key_changed",
            Self::LostAnswer => "lost_answer",
            Self::Unfinished => "unfinished",
        }
    }

    fn bit(self) -> i64 {
        Self::ALL.iter().position(|reason| *reason == self).map_or(0, |position| 1 << position)
    }

    /// Whether DingTalk still has to list what was pushed in vain meanwhile.
    fn leaves_pushes_behind(self) -> bool {
        !matches!(self, Self::FailedEvents | Self::Unfinished)
    }
}

/// A time in which something may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// From when on.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// How far catching up is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatchUp {
    /// Since when something may have been missed that no comparison has looked for yet.
    pub gap_since: Option<Timestamp>,
    /// When the last gap ended of which this daemon is the cause.
    pub gap_until: Option<Timestamp>,
    /// Why something may have been missed; empty without a gap.
    pub reasons: Vec<GapReason>,
    /// Nobody was there: what was missed is looked for at once.
    pub is_exempt: bool,
    /// When a process that takes callbacks last lived.
    pub received_at: Option<Timestamp>,
    /// When the failed list was asked last.
    pub asked_at: Option<Timestamp>,
    /// Since when an answer is expected that has not been stored.
    pub begun_at: Option<Timestamp>,
    /// What could not be read in the failed list, as bits of the caller's.
    pub unreadable: i64,
    /// The last comparison that nobody asked for.
    pub reconciled_at: Option<Timestamp>,
    /// The run after which everybody's details are to be read.
    pub details_run: Option<i64>,
    /// The last person who is marked for it.
    pub details_after: String,
    /// From when on leavers are to be asked for.
    pub leavers_since: Option<Timestamp>,
}

impl CatchUp {
    /// Whether nothing is left to be caught up with, but for what is marked already.
    pub fn is_done(&self) -> bool {
        self.gap_since.is_none()
            && self.begun_at.is_none()
            && self.unreadable == 0
            && self.details_run.is_none()
            && self.leavers_since.is_none()
    }
}

fn millisecond(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millisecond)
}

impl Conn {
    /// Makes room for an organisation.
    pub(super) async fn lay_out_catch_up(&mut self, corp_id: &str) -> Result<(), StoreError> {
        let keep = self.dialect().keep("corp_id");
        self.execute(format!("INSERT INTO dingsync_catch_up (corp_id) VALUES (?) {keep}"), args![corp_id])
            .await
    }

    /// How far catching up is; nothing where the organisation is not registered.
    pub async fn catch_up(&mut self, corp_id: &str) -> Result<CatchUp, StoreError> {
        let sql = "SELECT gap_since, gap_until, reasons, is_exempt, received_at, asked_at, begun_at, unreadable, \
                   reconciled_at, details_run, details_after, leavers_since \
                   FROM dingsync_catch_up WHERE corp_id = ?";
        let Some(row) = self.row(sql, args![corp_id]).await? else { return Ok(CatchUp::default()) };
        let reasons = row.integer(2)?.unwrap_or_default();
        Ok(CatchUp {
            gap_since: row.millisecond(0)?,
            gap_until: row.millisecond(1)?,
            reasons: GapReason::ALL.into_iter().filter(|reason| reasons & reason.bit() != 0).collect(),
            is_exempt: row.flag(3)?.unwrap_or_default(),
            received_at: row.millisecond(4)?,
            asked_at: row.millisecond(5)?,
            begun_at: row.millisecond(6)?,
            unreadable: row.integer(7)?.unwrap_or_default(),
            reconciled_at: row.millisecond(8)?,
            details_run: row.integer(9)?,
            details_after: row.text(10)?.unwrap_or_default(),
            leavers_since: row.millisecond(11)?,
        })
    }

    /// Notes that something may have been missed.
    pub async fn note_gap(&mut self, corp_id: &str, gap: Gap) -> Result<(), StoreError> {
        let since = gap.since.as_millisecond();
        let sql = "UPDATE dingsync_catch_up SET reasons = reasons | ?, \
                   gap_since = CASE WHEN gap_since < ? THEN gap_since ELSE ? END WHERE corp_id = ?";
        self.execute(sql, args![gap.reason.bit(), since, since, corp_id]).await?;
        if gap.reason.leaves_pushes_behind() {
            let until = gap.until.as_millisecond();
            let sql = "UPDATE dingsync_catch_up SET gap_until = ? \
                       WHERE corp_id = ? AND (gap_until IS NULL OR gap_until < ?)";
            self.execute(sql, args![until, corp_id, until]).await?;
        }
        Ok(())
    }

    /// Lets the next look for what was missed, and the next call of the failed list, wait for nothing.
    pub async fn exempt_catch_up(&mut self, corp_id: &str) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_catch_up SET is_exempt = 1, asked_at = NULL WHERE corp_id = ?";
        self.execute(sql, args![corp_id]).await
    }

    /// Notes that `run_id` looks for what was missed, after which everybody's details are read.
    pub async fn begin_catch_up(
        &mut self,
        corp_id: &str,
        run_id: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_catch_up SET reconciled_at = ?, details_run = ?, details_after = '', \
                   leavers_since = COALESCE(leavers_since, gap_since), is_exempt = 0, reasons = 0, gap_since = NULL \
                   WHERE corp_id = ?";
        self.execute(sql, args![now.as_millisecond(), run_id, corp_id]).await
    }

    /// Notes how far everybody is marked for `run_id`; `None` when all are.
    pub async fn note_details_marked(
        &mut self,
        corp_id: &str,
        run_id: i64,
        after: Option<&str>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_catch_up SET details_after = ?, details_run = ? \
                   WHERE corp_id = ? AND details_run = ?";
        let left = after.map(|_| run_id);
        self.execute(sql, args![after.unwrap_or_default(), left, corp_id, run_id]).await
    }

    /// Notes that leavers since an instant have been marked.
    pub async fn note_leavers_marked(&mut self, corp_id: &str) -> Result<(), StoreError> {
        self.execute("UPDATE dingsync_catch_up SET leavers_since = NULL WHERE corp_id = ?", args![corp_id])
            .await
    }

    /// Notes that an answer of the failed list is expected, or is not expected any more.
    pub async fn expect_failed_list(
        &mut self,
        corp_id: &str,
        begun_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_catch_up SET begun_at = ? WHERE corp_id = ?";
        self.execute(sql, args![millisecond(begun_at), corp_id]).await
    }

    /// Notes that the failed list was asked, in the transaction that stores what it showed; `unreadable` are the bits of
    /// what could not be read.
    pub async fn note_failed_list(
        &mut self,
        corp_id: &str,
        unreadable: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_catch_up SET asked_at = ?, begun_at = NULL, unreadable = unreadable | ? \
                   WHERE corp_id = ?";
        self.execute(sql, args![now.as_millisecond(), unreadable, corp_id]).await
    }

    /// Notes that what could not be read, by these bits, is marked.
    pub async fn forget_unreadable(&mut self, corp_id: &str, marked: i64) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_catch_up SET unreadable = unreadable - (unreadable & ?) WHERE corp_id = ?";
        self.execute(sql, args![marked, corp_id]).await
    }

    /// Notes that a process that takes callbacks lives.
    pub async fn note_receiver(&mut self, corp_id: &str, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_catch_up SET received_at = ? \
                   WHERE corp_id = ? AND (received_at IS NULL OR received_at < ?)";
        self.execute(sql, args![now.as_millisecond(), corp_id, now.as_millisecond()]).await
    }

    /// Notes the mark of the keys in use. True if others were in use before.
    pub async fn note_keys(&mut self, corp_id: &str, mark: &str) -> Result<bool, StoreError> {
        let sql = "SELECT key_mark FROM dingsync_catch_up WHERE corp_id = ?";
        let known = self.row(sql, args![corp_id]).await?.map(|row| row.text(0)).transpose()?.flatten();
        if known.as_deref() == Some(mark) {
            return Ok(false);
        }
        self.execute("UPDATE dingsync_catch_up SET key_mark = ? WHERE corp_id = ?", args![mark, corp_id])
            .await?;
        Ok(known.is_some())
    }

    /// How many people's details are older than `before`, gone ones aside.
    pub async fn old_details(&mut self, corp_id: &str, before: Timestamp) -> Result<i64, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let sql = "SELECT count(*) FROM dingsync_object \
                   WHERE corp = ? AND kind = 'employee' AND standing <> 2 AND (read_at IS NULL OR read_at < ?)";
        self.number(sql, args![corp, before.as_millisecond()]).await
    }

    /// People in the order of the age of their details, the oldest first, gone ones aside; with the place behind which the
    /// next ones stand.
    pub async fn oldest_details_after(
        &mut self,
        corp_id: &str,
        (read_at, id): (i64, i64),
        limit: usize,
    ) -> Result<Vec<(String, (i64, i64))>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let sql = "SELECT object_id, COALESCE(read_at, 0), id FROM dingsync_object \
                   WHERE corp = ? AND kind = 'employee' AND standing <> 2 \
                   AND (COALESCE(read_at, 0) > ? OR (COALESCE(read_at, 0) = ? AND id > ?)) \
                   ORDER BY COALESCE(read_at, 0), id LIMIT ?";
        let rows = self.rows(sql, args![corp, read_at, read_at, id, limit]).await?;
        rows.iter()
            .map(|row| {
                let place = (row.integer(1)?.unwrap_or_default(), row.integer(2)?.unwrap_or_default());
                Ok((row.text(0)?.unwrap_or_default(), place))
            })
            .collect()
    }
}
