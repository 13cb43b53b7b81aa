//! The audit trail.

use serde::Serialize;
use serde_json::Value;

use super::{AnswerError, bounded, document};
use crate::store::{Store, rfc3339};

/// Lines, where nothing else is asked for.
const USUAL: usize = 100;

/// One write that somebody asked for.
#[derive(Debug, Serialize)]
pub struct AuditLine {
    /// Its number; `before=` it gives what was asked for earlier.
    pub id: i64,
    /// When.
    pub at: String,
    /// `command line: USER` or `token NAME`.
    pub who: String,
    /// Such as `tasks.retry`.
    pub action: String,
    /// What it was about.
    pub subject: Value,
}

/// What was asked for, the last first.
pub async fn audit(
    store: &Store,
    corp_id: &str,
    before: Option<i64>,
    limit: Option<usize>,
) -> Result<Vec<AuditLine>, AnswerError> {
    let before = before.unwrap_or(i64::MAX);
    let entries = store.reader().await?.audit_before(corp_id, before, bounded(limit, USUAL)).await?;
    Ok(entries
        .into_iter()
        .map(|entry| AuditLine {
            id: entry.id,
            at: rfc3339(entry.at),
            who: entry.who,
            action: entry.action,
            subject: document(Some(&entry.subject)),
        })
        .collect())
}
