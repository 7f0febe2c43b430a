//! Batches outcomes: those that arrive during a commit share the next one.
//!
//! A batch reads what its outcomes need with a few statements, decides about each of them as if it were alone, and writes
//! with one statement for each kind of row. Acknowledgements of healthy integrators have batches of their own, because
//! they lock no integrator; so does what asks us to slow down, because it locks the integrator before it decides. An
//! outcome whose rows others have locked is concluded individually, and so is each one of a batch that fails.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
};

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use super::{
    Claimed, Concluded,
    available::{Locked, lock_available},
    breaker::{self, Told},
    conclude::{
        AttemptResult, Conclusion, Judged, OpenAttempt, answered_ids, apply, conclude_alone,
        end_attempt, has_an_open_attempt, recorded_outcomes,
    },
    pressure::{self, SlowDown},
};
use crate::{
    BatchLimits, Change, CrashPoints, Failure, Inner, Ledger, Result, batcher, idempotency::Handle,
    in_one_transaction,
};
use domain::{
    handoff::{AttemptOutcome, SendResult, outcome},
    ids::{HandoffId, IntegratorId, OrderId, StoreId},
};
use platform::crash;
use store::{StoreError, handoffs::Candidate};

const LIMITS: BatchLimits = BatchLimits {
    max_requests: 64,
    max_bytes: usize::MAX,
    // Two would halve the batches, and wait for each other's sessions.
    writers: 1,
    // Any more are concluded individually.
    queue_capacity: 1024,
};
/// An outcome that waits for its commit.
#[derive(Debug)]
pub(crate) struct PendingOutcome {
    claimed: Claimed,
    heard: SendResult,
    answer: Option<Vec<u8>>,
    used_cached_token: bool,
    concluded: oneshot::Sender<Result<Conclusion>>,
}

/// Queues of outcomes.
#[derive(Clone, Debug)]
pub(crate) struct Queues {
    acknowledgements: mpsc::Sender<PendingOutcome>,
    others: mpsc::Sender<PendingOutcome>,
}

