//! Handoffs as workers see them: claimed under a lease, and concluded once.

mod breaker;
mod bulk_retry;
mod claim;
mod conclude;
mod conclude_batch;
mod list;
mod order_effects;
mod recent;
mod retry;
mod send_test;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::LedgerError;
use domain::{
    handoff::{AttemptOutcome, Handoff, Verdict},
    ids::{OrderId, SessionId},
    integrator::{Integrator, OutboundAuth},
    signature::SigningSecret,
    status::MoveRefused,
};
use store::StoreError;

pub use bulk_retry::{Example, MOST_RETRIED, RetriedMany, RetryOutcome, RetryWanted};
pub use list::{HandoffHistory, ListedHandoff};
pub use recent::RecentHandoff;
pub use send_test::TestRefused;

pub use domain::retry::RetryRefused;
pub use store::handoffs::HandoffFilter;

pub(crate) use claim::{AFTER_A_FAILED_CLAIM, is_a_rows_fault};
pub(crate) use conclude::{Said, conclude, has_an_open_attempt, lock};
pub(crate) use conclude_batch::{Queue, queue, start_writers};

pub(crate) use order_effects::{acknowledge_by_callback, call_off, fail, hint_next, move_delivery};

/// The reason of handoffs that are not sent any more because their order has ended.
pub(crate) const ORDER_ENDED: &str = "order_ended";
/// The reason of handoffs that are not sent any more because their integrator is archived.
pub(crate) const INTEGRATOR_ARCHIVED: &str = "integrator_archived";

/// What one claim took.
#[derive(Debug, Default)]
pub struct Claims {
    pub claimed: Vec<Claimed>,
    /// When the integrator's next handoff falls due that is not due yet.
    pub next_due_at: Option<DateTime<Utc>>,
    /// Some that are due were locked by somebody else, or ended here instead of being sent: worth another claim soon.
    pub some_were_busy: bool,
}

/// One attempt that must now be made: everything that its request is written from.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// In the state `sending`.
    pub handoff: Handoff,
    /// The attempt's number in its round, from 1.
    pub n: u32,
    /// An outcome counts only while the handoff still has this.
    pub fence: i64,
    pub started_at: DateTime<Utc>,
    /// Without an outcome by then, the sweep takes it as unknown.
    pub leased_until: DateTime<Utc>,
    pub integrator: Integrator,
    /// Nothing bad was known of the integrator when this was claimed.
    pub was_well: bool,
    pub auth: OutboundAuth,
    /// The newest first; two during a rotation.
    pub signing: Vec<SigningSecret>,
    /// The same bytes on every attempt.
    pub body: Bytes,
    /// The session that its order is in.
    pub session: Option<SessionId>,
    /// The order's number in its store, for logs.
    pub order_number: Option<i64>,
}

/// What became of an attempt's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concluded {
    Recorded {
        outcome: AttemptOutcome,
        verdict: Verdict,
    },
    /// The outcome is on record, but its order has ended meanwhile, so that there is no next attempt.
    CalledOff { outcome: AttemptOutcome },
    /// It was on record before, as this, by whoever asked now: the answer to that commit was lost. Nothing was changed.
    RecordedBefore { outcome: AttemptOutcome },
    /// The lease ran out before, and the attempt stands as unknown: nothing was changed.
    Fenced,
}

/// A move that the table always allows where it is asked for. That it was refused is a fault of the row's.
pub(crate) fn must_move<R>(
    order: OrderId,
) -> impl FnOnce(LedgerError<MoveRefused>) -> LedgerError<R> {
    move |error| match error {
        LedgerError::Refused(refused) => StoreError::corrupt("orders", order, refused).into(),
        LedgerError::Store(error) => LedgerError::Store(error),
        LedgerError::Unsealable(why) => LedgerError::Unsealable(why),
        LedgerError::Overloaded => LedgerError::Overloaded,
        LedgerError::DoneBefore(resource) => LedgerError::DoneBefore(resource),
        LedgerError::KeyReused => LedgerError::KeyReused,
        LedgerError::KeyInProgress => LedgerError::KeyInProgress,
    }
}
