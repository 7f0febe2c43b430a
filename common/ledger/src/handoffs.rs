//! Handoffs as workers see them: claimed under a lease and concluded once.

mod available;
mod breaker;
mod bulk_retry;
mod claim;
mod conclude;
mod conclude_batch;
mod list;
mod order_effects;
mod pressure;
mod recent;
mod retry;
mod send_test;
#[cfg(test)]
mod tests;
mod waiting;

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{ChangeError, Failure};
use domain::{
    handoff::{AttemptOutcome, Handoff, Verdict},
    ids::{OrderId, SessionId},
    integrator::{Integrator, OutboundAuth},
    pressure::Pressure,
    sharing::Limits,
    signature::SigningSecret,
    status::MoveRefused,
    trace::TraceContext,
};
use store::StoreError;

pub use bulk_retry::{BulkRetryRequest, BulkRetryResult, Example, MAX_BULK_RETRY, RetryOutcome};
pub use list::{HandoffHistory, ListedHandoff};
pub use recent::RecentHandoff;
pub use send_test::TestRefused;

pub use domain::retry::RetryRefused;
pub use store::handoffs::HandoffFilter;

pub(crate) use claim::FAILED_CLAIM_DELAY;
pub(crate) use conclude::{AttemptResult, conclude, has_an_open_attempt, lock};
pub(crate) use conclude_batch::{Queues, start_writers};

pub(crate) use order_effects::{
    acknowledge_by_callback, fail, hint_next, move_delivery, withdraw_from_order,
};

/// Reason of handoffs that are withdrawn because their integrator is archived.
pub(crate) const INTEGRATOR_ARCHIVED: &str = "integrator_archived";

/// Result of one claim.
#[derive(Debug, Default)]
pub struct Claims {
    pub claimed: Vec<Claimed>,
    /// Time of the next useful claim: when the next handoff falls due, or when the pause of the integrator or of its open
    /// breaker ends.
    pub next_due_at: Option<DateTime<Utc>>,
    /// True if some due handoffs were locked by others, or were closed here instead of being sent: claim again soon.
    pub retry_soon: bool,
    /// The limits of the integrator for all workers together, as of this claim; `None` if it is sent nothing.
    pub limits: Option<Limits>,
    /// Longest time for which one of them that was never sent before was due.
    pub longest_wait: Duration,
    /// True if the integrator's pause or breaker let fewer be claimed than are due.
    pub is_held_back: bool,
}

/// A claimed handoff: one attempt that must now be made, with everything that its request is built from.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The handoff, in the state `sending`.
    pub handoff: Handoff,
    /// The attempt's number in its round, from 1. Those that do not count are numbered too.
    pub n: u32,
    /// Fencing token: an outcome counts only while the handoff still has this value.
    pub fence: i64,
    pub started_at: DateTime<Utc>,
    /// End of the lease. Without an outcome by then, the sweep records the attempt as unknown.
    pub leased_until: DateTime<Utc>,
    pub integrator: Integrator,
    /// True if the integrator's breaker had no failure on record at the time of the claim.
    pub was_healthy: bool,
    /// The integrator's pace at the time of the claim.
    pub pressure: Pressure,
    pub auth: OutboundAuth,
    /// Newest first; two during a rotation.
    pub signing: Vec<SigningSecret>,
    /// Request body, the same bytes on every attempt.
    pub body: Bytes,
    /// Session of the order.
    pub session: Option<SessionId>,
    /// The order's number in its store, for logs.
    pub order_number: Option<i64>,
    /// Place of the order in a trace that is recorded.
    pub trace: Option<TraceContext>,
}

/// Result of recording an attempt's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concluded {
    Recorded {
        outcome: AttemptOutcome,
        verdict: Verdict,
    },
    /// The outcome was recorded, but the order has ended meanwhile: there is no next attempt.
    CalledOff { outcome: AttemptOutcome },
    /// The same caller recorded this outcome before; the response to that commit was lost. Nothing was changed.
    AlreadyRecorded { outcome: AttemptOutcome },
    /// The lease expired before, and the attempt is recorded as unknown. Nothing was changed.
    Fenced,
    /// The attempt is not on record: the database has lost the claim, or it was taken back. Nothing was changed.
    Forgotten,
}

/// Maps a refused move to an error about a corrupt row, for moves that the status table always allows at this point.
pub(crate) fn corrupt_if_refused(
    order: OrderId,
) -> impl FnOnce(ChangeError<MoveRefused>) -> Failure {
    move |error| match error {
        ChangeError::Refused(refused) => StoreError::corrupt("orders", order, refused).into(),
        ChangeError::Failed(failure) => failure,
    }
}
