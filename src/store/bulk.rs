//! Filling empty tables of an embedded file: indexes whose entries would be scattered are built at the end, in one sorted pass.
//!
//! On a first pull each new row would otherwise dirty a page of every index; written through the journal, that costs
//! more than all the rest. Nothing of the daemon's own needs these indexes.

use super::dialect::Dialect;
use super::error::StoreError;
use super::sql::args;
use crate::store::conn::Conn;

/// The indexes of the migrations that a first pull does without.
const SCATTERED: [(&str, &str); 5] = [
    ("ding_employee_mobile", "CREATE INDEX IF NOT EXISTS ding_employee_mobile ON ding_employee (mobile)"),
    (
        "ding_employee_job_number",
        "CREATE INDEX IF NOT EXISTS ding_employee_job_number ON ding_employee (job_number)",
    ),
    ("ding_employee_unionid", "CREATE INDEX IF NOT EXISTS ding_employee_unionid ON ding_employee (unionid)"),
    ("ding_employee_name", "CREATE INDEX IF NOT EXISTS ding_employee_name ON ding_employee (name)"),
    (
        "ding_change_entity",
        "CREATE INDEX IF NOT EXISTS ding_change_entity ON ding_change (corp_id, entity, entity_id, seq)",
    ),
];

impl Conn {
    /// Puts the scattered indexes off, if nobody is in the mirror yet.
    pub async fn begin_filling(&mut self) -> Result<(), StoreError> {
        if self.dialect() != Dialect::Sqlite
            || self.row("SELECT id FROM ding_employee LIMIT 1", &[]).await?.is_some()
        {
            return Ok(());
        }
        for (name, _) in SCATTERED {
            self.batch(&format!("DROP INDEX IF EXISTS {name}")).await?;
        }
        Ok(())
    }

    /// Builds whatever was put off, unless another organisation is still being pulled for the first time.
    pub async fn end_filling(&mut self) -> Result<(), StoreError> {
        if self.dialect() != Dialect::Sqlite {
            return Ok(());
        }
        let sql = "SELECT count(*) FROM ding_corp WHERE bootstrap_state = ?";
        if self.number(sql, args!["running"]).await? > 0 {
            return Ok(());
        }
        for (_, create) in SCATTERED {
            self.batch(create).await?;
        }
        Ok(())
    }
}
