//! Shared state: locks that a panic elsewhere does not break, and dice that everybody may throw.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use rand::{Rng as _, RngExt as _, SeedableRng as _};

use super::names::{self, Random};
use crate::dingtalk::crypto::RandomPrefix;

/// Locks. Whoever panicked while he held the lock left complete values behind: every critical section here replaces
/// or counts, nothing in between is ever seen.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for reading.
pub(crate) fn read<T>(locked: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    locked.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for writing.
pub(crate) fn write<T>(locked: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    locked.write().unwrap_or_else(PoisonError::into_inner)
}

/// One seeded source of chance for everything that happens at once. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Dice(Arc<Mutex<Random>>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Random::seed_from_u64(seed))))
    }

    /// True for a share of the throws, 0 to 1.
    pub(crate) fn chance(&self, share: f64) -> bool {
        share > 0.0 && lock(&self.0).random_bool(share.min(1.0))
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&self, bound: usize) -> usize {
        lock(&self.0).random_range(0..bound.max(1))
    }

    /// A number of milliseconds between two, both included.
    pub(crate) fn millis(&self, [least, most]: [u64; 2]) -> u64 {
        if most <= least { least } else { lock(&self.0).random_range(least..=most) }
    }

    /// The same as a duration.
    pub(crate) fn duration(&self, range: [u64; 2]) -> Duration {
        Duration::from_millis(self.millis(range))
    }

    /// What a callback's encryption begins with.
    pub(crate) fn prefix(&self) -> RandomPrefix {
        let mut prefix = RandomPrefix::default();
        lock(&self.0).fill_bytes(&mut prefix);
        prefix
    }

    /// Eight letters and digits, as seen in callbacks (`events.md §2`).
    pub(crate) fn nonce(&self) -> String {
        names::mixed_case(&mut lock(&self.0), 8)
    }

    /// 12 or 13 lower-case letters and digits (`contacts-api.md §13`).
    pub(crate) fn request_id(&self) -> String {
        let mut random = lock(&self.0);
        let length = random.random_range(12..14);
        names::alphanumeric(&mut random, length)
    }

    /// Lower-case hexadecimal digits.
    pub(crate) fn hex(&self, length: usize) -> String {
        let mut random = lock(&self.0);
        (0..length).map(|_| char::from_digit(random.random_range(0..16), 16).unwrap_or('0')).collect()
    }

    /// A source of its own for one purpose.
    pub(crate) fn fork(&self) -> Random {
        let seed = lock(&self.0).random();
        Random::seed_from_u64(seed)
    }
}
