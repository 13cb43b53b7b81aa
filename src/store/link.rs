//! `ding_link`: which row of the OA's is which object of DingTalk's.

use std::collections::HashMap;

use jiff::Timestamp;

use super::change::Entity;
use super::conn::Conn;
use super::error::StoreError;
use super::sql::{Row, Value, args};

/// Characters of a key of the OA's.
pub const LONGEST_KEY: usize = 191;

/// How a link came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkedBy {
    /// The mapping's `find` brought the row.
    Find,
    /// The row was made for the object.
    Key,
    /// Somebody said so.
    Command,
}

impl LinkedBy {
    /// The word in `ding_link.linked_by`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::Key => "key",
            Self::Command => "command",
        }
    }
}

/// A row of the OA's and its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The object's id.
    pub ding_id: String,
    /// The key of the OA's row.
    pub oa_id: String,
    /// How it came to be, where that is known.
    pub linked_by: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The object is gone, and the row was treated as the mapping says.
    pub removed_at: Option<Timestamp>,
}

impl Link {
    /// Whether the object is there.
    pub fn is_current(&self) -> bool {
        self.removed_at.is_none()
    }
}

const COLUMNS: &str = "ding_id, oa_id, linked_by, created_at, removed_at";

impl Conn {
    /// The links of these objects, by their ids.
    pub(crate) async fn links(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ding_ids: &[String],
    ) -> Result<HashMap<String, Link>, StoreError> {
        let same = [("corp_id", corp_id.into()), ("entity", entity.label().into())];
        let keys: Vec<Value> = ding_ids.iter().map(Value::from).collect();
        let rows = self.rows_listed(COLUMNS, "ding_link", &same, "ding_id", &keys).await?;
        rows.iter().map(|row| link_of(row).map(|link| (link.ding_id.clone(), link))).collect()
    }

    /// The link of an object.
    pub async fn link(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ding_id: &str,
    ) -> Result<Option<Link>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM ding_link WHERE corp_id = ? AND entity = ? AND ding_id = ?");
        let row = self.row(sql, args![corp_id, entity.label(), ding_id]).await?;
        row.as_ref().map(link_of).transpose()
    }

    /// The link of a row of the OA's.
    pub async fn link_of_row(
        &mut self,
        corp_id: &str,
        entity: Entity,
        oa_id: &str,
    ) -> Result<Option<Link>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM ding_link WHERE corp_id = ? AND entity = ? AND oa_id = ?");
        let row = self.row(sql, args![corp_id, entity.label(), oa_id]).await?;
        row.as_ref().map(link_of).transpose()
    }

    /// Links an object that has no link with a row that has none.
    pub async fn add_link(
        &mut self,
        corp_id: &str,
        entity: Entity,
        (ding_id, oa_id): (&str, &str),
        linked_by: LinkedBy,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO ding_link (corp_id, entity, ding_id, oa_id, linked_by, created_at, updated_at) \
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        let args = args![corp_id, entity.label(), ding_id, oa_id, linked_by.label(), now, now];
        self.execute(sql, args).await
    }

    /// Forgets the link of an object. Nothing else changes.
    pub async fn drop_link(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ding_id: &str,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM ding_link WHERE corp_id = ? AND entity = ? AND ding_id = ?";
        self.execute(sql, args![corp_id, entity.label(), ding_id]).await
    }

    /// Forgets whose row it was that was deleted, and whose key another row has now.
    pub(crate) async fn drop_removed_link(
        &mut self,
        corp_id: &str,
        entity: Entity,
        oa_id: &str,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM ding_link \
                   WHERE corp_id = ? AND entity = ? AND oa_id = ? AND removed_at IS NOT NULL";
        self.execute(sql, args![corp_id, entity.label(), oa_id]).await
    }

    /// Notes that the object of a link is gone, or there again.
    pub(crate) async fn set_link_removed(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ding_id: &str,
        removed_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE ding_link SET removed_at = ?, updated_at = ? \
                   WHERE corp_id = ? AND entity = ? AND ding_id = ?";
        self.execute(sql, args![removed_at, now, corp_id, entity.label(), ding_id]).await
    }
}

fn link_of(row: &Row) -> Result<Link, StoreError> {
    Ok(Link {
        ding_id: row.text(0)?.unwrap_or_default(),
        oa_id: row.text(1)?.unwrap_or_default(),
        linked_by: row.text(2)?,
        since: row.instant(3)?,
        removed_at: row.instant(4)?,
    })
}
