//! When everything is compared without anybody asking for it.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Time;
use jiff::{Timestamp, ToSpan as _};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::context::Context;
use super::convert::SHANGHAI;
use crate::config;
use crate::lifecycle::Pulse;
use crate::store::{RunKind, StoreError};

/// A sleep is cut into pieces, so that the task shows signs of life and a clock that is set takes effect.
const PIECE: Duration = Duration::from_secs(20);

/// Asks for a comparison once a day, and more often where no callbacks are taken.
pub(super) async fn schedule(
    context: Arc<Context>,
    when: config::Reconcile,
    takes_callbacks: bool,
    shutdown: CancellationToken,
    pulse: Pulse,
) {
    let mut daily_at = next_at(context.now(), when.daily_at);
    let mut quick_at = context.now() + when.without_callbacks_every;
    loop {
        pulse.beat();
        tokio::select! {
            () = tokio::time::sleep(PIECE) => {}
            () = shutdown.cancelled() => return,
        }
        let now = context.now();
        let is_daily = now >= daily_at;
        if is_daily {
            daily_at = next_at(now, when.daily_at);
        } else if takes_callbacks || now < quick_at {
            continue;
        }
        quick_at = now + when.without_callbacks_every;
        let details_within_days = is_daily.then_some(when.details_every_days);
        match context.compare_as_scheduled(details_within_days).await {
            Ok(()) => info!(corp = context.name, details = is_daily, "comparing everything, as scheduled"),
            Err(error) => warn!(corp = context.name, %error, "a scheduled comparison could not be asked for"),
        }
    }
}

impl Context {
    /// Asks for a quick comparison; daily, for the share of details as well with which everybody's are read within so many
    /// days.
    async fn compare_as_scheduled(&self, details_within_days: Option<u32>) -> Result<(), StoreError> {
        let run_id = self.request_run(RunKind::Reconcile, true).await?;
        match details_within_days {
            Some(days) => self.mark_share(run_id, days).await,
            None => Ok(()),
        }
    }
}

/// The next time at which Shanghai's clocks show `time`.
fn next_at(now: Timestamp, time: Time) -> Timestamp {
    let here = now.to_zoned(SHANGHAI.clone());
    let today = here.date().to_datetime(time).to_zoned(SHANGHAI.clone());
    let next = today.and_then(|today| if today > here { Ok(today) } else { today.checked_add(1.day()) });
    // Shanghai has no gaps in its days; should that change, a day from now is near enough.
    next.map_or_else(|_| now + Duration::from_hours(24), |next| next.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_today_or_tomorrow_in_shanghai() {
        let time: Time = "03:17".parse().unwrap();
        let at = |text: &str| next_at(text.parse().unwrap(), time).to_string();
        assert_eq!(at("2026-11-21T19:00:00Z"), "2026-11-21T19:17:00Z");
        assert_eq!(at("2026-11-21T19:17:00Z"), "2026-11-22T19:17:00Z");
        assert_eq!(at("2026-11-21T20:00:00Z"), "2026-11-22T19:17:00Z");
    }
}
