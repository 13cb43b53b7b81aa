//! Reading `ding_change`: as a feed that misses nothing, and as the history of one object.

use jiff::Timestamp;

use super::change::Entity;
use super::error::StoreError;
use super::sql::{Row, args};
use crate::store::conn::Conn;

/// A row of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedChange {
    /// Its number.
    pub seq: i64,
    /// The word in `ding_change.entity`.
    pub entity: String,
    /// The object's id.
    pub entity_id: String,
    /// What happened.
    pub action: String,
    /// The values before, JSON.
    pub old_values: Option<String>,
    /// The values after, JSON.
    pub new_values: Option<String>,
    /// Who made us look.
    pub cause: String,
    /// The event's `eventId`, where it had one.
    pub event_id: Option<String>,
    /// Who made the change in DingTalk, where the event says so.
    pub operator_userid: Option<String>,
    /// When it was written.
    pub changed_at: Option<Timestamp>,
}

/// A part of the change log, as it stood at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// In the order of their numbers.
    pub changes: Vec<LoggedChange>,
    /// The smallest number that is kept; `None` where nothing is.
    pub oldest: Option<i64>,
    /// The last number that was given.
    pub last: i64,
}

const COLUMNS: &str = "seq, entity, entity_id, action, old_values, new_values, cause, event_id, operator_userid, \
                       changed_at";

impl Conn {
    /// The changes after the number `after`, and the bounds of the log, all of one moment.
    pub async fn feed(&mut self, corp_id: &str, after: i64, limit: usize) -> Result<FeedPage, StoreError> {
        self.begin_look().await?;
        let page = self.feed_page(corp_id, after, limit).await;
        self.roll_back().await?;
        page
    }

    async fn feed_page(&mut self, corp_id: &str, after: i64, limit: usize) -> Result<FeedPage, StoreError> {
        let last = self.last_change(corp_id).await?;
        let sql = "SELECT seq FROM ding_change WHERE corp_id = ? ORDER BY seq LIMIT 1";
        let oldest = self.row(sql, args![corp_id]).await?.map(|row| row.integer(0)).transpose()?.flatten();
        let sql =
            format!("SELECT {COLUMNS} FROM ding_change WHERE corp_id = ? AND seq > ? ORDER BY seq LIMIT ?");
        let rows = self.rows(sql, args![corp_id, after, limit]).await?;
        let changes = rows.iter().map(change_of).collect::<Result<_, _>>()?;
        Ok(FeedPage { changes, oldest, last })
    }

    /// The changes of one object after the number `after`.
    pub async fn changes_of(
        &mut self,
        corp_id: &str,
        entity: Entity,
        entity_id: &str,
        after: i64,
    ) -> Result<Vec<LoggedChange>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM ding_change \
             WHERE corp_id = ? AND entity = ? AND entity_id = ? AND seq > ? ORDER BY seq"
        );
        let rows = self.rows(sql, args![corp_id, entity.label(), entity_id, after]).await?;
        rows.iter().map(change_of).collect()
    }

    /// The last changes of one object, the newest first.
    pub async fn last_changes_of(
        &mut self,
        corp_id: &str,
        entity: Entity,
        entity_id: &str,
        limit: usize,
    ) -> Result<Vec<LoggedChange>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM ding_change \
             WHERE corp_id = ? AND entity = ? AND entity_id = ? ORDER BY seq DESC LIMIT ?"
        );
        let rows = self.rows(sql, args![corp_id, entity.label(), entity_id, limit]).await?;
        rows.iter().map(change_of).collect()
    }
}

fn change_of(row: &Row) -> Result<LoggedChange, StoreError> {
    Ok(LoggedChange {
        seq: row.integer(0)?.unwrap_or_default(),
        entity: row.text(1)?.unwrap_or_default(),
        entity_id: row.text(2)?.unwrap_or_default(),
        action: row.text(3)?.unwrap_or_default(),
        old_values: row.text(4)?,
        new_values: row.text(5)?,
        cause: row.text(6)?.unwrap_or_default(),
        event_id: row.text(7)?,
        operator_userid: row.text(8)?,
        changed_at: row.instant(9)?,
    })
}
