//! A breaker for each organisation and API: trouble with DingTalk opens it, probes close it, and meanwhile no object
//! is read in vain (`design: what must always hold, 7`).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::{Class, Denied, Throttle};

/// Failures in a row that open a closed breaker: scattered ones are retried by the calls themselves.
const TOLERATED: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// DingTalk away or broken: a probe costs nothing, so recovery is noticed soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Somebody has to change a setting: probes are for the moment after he did.
const LONGEST_PAUSE_FOR_PEOPLE: Duration = Duration::from_mins(1);
/// A method that the server does not know: perhaps it is only a proxy that does not, for a while.
const PAUSE_OF_UNKNOWN: Duration = Duration::from_mins(1);
/// A quota that lasts until the month ends.
const PAUSE_OF_QUOTA: Duration = Duration::from_hours(1);
/// Trouble that could have been looked at again this long ago, and was not, is not shown any more.
const UNTRIED: Duration = Duration::from_mins(2);
/// While a probe is under way, whoever was sent away asks again after this long.
const PROBE_LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { class: Class, until: Instant, pause: Duration },
    Probing { class: Class, since: Instant, pause: Duration },
}

/// Stops the calls of one API while they cannot succeed.
#[derive(Debug)]
pub struct Breaker {
    state: Mutex<State>,
}

/// The permission to make a call. A probe that is given up without an outcome lets the next one try.
#[derive(Debug)]
#[must_use = "the permission ends when it is dropped"]
pub struct Admission<'breaker> {
    breaker: &'breaker Breaker,
    probing_since: Option<Instant>,
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        let Some(mine) = self.probing_since else { return };
        let mut state = self.breaker.lock();
        if let State::Probing { class, since, pause } = *state
            && since == mine
        {
            *state = State::Open { class, until: Instant::now(), pause };
        }
    }
}

/// Why a call is not made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// What opened the breaker.
    pub class: Class,
    /// When the next probe is allowed.
    pub until: Instant,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: Mutex::new(State::Closed { failures: 0 }) }
    }
}

impl Breaker {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks to make a call. Of an open breaker whose pause is over, the first asker becomes the probe.
    pub fn admit(&self) -> Result<Admission<'_>, Blocked> {
        let now = Instant::now();
        let mut state = self.lock();
        let probing_since = match *state {
            State::Closed { .. } => None,
            State::Open { class, until, .. } if until > now => return Err(Blocked { class, until }),
            State::Probing { class, .. } => return Err(Blocked { class, until: now + PROBE_LOOK }),
            State::Open { class, pause, .. } => {
                *state = State::Probing { class, since: now, pause };
                Some(now)
            }
        };
        Ok(Admission { breaker: self, probing_since })
    }

    /// How many calls would be admitted: `None` is no bound, 1 a probe, 0 none before the given instant.
    pub fn admits(&self) -> Result<Option<usize>, Blocked> {
        let now = Instant::now();
        match *self.lock() {
            State::Closed { .. } => Ok(None),
            State::Open { class, until, .. } if until > now => Err(Blocked { class, until }),
            State::Probing { class, .. } => Err(Blocked { class, until: now + PROBE_LOOK }),
            State::Open { .. } => Ok(Some(1)),
        }
    }

    /// The call was answered: the API works, whatever it said about the object. True if that is news.
    pub fn worked(&self) -> bool {
        let before = std::mem::replace(&mut *self.lock(), State::Closed { failures: 0 });
        !matches!(before, State::Closed { .. })
    }

    /// The call met trouble. True if that opens the breaker, or is another trouble than the one that keeps it open.
    pub fn failed(&self, class: Class) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let (first, longest) = match class {
            Class::UnknownMethod => (PAUSE_OF_UNKNOWN, PAUSE_OF_UNKNOWN),
            Class::Throttle(Throttle::MonthlyQuota) => (PAUSE_OF_QUOTA, PAUSE_OF_QUOTA),
            Class::Retry | Class::RefreshToken | Class::Throttle(_) => (FIRST_PAUSE, LONGEST_PAUSE),
            Class::Denied(Denied::PermissionPoint | Denied::Address | Denied::Disabled)
            | Class::Credentials => (5 * FIRST_PAUSE, LONGEST_PAUSE_FOR_PEOPLE),
            _ => return false,
        };
        let before = *state;
        *state = match before {
            State::Closed { failures } if class == Class::Retry && failures + 1 < TOLERATED => {
                State::Closed { failures: failures + 1 }
            }
            // A straggler that was under way when the breaker opened: it says nothing new.
            State::Open { class: earlier, until, pause } if earlier == class => {
                State::Open { class, until, pause }
            }
            State::Closed { .. } | State::Open { .. } => {
                State::Open { class, until: now + first, pause: first }
            }
            State::Probing { pause, .. } => {
                let pause = (pause * 2).clamp(first, longest);
                State::Open { class, until: now + pause, pause }
            }
        };
        match (before, *state) {
            (_, State::Closed { .. }) => false,
            (State::Closed { .. }, _) => true,
            (State::Open { class: earlier, .. } | State::Probing { class: earlier, .. }, _) => {
                earlier != class
            }
        }
    }

    /// What keeps the breaker open, while it is.
    pub fn trouble(&self) -> Option<Class> {
        match *self.lock() {
            State::Closed { .. } => None,
            State::Open { class, .. } | State::Probing { class, .. } => Some(class),
        }
    }

    /// The same, unless nobody has tried for long whether it holds: some APIs are called once a day.
    pub fn recent_trouble(&self) -> Option<Class> {
        let is_old = matches!(*self.lock(), State::Open { until, .. } if until + UNTRIED < Instant::now());
        self.trouble().filter(|_| !is_old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened() -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..TOLERATED {
            breaker.failed(Class::Retry);
        }
        assert!(breaker.admit().is_err());
        tokio::time::sleep(FIRST_PAUSE).await;
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn scattered_failures_do_not_open_it() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 1..TOLERATED {
                breaker.failed(Class::Retry);
            }
            breaker.worked();
        }
        assert!(breaker.admit().is_ok());
        assert_eq!(breaker.trouble(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_decides() {
        let breaker = opened().await;
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_err(), "a second probe beside the first");
        breaker.worked();
        drop(probe);
        assert!(breaker.admit().is_ok());
        assert_eq!(breaker.trouble(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_makes_the_pause_longer() {
        let breaker = opened().await;
        let probe = breaker.admit().unwrap();
        breaker.failed(Class::Retry);
        drop(probe);
        tokio::time::sleep(FIRST_PAUSE).await;
        assert!(breaker.admit().is_err());
        tokio::time::sleep(FIRST_PAUSE).await;
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_makes_room_for_the_next() {
        let breaker = opened().await;
        drop(breaker.admit().unwrap());
        assert!(breaker.admit().is_ok());
        assert_eq!(breaker.trouble(), Some(Class::Retry), "nothing is known yet");
    }
}
