//! How a command ends.

use std::fmt::Display;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::lifecycle::EndError;
use crate::store::StoreError;
use crate::sync::EngineError;
use crate::telemetry::LoggingError;

/// The exit codes of the public contract, the graver ones later: of several organisations the gravest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// Everything was done.
    Done,
    /// Done, but differences were found, or deletions are held.
    Differences,
    /// Nothing is wrong here; try again later.
    TryLater,
    /// Something failed, or was done in part.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Differences => 2,
            Exit::Usage => 64,
            Exit::TryLater => 75,
        })
    }
}

/// Why a command failed, and with which code the process ends.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    pub(super) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }

    pub(super) fn usage(text: impl Display + Send + Sync + std::fmt::Debug + 'static) -> Self {
        Self { exit: Exit::Usage, error: anyhow::Error::msg(text) }
    }

    pub(super) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Failed, error)
    }

    /// Tells the user, and brings the exit code.
    #[expect(clippy::print_stderr, reason = "the last words of a command are for its user, not for a log")]
    pub(super) fn report(&self) -> ExitCode {
        eprintln!("dingsync: {:#}", self.error);
        self.exit.into()
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<LoggingError> for Failure {
    fn from(error: LoggingError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::Unavailable { .. }
            | StoreError::Conflict(_)
            | StoreError::InUse { .. }
            | StoreError::Closed(_) => Exit::TryLater,
            StoreError::Url(_) => Exit::Usage,
            StoreError::LeaseLost
            | StoreError::Schema(_)
            | StoreError::Denied(_)
            | StoreError::NoMirror(_)
            | StoreError::Statement(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => error.into(),
            error @ EngineError::Transport(_) => Self::failed(error),
        }
    }
}

impl From<EndError> for Failure {
    fn from(error: EndError) -> Self {
        Self::failed(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::failed(error)
    }
}
