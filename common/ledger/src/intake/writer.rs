//! The writers: each takes the queued orders, commits them as one batch, and answers their callers.

use std::{collections::HashSet, sync::Arc};

use tokio::sync::{Mutex, mpsc};

use super::{
    Inner, IntakeSettings, Placed, Shared, Waiting,
    batch::{self, Outcome},
};
use crate::LedgerError;
use platform::crash;
use store::StoreError;

/// Maximum number of runs of a batch that meets a taken key or loses a lock; then its orders run one by one.
const MOST_RUNS: u32 = 3;
/// Maximum number of runs of a single order.
const MOST_RUNS_ALONE: u32 = 5;
/// Number of rounds with a busy session after which an order waits for its session individually.
const MOST_ROUNDS_BUSY: u32 = 3;

pub(crate) fn start_writers(inner: &Shared, queued: mpsc::Receiver<Waiting>) {
    let settings = inner.settings.intake;
    let queued = Arc::new(Mutex::new(queued));
    for _ in 0..settings.writers.max(1) {
        let (inner, queued) = (Arc::downgrade(inner), queued.clone());
        tokio::spawn(async move {
            loop {
                // The next writer takes over while this one commits.
                let waiting = take(&mut *queued.lock().await, &settings).await;
                let (Some(waiting), Some(inner)) = (waiting, inner.upgrade()) else {
                    break;
                };
                // This runs in a task of its own, so that a panic loses this batch's results but never a writer.
                let done = tokio::spawn(async move { place(&inner, waiting).await }).await;
                if let Err(error) = done {
                    tracing::error!(%error, "order batch panicked; its callers get an error");
                }
            }
        });
    }
}

/// Waits for the first order, and takes what is queued behind it.
async fn take(
    queued: &mut mpsc::Receiver<Waiting>,
    settings: &IntakeSettings,
) -> Option<Vec<Waiting>> {
    let first = queued.recv().await?;
    let mut bytes = first.order.size_bytes();
    let mut waiting = vec![first];
    while waiting.len() < settings.max_batch_orders && bytes < settings.max_batch_bytes {
        let Ok(next) = queued.try_recv() else { break };
        bytes += next.order.size_bytes();
        waiting.push(next);
    }
    Some(waiting)
}

/// Places all orders, in rounds: duplicates within a batch and orders whose session is busy go into the next round.
async fn place(inner: &Inner, mut waiting: Vec<Waiting>) {
    crash::point("intake.before_begin");
    let mut rounds_busy = 0;
    while !waiting.is_empty() {
        let (now, mut later) = apart_from_twins(waiting);
        if rounds_busy < MOST_ROUNDS_BUSY {
            let busy = together(inner, now).await;
            rounds_busy = if busy.is_empty() { 0 } else { rounds_busy + 1 };
            later.splice(0..0, busy);
        } else {
            rounds_busy = 0;
            for one in now {
                alone(inner, one, false).await;
            }
        }
        waiting = later;
    }
}

/// Splits the orders into the first of each idempotency key, reference and replaced order, and the rest.
fn apart_from_twins(waiting: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
    let (mut keys, mut references, mut replaced) = (HashSet::new(), HashSet::new(), HashSet::new());
    waiting.into_iter().partition(|one| {
        let order = &one.order;
        let key_is_new = order
            .idempotency
            .as_ref()
            .is_none_or(|it| keys.insert((it.owner, it.key.clone())));
        let reference_is_new = order
            .reference
            .as_ref()
            .is_none_or(|it| references.insert((order.placed_by(), it.clone())));
        let replaced_is_new = order.replaces.is_none_or(|it| replaced.insert(it));
        key_is_new && reference_is_new && replaced_is_new
    })
}

/// Places all orders in one transaction; returns those whose session is busy.
async fn together(inner: &Inner, mut waiting: Vec<Waiting>) -> Vec<Waiting> {
    let mut run = 1;
    loop {
        let error = match batch::run(inner, &waiting, false).await {
            Ok(outcomes) => return answer(waiting, outcomes),
            Err(error) => error,
        };
        if error.is_lock_timeout() {
            waiting = without_twins_that_run(inner, waiting).await;
            if waiting.is_empty() {
                return Vec::new();
            }
        }
        match error {
            StoreError::UniqueKeyTaken | StoreError::LockLost(_) if run < MOST_RUNS => run += 1,
            StoreError::Unavailable(why) => {
                for one in waiting {
                    let _ = one
                        .answer
                        .send(Err(StoreError::Unavailable(why.clone()).into()));
                }
                return Vec::new();
            }
            error => {
                let is_unanswered = matches!(error, StoreError::CommitUnknown(_));
                // Each individually, so that only the poisoned one fails.
                for one in waiting {
                    alone(inner, one, is_unanswered).await;
                }
                return Vec::new();
            }
        }
    }
}

/// Places a single order. `is_unanswered` means that it may already be written.
async fn alone(inner: &Inner, one: Waiting, is_unanswered: bool) {
    let one = [one];
    let mut run = 1;
    let result = loop {
        match batch::run(inner, &one, true).await {
            Ok(mut outcomes) => {
                break outcomes
                    .pop()
                    .expect("one order has one outcome")
                    .unwrap_or(Err(LedgerError::Overloaded));
            }
            Err(error) if error.is_lock_timeout() && is_running(inner, &one[0]).await => {
                break Err(LedgerError::KeyInProgress);
            }
            Err(error @ (StoreError::UniqueKeyTaken | StoreError::LockLost(_)))
                if run < MOST_RUNS_ALONE =>
            {
                run += 1;
                // The taken key may be the order's own id.
                if is_unanswered
                    && matches!(error, StoreError::UniqueKeyTaken)
                    && let Ok(Some(order)) = batch::kept_before(inner, one[0].id).await
                {
                    break Ok(Placed {
                        order,
                        replayed: false,
                    });
                }
            }
            Err(error) if is_unanswered => {
                break Err(StoreError::CommitUnknown(error.to_string()).into());
            }
            Err(error) => break Err(error.into()),
        }
    };
    let [one] = one;
    let _ = one.answer.send(result);
}

/// Removes the orders whose idempotency key is being written elsewhere, and tells their callers so; used after a lock
/// timeout.
async fn without_twins_that_run(inner: &Inner, waiting: Vec<Waiting>) -> Vec<Waiting> {
    let mut left = Vec::with_capacity(waiting.len());
    for one in waiting {
        if is_running(inner, &one).await {
            let _ = one.answer.send(Err(LedgerError::KeyInProgress));
        } else {
            left.push(one);
        }
    }
    left
}

/// Returns true if a request with the same key runs elsewhere; false if that can't be found out, so that the order is
/// tried again.
async fn is_running(inner: &Inner, one: &Waiting) -> bool {
    let Some(it) = &one.order.idempotency else {
        return false;
    };
    let Ok(mut tx) = inner.db.begin().await else {
        return false;
    };
    let answer = store::idempotency::is_being_written(&mut tx, it.owner, &it.key).await;
    tx.rollback().await;
    answer.unwrap_or(false)
}

fn answer(waiting: Vec<Waiting>, outcomes: Vec<Outcome>) -> Vec<Waiting> {
    let mut busy = Vec::new();
    for (one, outcome) in waiting.into_iter().zip(outcomes) {
        match outcome {
            // The caller may be gone; the order stands all the same.
            Some(result) => drop(one.answer.send(result)),
            None => busy.push(one),
        }
    }
    busy
}
