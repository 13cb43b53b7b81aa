//! How a command names one object of one organisation.

use clap::{Args, ValueEnum};

use super::exit::{Exit, Failure};
use crate::answers::{self, AnswerError};
use crate::config::{Config, Corp};
use crate::store::{Entity, Store};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    /// A person
    Employee,
    /// A department, with its children and members
    Department,
    /// A role, with its members
    Role,
}

impl What {
    pub(super) fn entity(self) -> Entity {
        match self {
            Self::Employee => Entity::Employee,
            Self::Department => Entity::Department,
            Self::Role => Entity::Role,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Subject {
    /// What it is
    pub(super) what: What,
    /// Its id in DingTalk, or `name:…`; a person also by `mobile:…`, `job:…` or `unionid:…`
    pub(super) id: String,
}

impl Subject {
    /// The id that is meant.
    pub(super) async fn resolve(&self, store: &Store, corp_id: &str) -> Result<String, Failure> {
        Ok(answers::resolve(store, corp_id, self.what.entity(), &self.id).await?)
    }
}

/// A command is about one organisation, and nobody said which.
pub(super) fn several_corps() -> Failure {
    Failure::usage("there are several organisations: say which one with --corp NAME")
}

/// The only organisation that is configured, or named by `--corp`.
pub(super) fn only_corp(config: &Config) -> Result<&Corp, Failure> {
    match config.corps.as_slice() {
        [corp] => Ok(corp),
        _ => Err(several_corps()),
    }
}

impl From<AnswerError> for Failure {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Store(error) => error.into(),
            AnswerError::Unusable(text) => Self::usage(text),
            error => Self::new(Exit::Failed, error),
        }
    }
}
