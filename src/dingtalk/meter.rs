//! Calls that count against the organisation's month (`contacts-api.md §9`): counted before they are made, so that a kill
//! at any instant leaves none out.

use std::fmt::Debug;

use futures_util::future::BoxFuture;

use super::endpoint::Endpoint;
use super::error::{ApiError, Class, Throttle};

/// Counts metered calls, and keeps them within a bound.
pub trait Meter: Debug + Send + Sync {
    /// Counts a call that goes out next.
    fn begin(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<(), NotCounted>>;
    /// DingTalk did not carry it out after all.
    fn take_back(&self, endpoint: Endpoint) -> BoxFuture<'_, ()>;
}

/// Why a metered call must not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCounted {
    /// The bound is reached.
    UsedUp,
    /// It cannot be counted at the moment.
    Unwritable,
}

impl NotCounted {
    pub(super) fn error(self, endpoint: Endpoint) -> ApiError {
        match self {
            Self::UsedUp => ApiError::new(endpoint, Class::Throttle(Throttle::Budget)),
            Self::Unwritable => {
                ApiError::transport(endpoint, "it was not sent, because the database could not count it")
            }
        }
    }
}
