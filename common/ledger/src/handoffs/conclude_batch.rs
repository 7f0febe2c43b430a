//! Batches acknowledgements: those that arrive during a commit share the next one.
//!
//! The batch contains only acknowledgements from healthy integrators. They lock nothing that is not locked at the
//! beginning, so the global lock order holds for the batch as it does for one. A failure, a handoff whose rows others
//! have locked, and an integrator that the breaker watches or whose rate may grow are concluded individually.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use super::{
    Claimed, Concluded,
    available::{Locked, lock_available},
    conclude::{AttemptResult, conclude, conclude_alone, has_an_open_attempt, recorded_outcome},
};
use crate::{
    BatchLimits, CrashPoints, Failure, Inner, Ledger, Result, batcher, idempotency::Handle,
    in_one_transaction,
};
use domain::{
    handoff::{AttemptOutcome, SendResult, outcome},
    ids::HandoffId,
};
use store::{StoreError, handoffs::Candidate};

const LIMITS: BatchLimits = BatchLimits {
    max_requests: 64,
    max_bytes: usize::MAX,
    // While one waits for its disk, the next one's statements run.
    writers: 2,
    // Any more are concluded individually.
    queue_capacity: 1024,
};

/// An acknowledgement that waits for its commit.
#[derive(Debug)]
pub(crate) struct PendingAcknowledgement {
    claimed: Claimed,
    heard: SendResult,
    answer: Option<Vec<u8>>,
    used_cached_token: bool,
    concluded: oneshot::Sender<Result<Concluded>>,
}

pub(crate) type Queue = mpsc::Sender<PendingAcknowledgement>;

pub(crate) fn start_writers(inner: &Weak<Inner>) -> Queue {
    batcher::start_writers(inner, "acknowledgement", LIMITS, |_| 0, conclude_batch)
}

impl Ledger {
    /// Records an attempt's outcome once; an outcome that comes after the end of the lease changes nothing.
    #[crate::boxed]
    pub async fn conclude_attempt(
        &self,
        claimed: &Claimed,
        heard: &SendResult,
        answer: Option<&[u8]>,
        used_cached_token: bool,
    ) -> Result<Concluded> {
        let now = self.inner.clock.now();
        if can_batch(claimed, heard, used_cached_token, now)
            && let Ok(place) = self.inner.acknowledgements.try_reserve()
        {
            let (concluded, told) = oneshot::channel();
            place.send(PendingAcknowledgement {
                claimed: claimed.clone(),
                heard: heard.clone(),
                answer: answer.map(<[u8]>::to_vec),
                used_cached_token,
                concluded,
            });
            // The batch panicked: the next try reads what was recorded.
            return told.await.unwrap_or(Err(Failure::Overloaded));
        }
        let result = AttemptResult {
            heard,
            answer,
            used_cached_token,
        };
        let conclusion = conclude_alone(&self.inner, claimed, result).await?;
        if conclusion.must_disable {
            let integrator = &claimed.integrator;
            let (id, store) = (integrator.id, integrator.store_id);
            if let Err(error) = self.disable_failing_integrator(id, store).await {
                tracing::warn!(integrator = %id, %error, "the sweep will disable integrator {id}: {error}");
            }
        }
        Ok(conclusion.concluded)
    }
}

fn can_batch(
    claimed: &Claimed,
    heard: &SendResult,
    used_cached_token: bool,
    now: DateTime<Utc>,
) -> bool {
    claimed.was_healthy
        && !claimed.pressure.is_eased_by(claimed.started_at, now)
        && claimed.handoff.order_id.is_some()
        && outcome(heard, used_cached_token) == AttemptOutcome::Acknowledged
}

async fn conclude_batch(inner: Arc<Inner>, waiting: Vec<PendingAcknowledgement>) {
    let inner = Handle::new(inner);
    match conclude_in_one_transaction(&inner, &waiting).await {
        Ok(outcomes) => {
            for (one, outcome) in waiting.into_iter().zip(outcomes) {
                match outcome {
                    // The caller may be gone; the outcome is recorded all the same.
                    Some(concluded) => drop(one.concluded.send(Ok(concluded))),
                    // Each in its own task, so that waiting for one lock delays no other.
                    None => drop(tokio::spawn(conclude_and_reply(inner.clone(), one))),
                }
            }
        }
        Err(Failure::Store(StoreError::Unavailable(why))) => {
            for one in waiting {
                let unavailable = StoreError::Unavailable(why.clone());
                drop(one.concluded.send(Err(unavailable.into())));
            }
        }
        Err(error) => {
            tracing::debug!(%error, "{} acknowledgements are concluded one by one: {error}", waiting.len());
            for one in waiting {
                drop(tokio::spawn(conclude_and_reply(inner.clone(), one)));
            }
        }
    }
}

async fn conclude_and_reply(inner: Handle, one: PendingAcknowledgement) {
    let done = conclude_alone(&inner, &one.claimed, one.result()).await;
    let done = done.map(|conclusion| conclusion.concluded);
    drop(one.concluded.send(done));
}

/// Concludes the batch in one transaction; `None` for an acknowledgement whose order is locked by others.
async fn conclude_in_one_transaction(
    inner: &Handle,
    waiting: &[PendingAcknowledgement],
) -> Result<Vec<Option<Concluded>>> {
    in_one_transaction!(inner, CrashPoints::OUTCOME, |change| {
        let candidates: Vec<Candidate> = waiting
            .iter()
            .map(PendingAcknowledgement::candidate)
            .collect();
        let mut locked = lock_available(change, &candidates).await?;
        let mut outcomes = Vec::with_capacity(waiting.len());
        for one in waiting {
            let Some(at) = position(&locked, one.claimed.handoff.id) else {
                outcomes.push(None);
                continue;
            };
            let Locked { stored, mut order } = locked.swap_remove(at);
            if stored.fence != one.claimed.fence || !has_an_open_attempt(&stored) {
                outcomes.push(Some(recorded_outcome(change, &one.claimed).await?));
                continue;
            }
            let integrator = &one.claimed.integrator;
            let (order, result) = (order.as_mut(), one.result());
            let claimed = Some(&one.claimed);
            let conclusion = conclude(change, order, &stored, integrator, claimed, result).await?;
            outcomes.push(Some(conclusion.concluded));
        }
        Ok(outcomes)
    })
}

fn position(locked: &[Locked], handoff: HandoffId) -> Option<usize> {
    locked
        .iter()
        .position(|one| one.stored.handoff.id == handoff)
}

impl PendingAcknowledgement {
    fn candidate(&self) -> Candidate {
        let Claimed {
            handoff, session, ..
        } = &self.claimed;
        Candidate {
            id: handoff.id,
            order_id: handoff.order_id,
            session_id: *session,
        }
    }

    fn result(&self) -> AttemptResult<'_> {
        AttemptResult {
            heard: &self.heard,
            answer: self.answer.as_deref(),
            used_cached_token: self.used_cached_token,
        }
    }
}
