//! What can go wrong with the database, and what to do about it.

use std::sync::Arc;

use rusqlite::ErrorCode;
use thiserror::Error;

/// Why the database cannot be used at the moment. The words stand in the readiness answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// No connection, or none in time.
    Unreachable,
    /// Somebody else holds its lock for too long.
    Busy,
    /// The disk or the quota is full.
    Full,
    /// It may only be read.
    ReadOnly,
    /// Reading or writing the file failed.
    Io,
}

impl Outage {
    /// The word in the readiness answer.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Io => "io",
        }
    }
}

/// A failed operation on the database.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The database is not to be had now; nothing was written. Try again later.
    #[error("the database cannot be used now ({}): {}", outage.label(), brief(source))]
    Unavailable {
        /// Why.
        outage: Outage,
        /// The driver's error.
        source: Arc<rusqlite::Error>,
    },
    /// The process is going down, or too much waits for the database.
    #[error("the database cannot be used now: {0}")]
    Closed(&'static str),
    /// The object's lease has run out and somebody else may work on it: what was read is void.
    #[error("the lease on the object has been lost; somebody else reads it now")]
    LeaseLost,
    /// The file is in use by another process that must be alone with it.
    #[error("{path} is in use by another dingsync ({holder}); stop that one first, or use another database")]
    InUse {
        /// The database's file.
        path: String,
        /// What the other process wrote into the lock file.
        holder: String,
    },
    /// The schema is not one that this program can live with.
    #[error("the database's schema does not fit this program: {0}")]
    Schema(String),
    /// The URL names no database that this program knows.
    #[error("the database's URL cannot be used: {0}")]
    Url(String),
    /// A statement failed although the database works: a defect, or a table that somebody changed.
    #[error("a statement failed: {}", brief(.0))]
    Statement(Arc<rusqlite::Error>),
}

impl StoreError {
    /// Why the database is not to be had, if that is the trouble.
    pub fn outage(&self) -> Option<Outage> {
        match self {
            Self::Unavailable { outage, .. } => Some(*outage),
            Self::Closed(_) => Some(Outage::Unreachable),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let source = Arc::new(error);
        match source.sqlite_error_code().and_then(outage_of) {
            Some(outage) => Self::Unavailable { outage, source },
            None => Self::Statement(source),
        }
    }
}

fn outage_of(code: ErrorCode) -> Option<Outage> {
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Outage::Busy),
        ErrorCode::ReadOnly => Some(Outage::ReadOnly),
        ErrorCode::SystemIoFailure => Some(Outage::Io),
        ErrorCode::DiskFull => Some(Outage::Full),
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Some(Outage::Unreachable),
        _ => None,
    }
}

/// The driver's text without the statement and the values that it was given: those may be personal.
fn brief(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => message.clone().unwrap_or_else(|| code.to_string()),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}
