//! Acknowledgements share commits: whoever comes while one runs goes into the next. No timer, as in intake.
//!
//! Only answers that are good news for all concerned go together. They lock nothing that is not locked at the
//! beginning, so that the one order of locks holds for the batch as it does for one. What fails, is fenced off by others'
//! locks, or has an integrator that the breaker watches, is concluded alone.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    Claimed, Concluded,
    claim::{Locked, lock_free},
    conclude::{Said, alone, conclude, has_an_open_attempt, too_late},
};
use crate::{Inner, Ledger, LedgerError, Points, Result, idempotency::Handle, in_one_transaction};
use domain::{
    handoff::{AttemptOutcome, Heard, outcome},
    ids::HandoffId,
};
use store::{StoreError, handoffs::Candidate};

/// Acknowledgements of one commit at most.
const MOST_TOGETHER: usize = 64;
/// That wait for a commit; more are concluded alone.
const QUEUE_CAPACITY: usize = 1024;
/// Commits side by side: while one waits for its disk, the next one's statements run.
const WRITERS: usize = 2;

/// One that waits for its commit.
#[derive(Debug)]
pub(crate) struct Waiting {
    claimed: Claimed,
    heard: Heard,
    answer: Option<Vec<u8>>,
    used_cached_token: bool,
    concluded: oneshot::Sender<Result<Concluded>>,
}

pub(crate) type Queue = mpsc::Sender<Waiting>;

pub(crate) fn queue() -> (Queue, mpsc::Receiver<Waiting>) {
    mpsc::channel(QUEUE_CAPACITY)
}

impl Ledger {
    /// Records what the attempt met with, once; an outcome that comes after the lease's end changes nothing.
    pub async fn conclude_attempt(
        &self,
        claimed: &Claimed,
        heard: &Heard,
        answer: Option<&[u8]>,
        used_cached_token: bool,
    ) -> Result<Concluded> {
        if is_good_news(claimed, heard, used_cached_token)
            && let Ok(place) = self.inner.acknowledgements.try_reserve()
        {
            let (concluded, told) = oneshot::channel();
            place.send(Waiting {
                claimed: claimed.clone(),
                heard: heard.clone(),
                answer: answer.map(<[u8]>::to_vec),
                used_cached_token,
                concluded,
            });
            // A batch that panicked: what became of it is read again when it is tried again.
            return told.await.unwrap_or(Err(LedgerError::Overloaded));
        }
        let said = Said {
            heard,
            answer,
            used_cached_token,
        };
        let conclusion = alone(&self.inner, claimed, said).await?;
        if conclusion.is_given_up {
            let integrator = &claimed.integrator;
            let (id, store) = (integrator.id, integrator.store_id);
            if let Err(error) = self.disable_one_given_up(id, store).await {
                tracing::warn!(integrator = %id, %error, "it is left to the sweep to disable it: {error}");
            }
        }
        Ok(conclusion.concluded)
    }
}

fn is_good_news(claimed: &Claimed, heard: &Heard, used_cached_token: bool) -> bool {
    claimed.was_well
        && claimed.handoff.order_id.is_some()
        && outcome(heard, used_cached_token) == AttemptOutcome::Acknowledged
}

/// They end with the ledger.
pub(crate) fn start_writers(inner: &Arc<Inner>, queued: mpsc::Receiver<Waiting>) {
    let queued = Arc::new(Mutex::new(queued));
    for _ in 0..WRITERS {
        let (inner, queued) = (Arc::downgrade(inner), queued.clone());
        tokio::spawn(async move {
            loop {
                // The next writer takes over while this one commits.
                let waiting = take(&mut *queued.lock().await).await;
                let (Some(waiting), Some(inner)) = (waiting, inner.upgrade()) else {
                    break;
                };
                // In a task of its own: a panic loses this batch's answers, never a writer.
                if let Err(error) = tokio::spawn(together(Handle::new(inner), waiting)).await {
                    tracing::error!(%error, "a batch of acknowledgements was given up");
                }
            }
        });
    }
}

/// The first that comes, and whatever is queued behind it.
async fn take(queued: &mut mpsc::Receiver<Waiting>) -> Option<Vec<Waiting>> {
    let mut waiting = vec![queued.recv().await?];
    while waiting.len() < MOST_TOGETHER
        && let Ok(next) = queued.try_recv()
    {
        waiting.push(next);
    }
    Some(waiting)
}

async fn together(inner: Handle, waiting: Vec<Waiting>) {
    match in_one(&inner, &waiting).await {
        Ok(outcomes) => {
            for (one, outcome) in waiting.into_iter().zip(outcomes) {
                match outcome {
                    // Whoever asked may have gone; it is on record all the same.
                    Some(concluded) => drop(one.concluded.send(Ok(concluded))),
                    // Each by itself, so that a lock that one waits for holds up no other.
                    None => drop(tokio::spawn(by_itself(inner.clone(), one))),
                }
            }
        }
        Err(LedgerError::Store(StoreError::Unavailable(why))) => {
            for one in waiting {
                let unavailable = StoreError::Unavailable(why.clone());
                drop(one.concluded.send(Err(unavailable.into())));
            }
        }
        Err(error) => {
            tracing::debug!(%error, "{} acknowledgements go one by one: {error}", waiting.len());
            for one in waiting {
                drop(tokio::spawn(by_itself(inner.clone(), one)));
            }
        }
    }
}

async fn by_itself(inner: Handle, one: Waiting) {
    let done = alone(&inner, &one.claimed, one.said()).await;
    let done = done.map(|conclusion| conclusion.concluded);
    drop(one.concluded.send(done));
}

/// `None` for one whose order somebody else holds.
async fn in_one(inner: &Handle, waiting: &[Waiting]) -> Result<Vec<Option<Concluded>>> {
    in_one_transaction!(inner, Points::OUTCOME, |change| {
        let candidates: Vec<Candidate> = waiting.iter().map(Waiting::candidate).collect();
        let mut locked = lock_free(&mut change, &candidates).await?;
        let mut outcomes = Vec::with_capacity(waiting.len());
        for one in waiting {
            let Some(at) = position(&locked, one.claimed.handoff.id) else {
                outcomes.push(None);
                continue;
            };
            let Locked { stored, mut order } = locked.swap_remove(at);
            if stored.fence != one.claimed.fence || !has_an_open_attempt(&stored) {
                outcomes.push(Some(too_late(&mut change, &one.claimed).await?));
                continue;
            }
            let integrator = &one.claimed.integrator;
            let (order, said) = (order.as_mut(), one.said());
            let conclusion = conclude(&mut change, order, &stored, integrator, true, said).await?;
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

impl Waiting {
    fn candidate(&self) -> Candidate {
        let Claimed {
            handoff, session, ..
        } = &self.claimed;
        Candidate::of(handoff.id, handoff.order_id, *session)
    }

    fn said(&self) -> Said<'_> {
        Said {
            heard: &self.heard,
            answer: self.answer.as_deref(),
            used_cached_token: self.used_cached_token,
        }
    }
}
