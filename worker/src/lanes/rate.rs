//! Rate limit in requests per second: a token bucket that takes the time from its caller, so that tests can set it.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Burst size in seconds of the rate, but at least one request. `sharing` never divides a rate so far that the bursts
/// of the parts together would exceed the burst of the whole.
const BURST_S: f64 = 0.1;

/// Rate limiter; the default is unlimited.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate {
    bucket: Option<Bucket>,
}

#[derive(Clone, Debug)]
struct Bucket {
    per_s: f64,
    tokens: f64,
    filled_at: DateTime<Utc>,
}

impl Rate {
    /// Sets the rate; `None` is unlimited. Tokens in the bucket are kept up to the new capacity. A new bucket counts as
    /// empty at `empty_at`, because another worker may have used the rate until then.
    pub(super) fn limit(
        &mut self,
        per_s: Option<f64>,
        empty_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) {
        let Some(per_s) = per_s else {
            self.bucket = None;
            return;
        };
        let bucket = self.bucket.get_or_insert(Bucket {
            per_s,
            tokens: 0.0,
            filled_at: empty_at.min(now),
        });
        bucket.fill(now);
        bucket.per_s = per_s;
        bucket.tokens = bucket.tokens.min(capacity(per_s));
    }

    /// Returns the number of requests allowed now.
    pub(super) fn available(&mut self, now: DateTime<Utc>) -> usize {
        match &mut self.bucket {
            None => usize::MAX,
            Some(bucket) => {
                bucket.fill(now);
                bucket.tokens.max(0.0) as usize
            }
        }
    }

    /// Returns when the bucket is full again; `None` if it is full or unlimited.
    pub(super) fn full_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let bucket = self.bucket.as_ref()?;
        let missing_s = (capacity(bucket.per_s) - bucket.tokens) / bucket.per_s;
        let full_at =
            bucket.filled_at + Duration::from_micros((missing_s.max(0.0) * 1e6).ceil() as u64);
        (full_at > now).then_some(full_at)
    }

    pub(super) fn take(&mut self, count: usize) {
        if let Some(bucket) = &mut self.bucket {
            bucket.tokens -= count as f64;
        }
    }

    /// Returns when the next request is allowed, if none is now.
    pub(super) fn next_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match &self.bucket {
            None => now,
            Some(bucket) => {
                let wait_s = (1.0 - bucket.tokens).max(0.0) / bucket.per_s;
                // Rounded up, because waking slightly too early would find no token.
                now + Duration::from_micros((wait_s * 1e6).ceil() as u64 + 1)
            }
        }
    }
}

impl Bucket {
    fn fill(&mut self, now: DateTime<Utc>) {
        let since = (now - self.filled_at).to_std().unwrap_or_default();
        self.tokens = (self.tokens + since.as_secs_f64() * self.per_s).min(capacity(self.per_s));
        self.filled_at = now;
    }
}

fn capacity(per_s: f64) -> f64 {
    (per_s * BURST_S).max(1.0)
}

#[cfg(test)]
mod tests {
    use store::testing::noon;

    use super::*;

    const LONG_AGO: DateTime<Utc> = DateTime::UNIX_EPOCH;

    /// Takes every available token for `seconds`, waiting as `next_at` says, and returns their number.
    fn taken_in(per_s: u32, seconds: u64) -> usize {
        let mut rate = Rate::default();
        let (mut now, mut taken) = (noon(), 0);
        rate.limit(Some(f64::from(per_s)), LONG_AGO, now);
        while now < noon() + Duration::from_secs(seconds) {
            let available = rate.available(now);
            rate.take(available);
            taken += available;
            now = rate.next_at(now);
        }
        taken
    }

    #[test]
    fn the_rate_is_kept_to_and_used() {
        for per_s in [1, 3, 20, 500] {
            let most = per_s as usize * 10 + (per_s as usize / 10).max(1);
            let taken = taken_in(per_s, 10);
            assert!(
                (per_s as usize * 10 - 1..=most).contains(&taken),
                "{per_s}: {taken}"
            );
        }
    }

    #[test]
    fn a_pause_saves_up_no_more_than_the_burst() {
        let mut rate = Rate::default();
        rate.limit(Some(50.0), LONG_AGO, noon());
        assert_eq!(rate.available(noon() + Duration::from_secs(3600)), 5);
    }

    #[test]
    fn a_rate_that_was_anothers_until_now_begins_with_nothing() {
        let mut rate = Rate::default();
        rate.limit(Some(1.0), noon(), noon());
        assert_eq!(rate.available(noon()), 0);
        assert_eq!(rate.available(noon() + Duration::from_secs(1)), 1);
    }

    #[test]
    fn it_is_full_as_soon_as_a_new_one_would_be() {
        let mut rate = Rate::default();
        assert_eq!(rate.full_at(noon()), None);
        rate.limit(Some(2.0), LONG_AGO, noon());
        assert_eq!(rate.full_at(noon()), None);
        rate.take(1);
        let full_at = noon() + Duration::from_millis(500);
        assert_eq!(rate.full_at(noon()), Some(full_at));
        assert_eq!(rate.full_at(full_at), None);
        assert_eq!(rate.available(full_at), 1);
    }

    #[test]
    fn another_limit_keeps_what_was_used() {
        let mut rate = Rate::default();
        rate.limit(Some(100.0), LONG_AGO, noon());
        rate.take(10);
        rate.limit(Some(50.0), LONG_AGO, noon());
        assert_eq!(rate.available(noon()), 0);
        rate.limit(Some(10.0), LONG_AGO, noon() + Duration::from_secs(60));
        assert_eq!(rate.available(noon() + Duration::from_secs(60)), 1);
    }

    #[test]
    fn no_limit_is_no_limit_and_telling_the_same_again_fills_nothing() {
        let mut rate = Rate::default();
        assert_eq!(rate.available(noon()), usize::MAX);
        rate.limit(Some(1.0), LONG_AGO, noon());
        rate.take(1);
        rate.limit(Some(1.0), LONG_AGO, noon());
        assert_eq!(rate.available(noon()), 0);
    }
}
