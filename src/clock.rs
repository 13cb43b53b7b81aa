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
