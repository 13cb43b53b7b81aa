//! One voice for the troubles of the database: everybody meets them, and the log is to tell of them once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::error::StoreError;

/// How often the log says again that it lasts.
const REMINDER: Duration = Duration::from_secs(30);

/// Tells when an outage begins, that it lasts, and when it is over.
#[derive(Debug, Default)]
pub(super) struct Outages {
    lasts: AtomicBool,
    since: Mutex<Option<Told>>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    since: Instant,
    last: Instant,
}

impl Outages {
    /// Hears how an access ended.
    pub(super) fn hear<T>(&self, result: &Result<T, StoreError>) {
        match result {
            Ok(_) => self.over(),
            Err(error @ StoreError::Unavailable { .. }) => self.lasts(error),
            Err(_) => {}
        }
    }

    fn lasts(&self, error: &StoreError) {
        let now = Instant::now();
        self.lasts.store(true, Ordering::Relaxed);
        let mut told = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *told {
            None => {
                *told = Some(Told { since: now, last: now });
                warn!(%error, "callbacks get 503 and work waits until the database is back");
            }
            Some(told) if now.duration_since(told.last) >= REMINDER => {
                told.last = now;
                let seconds = now.duration_since(told.since).as_secs();
                warn!(%error, seconds, "the database is still away");
            }
            Some(_) => {}
        }
    }

    fn over(&self) {
        if !self.lasts.swap(false, Ordering::Relaxed) {
            return;
        }
        let told = self.since.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(told) = told {
            info!(seconds = told.since.elapsed().as_secs(), "the database is back");
        }
    }
}
