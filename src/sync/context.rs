//! What all work for one organisation shares.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::held::HeldNotice;
use super::permission::FieldPermissions;
use super::unexpected::Nonsense;
use super::visibility::HiddenDepartments;
use crate::clock::SharedClock;
use crate::config;
use crate::dingtalk::{ApiError, Client};
use crate::random::Random;
use crate::store::{Claim, Operation, Stamp, Standing, Store, StoreError};
use crate::telemetry::Metrics;

/// One organisation, as its workers see it.
#[derive(Debug)]
pub struct Context {
    /// DingTalk's id of it.
    pub corp_id: String,
    /// Its name in the configuration, for logs and metrics.
    pub name: String,
    /// Its DingTalk.
    pub client: Client,
    /// The database.
    pub store: Store,
    /// Tells the time.
    pub clock: SharedClock,
    /// Jitter and lease numbers.
    pub random: Random,
    /// When deletions are held.
    pub guard: config::Guard,
    /// Counts.
    pub metrics: Metrics,
    /// True where workers run: what waits in the ledger is being worked off.
    pub has_workers: AtomicBool,
    /// Rung when the ledger may hold something new.
    pub wake: Arc<Notify>,
    /// Field permissions that seem to be gone.
    pub permissions: FieldPermissions,
    /// What was answered with nonsense lately.
    pub nonsense: Nonsense,
    /// Departments that were out of sight a moment ago.
    pub hidden: HiddenDepartments,
    /// When it was last said that deletions are held.
    pub held_told: HeldNotice,
}

/// Why work on an object ended without an answer.
#[derive(Debug)]
pub(super) enum WorkError {
    /// DingTalk did not give one.
    Api(ApiError),
    /// It could not be stored.
    Store(StoreError),
}

impl From<ApiError> for WorkError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<StoreError> for WorkError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Context {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the change log is to say of the changes that answer `claim`.
    pub(super) fn stamp(&self, claim: &Claim) -> Stamp {
        Stamp {
            corp_id: self.corp_id.clone(),
            provenance: claim.provenance.clone(),
            is_unannounced: claim.is_unannounced(),
            is_first_read: claim.standing == Standing::Unread,
            now: self.now(),
        }
    }

    /// Runs an operation and counts what it changed.
    pub(super) async fn write<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        let written = self.store.write(operation).await?;
        self.metrics.changed(&self.name, &written.logged);
        Ok(written.output)
    }
}
