//! What can go wrong with the database, and what to do about it.

use std::sync::Arc;

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
    #[error("the database cannot be used now ({}): {text}", outage.label())]
    Unavailable {
        /// Why.
        outage: Outage,
        /// The driver's words, without the statement and its values: those may be personal.
        text: Arc<str>,
    },
    /// Another transaction was in the way, again and again; nothing was written.
    #[error("other work on the database was in the way: {0}")]
    Conflict(Arc<str>),
    /// The process is going down, or too much waits for the database.
    #[error("the database cannot be used now: {0}")]
    Closed(&'static str),
    /// The object's lease has run out and somebody else may work on it: what was read is void.
    #[error("the lease on the object has been lost; somebody else reads it now")]
    LeaseLost,
    /// The file is in use by another process that must be alone with it.
    #[error("{place} is in use by another dingsync ({holder}); stop that one first, or use another database")]
    InUse {
        /// The database.
        place: String,
        /// How the other process calls itself.
        holder: String,
    },
    /// The schema is not one that this program can live with.
    #[error("the database's schema does not fit this program: {0}")]
    Schema(String),
    /// The user of the database may not do it.
    #[error("the database's user lacks a right: {0}; the rights that dingsync needs are in deploy/sql")]
    Denied(String),
    /// Nobody has made the schema there yet, or it is the wrong place.
    #[error(
        "{0}; for a new mirror run `dingsync migrate` or `dingsync serve`, else correct `database.url` or start the \
         command in the folder in which the daemon runs"
    )]
    NoMirror(String),
    /// The URL names no database that this program knows.
    #[error("the database's URL cannot be used: {0}")]
    Url(String),
    /// A statement failed although the database works: a defect, or a table that somebody changed.
    #[error("a statement failed: {0}")]
    Statement(Arc<str>),
}

impl StoreError {
    /// No way to the database.
    pub(super) fn unreachable(text: impl Into<Arc<str>>) -> Self {
        Self::Unavailable { outage: Outage::Unreachable, text: text.into() }
    }

    /// Whether the connection it was met on is of no use any more.
    pub(super) fn voids_connection(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Closed(_))
    }

    /// Why the database is not to be had, if that is the trouble.
    pub fn outage(&self) -> Option<Outage> {
        match self {
            Self::Unavailable { outage, .. } => Some(*outage),
            Self::Closed(_) => Some(Outage::Unreachable),
            Self::Conflict(_) => Some(Outage::Busy),
            _ => None,
        }
    }
}
