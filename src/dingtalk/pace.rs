//! How fast DingTalk is called: one pacer for each API path of an organisation, one allowance for the machine's
//! address.
//!
//! A pacer spaces calls evenly under the configured rate, serves live work before background work, and learns: a
//! refusal pauses the path and lowers its rate, calm raises it again, carefully near the rate that was refused last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::lane::Lane;

/// Calls are spaced by a little more than the rate asks for: evenly spaced calls that the network bunches up would
/// otherwise put one too many into DingTalk's second.
const SPACING_MARGIN: f64 = 1.02;
const SHRINK: f64 = 0.8;
/// How fast a rate rises a second while it is far below the one that was refused, and while it is near.
const RISE_FAR: f64 = 0.25;
const RISE_NEAR: f64 = 0.01;
const NEAR: std::ops::Range<f64> = 0.9..1.2;
const SLOWEST: f64 = 0.5;
const SECOND: Duration = Duration::from_secs(1);
/// After this time a background call waits for live calls no more: its object is held, and may be wanted by then.
const LONGEST_COURTESY: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct State {
    /// Calls a second that the configuration allows.
    allowed: f64,
    /// What of them is this process's.
    bound: f64,
    /// Calls a second at the moment; infinite until DingTalk refuses one, where nothing bounds it.
    rate: f64,
    /// The rate at which DingTalk refused last.
    refused_at: Option<f64>,
    next_slot: Instant,
    paused_until: Instant,
    raised_at: Instant,
    live_waiting: usize,
    /// Calls that were let go in the running second and in the one before.
    second: (Instant, u32, u32),
}

/// Spaces the calls of one API path.
#[derive(Debug)]
pub struct Pacer {
    state: Mutex<State>,
}

/// Counts a live caller while it waits.
struct Waiting<'pacer>(&'pacer Pacer);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().live_waiting -= 1;
    }
}

impl Pacer {
    /// A pacer for `calls_per_second`; 0 is no bound of our own.
    pub fn new(calls_per_second: f64) -> Self {
        let bound = if calls_per_second > 0.0 { calls_per_second } else { f64::INFINITY };
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                allowed: bound,
                bound,
                rate: bound,
                refused_at: None,
                next_slot: now,
                paused_until: now,
                raised_at: now,
                live_waiting: 0,
                second: (now, 0, 0),
            }),
        }
    }

    /// Whether there is a bound at all, ours or one that DingTalk has taught.
    pub fn is_bounded(&self) -> bool {
        self.lock().rate.is_finite()
    }

    /// Divides the allowance by so many processes.
    pub fn share(&self, processes: usize) {
        let mut state = self.lock();
        let bound = shared(state.allowed, processes);
        if state.rate >= state.bound || state.rate > bound {
            state.rate = bound;
        }
        state.bound = bound;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every update leaves the state whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this call's turn. A background call lets waiting live calls go first, for a while.
    pub async fn turn(&self, lane: Lane) {
        let started = Instant::now();
        let _waiting = (lane == Lane::Live).then(|| {
            self.lock().live_waiting += 1;
            Waiting(self)
        });
        loop {
            let wake = {
                let mut state = self.lock();
                let now = Instant::now();
                let gives_way = lane == Lane::Background && now < started + LONGEST_COURTESY;
                match state.admit(gives_way, now) {
                    Ok(()) => return,
                    Err(wake) => wake,
                }
            };
            sleep_until(wake).await;
        }
    }

    /// DingTalk refused a call as one too many: pauses for `pause` and slows down. Refusals of calls that were under
    /// way together count once.
    pub fn refused(&self, pause: Duration) {
        let now = Instant::now();
        let mut state = self.lock();
        if state.paused_until <= now {
            let achieved = f64::from(state.second.1.max(state.second.2)).max(1.0);
            let refused_at = state.rate.min(achieved);
            state.refused_at = Some(refused_at);
            state.rate = (refused_at * SHRINK).max(SLOWEST);
            state.raised_at = now;
        }
        state.paused_until = state.paused_until.max(now + pause);
    }

    /// Stops all calls for `pause` without learning from it.
    pub fn pause(&self, pause: Duration) {
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(Instant::now() + pause);
    }
}

/// The part of an allowance of calls a second that one of so many processes may use. Each spaces its calls by itself, so
/// that in one second each may make one more than its part: that is kept back.
fn shared(allowed: f64, processes: usize) -> f64 {
    let processes = processes.max(1) as f64;
    let kept_back = (allowed - (processes - 1.0)).max(allowed / 2.0);
    kept_back / processes
}

