//! Calls that count against the organisation's month: counted in the database, for all processes together.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tracing::{debug, warn};

use super::convert::SHANGHAI;
use crate::clock::SharedClock;
use crate::dingtalk::endpoint::Endpoint;
use crate::dingtalk::{Meter, NotCounted};
use crate::store::{Conn, Operation, Store, StoreError};

/// The month, in Shanghai, against whose quota a call counts: `2026-11`.
pub fn metering_month(now: Timestamp) -> String {
    now.to_zoned(SHANGHAI.clone()).strftime("%Y-%m").to_string()
}

/// Counts the metered calls of one organisation.
#[derive(Debug)]
pub(super) struct StoredMeter {
    pub(super) corp_id: String,
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    /// How many a month at most; `None` is no bound.
    pub(super) limit: Option<u32>,
    /// What cannot be counted is not made.
    pub(super) is_strict: bool,
}

impl Meter for StoredMeter {
    fn begin(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<(), NotCounted>> {
        async move {
            let now = self.clock.now();
            let begin = Begin { corp_id: self.corp_id.clone(), endpoint, limit: self.limit, now };
            match self.store.write(begin).await {
                Ok(written) if written.output => Ok(()),
                Ok(_) => Err(NotCounted::UsedUp),
                Err(_) if !self.is_strict => Ok(()),
                Err(error) => {
                    debug!(%error, "a metered call cannot be counted, and is not made");
                    Err(NotCounted::Unwritable)
                }
            }
        }
        .boxed()
    }

    fn take_back(&self, endpoint: Endpoint) -> BoxFuture<'_, ()> {
        async move {
            let now = self.clock.now();
            let take_back = TakeBack { corp_id: self.corp_id.clone(), endpoint, now };
            if let Err(error) = self.store.write(take_back).await {
                warn!(%error, "a metered call stays counted that was not carried out");
            }
        }
        .boxed()
    }
}

/// Counts a call that goes out next; of a destructive one, notes that its answer is expected.
struct Begin {
    corp_id: String,
    endpoint: Endpoint,
    limit: Option<u32>,
    now: Timestamp,
}

impl Operation for Begin {
    type Output = bool;

    async fn run(&self, conn: &mut Conn) -> Result<bool, StoreError> {
        if !conn.begin_metered_call(&self.corp_id, &metering_month(self.now), self.limit).await? {
            return Ok(false);
        }
        if self.endpoint.destructive {
            conn.expect_failed_list(&self.corp_id, Some(self.now)).await?;
        }
        Ok(true)
    }
}

/// Undoes [`Begin`].
struct TakeBack {
    corp_id: String,
    endpoint: Endpoint,
    now: Timestamp,
}

impl Operation for TakeBack {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.take_back_metered_call(&self.corp_id, &metering_month(self.now)).await?;
        if self.endpoint.destructive {
            conn.expect_failed_list(&self.corp_id, None).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_midnight_in_shanghai() {
        let month = |text: &str| metering_month(text.parse().unwrap());
        assert_eq!(month("2026-11-30T15:59:59Z"), "2026-11");
        assert_eq!(month("2026-11-30T16:00:00Z"), "2026-12");
    }
}
