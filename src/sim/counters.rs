//! What was counted: calls by path and result, deliveries, and how long acknowledgements took.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// The calls to one path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PathCount {
    /// All of them.
    pub total: u64,
    /// By result: `ok`, an error code such as `60121`, or what happened instead, such as `reset`.
    pub results: BTreeMap<String, u64>,
    /// The most calls within any one second.
    pub most_in_a_second: usize,
}

/// Calls of the API, by path.
#[derive(Debug, Default)]
pub(crate) struct CallCounters {
    paths: BTreeMap<String, (PathCount, VecDeque<Instant>)>,
}

const SECOND: Duration = Duration::from_secs(1);

impl CallCounters {
    /// Counts a call that comes in.
    pub(crate) fn arrived(&mut self, path: &str, now: Instant) {
        let (count, recent) = self.paths.entry(path.to_owned()).or_default();
        count.total += 1;
        recent.push_back(now);
        while recent.front().is_some_and(|first| now.duration_since(*first) >= SECOND) {
            recent.pop_front();
        }
        count.most_in_a_second = count.most_in_a_second.max(recent.len());
    }

    /// Counts what became of it.
    pub(crate) fn ended(&mut self, path: &str, result: &str) {
        let (count, _) = self.paths.entry(path.to_owned()).or_default();
        *count.results.entry(result.to_owned()).or_default() += 1;
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<String, PathCount> {
        self.paths.iter().map(|(path, (count, _))| (path.clone(), count.clone())).collect()
    }
}

/// Durations in buckets of a sixteenth of their size, from one microsecond to an hour.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    longest: Duration,
}

const STEPS: u32 = 16;
const BUCKETS: usize = 32 * STEPS as usize;

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, longest: Duration::ZERO }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)] += 1;
        self.count += 1;
        self.longest = self.longest.max(duration);
    }

    /// The duration that a share of all, 0 to 1, did not exceed, milliseconds; 0 without any.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                return upper_bound(index) as f64 / 1000.0;
            }
        }
        0.0
    }

    pub(crate) fn longest_ms(&self) -> f64 {
        self.longest.as_secs_f64() * 1000.0
    }
}

fn bucket(micros: u64) -> usize {
    let magnitude = micros.max(1).ilog2();
    let steps = u64::from(STEPS);
    let within = ((micros.max(1) - (1 << magnitude)) * steps) >> magnitude;
    (u64::from(magnitude) * steps + within).min(BUCKETS as u64 - 1) as usize
}

fn upper_bound(index: usize) -> u64 {
    let (magnitude, within) = (index as u64 / u64::from(STEPS), index as u64 % u64::from(STEPS));
    let low = 1_u64 << magnitude;
    low + (low * (within + 1)).div_ceil(u64::from(STEPS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_sixteenth() {
        let mut histogram = Histogram::default();
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        for (share, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile_ms(share);
            assert!((exact..exact * 1.07).contains(&found), "{share}: {found} for {exact}");
        }
        assert!((histogram.longest_ms() - 1000.0).abs() < 1e-9);
        assert!(Histogram::default().quantile_ms(0.99).abs() < f64::EPSILON);
    }

    #[test]
    fn the_busiest_second_is_a_sliding_one() {
        let mut counters = CallCounters::default();
        let start = Instant::now();
        for offset in [0, 900, 950, 1100, 1899, 1901] {
            counters.arrived("/gettoken", start + Duration::from_millis(offset));
        }
        let count = counters.snapshot()["/gettoken"].clone();
        assert_eq!(count.total, 6);
        assert_eq!(count.most_in_a_second, 4, "900, 950, 1100 and 1899");
    }
}
