//! Looking back at runs, and at what they found of one object.

use super::change::Entity;
use super::error::StoreError;
use super::run::{self, Run};
use super::sql::args;
use crate::store::conn::Conn;

/// What a run found of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundByRun {
    /// The run.
    pub run: Run,
    /// The word in `dingsync_run_item.difference`.
    pub difference: String,
    /// `[{"field":…,"stored":…,"actual":…}]`
    pub fields: String,
}

impl Conn {
    /// The runs with numbers below `below`, the newest first.
    pub async fn runs_below(
        &mut self,
        corp_id: &str,
        below: i64,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let sql = format!(
            "SELECT {} FROM dingsync_run WHERE corp_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
            run::COLUMNS
        );
        self.rows(sql, args![corp_id, below, limit]).await?.iter().map(run::run_of).collect()
    }

    /// What the last runs found of an object, the newest first.
    pub async fn found_by_runs(
        &mut self,
        corp_id: &str,
        entity: Entity,
        entity_id: &str,
        limit: usize,
    ) -> Result<Vec<FoundByRun>, StoreError> {
        let sql = "SELECT item.run_id, item.difference, item.fields FROM dingsync_run_item AS item \
                   JOIN dingsync_run AS run ON run.id = item.run_id \
                   WHERE item.entity_id = ? AND item.entity = ? AND run.corp_id = ? \
                   ORDER BY item.run_id DESC LIMIT ?";
        let rows = self.rows(sql, args![entity_id, entity.label(), corp_id, limit]).await?;
        let mut found = Vec::new();
        for row in &rows {
            let Some(run) = self.run(row.integer(0)?.unwrap_or_default()).await? else { continue };
            let difference = row.text(1)?.unwrap_or_default();
            found.push(FoundByRun { run, difference, fields: row.text(2)?.unwrap_or_default() });
        }
        Ok(found)
    }
}
