//! What was told to people, so that it is told once: over restarts, and whoever leads.

use jiff::Timestamp;

use super::conn::Conn;
use super::error::StoreError;
use super::run::{Run, RunKind};
use super::sql::{Value, args};

/// What is on record of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its name.
    pub topic: String,
    /// True from the message that it began until it is over.
    pub is_open: bool,
    /// How much of it there was when it was told last, or which run it was.
    pub told: i64,
    /// When that was.
    pub told_at: Option<Timestamp>,
    /// When it was seen last.
    pub seen_at: Option<Timestamp>,
    /// Up to which change the log was looked at.
    pub position: Option<i64>,
}

impl Notice {
    /// A topic of which nobody has been told anything.
    pub fn of(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            is_open: false,
            told: 0,
            told_at: None,
            seen_at: None,
            position: None,
        }
    }
}

impl Conn {
    /// What is on record, of every topic.
    pub async fn notices(&mut self, corp_id: &str) -> Result<Vec<Notice>, StoreError> {
        let sql = "SELECT topic, is_open, told, told_at, seen_at, position FROM dingsync_notice \
                   WHERE corp_id = ? ORDER BY topic";
        let rows = self.rows(sql, args![corp_id]).await?;
        rows.iter()
            .map(|row| {
                Ok(Notice {
                    topic: row.text(0)?.unwrap_or_default(),
                    is_open: row.flag(1)?.unwrap_or_default(),
                    told: row.integer(2)?.unwrap_or_default(),
                    told_at: row.millisecond(3)?,
                    seen_at: row.millisecond(4)?,
                    position: row.integer(5)?,
                })
            })
            .collect()
    }

    /// Puts it on record.
    pub async fn note_notice(&mut self, corp_id: &str, notice: &Notice) -> Result<(), StoreError> {
        let columns = ["is_open", "told", "told_at", "seen_at", "position"];
        let sql = format!(
            "INSERT INTO dingsync_notice (corp_id, topic, is_open, told, told_at, seen_at, position) \
             VALUES (?, ?, ?, ?, ?, ?, ?) {}",
            self.dialect().overwrite("corp_id, topic", &columns),
        );
        let millisecond = |at: Option<Timestamp>| Value::from(at.map(Timestamp::as_millisecond));
        let args = [
            corp_id.into(),
            Value::from(&notice.topic),
            i64::from(notice.is_open).into(),
            notice.told.into(),
            millisecond(notice.told_at),
            millisecond(notice.seen_at),
            notice.position.into(),
        ];
        self.execute(sql, &args).await
    }

    /// How many people appeared after the change `after`, up to the change `until`, under a userid that somebody had
    /// before.
    pub async fn recycled_userids(
        &mut self,
        corp_id: &str,
        after: i64,
        until: i64,
    ) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM ding_change AS later \
                   WHERE later.corp_id = ? AND later.seq > ? AND later.seq <= ? \
                   AND later.entity = 'employee' AND later.action = 'insert' \
                   AND EXISTS (SELECT 1 FROM ding_change AS earlier \
                   WHERE earlier.corp_id = later.corp_id AND earlier.entity = 'employee' \
                   AND earlier.entity_id = later.entity_id AND earlier.seq < later.seq)";
        self.number(sql, args![corp_id, after, until]).await
    }

    /// The last run of a kind that is over.
    pub async fn last_run_over(&mut self, corp_id: &str, kind: RunKind) -> Result<Option<Run>, StoreError> {
        let sql = "SELECT max(id) FROM dingsync_run \
                   WHERE corp_id = ? AND state IN ('complete', 'partial', 'failed') AND kind = ?";
        match self.number(sql, args![corp_id, kind.label()]).await? {
            0 => Ok(None),
            run_id => self.run(run_id).await,
        }
    }
}
