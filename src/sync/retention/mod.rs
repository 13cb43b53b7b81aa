//! Keeps what is stored no longer, and no more of it, than the configuration says: old events, changes, audit entries and
//! runs go; columns that are not to be stored, and the personal ones of people who have been gone for long, are erased.
//!
//! Done by the process that leads, in small batches with a pause after each, so that live work goes on in between.

mod excluded;
mod leavers;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::leavers::{Erased, Forget};
use super::context::Context;
use crate::config;
use crate::lifecycle::Pulse;
use crate::store::StoreError;

/// Rows of a batch.
const BATCH: usize = 200;
/// After a batch.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two rounds.
const ROUND: Duration = Duration::from_hours(1);
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// Tidies up now, and every hour, until `shutdown`.
pub(super) async fn keep_retention(
    contexts: Vec<Arc<Context>>,
    retention: config::Retention,
    shutdown: CancellationToken,
    pulse: Pulse,
) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        never = pulse.keep_beating() => match never {},
        () = rounds(contexts, retention) => {}
    }
}

async fn rounds(contexts: Vec<Arc<Context>>, retention: config::Retention) {
    loop {
        let pause = match round(&contexts, retention).await {
            Ok(()) => ROUND,
            Err(error) => {
                if error.outage().is_none() {
                    warn!(%error, "what is old cannot be tidied up; it is tried again");
                }
                STORE_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn round(contexts: &[Arc<Context>], retention: config::Retention) -> Result<(), StoreError> {
    for context in contexts {
        context.erase_excluded().await?;
        context.erase_leavers(retention.leavers_days).await?;
    }
    let swept = sweep::sweep(contexts, retention).await?;
    if swept != sweep::Swept::default() {
        info!(
            events = swept.inbox,
            changes = swept.changes,
            audit = swept.audit,
            runs = swept.runs,
            "what is older than `retention` says was deleted"
        );
    }
    Ok(())
}
