//! Callbacks of integrators: their content, and whether an update is newer than those already applied.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use super::words::words;

/// The body of a callback (docs/design.md section 6). Exactly one of `order_id` and `reference` names the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    pub order_id: Option<super::ids::OrderId>,
    pub reference: Option<String>,
    /// The integrator's own status word; `None` if only the delivery moves.
    pub status: Option<String>,
    pub reason: Option<String>,
    pub sequence: Option<i64>,
    pub occurred_at: Option<DateTime<Utc>>,
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
    }
}

/// Sequence number and time of an update, as the integrator states them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpdateMark {
    pub sequence: Option<i64>,
    pub occurred_at: Option<DateTime<Utc>>,
}

impl Update {
    #[must_use]
    pub fn mark(&self) -> UpdateMark {
        UpdateMark {
            sequence: self.sequence,
            // Truncated to the stored precision, which is all that is known of earlier updates.
            occurred_at: self.occurred_at.map(|at| at.trunc_subsecs(6)),
        }
    }
}

/// Returns true if an update is newer than the newest applied one of the same integrator and order: by `sequence` if
/// both have one, else by `occurred_at`. Without either it returns true, and the table of moves alone decides.
#[must_use]
pub fn is_newer(newest: UpdateMark, this: UpdateMark) -> bool {
    match (
        newest.sequence,
        this.sequence,
        newest.occurred_at,
        this.occurred_at,
    ) {
        (Some(newest), Some(this), ..) => this > newest,
        (_, _, Some(newest), Some(this)) => this > newest,
        _ => true,
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
        assert!(is_newer(mark(Some(1), Some(100)), mark(Some(2), Some(50))));
        assert!(!is_newer(mark(Some(2), Some(50)), mark(Some(2), Some(100))));
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
        assert!(!is_newer(known, update.mark()), "the same, told again");
    }

    #[test]
    fn without_sequences_the_time_decides_and_without_either_nothing_is_ruled_out() {
        assert!(!is_newer(mark(None, Some(100)), mark(None, Some(100))));
        assert!(is_newer(mark(None, Some(100)), mark(None, Some(101))));
        assert!(is_newer(mark(Some(5), None), mark(None, Some(1))));
        assert!(is_newer(UpdateMark::default(), UpdateMark::default()));
    }
}
