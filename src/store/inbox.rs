//! The inbox: every authentic event, committed together with the objects it marks, before it is acknowledged.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::error::StoreError;
use super::ledger::Hint;
use super::sql::{Value, args, placeholders, row_batches};
use crate::store::conn::Conn;

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

const COLUMNS: &str =
    "corp_id, event_key, event_id, event_type, operator_userid, occurred_at, received_at, message";
const COLUMN_COUNT: usize = 8;

fn insert_statement(rows: usize) -> String {
    let row = format!("({})", placeholders(COLUMN_COUNT));
    format!("INSERT INTO dingsync_inbox ({COLUMNS}) VALUES {}", vec![row; rows].join(", "))
}

fn insert_args(events: &[&Incoming], now: Timestamp) -> Vec<Value> {
    let mut args = Vec::with_capacity(events.len() * COLUMN_COUNT);
    for event in events {
        args.extend([
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
    args
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
            let sql = "UPDATE ding_corp SET last_event_at = ? WHERE corp_id = ?";
            self.execute(sql, args![now, corp_id]).await?;
        }
        Ok(arrivals)
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
        let Some(told) = self.dialect().tell_inserted("corp_id, event_key") else {
            let known = self.known_events(events).await?;
            fresh.retain(|event| !known.contains(&(event.corp_id.clone(), event.key.clone())));
            for batch in row_batches(&fresh) {
                self.execute(insert_statement(batch.len()), &insert_args(batch, now)).await?;
            }
            return Ok(fresh.into_iter().map(|event| (event.corp_id.clone(), event.key.clone())).collect());
        };
        let statements: Vec<(String, Vec<Value>)> = row_batches(&fresh)
            .map(|batch| (format!("{} {told}", insert_statement(batch.len())), insert_args(batch, now)))
            .collect();
        let statements: Vec<(&str, &[Value])> =
            statements.iter().map(|(sql, args)| (sql.as_str(), args.as_slice())).collect();
        let mut stored = Vec::with_capacity(fresh.len());
        for row in self.rows_each(&statements).await?.iter().flatten() {
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
