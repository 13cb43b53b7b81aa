//! The inbox: every authentic event, committed together with the objects it marks, before it is acknowledged.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::error::StoreError;
use super::ledger::Hint;
use super::sql::{Conn, Value, args, placeholders, row_batches};

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

    async fn store_events(
        &mut self,
        events: &[Incoming],
        now: Timestamp,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut stored = Vec::new();
        for batch in row_batches(events) {
            let sql = format!(
                "INSERT INTO dingsync_inbox ({COLUMNS}) VALUES {} \
                 ON CONFLICT (corp_id, event_key) DO NOTHING RETURNING corp_id, event_key",
                vec![format!("({})", placeholders(COLUMN_COUNT)); batch.len()].join(", "),
            );
            let args: Vec<Value> = batch
                .iter()
                .flat_map(|event| {
                    args![
                        &event.corp_id,
                        &event.key,
                        event.event_id.clone(),
                        &event.event_type,
                        event.operator_userid.clone(),
                        event.occurred_at.map(Timestamp::as_millisecond),
                        now.as_millisecond(),
                        &event.message,
                    ]
                    .to_vec()
                })
                .collect();
            for row in self.rows(sql, &args).await? {
                stored.extend(row.text(0)?.zip(row.text(1)?));
            }
        }
        Ok(stored)
    }
}
