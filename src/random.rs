//! Randomness as an argument: jitter, nonces and random prefixes come from one generator that is handed around.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha12Rng;

/// A generator that is handed around; clones share its state.
#[derive(Debug, Clone)]
pub struct Random(Arc<Mutex<ChaCha12Rng>>);

impl Random {
    /// Seeded by the operating system.
    pub fn from_system() -> Self {
        Self(Arc::new(Mutex::new(rand::make_rng())))
    }

    fn lock(&self) -> MutexGuard<'_, ChaCha12Rng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// A number that tells two things apart.
    pub fn number(&self) -> u64 {
        self.lock().next_u64()
    }

    /// Between half of `most` and all of it, so that those who wait together do not come back together.
    pub fn jittered(&self, most: Duration) -> Duration {
        most.mul_f64(self.lock().random_range(0.5..=1.0))
    }

    /// Letters and digits.
    pub fn word(&self, length: usize) -> String {
        const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let mut generator = self.lock();
        (0..length).map(|_| char::from(ALPHABET[generator.random_range(0..ALPHABET.len())])).collect()
    }
}
