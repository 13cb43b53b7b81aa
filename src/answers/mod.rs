//! Questions about the mirror, the inbox and the queue, and the requests of operators. Answers are structures that the
//! command line prints and the admin API sends, so that both say the same.

mod apply;
mod audit;
mod events;
mod explain;
mod feed;
mod forget;
mod links;
mod lookup;
mod object;
mod request;
mod runs;
mod tasks;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

pub use self::apply::{
    ApplyLine, ApplyStatus, Filling, TroubleLine, applied_entity, apply_approve, apply_rebuild, apply_retry,
    apply_status,
};
pub use self::audit::{AuditLine, audit};
pub use self::events::{
    EventFilter, EventHead, EventPage, EventWhole, Replayed, event, events, replay, replay_many,
};
pub use self::explain::{Explanation, RunFinding, explain};
pub use self::feed::{Change, Feed, WAITS, feed, has_news};
pub use self::forget::forget;
pub use self::links::{LinkLine, LinkWish, link, link_of, link_of_row, unlink};
pub use self::lookup::{Finding, LookupPage, LookupWish, lookup, one};
pub use self::object::{entity, parse_id, reads, resolve};
pub use self::request::{Requester, request_read, request_run};
pub use self::runs::{RunHead, RunPage, RunWhole, run, runs};
pub use self::tasks::{Discarded, TaskLine, TaskPage, discard, kind, retry, state, task, tasks};

use crate::store::{StoreError, rfc3339};

/// Why a question has no answer, or a request was not carried out.
#[derive(Debug, Error)]
pub enum AnswerError {
    /// It is about something that is not there.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be understood.
    #[error("{0}")]
    Unusable(String),
    /// It makes no sense as things are.
    #[error("{0}")]
    Refused(String),
    /// It asks for changes that are not kept any more.
    #[error("{text}")]
    NotKept {
        /// What to do.
        text: String,
        /// The smallest number that is kept.
        oldest: i64,
        /// The last number that was given.
        last: i64,
    },
    /// The database has no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How much a list holds at most, whatever is asked for.
const LONGEST: usize = 1000;

/// The length of a list that is asked for, within what is allowed.
fn bounded(limit: Option<usize>, usual: usize) -> usize {
    limit.unwrap_or(usual).clamp(1, LONGEST)
}

fn instant(at: Option<Timestamp>) -> Option<String> {
    at.map(rfc3339)
}

/// A document of the database as JSON; a text that is none stands for itself.
fn document(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or_else(|_| text.into()))
}

/// The same without taking it apart.
fn raw(text: Option<String>) -> Option<Box<RawValue>> {
    let text = text?;
    RawValue::from_string(text).ok()
}
