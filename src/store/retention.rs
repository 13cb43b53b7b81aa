//! Deleting what is old, a small batch at a time, and remembering which erasures were carried out.
//!
//! What carries a number that others remember (events, runs, audit entries) keeps its last one: an engine could give
//! that number again.

use std::collections::HashSet;

use jiff::Timestamp;

use super::conn::Conn;
use super::error::StoreError;
use super::sql::{Value, args, placeholders};

/// A table of the daemon's own whose rows grow old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aging {
    /// Received events.
    Inbox,
    /// The audit trail.
    Audit,
    /// Runs that are over, with what they found.
    Runs,
}

impl Aging {
    fn table(self) -> &'static str {
        match self {
            Self::Inbox => "dingsync_inbox",
            Self::Audit => "dingsync_audit",
            Self::Runs => "dingsync_run",
        }
    }

    /// When a row began to age; NULL while it does not.
    fn instant(self) -> &'static str {
        match self {
            Self::Inbox => "received_at",
            Self::Audit => "at",
            Self::Runs => "finished_at",
        }
    }
}

/// What a batch of deletions came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many rows were deleted.
    pub deleted: i64,
    /// Where the next batch begins; `None` when the rest is not old enough.
    pub next: Option<i64>,
}

impl Conn {
    /// Which of up to `limit` rows after the number `after` are older than `before`, of these organisations, and where to
    /// go on. Rows were numbered as they came, so that the first younger one ends the search.
    pub async fn aged(
        &mut self,
        aging: Aging,
        corp_ids: &[String],
        before: Timestamp,
        after: i64,
        limit: usize,
    ) -> Result<(Vec<i64>, Option<i64>), StoreError> {
        let (table, instant) = (aging.table(), aging.instant());
        let last = self.number(format!("SELECT max(id) FROM {table}"), &[]).await?;
        let sql =
            format!("SELECT id, corp_id, {instant} FROM {table} WHERE id > ? AND id < ? ORDER BY id LIMIT ?");
        let rows = self.rows(sql, args![after, last, limit]).await?;
        // A person who has to decide wants to know what the run saw.
        let awaiting = match aging {
            Aging::Runs => self.runs_that_hold(corp_ids).await?,
            Aging::Inbox | Aging::Audit => HashSet::new(),
        };
        let (mut old, mut next) = (Vec::new(), None);
        for row in &rows {
            let id = row.integer(0)?.unwrap_or_default();
            next = Some(id);
            // A run that is not over says nothing of the age of those after it.
            let Some(at) = row.millisecond(2)? else { continue };
            if at >= before {
                return Ok((old, None));
            }
            if !awaiting.contains(&id) && row.text(1)?.is_some_and(|corp_id| corp_ids.contains(&corp_id)) {
                old.push(id);
            }
        }
        Ok((old, next.filter(|_| rows.len() == limit)))
    }

    async fn runs_that_hold(&mut self, corp_ids: &[String]) -> Result<HashSet<i64>, StoreError> {
        let mut runs = HashSet::new();
        for corp_id in corp_ids {
            runs.extend(self.held_groups(corp_id).await?.into_iter().map(|group| group.run_id));
        }
        Ok(runs)
    }

    /// Deletes rows by their numbers.
    pub async fn delete_aged(&mut self, aging: Aging, ids: &[i64]) -> Result<(), StoreError> {
        for ids in ids.chunks(64) {
            let sql = format!("DELETE FROM {} WHERE id IN ({})", aging.table(), placeholders(ids.len()));
            let args: Vec<Value> = ids.iter().map(|&id| id.into()).collect();
            self.execute(sql, &args).await?;
        }
        Ok(())
    }

    /// Deletes what a run had to say, and up to `limit` of its findings; brings how many of these there were.
    pub async fn delete_run_items(&mut self, run_id: i64, limit: usize) -> Result<usize, StoreError> {
        self.execute("DELETE FROM dingsync_run_note WHERE run_id = ?", args![run_id]).await?;
        self.forget_run_places(run_id).await?;
        let sql = "SELECT id FROM dingsync_run_item WHERE run_id = ? ORDER BY id LIMIT ?";
        let rows = self.rows(sql, args![run_id, limit]).await?;
        let mut ids = Vec::with_capacity(rows.len());
        for row in &rows {
            ids.extend(row.integer(0)?.map(Value::from));
        }
        for ids in ids.chunks(64) {
            let sql = format!("DELETE FROM dingsync_run_item WHERE id IN ({})", placeholders(ids.len()));
            self.execute(sql, ids).await?;
        }
        Ok(rows.len())
    }

    /// Deletes up to `limit` of the oldest changes, if they are older than `before`. The last one stays.
    pub async fn delete_changes(
        &mut self,
        corp_id: &str,
        before: Timestamp,
        limit: usize,
    ) -> Result<Swept, StoreError> {
        let sql = "SELECT seq, changed_at FROM ding_change WHERE corp_id = ? ORDER BY seq LIMIT ?";
        let rows = self.rows(sql, args![corp_id, limit]).await?;
        let last = self.last_change(corp_id).await?;
        let (mut deleted, mut until) = (0, None);
        for row in &rows {
            let seq = row.integer(0)?.unwrap_or_default();
            if seq >= last || row.instant(1)?.is_none_or(|at| at >= before) {
                break;
            }
            (deleted, until) = (deleted + 1, Some(seq));
        }
        if let Some(until) = until {
            let sql = "DELETE FROM ding_change WHERE corp_id = ? AND seq <= ?";
            self.execute(sql, args![corp_id, until]).await?;
        }
        Ok(Swept { deleted, next: until.filter(|_| deleted as usize == limit) })
    }

    /// Up to `limit` messages of the inbox after the number `after`.
    pub async fn messages_after(
        &mut self,
        corp_id: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let sql = "SELECT id, message FROM dingsync_inbox WHERE corp_id = ? AND id > ? ORDER BY id LIMIT ?";
        let rows = self.rows(sql, args![corp_id, after, limit]).await?;
        rows.iter()
            .map(|row| Ok((row.integer(0)?.unwrap_or_default(), row.text(1)?.unwrap_or_default())))
            .collect()
    }

    /// Puts another message in the place of one of the inbox.
    pub async fn replace_message(&mut self, id: i64, message: &str) -> Result<(), StoreError> {
        self.execute("UPDATE dingsync_inbox SET message = ? WHERE id = ?", args![message, id]).await
    }

    /// What the last erasure of this name was about, if it came to its end.
    pub async fn erasure_done(&mut self, corp_id: &str, task: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT detail FROM dingsync_retention WHERE corp_id = ? AND task = ?";
        self.row(sql, args![corp_id, task]).await?.map_or(Ok(None), |row| row.text(0))
    }

    /// Notes that an erasure came to its end.
    pub async fn note_erasure(
        &mut self,
        corp_id: &str,
        task: &str,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO dingsync_retention (corp_id, task, detail, done_at) VALUES (?, ?, ?, ?) {}",
            self.dialect().overwrite("corp_id, task", &["detail", "done_at"]),
        );
        self.execute(sql, args![corp_id, task, detail, now.as_millisecond()]).await
    }
}