impl State {
    /// Lets a call go now, or says when to ask again. One that `gives_way` waits while live calls wait.
    fn admit(&mut self, gives_way: bool, now: Instant) -> Result<(), Instant> {
        if self.paused_until > now {
            return Err(self.paused_until);
        }
        self.rise(now);
        if self.rate.is_finite() {
            let spacing = Duration::from_secs_f64(SPACING_MARGIN / self.rate);
            if self.next_slot > now {
                return Err(self.next_slot);
            }
            if gives_way && self.live_waiting > 0 {
                return Err(now + spacing);
            }
            self.next_slot = now + spacing;
        }
        self.count(now);
        Ok(())
    }

    fn rise(&mut self, now: Instant) {
        let calm = now.saturating_duration_since(self.raised_at);
        if self.rate >= self.bound || calm < SECOND {
            return;
        }
        self.raised_at = now;
        let near = self.refused_at.is_some_and(|refused_at| NEAR.contains(&(self.rate / refused_at)));
        let factor = if near { RISE_NEAR } else { RISE_FAR };
        self.rate = (self.rate * (1.0 + factor * calm.as_secs_f64().min(5.0))).min(self.bound);
    }

    fn count(&mut self, now: Instant) {
        let (started, ..) = self.second;
        match now.saturating_duration_since(started) {
            elapsed if elapsed < SECOND => self.second.1 += 1,
            elapsed if elapsed < 2 * SECOND => self.second = (started + SECOND, 1, self.second.1),
            _ => self.second = (now, 1, 0),
        }
    }
}

/// Calls that one address may make in 20 seconds before DingTalk bans it (`contacts-api.md §9`).
const ADDRESS_WINDOW: Duration = Duration::from_secs(20);
/// The first pause after a refusal of the address; it doubles while a probe is refused again, up to the length of the ban.
const FIRST_BAN: Duration = Duration::from_secs(20);
const LONGEST_BAN: Duration = Duration::from_mins(5);

/// A refusal of this machine's address by one host.
#[derive(Debug)]
struct Ban {
    until: Instant,
    length: Duration,
}

#[derive(Debug)]
struct AddressState {
    /// When the allowance would be whole again (the theoretical arrival time of a leaky bucket).
    whole_at: Instant,
    /// By host: whoever sits behind one of them may refuse us for reasons of its own.
    bans: HashMap<String, Ban>,
}

/// The allowance of this machine's address, shared by every organisation.
#[derive(Debug)]
pub struct AddressAllowance {
    calls: u32,
    processes: AtomicU32,
    state: Mutex<AddressState>,
}

impl AddressAllowance {
    /// At most `calls` in any 20 seconds; 0 is no bound of our own.
    pub fn new(calls: u32) -> Self {
        Self {
            calls,
            processes: AtomicU32::new(1),
            state: Mutex::new(AddressState { whole_at: Instant::now(), bans: HashMap::new() }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, AddressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Divides the allowance by so many processes: they may stand behind one address.
    pub fn share(&self, processes: usize) {
        self.processes.store(u32::try_from(processes).unwrap_or(u32::MAX).max(1), Ordering::Relaxed);
    }

    /// Waits until this address may make a call. Not for those who find it banned: see [`Self::banned_until`].
    pub async fn turn(&self) {
        while let Some(wake) = self.admit(Instant::now()) {
            sleep_until(wake).await;
        }
    }

    fn admit(&self, now: Instant) -> Option<Instant> {
        if self.calls == 0 {
            return None;
        }
        // A tenth may go at once, the rest is spread over the window: together never more than the allowance.
        let calls = f64::from(self.calls) / f64::from(self.processes.load(Ordering::Relaxed));
        let burst = calls / 10.0;
        let spacing = ADDRESS_WINDOW.div_f64(calls - burst);
        let tolerance = spacing.mul_f64(burst.max(1.0) - 1.0);
        let mut state = self.lock();
        let due = state.whole_at.max(now);
        if due > now + tolerance {
            return Some(due - tolerance);
        }
        state.whole_at = due + spacing;
        None
    }

    /// `host` refused the address: returns for how long its calls stop.
    pub fn banned(&self, host: &str) -> Duration {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(ban) = state.bans.get_mut(host) else {
            state.bans.insert(host.to_owned(), Ban { until: now + FIRST_BAN, length: FIRST_BAN });
            return FIRST_BAN;
        };
        if ban.until <= now {
            ban.length = (ban.length * 2).min(LONGEST_BAN);
            ban.until = now + ban.length;
        }
        ban.until - now
    }

    /// A call of `host` got through: the next ban starts from the shortest pause again.
    pub fn worked(&self, host: &str) {
        let now = Instant::now();
        let mut state = self.lock();
        if state.bans.get(host).is_some_and(|ban| ban.until <= now) {
            state.bans.remove(host);
        }
    }

    /// Until when no call of `host` is made, while it refuses the address.
    pub fn banned_until(&self, host: &str) -> Option<Instant> {
        self.lock().bans.get(host).map(|ban| ban.until).filter(|&until| until > Instant::now())
    }
}
