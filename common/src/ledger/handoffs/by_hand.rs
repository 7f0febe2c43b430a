//! What people do with a handoff: look at it, and have it tried again.

use chrono::TimeDelta;

use super::conclude::lock;
use crate::{
    domain::{
        handoff::{Attempt, Handoff, HandoffState},
        hint::Hint,
        ids::HandoffId,
    },
    ledger::{Ledger, LedgerError, Points, Result, in_one_transaction},
    store,
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
    #[error("its integrator was sent something newer about the order")]
    Overtaken,
}

impl Ledger {
    /// With all its attempts, in order.
    pub async fn handoff(&self, id: HandoffId) -> Result<Option<(Handoff, Vec<Attempt>)>> {
        let mut tx = self.inner.db.read().await?;
        let Some(handoff) = store::handoffs::get(&mut tx, id).await? else {
            return Ok(None);
        };
        let attempts = store::attempts::of_handoff(&mut tx, id).await?;
        Ok(Some((handoff, attempts)))
    }

    /// Opens a new round of attempts for a handoff of an open order that failed, is held, or is parked.
    pub async fn retry_handoff(&self, id: HandoffId) -> Result<Handoff, RetryRefused> {
        let known = self.handoff(id).await.map_err(LedgerError::widen)?;
        let Some((known, _)) = known else {
            return Err(LedgerError::Refused(RetryRefused::Unknown));
        };
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let Some((order, stored)) = lock(&mut change, known.order_id, id)
                .await
                .map_err(LedgerError::widen)?
            else {
                return Err(LedgerError::Refused(RetryRefused::Unknown));
            };
            let handoff = stored.handoff;
            if order.as_ref().is_some_and(|order| !order.status.is_open()) {
                return Err(LedgerError::Refused(RetryRefused::OrderEnded));
            }
            let state = handoff.state;
            if !matches!(
                state,
                HandoffState::Failed | HandoffState::Held | HandoffState::Parked
            ) {
                return Err(LedgerError::Refused(RetryRefused::NotRetryable { state }));
            }
            if let Some(order) = &order {
                let siblings = store::handoffs::of_order(&mut change.tx, order.id).await?;
                let overtaken = siblings.iter().any(|other| {
                    other.integrator_id == handoff.integrator_id
                        && other.position > handoff.position
                        && other.attempts > 0
                });
                if overtaken {
                    return Err(LedgerError::Refused(RetryRefused::Overtaken));
                }
            }
            let deadline = order
                .filter(|order| order.status.awaits_acceptance())
                .and_then(|order| order.accept_by)
                .unwrap_or(change.now + LONGEST);
            let now = change.now;
            store::handoffs::reopen(&mut change.tx, id, deadline, now).await?;
            change.hint(Hint::Handoffs {
                integrator: handoff.integrator_id,
            });
            Ok(Handoff {
                state: HandoffState::Due,
                round: handoff.round + 1,
                attempts: 0,
                next_attempt_at: Some(now),
                deadline,
                reason: None,
                closed_at: None,
                ..handoff
            })
        })
    }
}
