//! Gauges that are counted in the database. One worker counts them for all: they would be the same everywhere.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::stuck::StuckKind;
use tokio::time::Instant;

use super::{Sweep, is_due, ok_or_default};

/// Shortest and longest interval of the counts.
const INTERVAL: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];
/// Share of the time that counting may take, as its inverse: with so much waiting that a count takes long, the counts
/// are less frequent.
const REST: u32 = 100;

/// Pace of the counts.
#[derive(Debug)]
pub(super) struct Pace {
    counted_at: Option<DateTime<Utc>>,
    interval: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            counted_at: None,
            interval: INTERVAL[0],
        }
    }
}

impl Pace {
    /// Returns true, and begins the next interval, if the last one is over.
    fn is_due(&mut self, now: DateTime<Utc>) -> bool {
        is_due(&mut self.counted_at, now, self.interval)
    }

    /// Sets the interval by the time that the counts took.
    fn took(&mut self, took: Duration) {
        let [shortest, longest] = INTERVAL;
        self.interval = took.saturating_mul(REST).clamp(shortest, longest);
    }
}

impl Sweep {
    /// Counts the gauges if they are due. Only the first of the workers that share the work has them; the others' are
    /// 0, and those with a label are absent.
    pub(super) async fn set_gauges_if_due(&self) {
        let now = self.ledger.clock().now();
        if !self.memory.lock().gauges.is_due(now) {
            return;
        }
        // Not `self.part()`, which counts the sweeps of the whole.
        if self.membership.borrow().part().rank > 0 {
            self.metrics.handoffs.reset();
            self.metrics.breakers_open.set(0);
            self.metrics.stuck.reset();
            return;
        }
        let begun_at = Instant::now();
        self.set_gauges().await;
        self.memory.lock().gauges.took(begun_at.elapsed());
    }

    async fn set_gauges(&self) {
        for (state, count) in ok_or_default("handoff_counts", self.ledger.handoff_counts().await) {
            let handoffs = &self.metrics.handoffs;
            handoffs.with_label_values(&[state.as_str()]).set(count);
        }
        if let Ok(count_open_breakers) = self.ledger.count_open_breakers().await {
            self.metrics.breakers_open.set(count_open_breakers);
        }
        let Ok(stuck) = self.ledger.stuck().await else {
            // The steps above have logged that the database is unavailable.
            return;
        };
        for kind in StuckKind::ALL {
            let count = stuck.iter().filter(|one| one.kind == *kind).count();
            let gauge = self.metrics.stuck.with_label_values(&[kind.as_str()]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use store::testing::noon;

    use super::*;

    #[test]
    fn counts_that_take_long_are_less_frequent() {
        let mut pace = Pace::default();
        let mut is_due_after = |took: Duration, pause: Duration| {
            assert!(pace.is_due(noon() - Duration::from_secs(3600)));
            pace.counted_at = Some(noon());
            pace.took(took);
            pace.is_due(noon() + pause)
        };
        let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
        assert!(!is_due_after(millis(1), seconds(9)));
        assert!(is_due_after(millis(1), seconds(10)));
        assert!(!is_due_after(millis(300), seconds(29)));
        assert!(is_due_after(millis(300), seconds(30)));
        assert!(is_due_after(seconds(9), seconds(60)));
    }
}
