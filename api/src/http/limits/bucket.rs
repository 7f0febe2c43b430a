//! Token buckets by key (GCRA), in a bounded table: for each key it stores the time at which the bucket is full again.
//!
//! The crate `governor` implements the same algorithm, but with an unbounded table and its own clock.

use parking_lot::Mutex;
use std::{collections::HashMap, hash::Hash, time::Duration};

use chrono::{DateTime, Utc};

/// Time in which an empty bucket fills up; a bucket holds the quota of one window.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
const WINDOW_US: i64 = 60_000_000;
/// Maximum number of keys (about 5 MB). Beyond it buckets are dropped, which lets more requests through.
const MAX_KEYS: usize = 50_000;

#[derive(Debug)]
pub(crate) struct Buckets<K> {
    /// Requests per minute; 0 means no limit.
    quota: u32,
    max_keys: usize,
    /// Time at which each bucket is full again, in microseconds since 1970.
    full_at: Mutex<HashMap<K, i64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuotaState {
    pub(super) quota: u32,
    pub(super) remaining: u32,
    pub(super) full_in: Duration,
    /// Time until the next request is allowed, if this one was refused.
    pub(crate) wait: Option<Duration>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(quota: u32) -> Self {
        Self {
            quota,
            max_keys: MAX_KEYS,
            full_at: Mutex::default(),
        }
    }

    /// Takes one request from the key's bucket; `None` if there is no limit.
    pub(crate) fn take(&self, key: K, now: DateTime<Utc>) -> Option<QuotaState> {
        if self.quota == 0 {
            return None;
        }
        let step = WINDOW_US / i64::from(self.quota);
        let now = now.timestamp_micros();
        let mut all = self.full_at.lock();
        // After the clock is set back, nobody waits longer than one window.
        let missing = all.get(&key).map_or(0, |at| (at - now).clamp(0, WINDOW_US));
        let after = missing + step;
        if after > WINDOW_US {
            return Some(QuotaState {
                quota: self.quota,
                remaining: 0,
                full_in: microseconds(missing),
                wait: Some(microseconds(after - WINDOW_US)),
            });
        }
        self.make_room_for(&key, &mut all, now);
        all.insert(key, now + after);
        let remaining = u32::try_from((WINDOW_US - after) / step).unwrap_or(u32::MAX);
        Some(QuotaState {
            quota: self.quota,
            remaining: remaining.min(self.quota - 1),
            full_in: microseconds(after),
            wait: None,
        })
    }

    /// Returns how long the key's bucket stays empty; `None` if it has a request left.
    pub(super) fn wait(&self, key: &K, now: DateTime<Utc>) -> Option<Duration> {
        if self.quota == 0 {
            return None;
        }
        let step = WINDOW_US / i64::from(self.quota);
        let full_at = *self.full_at.lock().get(key)?;
        let after = (full_at - now.timestamp_micros()).clamp(0, WINDOW_US) + step;
        (after > WINDOW_US).then(|| microseconds(after - WINDOW_US))
    }

    /// Returns true if the table has a bucket for this key, full or not.
    pub(super) fn has(&self, key: &K) -> bool {
        self.full_at.lock().contains_key(key)
    }

    /// Adds a full bucket for this key unless it has one.
    pub(super) fn begin(&self, key: K, now: DateTime<Utc>) {
        if self.quota == 0 {
            return;
        }
        let now = now.timestamp_micros();
        let mut all = self.full_at.lock();
        self.make_room_for(&key, &mut all, now);
        all.entry(key).or_insert(now);
    }

    fn make_room_for(&self, key: &K, all: &mut HashMap<K, i64>, now: i64) {
        if all.len() >= self.max_keys && !all.contains_key(key) {
            make_room(all, now, self.max_keys);
        }
    }
}

/// Drops full buckets, which carry no information. Drops all buckets if most are not full, so that this runs rarely.
fn make_room<K: Eq + Hash>(all: &mut HashMap<K, i64>, now: i64, most: usize) {
    all.retain(|_, at| *at > now);
    if all.len() > most / 2 {
        all.clear();
    }
}

fn microseconds(count: i64) -> Duration {
    Duration::from_micros(count.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use store::testing::noon;

    use super::*;

    fn taken(buckets: &Buckets<u32>, key: u32, now: DateTime<Utc>) -> QuotaState {
        buckets.take(key, now).expect("the bucket has a limit")
    }

    #[test]
    fn the_quota_may_come_at_once_and_then_as_it_comes_in() {
        for quota in [1, 7, 60, 6000] {
            let buckets = Buckets::new(quota);
            for left in (0..quota).rev() {
                let taken = taken(&buckets, 1, noon());
                assert_eq!((taken.remaining, taken.wait), (left, None), "{quota}");
            }
            let refused = taken(&buckets, 1, noon());
            let wait = refused.wait.expect("nothing is left");
            assert!(wait <= WINDOW / quota, "{quota}: {wait:?}");
            assert_eq!(taken(&buckets, 1, noon() + wait).wait, None);
            assert!(taken(&buckets, 1, noon() + wait).wait.is_some());
            assert_eq!(taken(&buckets, 2, noon()).wait, None, "another's is full");
            assert_eq!(
                taken(&buckets, 1, noon() + wait + WINDOW).remaining,
                quota - 1
            );
        }
    }

    #[test]
    fn no_quota_is_no_limit() {
        assert_eq!(Buckets::new(0).take(1, noon()), None);
    }

    #[test]
    fn more_keys_than_there_is_room_for_forget_the_idle_ones_first() {
        let mut buckets = Buckets::new(2);
        buckets.max_keys = 4;
        let later = noon() + WINDOW;
        for key in 1..=3 {
            taken(&buckets, key, noon());
        }
        taken(&buckets, 4, later);
        taken(&buckets, 5, later);
        assert_eq!(taken(&buckets, 4, later).remaining, 0, "it was not idle");
        for key in 10..1000 {
            taken(&buckets, key, later);
            let keys = buckets.full_at.lock().len();
            assert!(keys <= 4, "{keys}");
        }
    }

    #[test]
    fn one_that_is_begun_is_full_and_one_that_there_is_stays_as_it_is() {
        let buckets = Buckets::new(2);
        assert!(!buckets.has(&1));
        buckets.begin(1, noon());
        assert!(buckets.has(&1));
        assert_eq!(taken(&buckets, 1, noon()).remaining, 1);
        buckets.begin(1, noon());
        assert_eq!(taken(&buckets, 1, noon()).remaining, 0);
    }

    #[test]
    fn a_clock_set_back_keeps_nobody_waiting_for_long() {
        let buckets = Buckets::new(1);
        taken(&buckets, 1, noon() + Duration::from_secs(3600));
        let refused = taken(&buckets, 1, noon());
        assert_eq!(refused.wait, Some(WINDOW));
    }
}
