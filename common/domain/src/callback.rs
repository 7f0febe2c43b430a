//! Callbacks of integrators: their content, and the age of an update compared with those already applied.

use std::{cmp::Ordering, time::Duration};

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use super::words::words;

/// The body of a callback (docs/design.md section 6). Exactly one of `order_id` and `reference` names the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    pub order_id: Option<super::ids::OrderId>,
    pub reference: Option<String>,
    /// The integrator's own status word; `None` if only the delivery or the ready time changes.
    pub status: Option<String>,
    pub reason: Option<String>,
    pub sequence: Option<i64>,
    pub occurred_at: Option<DateTime<Utc>>,
    /// Time at which the order is expected to be ready.
    pub ready_at: Option<DateTime<Utc>>,
    pub delivery: Option<DeliveryUpdate>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryUpdate {
    pub tracking_number: Option<String>,
    pub status: Option<String>,
}

words! {
    /// Result of a stored callback.
    pub enum CallbackResult {
        Applied = "applied",
        /// Changes nothing: the order is already in that state.
        Unchanged = "unchanged",
        /// Older than one that was applied.
        Stale = "stale",
        /// Its status is neither one of the integrator's words nor one of ours.
        Unmapped = "unmapped",
        /// The order cannot move to that status from its current one.
        Illegal = "illegal",
        /// No order had its reference within ten minutes.
        Unmatched = "unmatched",
        /// Applying it failed five times.
        Parked = "parked",
        /// Its webhook id came before with another body, so it was refused.
        Conflict = "conflict",
    }
}

/// Sequence number and time of an update, as the integrator states them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpdateMark {
    pub sequence: Option<i64>,
    pub occurred_at: Option<DateTime<Utc>>,
}

impl Update {
    /// Returns the `occurred_at` that counts. It is bounded like the signed time: one further in the future would be newer
    /// than every update to come, and none of them would count. It counts as of its receipt.
    #[must_use]
    pub fn time_that_counts(
        &self,
        received_at: DateTime<Utc>,
        tolerance: Duration,
    ) -> Option<DateTime<Utc>> {
        let at = self.occurred_at?;
        let is_ahead = at > received_at + tolerance;
        Some(if is_ahead { received_at } else { at })
    }

    #[must_use]
    pub fn mark(&self) -> UpdateMark {
        UpdateMark {
            sequence: self.sequence,
            // Truncated to the stored precision, which is all that is known of earlier updates.
            occurred_at: self.occurred_at.map(|at| at.trunc_subsecs(6)),
        }
    }
}

/// Age of an update, compared with the newest one of the same integrator and order that counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    Newer,
    /// The same `occurred_at`, which clocks with whole seconds give to several updates: forward moves and ends count.
    SameTime,
    /// It has neither sequence nor time: only forward moves count.
    Unmarked,
    Older,
}

impl Age {
    /// Compares by `sequence` if both have one, else by `occurred_at` if both have one. If neither can be compared, a
    /// marked update counts as newer, and the table of moves alone decides.
    #[must_use]
    pub fn of(this: UpdateMark, newest: UpdateMark) -> Self {
        let times = this.occurred_at.zip(newest.occurred_at);
        if let (Some(sequence), Some(newest)) = (this.sequence, newest.sequence) {
            // A number that was used before is no news: unlike a clock, a counter can always count on.
            if sequence > newest {
                Self::Newer
            } else {
                Self::Older
            }
        } else if let Some((at, newest)) = times {
            match at.cmp(&newest) {
                Ordering::Greater => Self::Newer,
                Ordering::Equal => Self::SameTime,
                Ordering::Less => Self::Older,
            }
        } else if this == UpdateMark::default() {
            Self::Unmarked
        } else {
            Self::Newer
        }
    }
}

/// Returns the newest of both, field by field.
#[must_use]
pub fn newest(a: UpdateMark, b: UpdateMark) -> UpdateMark {
    UpdateMark {
        sequence: a.sequence.max(b.sequence),
        occurred_at: a.occurred_at.max(b.occurred_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(sequence: Option<i64>, at_s: Option<i64>) -> UpdateMark {
        UpdateMark {
            sequence,
            occurred_at: at_s.map(|s| DateTime::from_timestamp(s, 0).unwrap()),
        }
    }

    #[test]
    fn a_newer_sequence_wins_whatever_the_clocks_say() {
        let newest = mark(Some(2), Some(100));
        assert_eq!(Age::of(mark(Some(3), Some(50)), newest), Age::Newer);
        for again in [Some(50), Some(100), Some(150), None] {
            assert_eq!(Age::of(mark(Some(2), again), newest), Age::Older);
        }
    }

    #[test]
    fn the_newest_of_two_is_the_newest_field_by_field() {
        let both = newest(mark(Some(2), Some(50)), mark(Some(1), Some(100)));
        assert_eq!(both, mark(Some(2), Some(100)));
        assert_eq!(newest(UpdateMark::default(), both), both);
        assert_eq!(newest(both, UpdateMark::default()), both);
    }

    #[test]
    fn times_are_compared_as_precisely_as_they_are_stored() {
        let update: Update = serde_json::from_value(serde_json::json!({
            "status": "ready", "occurred_at": "2026-11-25T12:00:00.1234567Z"
        }))
        .unwrap();
        let stored = DateTime::parse_from_rfc3339("2026-11-25T12:00:00.123456Z").unwrap();
        let known = UpdateMark {
            sequence: None,
            occurred_at: Some(stored.to_utc()),
        };
        assert_eq!(Age::of(update.mark(), known), Age::SameTime, "told again");
    }

    #[test]
    fn a_time_further_in_the_future_than_clocks_may_differ_is_that_of_the_receipt() {
        let now = DateTime::from_timestamp(1_795_608_000, 0).unwrap();
        let tolerance = Duration::from_secs(300);
        let received = |at: &str| {
            let told = serde_json::json!({ "status": "ready", "occurred_at": at });
            let update: Update = serde_json::from_value(told).unwrap();
            update.time_that_counts(now, tolerance).unwrap()
        };
        let latest: DateTime<Utc> = "2026-11-25T12:05:00Z".parse().unwrap();
        assert_eq!(received("2026-11-25T12:05:00Z"), latest);
        assert_eq!(received("2026-11-25T14:05:00+02:00"), latest);
        assert_eq!(received("2020-01-01T00:00:00Z").timestamp(), 1_577_836_800);
        for future in [
            "2026-11-25T12:05:00.000001Z",
            "2026-11-25T14:00:00Z",
            "2126-11-25T12:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(received(future), now, "{future}");
        }
    }

    #[test]
    fn without_two_sequences_the_time_decides_and_without_either_nothing_is_ruled_out() {
        for sequences in [(None, None), (Some(1), None), (None, Some(1))] {
            let newest = mark(sequences.0, Some(100));
            let age = |at_s| Age::of(mark(sequences.1, Some(at_s)), newest);
            assert_eq!(age(99), Age::Older, "{sequences:?}");
            assert_eq!(age(100), Age::SameTime, "{sequences:?}");
            assert_eq!(age(101), Age::Newer, "{sequences:?}");
        }
        let (by_number, by_time) = (mark(Some(5), None), mark(None, Some(1)));
        assert_eq!(Age::of(by_time, by_number), Age::Newer);
        assert_eq!(Age::of(by_number, by_time), Age::Newer);
        let unmarked = UpdateMark::default();
        for newest in [unmarked, by_number, by_time] {
            assert_eq!(Age::of(unmarked, newest), Age::Unmarked);
        }
    }
}
