//! How many calls a second each application may make to each path (`contacts-api.md §9`).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
struct Bucket {
    allowance: f64,
    at: Instant,
}

/// A token bucket for each application and path, as deep as one second's allowance, and the calls of each address
/// within the last 20 seconds.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    buckets: HashMap<(String, &'static str), Bucket>,
    addresses: HashMap<IpAddr, VecDeque<Instant>>,
}

const ADDRESS_WINDOW: Duration = Duration::from_secs(20);

impl Limits {
    /// Whether a call is admitted; `rate` is calls a second, 0 admits everything.
    pub(crate) fn admit(&mut self, app_key: &str, path: &'static str, rate: u32, now: Instant) -> bool {
        if rate == 0 {
            return true;
        }
        let rate = f64::from(rate);
        let bucket =
            self.buckets.entry((app_key.to_owned(), path)).or_insert(Bucket { allowance: rate, at: now });
        let elapsed = now.duration_since(bucket.at).as_secs_f64();
        bucket.allowance = (bucket.allowance + elapsed * rate).min(rate);
        bucket.at = now;
        let admitted = bucket.allowance >= 1.0;
        if admitted {
            bucket.allowance -= 1.0;
        }
        admitted
    }
}

impl Limits {
    /// Whether a call of an address is within `most` calls in 20 seconds. One that is not starts the count anew: the
    /// ban that follows is longer than the window.
    pub(crate) fn admit_address(&mut self, address: IpAddr, most: usize, now: Instant) -> bool {
        let calls = self.addresses.entry(address).or_default();
        while calls.front().is_some_and(|first| now.duration_since(*first) >= ADDRESS_WINDOW) {
            calls.pop_front();
        }
        calls.push_back(now);
        let admitted = calls.len() <= most;
        if !admitted {
            calls.clear();
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn twenty_a_second_and_no_more() {
        let mut limits = Limits::default();
        let start = Instant::now();
        let admitted = |limits: &mut Limits, at: Instant| {
            (0..100).filter(|_| limits.admit("app", "/topapi/v2/user/get", 20, at)).count()
        };
        assert_eq!(admitted(&mut limits, start), 20);
        assert_eq!(admitted(&mut limits, start + Duration::from_millis(500)), 10);
        assert!(limits.admit("app", "/topapi/v2/user/list", 20, start), "each path has its own");
        assert!(limits.admit("other", "/topapi/v2/user/get", 20, start), "and each application");
        assert_eq!((0..1000).filter(|_| limits.admit("app", "/x", 0, start)).count(), 1000);
    }

    #[test]
    fn an_address_has_a_window_of_twenty_seconds() {
        let mut limits = Limits::default();
        let start = Instant::now();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!((0..10).all(|second| limits.admit_address(address, 10, at(second))));
        assert!(limits.admit_address(address, 10, at(20)), "the first is out of the window");
        assert!(!limits.admit_address(address, 10, at(20)), "eleven within it");
    }
}
