//! What the deletion guard counts: how many of a kind were lost lately.

use jiff::Timestamp;

use super::change::Entity;
use super::error::StoreError;
use super::insert::Insert;
use super::sql::{Value, args};
use crate::store::conn::Conn;

/// A way in which something is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// A row of the mirror was deleted.
    Deleted(Entity),
    /// A mapping's `when` left something out that had a row in the OA.
    LeftOut(Entity),
}

impl Loss {
    /// The word in `dingsync_deletion.entity`.
    fn label(self) -> String {
        match self {
            Self::Deleted(entity) => entity.label().to_owned(),
            Self::LeftOut(entity) => format!("{}.when", entity.label()),
        }
    }
}

impl Conn {
    /// Notes losses, and forgets those before `start`.
    pub async fn note_losses(
        &mut self,
        corp_id: &str,
        loss: Loss,
        count: usize,
        start: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let label = loss.label();
        let sql = "DELETE FROM dingsync_deletion WHERE corp_id = ? AND entity = ? AND deleted_at < ?";
        self.execute(sql, args![corp_id, label.as_str(), start.as_millisecond()]).await?;
        let row = [Value::from(corp_id), label.into(), now.as_millisecond().into()];
        let columns = &["corp_id", "entity", "deleted_at"];
        let insert = Insert { table: "dingsync_deletion", columns, ending: "" };
        self.insert_rows(&insert, std::iter::repeat_n(row, count).flatten().collect()).await
    }

    /// How many there were since `start`.
    pub async fn losses_since(
        &mut self,
        corp_id: &str,
        loss: Loss,
        start: Timestamp,
    ) -> Result<i64, StoreError> {
        let sql =
            "SELECT count(*) FROM dingsync_deletion WHERE corp_id = ? AND entity = ? AND deleted_at >= ?";
        self.number(sql, args![corp_id, loss.label(), start.as_millisecond()]).await
    }

    /// How many there are that can be lost: current rows of the mirror, or objects with a row in the OA.
    pub async fn population(&mut self, corp_id: &str, loss: Loss) -> Result<i64, StoreError> {
        let table = match loss {
            Loss::Deleted(Entity::Department) => "ding_department",
            Loss::Deleted(Entity::Employee) => "ding_employee",
            Loss::Deleted(Entity::RoleGroup) => "ding_role_group",
            Loss::Deleted(Entity::Role) => "ding_role",
            Loss::LeftOut(entity) => {
                let sql = "SELECT count(*) FROM ding_link \
                           WHERE corp_id = ? AND entity = ? AND removed_at IS NULL";
                return self.number(sql, args![corp_id, entity.label()]).await;
            }
        };
        let sql = format!("SELECT count(*) FROM {table} WHERE corp_id = ? AND deleted_at IS NULL");
        self.number(sql, args![corp_id]).await
    }
}
