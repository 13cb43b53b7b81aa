//! The deletion guard: more deletions of a kind than both limits allow are held until a person decides.

use jiff::{SignedDuration, Timestamp};

use crate::config::Guard;
use crate::store::{Conn, Entity, StoreError};

/// A row that DingTalk's own answer would have deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deletion {
    /// What kind of row.
    pub(super) entity: Entity,
    /// It was held before: no window's end lets it go, a person does.
    pub(super) is_held: bool,
    /// Losing it by mistake would harm nobody, such as a department without members.
    pub(super) is_harmless: bool,
}

impl Deletion {
    /// Asks whether the row may be deleted; if so, the deletion is counted.
    pub(super) async fn is_admitted(
        self,
        conn: &mut Conn,
        guard: Guard,
        corp_id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if guard.max_deletions == 0 || self.is_harmless {
            return Ok(true);
        }
        if self.is_held {
            return Ok(false);
        }
        let window = SignedDuration::try_from(guard.window).unwrap_or(SignedDuration::MAX);
        let start = now.checked_sub(window).unwrap_or(Timestamp::MIN);
        let with_this = conn.deletions_since(corp_id, self.entity, start).await? + 1;
        if with_this > i64::from(guard.max_deletions) {
            // As many as there were when the window began.
            let population = conn.population(corp_id, self.entity).await? + with_this - 1;
            if with_this as f64 > guard.max_share * population as f64 {
                return Ok(false);
            }
        }
        conn.note_deletion(corp_id, self.entity, now).await?;
        Ok(true)
    }
}
