//! DingTalk's clock, which can be wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use jiff::fmt::strtime;

use super::model::SHANGHAI;
use crate::clock::SharedClock;

/// The injected clock with the simulated error laid over it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SimClock {
    clock: SharedClock,
    skew_ms: Arc<AtomicI64>,
}

impl SimClock {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, skew_ms: Arc::default() }
    }

    /// Sets how far it is wrong, milliseconds.
    pub(crate) fn set_skew(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    /// What it shows, milliseconds UTC. Goes into what is sent.
    pub(crate) fn now_ms(&self) -> i64 {
        self.true_ms().saturating_add(self.skew_ms.load(Ordering::Relaxed))
    }

    /// The right time, milliseconds UTC. Lives of tokens and punishments are measured with it.
    pub(crate) fn true_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }
}

/// An instant as a `Date` header writes it.
pub(crate) fn http_date(millis: i64) -> String {
    formatted("%a, %d %b %Y %H:%M:%S GMT", millis, jiff::tz::Offset::UTC)
}

/// An instant as DingTalk's messages write it: Asia/Shanghai, whole seconds (`errors.md §3`).
pub(crate) fn shanghai(millis: i64) -> String {
    formatted("%Y-%m-%d %H:%M:%S", millis, SHANGHAI)
}

fn formatted(format: &str, millis: i64, offset: jiff::tz::Offset) -> String {
    let instant = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    strtime::format(format, offset.to_datetime(instant)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_the_protocols_want() {
        assert_eq!(http_date(1_767_225_600_123), "Thu, 01 Jan 2026 00:00:00 GMT");
        assert_eq!(shanghai(1_767_225_600_123), "2026-01-01 08:00:00");
    }
}
