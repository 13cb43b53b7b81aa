//! How many calls a second each application may make to each path (`contacts-api.md §9`).

use std::collections::HashMap;

use tokio::time::Instant;

#[derive(Debug)]
struct Bucket {
    allowance: f64,
    at: Instant,
}

/// A token bucket for each application and path, as deep as one second's allowance.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    buckets: HashMap<(String, &'static str), Bucket>,
}

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}
