//! The inbox: every authentic event, committed together with the objects it marks, before it is acknowledged.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::error::StoreError;
use super::insert::Insert;
use super::ledger::Hint;
use super::sql::{Value, args};
use crate::store::conn::Conn;

/// How far the organisation's `last_event_at` may be behind.
const LAST_EVENT_STEP: Duration = Duration::from_millis(100);

/// An event on its way in.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Whose.
    pub corp_id: String,
    /// What tells it from others.
    pub key: String,
    /// DingTalk's `eventId`.
    pub event_id: Option<String>,
    /// Its type.
    pub event_type: String,
    /// Who made the change.
    pub operator_userid: Option<String>,
    /// When the change happened.
    pub occurred_at: Option<Timestamp>,
    /// The decrypted message.
    pub message: String,
    /// The objects that it marks.
    pub hints: Vec<Hint>,
}

impl Incoming {
    /// Its key in the inbox.
    fn place(&self) -> (&str, &str) {
        (&self.corp_id, &self.key)
    }

    /// Without an id, a message that came before may stand for another change with the same bytes.
    fn repeats_may_be_news(&self) -> bool {
        self.event_id.is_none()
    }
}

/// Whether an event had come before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is new.
    New,
    /// It is in the inbox already.
    Duplicate,
}

const COLUMNS: [&str; 8] = [
    "corp_id",
    "event_key",
    "event_id",
    "event_type",
    "operator_userid",
    "occurred_at",
    "received_at",
    "message",
];

/// The rows of events, one after the other.
fn rows_of(events: &[&Incoming], now: Timestamp) -> Vec<Value> {
    let mut values = Vec::with_capacity(events.len() * COLUMNS.len());
    for event in events {
        values.extend([
            Value::from(&event.corp_id),
            Value::from(&event.key),
            event.event_id.clone().into(),
            Value::from(&event.event_type),
            event.operator_userid.clone().into(),
            event.occurred_at.map(Timestamp::as_millisecond).into(),
            now.as_millisecond().into(),
            Value::from(&event.message),
        ]);
    }
    values
}

impl Conn {
    /// Stores events and marks their objects; a duplicate is stored once. Tells of each whether it is new.
    pub async fn accept(&mut self, events: &[Incoming], now: Timestamp) -> Result<Vec<Arrival>, StoreError> {
        let stored = self.store_events(events, now).await?;
        let mut fresh: HashSet<(&str, &str)> =
            stored.iter().map(|(corp_id, key)| (corp_id.as_str(), key.as_str())).collect();
        let mut hints: HashMap<&str, Vec<Hint>> = HashMap::new();
        let mut arrivals = Vec::with_capacity(events.len());
        for event in events {
            // The first of several equal events of one batch is the new one.
            let is_new = fresh.remove(&(event.corp_id.as_str(), event.key.as_str()));
            if is_new || event.repeats_may_be_news() {
                hints.entry(event.corp_id.as_str()).or_default().extend(event.hints.iter().cloned());
            }
            arrivals.push(if is_new { Arrival::New } else { Arrival::Duplicate });
        }
        let mut corps: Vec<(&str, Vec<Hint>)> = hints.into_iter().collect();
        corps.sort_by_key(|(corp_id, _)| *corp_id);
        for (corp_id, hints) in corps {
            self.hint(corp_id, &hints, now).await?;
            // Not by every commit: those of others would wait for this one's end.
            let sql = "UPDATE ding_corp SET last_event_at = ? \
                       WHERE corp_id = ? AND (last_event_at IS NULL OR last_event_at < ?)";
            self.execute(sql, args![now, corp_id, now - LAST_EVENT_STEP]).await?;
        }
        Ok(arrivals)
    }

    /// When the last event of each type came.
    pub async fn last_events(&mut self, corp_id: &str) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let sql = "SELECT event_type, max(received_at) FROM dingsync_inbox \
                   WHERE corp_id = ? GROUP BY event_type ORDER BY event_type";
        let mut events = Vec::new();
        for row in self.rows(sql, args![corp_id]).await? {
            events.extend(row.text(0)?.zip(row.millisecond(1)?));
        }
        Ok(events)
    }

    /// Stores those events that are not there yet, each once, and brings the keys of those. They are taken in the order
    /// of their keys, so that two processes that store the same ones never wait for each other in a circle.
    async fn store_events(
        &mut self,
        events: &[Incoming],
        now: Timestamp,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut fresh: Vec<&Incoming> = events.iter().collect();
        fresh.sort_by(|left, right| left.place().cmp(&right.place()));
        fresh.dedup_by(|left, right| left.place() == right.place());
        let insert = Insert { table: "dingsync_inbox", columns: &COLUMNS, ending: "" };
        let Some(ending) = self.dialect().tell_inserted("corp_id, event_key") else {
            let known = self.known_events(events).await?;
            fresh.retain(|event| !known.contains(&(event.corp_id.clone(), event.key.clone())));
            self.insert_rows(&insert, rows_of(&fresh, now)).await?;
            return Ok(fresh.into_iter().map(|event| (event.corp_id.clone(), event.key.clone())).collect());
        };
        let insert = Insert { ending: &ending, ..insert };
        let mut stored = Vec::with_capacity(fresh.len());
        for row in self.insert_rows_telling(&insert, rows_of(&fresh, now)).await? {
            stored.extend(row.text(0)?.zip(row.text(1)?));
        }
        Ok(stored)
    }

    async fn known_events(&mut self, events: &[Incoming]) -> Result<HashSet<(String, String)>, StoreError> {
        let mut corps: Vec<&str> = events.iter().map(|event| event.corp_id.as_str()).collect();
        corps.sort_unstable();
        corps.dedup();
        let mut known = HashSet::new();
        for corp_id in corps {
            let keys: Vec<Value> = events
                .iter()
                .filter(|event| event.corp_id == corp_id)
                .map(|event| Value::from(&event.key))
                .collect();
            let same = [("corp_id", corp_id.into())];
            for row in self.rows_listed("event_key", "dingsync_inbox", &same, "event_key", &keys).await? {
                known.extend(row.text(0)?.map(|key| (corp_id.to_owned(), key)));
            }
        }
        Ok(known)
    }
}
