//! The writing of a batch: commits its orders, and answers their callers.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Inner, Placed, QueuedOrder,
    batch::{self, Held, Outcome, Wait},
};
use crate::{Failure, change::pause_after_lost_lock};
use store::StoreError;

/// Maximum number of runs of a batch that meets a taken key or loses a lock; then its orders run one by one.
const MAX_RUNS: u32 = 3;
/// Maximum number of runs of a single order.
const MAX_RUNS_ALONE: u32 = 5;

/// Splits the orders into the first of each idempotency key, reference and replaced order, and the rest.
pub(super) fn split_duplicates(waiting: Vec<QueuedOrder>) -> (Vec<QueuedOrder>, Vec<QueuedOrder>) {
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

/// Orders that need a row that others hold, by that row; `None` for one that was waited for in vain.
pub(super) type Left = HashMap<Option<Held>, Vec<QueuedOrder>>;

/// Places all orders in one transaction; returns those that need a row that others hold.
pub(super) async fn place_batch(
    inner: &Arc<Inner>,
    mut waiting: Vec<QueuedOrder>,
    wait: Wait,
) -> Left {
    let mut run = 1;
    loop {
        let error = match batch::run(inner, &waiting, wait).await {
            Ok(outcomes) => return answer(waiting, outcomes),
            Err(error) => error,
        };
        // Others hold a key. Another run would only wait as long for it again.
        let mut is_hopeless = false;
        if error.is_lock_timeout() {
            let before = waiting.len();
            waiting = reject_running_duplicates(inner, waiting).await;
            is_hopeless = waiting.len() == before;
        }
        if waiting.is_empty() {
            return HashMap::new();
        }
        match error {
            StoreError::LockLost(_) if wait != Wait::Never && is_hopeless => {
                return HashMap::from([(None, waiting)]);
            }
            StoreError::UniqueKeyTaken | StoreError::LockLost(_)
                if run < MAX_RUNS && !is_hopeless =>
            {
                pause_after_lost_lock(inner, run).await;
                run += 1;
            }
            StoreError::Unavailable(why) => {
                for one in waiting {
                    let _ = one
                        .answer
                        .send(Err(StoreError::Unavailable(why.clone()).into()));
                }
                return HashMap::new();
            }
            error => {
                let is_commit_unknown = matches!(error, StoreError::CommitUnknown(_));
                // Each individually, so that only the poisoned one fails, and on other connections, so that whatever
                // it waits for delays no other batch.
                for one in waiting {
                    let inner = inner.clone();
                    tokio::spawn(async move {
                        let _place = inner.held_orders.wait_for_place().await;
                        place_alone(&inner, one, is_commit_unknown).await;
                    });
                }
                return HashMap::new();
            }
        }
    }
}

/// Places a single order. `is_commit_unknown` means that it may already be written.
async fn place_alone(inner: &Inner, one: QueuedOrder, is_commit_unknown: bool) {
    let one = [one];
    let mut run = 1;
    let result = loop {
        match batch::run(inner, &one, Wait::ForStock).await {
            Ok(mut outcomes) => {
                break outcomes
                    .pop()
                    .and_then(Outcome::ok)
                    .unwrap_or(Err(Failure::Overloaded.into()));
            }
            Err(error) if error.is_lock_timeout() && is_running(inner, &one[0]).await => {
                break Err(Failure::KeyInProgress.into());
            }
            Err(error @ (StoreError::UniqueKeyTaken | StoreError::LockLost(_)))
                if run < MAX_RUNS_ALONE =>
            {
                pause_after_lost_lock(inner, run).await;
                run += 1;
                // The taken key may be the order's own id.
                if is_commit_unknown
                    && matches!(error, StoreError::UniqueKeyTaken)
                    && let Ok(Some(order)) = batch::find_committed(inner, one[0].id).await
                {
                    break Ok(Placed {
                        order,
                        replayed: false,
                    });
                }
            }
            Err(error) if is_commit_unknown => {
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
async fn reject_running_duplicates(inner: &Inner, waiting: Vec<QueuedOrder>) -> Vec<QueuedOrder> {
    let mut left = Vec::with_capacity(waiting.len());
    for one in waiting {
        if is_running(inner, &one).await {
            let _ = one.answer.send(Err(Failure::KeyInProgress.into()));
        } else {
            left.push(one);
        }
    }
    left
}

/// Returns true if a request with the same key runs elsewhere; false if that can't be found out, so that the order is
/// tried again.
async fn is_running(inner: &Inner, one: &QueuedOrder) -> bool {
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

/// Answers the callers whose orders are decided; returns the other orders, by the row that others hold.
fn answer(waiting: Vec<QueuedOrder>, outcomes: Vec<Outcome>) -> Left {
    let mut held = Left::new();
    for (one, outcome) in waiting.into_iter().zip(outcomes) {
        match outcome {
            // The caller may be gone; the order stands all the same.
            Ok(result) => drop(one.answer.send(result)),
            Err(by) => held.entry(Some(by)).or_default().push(one),
        }
    }
    held
}
