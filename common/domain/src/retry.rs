//! Manual retries of handoffs: whether one is allowed, and the record of who retried what.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    handoff::HandoffState,
    ids::{AccountId, RetryId, StoreId},
    status::OrderStatus,
};

/// Time limit of a retried handoff whose order does not wait to be accepted.
const MAX_REOPENED: TimeDelta = TimeDelta::hours(24);

/// Reason why a handoff is not retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryRefused {
    #[error("handoff not found")]
    Unknown,
    #[error("the order has ended")]
    OrderEnded,
    #[error("a handoff that is {state} can't be retried")]
    NotRetryable { state: HandoffState },
    #[error("the integrator is archived")]
    IntegratorArchived,
    #[error("the integrator was already sent a newer message about the order")]
    Overtaken,
    #[error("the order ends before the handoff could be sent")]
    TooLate,
}

impl RetryRefused {
    /// Returns a low-cardinality label, for counting.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::OrderEnded => "order_ended",
            Self::NotRetryable { .. } => "not_retryable",
            Self::IntegratorArchived => "integrator_archived",
            Self::Overtaken => "overtaken",
            Self::TooLate => "too_late",
        }
    }
}

/// Facts that decide whether a handoff may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub state: HandoffState,
    /// Its order's status and `accept_by`; `None` for a `test`.
    pub order: Option<(OrderStatus, Option<DateTime<Utc>>)>,
    pub integrator_archived: bool,
    /// True if its integrator was sent a newer message about the order.
    pub overtaken: bool,
}

/// Returns the deadline of a handoff that is reopened for `due_at`, or why it is not reopened.
pub fn reopen_deadline(
    candidate: &Candidate,
    due_at: DateTime<Utc>,
) -> Result<DateTime<Utc>, RetryRefused> {
    let state = candidate.state;
    if candidate.order.is_some_and(|(status, _)| !status.is_open()) {
        return Err(RetryRefused::OrderEnded);
    }
    if !matches!(
        state,
        HandoffState::Failed | HandoffState::Held | HandoffState::Parked
    ) {
        return Err(RetryRefused::NotRetryable { state });
    }
    if candidate.integrator_archived {
        return Err(RetryRefused::IntegratorArchived);
    }
    if candidate.overtaken {
        return Err(RetryRefused::Overtaken);
    }
    let accept_by = candidate
        .order
        .filter(|(status, _)| status.awaits_acceptance())
        .and_then(|(_, accept_by)| accept_by);
    match accept_by {
        Some(end) if end <= due_at => Err(RetryRefused::TooLate),
        Some(end) => Ok(end),
        None => Ok(due_at + MAX_REOPENED),
    }
}

/// A manual retry: of one handoff, or of all that matched a filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    pub id: RetryId,
    pub by: AccountId,
    pub by_username: Option<String>,
    /// The store, if the retry was limited to one.
    pub store_id: Option<StoreId>,
    pub filter: Value,
    /// Number of handoffs that matched the filter.
    pub matched: u32,
    pub retried: u32,
    /// Numbers of handoffs that were not retried, by [`RetryRefused::as_str`].
    pub refused: BTreeMap<String, u32>,
    pub started_at: DateTime<Utc>,
    /// `None` while it runs, or if it was interrupted.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A round of attempts that a person opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// At least 2: the first round opens automatically.
    pub round: u32,
    pub retry_id: RetryId,
    pub by: AccountId,
    pub by_username: Option<String>,
    pub opened_at: DateTime<Utc>,
    /// Its first attempt is not made before this.
    pub due_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn failed(order: Option<(OrderStatus, Option<DateTime<Utc>>)>) -> Candidate {
        Candidate {
            state: HandoffState::Failed,
            order,
            integrator_archived: false,
            overtaken: false,
        }
    }

    #[test]
    fn what_failed_is_held_or_parked_is_tried_again_and_nothing_else() {
        for state in HandoffState::ALL.iter().copied() {
            let candidate = Candidate {
                state,
                ..failed(Some((OrderStatus::Accepted, None)))
            };
            let expected = match state.as_str() {
                "failed" | "held" | "parked" => Ok(noon() + MAX_REOPENED),
                _ => Err(RetryRefused::NotRetryable { state }),
            };
            assert_eq!(reopen_deadline(&candidate, noon()), expected, "{state}");
        }
    }

    #[test]
    fn an_order_that_has_ended_or_ends_before_its_turn_is_not_sent_again() {
        let ended = failed(Some((OrderStatus::Failed, None)));
        assert_eq!(
            reopen_deadline(&ended, noon()),
            Err(RetryRefused::OrderEnded)
        );
        let accept_by = noon() + TimeDelta::seconds(60);
        let waits = failed(Some((OrderStatus::Processing, Some(accept_by))));
        assert_eq!(reopen_deadline(&waits, noon()), Ok(accept_by));
        assert_eq!(
            reopen_deadline(&waits, accept_by),
            Err(RetryRefused::TooLate)
        );
        // Once the order is accepted, `accept_by` no longer matters.
        let accepted = failed(Some((OrderStatus::Ready, Some(accept_by))));
        assert_eq!(
            reopen_deadline(&accepted, accept_by),
            Ok(accept_by + MAX_REOPENED)
        );
    }

    #[test]
    fn what_was_overtaken_stays_as_it_is_and_a_test_has_no_order_to_ask() {
        let overtaken = Candidate {
            overtaken: true,
            ..failed(Some((OrderStatus::Accepted, None)))
        };
        assert_eq!(
            reopen_deadline(&overtaken, noon()),
            Err(RetryRefused::Overtaken)
        );
        assert_eq!(
            reopen_deadline(&failed(None), noon()),
            Ok(noon() + MAX_REOPENED)
        );
    }

    #[test]
    fn nothing_goes_to_an_archived_integrator_again_not_even_a_test() {
        for order in [None, Some((OrderStatus::Accepted, None))] {
            let candidate = Candidate {
                integrator_archived: true,
                ..failed(order)
            };
            let refused = Err(RetryRefused::IntegratorArchived);
            assert_eq!(reopen_deadline(&candidate, noon()), refused);
        }
    }
}
