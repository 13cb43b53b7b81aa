//! Reading the inbox. Its rows are numbered in the order in which they came, so that a time is found by halving.

use jiff::Timestamp;

use super::error::StoreError;
use super::sql::{Row, Value, args};
use crate::store::conn::Conn;

/// An event in the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number.
    pub id: i64,
    /// DingTalk's `eventId`.
    pub event_id: Option<String>,
    /// Its type.
    pub event_type: String,
    /// Who made the change.
    pub operator_userid: Option<String>,
    /// When the change happened.
    pub occurred_at: Option<Timestamp>,
    /// When the event came.
    pub received_at: Timestamp,
    /// The decrypted message.
    pub message: String,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct EventWish {
    /// Only of this type.
    pub event_type: Option<String>,
    /// Only those in whose message this text stands.
    pub containing: Option<String>,
}

/// Part of the inbox that was looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventStretch {
    /// Those that were wanted, the newest first.
    pub events: Vec<StoredEvent>,
    /// The oldest row that was looked at, of whomever; `None` at the inbox's beginning.
    pub oldest: Option<(i64, Timestamp)>,
}

const COLUMNS: &str = "id, event_id, event_type, operator_userid, occurred_at, received_at, message";

impl Conn {
    /// One event.
    pub async fn event(&mut self, corp_id: &str, id: i64) -> Result<Option<StoredEvent>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM dingsync_inbox WHERE id = ? AND corp_id = ?");
        self.row(sql, args![id, corp_id]).await?.as_ref().map(event_of).transpose()
    }

    /// Looks through the `rows` newest rows with numbers below `below`.
    pub async fn events_below(
        &mut self,
        corp_id: &str,
        below: i64,
        rows: usize,
        wish: &EventWish,
    ) -> Result<EventStretch, StoreError> {
        let sql = "SELECT id, received_at FROM (SELECT id, received_at FROM dingsync_inbox WHERE id < ? \
                   ORDER BY id DESC LIMIT ?) AS stretch ORDER BY id LIMIT 1";
        let Some(row) = self.row(sql, args![below, rows]).await? else {
            return Ok(EventStretch { events: Vec::new(), oldest: None });
        };
        let oldest = (row.integer(0)?.unwrap_or_default(), row.millisecond(1)?.unwrap_or_default());
        let mut sql =
            format!("SELECT {COLUMNS} FROM dingsync_inbox WHERE id >= ? AND id < ? AND corp_id = ?");
        let mut args: Vec<Value> = args![oldest.0, below, corp_id].to_vec();
        if let Some(event_type) = &wish.event_type {
            sql.push_str(" AND event_type = ?");
            args.push(event_type.into());
        }
        if let Some(text) = &wish.containing {
            sql.push_str(" AND message LIKE ? ESCAPE '!'");
            args.push(like(text).into());
        }
        sql.push_str(" ORDER BY id DESC");
        let events = self.rows(sql, &args).await?.iter().map(event_of).collect::<Result<_, _>>()?;
        Ok(EventStretch { events, oldest: Some(oldest) })
    }

    /// The number above those of all events that came before `instant`. Two that came together may be numbered the other
    /// way round.
    pub async fn event_number_at(&mut self, instant: Timestamp) -> Result<i64, StoreError> {
        let last = self.number("SELECT max(id) FROM dingsync_inbox", &[]).await?;
        let (mut low, mut high) = (0, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let sql = "SELECT received_at FROM dingsync_inbox WHERE id <= ? ORDER BY id DESC LIMIT 1";
            let came = match self.row(sql, args![middle]).await? {
                Some(row) => row.millisecond(0)?,
                None => None,
            };
            if came.is_none_or(|came| came < instant) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// A pattern for whatever contains `text`.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

fn event_of(row: &Row) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        id: row.integer(0)?.unwrap_or_default(),
        event_id: row.text(1)?,
        event_type: row.text(2)?.unwrap_or_default(),
        operator_userid: row.text(3)?,
        occurred_at: row.millisecond(4)?,
        received_at: row.millisecond(5)?.unwrap_or_default(),
        message: row.text(6)?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_a_pattern_is_taken_as_it_is() {
        assert_eq!(like("a_b%c!"), "%a!_b!%c!!%");
    }
}
