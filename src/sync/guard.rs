//! The deletion guard: more deletions of a kind than both limits allow are held until a person decides.

use jiff::{SignedDuration, Timestamp};

use crate::config::Guard;
use crate::store::{Conn, Entity, StoreError};

/// Asks whether one more row of a kind may be deleted; if so, the deletion is counted. `counts` is false for what is
/// harmless to lose, such as an empty department.
pub(super) async fn admit_deletion(
    conn: &mut Conn,
    guard: Guard,
    corp_id: &str,
    entity: Entity,
    counts: bool,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if guard.max_deletions == 0 || !counts {
        return Ok(true);
    }
    let window = SignedDuration::try_from(guard.window).unwrap_or(SignedDuration::MAX);
    let start = now.checked_sub(window).unwrap_or(Timestamp::MIN);
    let with_this = conn.deletions_since(corp_id, entity, start).await? + 1;
    if with_this > i64::from(guard.max_deletions) {
        // As many as there were when the window began.
        let population = conn.population(corp_id, entity).await? + with_this - 1;
        if with_this as f64 > guard.max_share * population as f64 {
            return Ok(false);
        }
    }
    conn.note_deletion(corp_id, entity, now).await?;
    Ok(true)
}
