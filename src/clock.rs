//! Time as an argument: nothing below `cli` asks the operating system for it.

use std::fmt::Debug;
use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time. Shared by everything that stamps, compares or schedules.
pub trait Clock: Debug + Send + Sync {
    /// The current instant, UTC.
    fn now(&self) -> Timestamp;
}

/// A clock that is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that starts at a given instant and runs with tokio's timer, so that a test which pauses or advances
/// that timer moves this clock along with every sleep.
#[derive(Debug, Clone, Copy)]
pub struct TimerClock {
    epoch: Timestamp,
    started: tokio::time::Instant,
}

impl TimerClock {
    /// A clock that shows `epoch` now. Must be called inside a tokio runtime.
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self { epoch, started: tokio::time::Instant::now() }
    }
}

impl Clock for TimerClock {
    fn now(&self) -> Timestamp {
        self.epoch + self.started.elapsed()
    }
}
