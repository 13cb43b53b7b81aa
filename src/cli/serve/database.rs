//! The database of a daemon: taken, waited for, brought up to date.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::Daemon;
use crate::cli::session::{DAEMON, holder};
use crate::store::{ExclusiveUse, StoreError};
use crate::sync::prepare;

const DATABASE_PAUSE: Duration = Duration::from_millis(500);
/// How often the log says again what is waited for.
const REMINDER: Duration = Duration::from_secs(30);

impl Daemon<'_> {
    /// Takes the database if it is to be had. A second daemon is refused; a command that has it will end.
    pub(super) fn take_database(&self) -> Result<Option<ExclusiveUse>, StoreError> {
        match self.store.take(&holder(DAEMON)) {
            Ok(alone) => Ok(Some(alone)),
            Err(error @ StoreError::InUse { .. }) if !will_end(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Waits until the database is there, has its schema, and knows the organisations.
    pub(super) async fn place_database(
        &self,
        mut taken: Option<ExclusiveUse>,
    ) -> Result<ExclusiveUse, StoreError> {
        let mut told: Option<Instant> = None;
        loop {
            let error = match self.try_to_place(&mut taken).await {
                Err(error) if error.outage().is_some() || will_end(&error) => error,
                result => return result,
            };
            if told.is_none_or(|told| told.elapsed() > REMINDER) {
                warn!(%error, "waiting for the database; callbacks are refused with 503 until then");
                told = Some(Instant::now());
            }
            tokio::time::sleep(DATABASE_PAUSE).await;
        }
    }

    pub(super) async fn try_to_place(
        &self,
        taken: &mut Option<ExclusiveUse>,
    ) -> Result<ExclusiveUse, StoreError> {
        let alone = match taken.take() {
            Some(alone) => alone,
            None => self.store.take(&holder(DAEMON))?,
        };
        let now = self.app.clock.now();
        if self.args.no_migrate {
            let missing = self.store.missing_migrations().await?;
            if missing > 0 {
                return Err(StoreError::Schema(format!(
                    "{missing} migrations are missing: run `dingsync migrate`, or start without --no-migrate"
                )));
            }
        } else {
            self.store.migrate(&alone, now).await?;
        }
        prepare(&self.store, &self.config, now).await?;
        if let Some(membership) = &self.membership {
            membership.beat().await?;
        }
        Ok(alone)
    }
}

/// Whether a command has the database, which it gives back.
fn will_end(error: &StoreError) -> bool {
    matches!(error, StoreError::InUse { holder, .. } if !holder.starts_with(DAEMON))
}
