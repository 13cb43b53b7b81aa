//! What can go wrong with other people's statements on the OA's database.

use thiserror::Error;

use crate::store::error::{Outage, StoreError};

/// A failure on the OA's database. `code` is the database's own: an SQLSTATE, a number of MySQL's, a name of SQLite's.
///
/// The database's words are kept whole, for the people who wrote the statements. Those of a refusal may quote values, so
/// they are not in the error's text, which may get into a log, but in [`Self::message`] alone.
#[derive(Debug, Clone, Error)]
pub enum OaError {
    /// The URL or another setting cannot be used.
    #[error("the OA's database cannot be used: {0}")]
    Setting(String),
    /// No connection: the way, the server, the credentials, the database.
    #[error(
        "the OA's database is not to be had now: {message}{}; check its `url` and that it runs",
        shown(code.as_ref())
    )]
    Away {
        /// The database's code.
        code: Option<String>,
        /// The database's words.
        message: String,
    },
    /// It takes no writes.
    #[error(
        "the OA's database may only be read: {message}{}; make it writable, or name the primary in `url`",
        shown(code.as_ref())
    )]
    ReadOnly {
        /// The database's code.
        code: Option<String>,
        /// The database's words.
        message: String,
    },
    /// The user of the URL lacks a right.
    #[error(
        "a right is missing on the OA's database: {message}{}; grant it to the user of its `url`",
        shown(code.as_ref())
    )]
    Denied {
        /// The database's code.
        code: Option<String>,
        /// The database's words.
        message: String,
    },
    /// Somebody else's work was in the way.
    #[error("other work on the OA's database was in the way: {message}{}; it is tried again", shown(code.as_ref()))]
    Busy {
        /// The database's code.
        code: Option<String>,
        /// The database's words.
        message: String,
    },
    /// No space is left.
    #[error("the OA's database has no space left: {message}{}; make room", shown(code.as_ref()))]
    Full {
        /// The database's code.
        code: Option<String>,
        /// The database's words.
        message: String,
    },
    /// The statement does not fit the tables, whatever the values are.
    #[error("the statement does not fit the OA's tables: {message}{}; correct one of them", shown(code.as_ref()))]
    Mismatch {
        /// The database's code.
        code: Option<String>,
        /// The database's words.
        message: String,
    },
    /// These values are refused: too long, not unique, not what the column holds.
    #[error("the OA's database refuses the values{}; `dingsync apply status` shows its words", shown(code.as_ref()))]
    Refused {
        /// The database's code.
        code: Option<String>,
        /// The database's words. They may quote the values.
        message: String,
    },
    /// A statement of dingsync's own on its tables.
    #[error(transparent)]
    Own(StoreError),
}

/// What kind of trouble it is, before it has words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Trouble {
    Away,
    ReadOnly,
    Denied,
    Busy,
    Full,
    Mismatch,
    Refused,
}

impl Trouble {
    /// The error with the database's code and words.
    pub(in crate::store) fn told(
        self,
        code: impl Into<Option<String>>,
        message: impl Into<String>,
    ) -> OaError {
        let (code, message) = (code.into(), message.into());
        match self {
            Self::Away => OaError::Away { code, message },
            Self::ReadOnly => OaError::ReadOnly { code, message },
            Self::Denied => OaError::Denied { code, message },
            Self::Busy => OaError::Busy { code, message },
            Self::Full => OaError::Full { code, message },
            Self::Mismatch => OaError::Mismatch { code, message },
            Self::Refused => OaError::Refused { code, message },
        }
    }
}

impl OaError {
    /// The statement's placeholders are not as many as its values.
    pub(in crate::store) fn wrong_count(wanted: usize, given: usize) -> Self {
        Trouble::Mismatch.told(None, format!("the statement takes {wanted} values and is given {given}"))
    }

    /// The database's code, where it gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Setting(_) | Self::Own(_) => None,
            Self::Away { code, .. }
            | Self::ReadOnly { code, .. }
            | Self::Denied { code, .. }
            | Self::Busy { code, .. }
            | Self::Full { code, .. }
            | Self::Mismatch { code, .. }
            | Self::Refused { code, .. } => code.as_deref(),
        }
    }

    /// The database's words, whole. They may quote personal values: they are shown to the operator, and never logged.
    pub fn message(&self) -> String {
        match self {
            Self::Setting(message)
            | Self::Away { message, .. }
            | Self::ReadOnly { message, .. }
            | Self::Denied { message, .. }
            | Self::Busy { message, .. }
            | Self::Full { message, .. }
            | Self::Mismatch { message, .. }
            | Self::Refused { message, .. } => message.clone(),
            Self::Own(error) => error.to_string(),
        }
    }

    /// The word for it in a status: `away`, `read_only`, `denied`, `busy`, `mismatch` or `refused`. A full disk is `busy`:
    /// everything waits until there is room.
    pub fn kind_label(&self) -> &'static str {
        match self {
            Self::Setting(_) | Self::Away { .. } => "away",
            Self::ReadOnly { .. } => "read_only",
            Self::Denied { .. } => "denied",
            Self::Busy { .. } | Self::Full { .. } => "busy",
            Self::Mismatch { .. } | Self::Own(_) => "mismatch",
            Self::Refused { .. } => "refused",
        }
    }
}

impl From<StoreError> for OaError {
    fn from(error: StoreError) -> Self {
        let trouble = match &error {
            StoreError::Unavailable { outage, .. } => match outage {
                Outage::Unreachable | Outage::Io => Trouble::Away,
                Outage::Busy => Trouble::Busy,
                Outage::Full => Trouble::Full,
                Outage::ReadOnly => Trouble::ReadOnly,
            },
            StoreError::Conflict(_) | StoreError::InUse { .. } | StoreError::LeaseLost => Trouble::Busy,
            StoreError::Closed(_) => Trouble::Away,
            StoreError::Url(text) => return Self::Setting(text.clone()),
            StoreError::Schema(_)
            | StoreError::Denied(_)
            | StoreError::NoMirror(_)
            | StoreError::Statement(_) => return Self::Own(error),
        };
        match error {
            StoreError::Unavailable { text, .. } | StoreError::Conflict(text) => trouble.told(None, &*text),
            other => trouble.told(None, other.to_string()),
        }
    }
}

fn shown(code: Option<&String>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_refusal_are_kept_but_not_in_the_error_s_text() {
        let error =
            Trouble::Refused.told("1062".to_owned(), "Duplicate entry '13800000000' for key 'mobile'");
        let text = error.to_string();
        assert!(text.contains("1062") && !text.contains("138"), "{text}");
        assert!(error.message().contains("138"));
        assert_eq!((error.code(), error.kind_label()), (Some("1062"), "refused"));
    }

    #[test]
    fn what_the_store_meets_is_of_the_same_kinds() {
        let unavailable = |outage| OaError::from(StoreError::Unavailable { outage, text: "words".into() });
        for (outage, kind) in [
            (Outage::Unreachable, "away"),
            (Outage::Io, "away"),
            (Outage::Busy, "busy"),
            (Outage::Full, "busy"),
            (Outage::ReadOnly, "read_only"),
        ] {
            let error = unavailable(outage);
            assert_eq!((error.kind_label(), error.message().as_str()), (kind, "words"));
        }
        assert_eq!(OaError::from(StoreError::Conflict("deadlock".into())).kind_label(), "busy");
        assert_eq!(OaError::from(StoreError::Schema("no table".to_owned())).kind_label(), "mismatch");
        assert!(matches!(OaError::from(StoreError::Url("no".to_owned())), OaError::Setting(_)));
    }
}
