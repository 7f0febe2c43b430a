//! Trying again by hand: whether a handoff may be, and who had what tried again.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    handoff::HandoffState,
    ids::{AccountId, RetryId, StoreId},
    status::OrderStatus,
};

/// How long a retried handoff may be tried whose order waits for nobody's acceptance.
const LONGEST: TimeDelta = TimeDelta::hours(24);

/// Why a handoff is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryRefused {
    #[error("there is no such handoff")]
    Unknown,
    #[error("its order has ended")]
    OrderEnded,
    #[error("a handoff that is {state} can't be retried")]
    NotRetryable { state: HandoffState },
    #[error("its integrator is archived, and is sent nothing more")]
    IntegratorArchived,
    #[error("its integrator was sent something newer about the order")]
    Overtaken,
    #[error("its order ends before it could be sent")]
    TooLate,
}

impl RetryRefused {
    /// Few-valued, for counting.
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

/// What decides whether a handoff may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub state: HandoffState,
    /// Its order's status and `accept_by`; `None` for a `test`.
    pub order: Option<(OrderStatus, Option<DateTime<Utc>>)>,
    pub integrator_archived: bool,
    /// Its integrator was sent something newer about the order.
    pub overtaken: bool,
}

/// Until when a handoff is sent that is opened again for `due_at`.
pub fn reopened_until(
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
        None => Ok(due_at + LONGEST),
    }
}

/// What somebody had tried again: one handoff, or all that fitted a filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    pub id: RetryId,
    pub by: AccountId,
    pub by_username: Option<String>,
    /// Where it was about one store.
    pub store_id: Option<StoreId>,
    pub filter: Value,
    /// How many fitted the filter.
    pub matched: u32,
    pub retried: u32,
    /// How many were not tried again, by [`RetryRefused::as_str`].
    pub refused: BTreeMap<String, u32>,
    pub started_at: DateTime<Utc>,
    /// `None` while it runs, or where it broke off.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A round of attempts that somebody opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// From 2: the first opens by itself.
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
                "failed" | "held" | "parked" => Ok(noon() + LONGEST),
                _ => Err(RetryRefused::NotRetryable { state }),
            };
            assert_eq!(reopened_until(&candidate, noon()), expected, "{state}");
        }
    }

    #[test]
    fn an_order_that_has_ended_or_ends_before_its_turn_is_not_sent_again() {
        let ended = failed(Some((OrderStatus::Failed, None)));
        assert_eq!(
            reopened_until(&ended, noon()),
            Err(RetryRefused::OrderEnded)
        );
        let accept_by = noon() + TimeDelta::seconds(60);
        let waits = failed(Some((OrderStatus::Processing, Some(accept_by))));
        assert_eq!(reopened_until(&waits, noon()), Ok(accept_by));
        assert_eq!(
            reopened_until(&waits, accept_by),
            Err(RetryRefused::TooLate)
        );
        // Once it is accepted, nobody waits for that time any more.
        let accepted = failed(Some((OrderStatus::Ready, Some(accept_by))));
        assert_eq!(
            reopened_until(&accepted, accept_by),
            Ok(accept_by + LONGEST)
        );
    }

    #[test]
    fn what_was_overtaken_stays_as_it_is_and_a_test_has_no_order_to_ask() {
        let overtaken = Candidate {
            overtaken: true,
            ..failed(Some((OrderStatus::Accepted, None)))
        };
        assert_eq!(
            reopened_until(&overtaken, noon()),
            Err(RetryRefused::Overtaken)
        );
        assert_eq!(reopened_until(&failed(None), noon()), Ok(noon() + LONGEST));
    }

    #[test]
    fn nothing_goes_to_an_archived_integrator_again_not_even_a_test() {
        for order in [None, Some((OrderStatus::Accepted, None))] {
            let candidate = Candidate {
                integrator_archived: true,
                ..failed(order)
            };
            let refused = Err(RetryRefused::IntegratorArchived);
            assert_eq!(reopened_until(&candidate, noon()), refused);
        }
    }
}