pub(crate) fn start_writers(inner: &Weak<Inner>) -> Queues {
    let start = |name| batcher::start_writers(inner, name, LIMITS, |_| 0, conclude_batch);
    Queues {
        acknowledgements: start("acknowledgement"),
        others: start("outcome"),
    }
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
        let queues = &self.inner.outcomes;
        let queue = if is_healthy_acknowledgement(claimed, heard, used_cached_token, now) {
            &queues.acknowledgements
        } else {
            &queues.others
        };
        let conclusion = if let Ok(place) = queue.try_reserve() {
            let (concluded, told) = oneshot::channel();
            place.send(PendingOutcome {
                claimed: claimed.clone(),
                heard: heard.clone(),
                answer: answer.map(<[u8]>::to_vec),
                used_cached_token,
                concluded,
            });
            // The batch panicked: the next try reads what was recorded.
            told.await.unwrap_or(Err(Failure::Overloaded))?
        } else {
            let result = AttemptResult {
                heard,
                answer,
                used_cached_token,
            };
            conclude_alone(&self.inner, claimed, result).await?
        };
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

fn is_healthy_acknowledgement(
    claimed: &Claimed,
    heard: &SendResult,
    used_cached_token: bool,
    now: DateTime<Utc>,
) -> bool {
    claimed.was_healthy
        && !claimed.pressure.is_eased_by(claimed.started_at, now)
        && outcome(heard, used_cached_token) == AttemptOutcome::Acknowledged
}

async fn conclude_batch(inner: Arc<Inner>, waiting: Vec<PendingOutcome>) {
    let inner = Handle::new(inner);
    for part in parts(waiting) {
        conclude_part(&inner, part).await;
    }
}

/// Splits a batch so that each part has an order once, and what asks to slow down is apart.
fn parts(waiting: Vec<PendingOutcome>) -> impl Iterator<Item = Vec<PendingOutcome>> {
    let mut seen: BTreeMap<(bool, OrderId), usize> = BTreeMap::new();
    let mut parts: BTreeMap<(bool, usize), Vec<PendingOutcome>> = BTreeMap::new();
    for one in waiting {
        let slows = one.heard.asks_to_slow_down();
        let turn = match one.claimed.handoff.order_id {
            Some(order) => {
                let turn = seen.entry((slows, order)).or_default();
                *turn += 1;
                *turn
            }
            None => 1,
        };
        parts.entry((slows, turn)).or_default().push(one);
    }
    parts.into_values()
}

async fn conclude_part(inner: &Handle, waiting: Vec<PendingOutcome>) {
    match conclude_in_one_transaction(inner, &waiting).await {
        Ok(conclusions) => {
            for (one, conclusion) in waiting.into_iter().zip(conclusions) {
                match conclusion {
                    // The caller may be gone; the outcome is recorded all the same.
                    Some(conclusion) => drop(one.concluded.send(Ok(conclusion))),
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
            tracing::debug!(%error, "{} outcomes are concluded one by one: {error}", waiting.len());
            for one in waiting {
                drop(tokio::spawn(conclude_and_reply(inner.clone(), one)));
            }
        }
    }
}

async fn conclude_and_reply(inner: Handle, one: PendingOutcome) {
    let done = conclude_alone(&inner, &one.claimed, one.result()).await;
    drop(one.concluded.send(done));
}

/// Concludes the batch in one transaction; `None` for an outcome whose order is locked by others.
async fn conclude_in_one_transaction(
    inner: &Handle,
    waiting: &[PendingOutcome],
) -> Result<Vec<Option<Conclusion>>> {
    in_one_transaction!(inner, CrashPoints::OUTCOME, |change| {
        let candidates: Vec<Candidate> = waiting.iter().map(PendingOutcome::candidate).collect();
        let mut locked = lock_available(change, &candidates).await?;
        gather(change, &locked).await?;
        crash::point("attempt.after_outcome_locks");
        let mut conclusions: Vec<Option<Conclusion>> = Vec::with_capacity(waiting.len());
        let mut open: Vec<(usize, &PendingOutcome, Locked)> = Vec::new();
        let mut late: Vec<(usize, &Claimed)> = Vec::new();
        for (at, one) in waiting.iter().enumerate() {
            let Some(found) = position(&locked, one.claimed.handoff.id) else {
                conclusions.push(None);
                continue;
            };
            let found = locked.swap_remove(found);
            let stored = &found.stored;
            if stored.fence == one.claimed.fence && has_an_open_attempt(stored) {
                open.push((at, one, found));
            } else {
                late.push((at, &one.claimed));
            }
            conclusions.push(Some(Conclusion::of(Concluded::Forgotten)));
        }
        let claims: Vec<&Claimed> = late.iter().map(|(_, claimed)| *claimed).collect();
        let recorded = recorded_outcomes(change, &claims).await?;
        for ((at, _), recorded) in late.into_iter().zip(recorded) {
            conclusions[at] = Some(Conclusion::of(recorded));
        }
        conclude_open(change, open, &mut conclusions).await?;
        Ok(conclusions)
    })
}

/// Reads what the outcomes of these orders may need.
async fn gather(change: &mut Change<'_>, locked: &[Locked]) -> Result<()> {
    let orders = locked.iter().filter_map(|one| one.order.as_ref());
    let ids: Vec<OrderId> = orders.clone().map(|order| order.id).collect();
    let waits = orders.filter(|order| order.status.awaits_acceptance());
    let stores: BTreeSet<StoreId> = waits.map(|order| order.store_id).collect();
    change.gather(&ids).await?;
    Ok(change.gather_integrators(&stores).await?)
}

/// Concludes open attempts whose rows are locked: all are judged, then handoffs and orders moved, then integrators.
async fn conclude_open(
    change: &mut Change<'_>,
    open: Vec<(usize, &PendingOutcome, Locked)>,
    conclusions: &mut [Option<Conclusion>],
) -> Result<()> {
    let mut orders = Vec::with_capacity(open.len());
    let mut attempts = Vec::with_capacity(open.len());
    for (at, one, Locked { stored, order }) in open {
        orders.push(order);
        attempts.push((at, one, stored));
    }
    let attempts: Vec<(usize, OpenAttempt<'_>)> = attempts
        .iter()
        .map(|(at, one, stored)| (*at, one.open(stored)))
        .collect();
    let paused_until = slow_down(change, &attempts).await?;
    let mut judged: Vec<Judged> = Vec::with_capacity(attempts.len());
    for ((_, attempt), paused_until) in attempts.iter().zip(paused_until) {
        judged.push(end_attempt(change, *attempt, paused_until).await?);
    }
    let references: Vec<(IntegratorId, String)> = attempts
        .iter()
        .zip(&judged)
        .filter_map(|((_, attempt), judged)| {
            let ids = answered_ids(*attempt, judged.outcome);
            let reference = ids.reference()?.to_owned();
            Some((attempt.stored.handoff.integrator_id, reference))
        })
        .collect();
    change.gather_waiting_callbacks(&references).await?;
    for (((at, attempt), judged), order) in attempts.iter().zip(&judged).zip(&mut orders) {
        let concluded = apply(change, order.as_mut(), *attempt, judged).await?;
        conclusions[*at] = Some(Conclusion::of(concluded));
    }
    // The integrators are locked last. If somebody holds one, its outcomes must not hold up those of others.
    change.write_gathered().await?;
    change.tx.wait_for_no_lock();
    let told: Vec<Told<'_>> = attempts
        .iter()
        .zip(&judged)
        .map(|((_, attempt), judged)| attempt.tells(judged.outcome))
        .collect();
    let mut must_disable = breaker::record_outcomes(change, &told).await?;
    for ((at, _), told) in attempts.iter().zip(&told) {
        if must_disable.remove(&told.handoff.integrator_id)
            && let Some(conclusion) = &mut conclusions[*at]
        {
            conclusion.must_disable = true;
        }
    }
    Ok(())
}

/// Pauses the integrators whose answers mean "slow down"; returns the end of the pause for each attempt that was answered so.
async fn slow_down(
    change: &mut Change<'_>,
    attempts: &[(usize, OpenAttempt<'_>)],
) -> Result<Vec<Option<DateTime<Utc>>>> {
    let mut asked: BTreeMap<IntegratorId, Vec<(usize, SlowDown<'_>)>> = BTreeMap::new();
    for (at, (_, attempt)) in attempts.iter().enumerate() {
        if let Some(slow_down) = attempt.asks_to_slow_down() {
            let of = asked.entry(attempt.stored.handoff.integrator_id);
            of.or_default().push((at, slow_down));
        }
    }
    let mut paused_until = vec![None; attempts.len()];
    if !asked.is_empty() {
        // Nothing but integrators is locked after this.
        change.tx.wait_for_no_lock();
    }
    for (integrator, asked) in asked {
        let answers: Vec<SlowDown<'_>> = asked.iter().map(|(_, answer)| *answer).collect();
        let ends = pressure::slow_down(change, integrator, &answers).await?;
        for ((at, _), end) in asked.iter().zip(ends) {
            paused_until[*at] = Some(end);
        }
    }
    Ok(paused_until)
}

fn position(locked: &[Locked], handoff: HandoffId) -> Option<usize> {
    locked
        .iter()
        .position(|one| one.stored.handoff.id == handoff)
}

impl PendingOutcome {
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

    fn open<'a>(&'a self, stored: &'a store::handoffs::Stored) -> OpenAttempt<'a> {
        OpenAttempt {
            stored,
            integrator: &self.claimed.integrator,
            claimed: Some(&self.claimed),
            result: self.result(),
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
