//! Who left while nobody listened (`contacts-api.md §5.2`): free of the quota, and sooner than a comparison finds it.

use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, info};

use crate::lane::Lane;
use crate::store::{Cause, Conn, Expectations, Hint, Kind, Operation, StoreError};
use crate::sync::context::Context;

/// Clocks differ, and an event can be lost that was on its way as the gap began.
const BEFORE: Duration = Duration::from_mins(10);
/// DingTalk's own bound is 365 days.
const LONGEST: Duration = Duration::from_hours(24 * 364);

impl Context {
    /// Marks those who left since `since`. Where DingTalk does not tell, the comparison does.
    pub(super) async fn mark_leavers(&self, since: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let window = ((since - BEFORE).max(now - LONGEST), now + Duration::from_secs(1));
        let mut start = "0".to_owned();
        let mut hints = Vec::new();
        loop {
            match self.client.leavers(Lane::Background, window, &start).await {
                Ok((userids, next)) => {
                    hints.extend(userids.into_iter().map(|userid| Hint {
                        expects: Expectations::GONE,
                        ..Hint::of(Kind::Employee, userid, Lane::Live, Cause::Reconcile)
                    }));
                    match next {
                        Some(next) => start = next,
                        None => break,
                    }
                }
                Err(error) => {
                    debug!(corp = self.name, %error, "leavers cannot be asked for; the comparison finds them");
                    break;
                }
            }
        }
        if !hints.is_empty() {
            info!(
                corp = self.name,
                leavers = hints.len(),
                "leavers of the time that may have been missed are read"
            );
        }
        self.write(MarkLeavers { corp_id: self.corp_id.clone(), hints, now }).await?;
        self.wake.notify_one();
        Ok(())
    }
}

struct MarkLeavers {
    corp_id: String,
    hints: Vec<Hint>,
    now: Timestamp,
}

impl Operation for MarkLeavers {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.hint(&self.corp_id, &self.hints, self.now).await?;
        conn.note_leavers_marked(&self.corp_id).await
    }
}
