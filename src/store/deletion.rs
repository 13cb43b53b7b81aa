//! How many rows of a kind were deleted lately, for the deletion guard.

use jiff::Timestamp;

use super::change::Entity;
use super::error::StoreError;
use super::insert::Insert;
use super::sql::{Value, args};
use crate::store::conn::Conn;

impl Conn {
    /// Notes deletions, and forgets those before `start`.
    pub async fn note_deletions(
        &mut self,
        corp_id: &str,
        entity: Entity,
        count: usize,
        start: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM dingsync_deletion WHERE corp_id = ? AND entity = ? AND deleted_at < ?";
        self.execute(sql, args![corp_id, entity.label(), start.as_millisecond()]).await?;
        let row = [Value::from(corp_id), entity.label().into(), now.as_millisecond().into()];
        let columns = &["corp_id", "entity", "deleted_at"];
        let insert = Insert { table: "dingsync_deletion", columns, ending: "" };
        self.insert_rows(&insert, std::iter::repeat_n(row, count).flatten().collect()).await
    }

    /// How many there were since `start`.
    pub async fn deletions_since(
        &mut self,
        corp_id: &str,
        entity: Entity,
        start: Timestamp,
    ) -> Result<i64, StoreError> {
        let sql =
            "SELECT count(*) FROM dingsync_deletion WHERE corp_id = ? AND entity = ? AND deleted_at >= ?";
        self.number(sql, args![corp_id, entity.label(), start.as_millisecond()]).await
    }

    /// How many current rows there are of a kind.
    pub async fn population(&mut self, corp_id: &str, entity: Entity) -> Result<i64, StoreError> {
        let sql = match entity {
            Entity::Department => {
                "SELECT count(*) FROM ding_department WHERE corp_id = ? AND deleted_at IS NULL"
            }
            Entity::Employee => "SELECT count(*) FROM ding_employee WHERE corp_id = ? AND deleted_at IS NULL",
            Entity::RoleGroup => {
                "SELECT count(*) FROM ding_role_group WHERE corp_id = ? AND deleted_at IS NULL"
            }
            Entity::Role => "SELECT count(*) FROM ding_role WHERE corp_id = ? AND deleted_at IS NULL",
        };
        self.number(sql, args![corp_id]).await
    }
}
