//! Why something could not be applied.

use thiserror::Error;

use crate::store::{Entity, OaError, StoreError};

/// Nothing gets on, whatever the object.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// Our own database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The links speak of another database.
    #[error(
        "the links are those of {from}, and the mapping now names {to}: if that is the same OA at another address, \
         `dingsync apply rebuild` goes on there; if not, its rows have other keys: empty the table ding_link first"
    )]
    Moved {
        /// Where the linked rows are.
        from: String,
        /// Where the mapping looks for them.
        to: String,
    },
    /// Another process has the OA's database for this organisation.
    #[error(
        "another process fills the OA's tables with this organisation; stop it, if it is none of this installation"
    )]
    Elsewhere,
    /// The OA's database, or a statement that does not fit it.
    #[error("{}{error}", statement.as_ref().map_or_else(String::new, |name| format!("{name}: ")))]
    Oa {
        /// Which statement it was, such as `employee.upsert`, if it was one.
        statement: Option<String>,
        /// What the database says.
        error: OaError,
    },
}

impl From<OaError> for ApplyError {
    fn from(error: OaError) -> Self {
        Self::Oa { statement: None, error }
    }
}

impl ApplyError {
    /// What the database said to a statement.
    pub(super) fn of(statement: &str, error: OaError) -> Self {
        Self::Oa { statement: Some(statement.to_owned()), error }
    }

    /// The word in the status.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Moved { .. } => "moved",
            Self::Elsewhere => "elsewhere",
            Self::Oa { error, .. } => error.kind_label(),
        }
    }
}

/// Why one object cannot be applied, which is nobody else's trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Which statement was refused.
    pub(super) statement: String,
    /// In the database's words, or ours. Values may be quoted in them.
    pub(super) message: String,
    /// The database's code, which holds no values.
    pub(super) code: Option<String>,
    /// Not the database refuses it: the deletion guard holds it.
    pub(super) is_held: bool,
}

/// How an attempt fails.
#[derive(Debug)]
pub(super) enum Fault {
    /// The object is to be parked.
    Refused(Refusal),
    /// Everything is to wait.
    All(ApplyError),
}

impl<E: Into<ApplyError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::All(error.into())
    }
}

impl Fault {
    /// What the database said to a statement.
    pub(super) fn of(statement: &str, error: OaError) -> Self {
        let OaError::Refused { code, message } = error else {
            return Self::All(ApplyError::of(statement, error));
        };
        let message = match &code {
            Some(code) => format!("{message} ({code})"),
            None => message,
        };
        Self::Refused(Refusal { statement: statement.to_owned(), message, code, is_held: false })
    }

    /// What we say of a statement.
    pub(super) fn refused(statement: &str, message: impl Into<String>) -> Self {
        let (statement, message) = (statement.to_owned(), message.into());
        Self::Refused(Refusal { statement, message, code: None, is_held: false })
    }

    /// What the deletion guard says of somebody whom `when` leaves out.
    pub(super) fn held(entity: Entity) -> Self {
        let statement = format!("{}.when", entity.label());
        let message = "it does not match any more, and more do not than `[guard]` allows at once: its row stays as it is. \
                       If `when` is wrong: correct it, restart, `dingsync apply rebuild`. If they are to be treated as \
                       gone: `dingsync apply approve`";
        Self::Refused(Refusal { statement, message: message.to_owned(), code: None, is_held: true })
    }
}
