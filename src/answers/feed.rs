//! The change log as a feed: each change once, in the order of its number.
//!
//! The counter behind the numbers is taken last in a transaction and kept until its end, so that whoever has seen a
//! number has seen, or can see, every smaller one; several daemons on one database change nothing of that.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{AnswerError, bounded, instant, raw};
use crate::store::{LoggedChange, Store, StoreError};

/// Changes in one answer, where nothing else is asked for.
const USUAL: usize = 200;
/// How long an answer waits for news at most.
pub const WAITS: Duration = Duration::from_secs(30);

/// A row of `ding_change`.
#[derive(Debug, Serialize)]
pub struct Change {
    /// Its number.
    pub seq: String,
    /// `department`, `employee`, `role_group` or `role`.
    pub entity: String,
    /// The object's id.
    pub entity_id: String,
    /// `insert`, `update`, `delete` or `restore`.
    pub action: String,
    /// What stood there before.
    pub old_values: Option<Box<RawValue>>,
    /// What stands there now.
    pub new_values: Option<Box<RawValue>>,
    /// `event`, `bootstrap`, `reconcile`, `manual` or `push`.
    pub cause: String,
    /// The event's `eventId`, where it had one.
    pub event_id: Option<String>,
    /// Who made the change in DingTalk, where the event says so.
    pub operator_userid: Option<String>,
    /// When it was written.
    pub changed_at: Option<String>,
}

impl From<LoggedChange> for Change {
    fn from(change: LoggedChange) -> Self {
        Self {
            seq: change.seq.to_string(),
            entity: change.entity,
            entity_id: change.entity_id,
            action: change.action,
            old_values: raw(change.old_values),
            new_values: raw(change.new_values),
            cause: change.cause,
            event_id: change.event_id,
            operator_userid: change.operator_userid,
            changed_at: instant(change.changed_at),
        }
    }
}

/// A part of the change log.
#[derive(Debug, Serialize)]
pub struct Feed {
    /// In the order of their numbers.
    pub changes: Vec<Change>,
    /// What to ask for next: `after=…`.
    pub next: String,
    /// Whether more are there already.
    pub has_more: bool,
    /// The last number that was given to any change.
    pub last: String,
}

/// The changes after the number `after`.
pub async fn feed(
    store: &Store,
    corp_id: &str,
    after: i64,
    limit: Option<usize>,
) -> Result<Feed, AnswerError> {
    let page = store.reader().await?.feed(corp_id, after, bounded(limit, USUAL)).await?;
    let oldest = page.oldest.unwrap_or(page.last + 1);
    if after.saturating_add(1) < oldest || after > page.last {
        let why = if after > page.last {
            "is beyond the last change: the database was set back, or it is another one"
        } else {
            "is older than what the change log keeps"
        };
        let text = format!(
            "after={after} {why}. Note `last`, read everything anew (the tables, or the lists of employees, \
             departments and roles), and go on with after={}",
            page.last
        );
        return Err(AnswerError::NotKept { text, oldest, last: page.last });
    }
    let next = page.changes.last().map_or(after, |change| change.seq);
    Ok(Feed {
        changes: page.changes.into_iter().map(Change::from).collect(),
        next: next.to_string(),
        has_more: next < page.last,
        last: page.last.to_string(),
    })
}

/// Whether there is a change after the number `after`, or none that follows it.
pub async fn has_news(store: &Store, corp_id: &str, after: i64) -> Result<bool, StoreError> {
    Ok(store.reader().await?.last_change(corp_id).await? != after)
}
