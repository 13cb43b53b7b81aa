//! How far a run under way has come through the people, so that an interrupted one goes on from there.

use jiff::Timestamp;

use super::error::StoreError;
use super::sql::args;
use crate::store::conn::Conn;

/// What a run has found in a batch of people, all of whom it could read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlace {
    /// The last of the batch, in the order of ids.
    pub last_userid: String,
    /// Those of the batch who seem to differ.
    pub differing: Vec<String>,
    /// Those of the batch who are out of sight.
    pub hidden: Vec<String>,
}

impl Conn {
    /// Keeps the place at the end of a batch.
    pub async fn keep_run_place(
        &mut self,
        run_id: i64,
        place: &RunPlace,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO dingsync_run_place (run_id, last_userid, differing, hidden, kept_at) \
                   VALUES (?, ?, ?, ?, ?)";
        let json = |ids: &[String]| serde_json::Value::from(ids).to_string();
        let (differing, hidden) = (json(&place.differing), json(&place.hidden));
        self.execute(sql, args![run_id, &place.last_userid, differing, hidden, now.as_millisecond()]).await
    }

    /// The batches that a run has behind it, in their order.
    pub async fn run_places(&mut self, run_id: i64) -> Result<Vec<RunPlace>, StoreError> {
        let sql =
            "SELECT last_userid, differing, hidden FROM dingsync_run_place WHERE run_id = ? ORDER BY id";
        let rows = self.rows(sql, args![run_id]).await?;
        rows.iter()
            .map(|row| {
                let ids = |column: usize| {
                    serde_json::from_str(&row.text(column)?.unwrap_or_default())
                        .map_err(|_| StoreError::Schema("the place of a run holds no list of ids".to_owned()))
                };
                let last_userid = row.text(0)?.unwrap_or_default();
                Ok(RunPlace { last_userid, differing: ids(1)?, hidden: ids(2)? })
            })
            .collect()
    }

    /// Forgets how far a run had come, if it has been left alone since `since`: what was the same then may differ now.
    pub(super) async fn forget_old_run_places(
        &mut self,
        run_id: i64,
        since: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "SELECT MAX(kept_at) FROM dingsync_run_place WHERE run_id = ?";
        let kept_at = self.row(sql, args![run_id]).await?.map_or(Ok(None), |row| row.millisecond(0))?;
        if kept_at.is_some_and(|kept_at| kept_at < since) {
            self.forget_run_places(run_id).await?;
        }
        Ok(())
    }

    /// Forgets how far a run had come.
    pub(super) async fn forget_run_places(&mut self, run_id: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM dingsync_run_place WHERE run_id = ?", args![run_id]).await
    }
}
