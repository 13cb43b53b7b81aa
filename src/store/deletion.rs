//! How many rows of a kind were deleted lately, for the deletion guard.

use jiff::Timestamp;

use super::change::Entity;
use super::error::StoreError;
use super::sql::args;
use crate::store::conn::Conn;

impl Conn {
    /// Notes a deletion.
    pub async fn note_deletion(
        &mut self,
        corp_id: &str,
        entity: Entity,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO dingsync_deletion (corp_id, entity, deleted_at) VALUES (?, ?, ?)";
        self.execute(sql, args![corp_id, entity.label(), now.as_millisecond()]).await?;
        Ok(())
    }

    /// How many there were since `start`; older ones are forgotten.
    pub async fn deletions_since(
        &mut self,
        corp_id: &str,
        entity: Entity,
        start: Timestamp,
    ) -> Result<i64, StoreError> {
        let args = args![corp_id, entity.label(), start.as_millisecond()];
        let sql = "DELETE FROM dingsync_deletion WHERE corp_id = ? AND entity = ? AND deleted_at < ?";
        self.execute(sql, args).await?;
        let sql =
            "SELECT count(*) FROM dingsync_deletion WHERE corp_id = ? AND entity = ? AND deleted_at >= ?";
        self.number(sql, args).await
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
