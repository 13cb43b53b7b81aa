//! The audit trail: what people asked for, and through what they did.

use jiff::Timestamp;

use super::error::StoreError;
use super::sql::args;
use crate::store::conn::Conn;

/// One write that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// The organisation that it was about.
    pub corp_id: String,
    /// `command line: USER` or `token NAME`.
    pub who: String,
    /// Such as `reconcile.approve`.
    pub action: String,
    /// JSON: what it was about, in ids and numbers.
    pub subject: String,
}

impl Conn {
    /// Notes that `who` asks for `action`, in the transaction that does it.
    pub async fn note_audit(
        &mut self,
        corp_id: &str,
        who: &str,
        action: &str,
        subject: &serde_json::Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO dingsync_audit (at, corp_id, who, action, subject) VALUES (?, ?, ?, ?, ?)";
        self.execute(sql, args![now.as_millisecond(), corp_id, who, action, subject.to_string()]).await
    }

    /// What was asked for before the entry with the number `before`, the last first.
    pub async fn audit_before(
        &mut self,
        corp_id: &str,
        before: i64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = "SELECT id, at, corp_id, who, action, subject FROM dingsync_audit \
                   WHERE corp_id = ? AND id < ? ORDER BY id DESC LIMIT ?";
        let rows = self.rows(sql, args![corp_id, before, limit]).await?;
        rows.iter()
            .map(|row| {
                Ok(AuditEntry {
                    id: row.integer(0)?.unwrap_or_default(),
                    at: row.millisecond(1)?.unwrap_or_default(),
                    corp_id: row.text(2)?.unwrap_or_default(),
                    who: row.text(3)?.unwrap_or_default(),
                    action: row.text(4)?.unwrap_or_default(),
                    subject: row.text(5)?.unwrap_or_default(),
                })
            })
            .collect()
    }
}
