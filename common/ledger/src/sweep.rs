//! The reconciler's steps: each finds its work by a query, takes its own locks, and is idempotent.

mod deliver;
mod settle;
#[cfg(test)]
mod tests;
mod walk;

use std::{collections::HashMap, time::Duration};

use chrono::TimeDelta;
use uuid::Uuid;

use super::{
    CrashPoints, Failure, Ledger, Result,
    handoffs::{
        AttemptResult, FAILED_CLAIM_DELAY, conclude, corrupt_if_refused, fail, has_an_open_attempt,
        hint_next, lock,
    },
    in_one_transaction, in_one_try, orders,
};
use domain::{
    handoff::{FailReason, Handoff, HandoffState, SendResult},
    hint::Hint,
    ids::{CallbackId, HandoffId, IntegratorId, OrderId, StoreId},
    integrator::HandoffEvent,
    order::Order,
    status::{By, OrderStatus},
    stuck::Stuck,
};
use store::{
    StoreError,
    sweep::{Unmatched, stuck},
};

pub use self::deliver::PRESUMED_DELIVERED;
pub use self::walk::{Part, Walk};
pub use store::sweep::DueWork;

pub(crate) use self::walk::Steps;

/// Maximum time that a callback waits for its reference to become known.
const REFERENCE_TIMEOUT: Duration = Duration::from_secs(600);
/// Retention of idempotency keys with their stored responses; `ledger::intake` promises clients the same.
const KEY_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Maximum number of callbacks that one transaction attaches to their orders.
const MAX_MATCHED: usize = 512;
/// Maximum number of stuck items of each kind.
const MAX_STUCK_PER_KIND: u32 = 200;
/// Maximum number of rows that one pruning deletes from each table. If it deletes as many in total, some may be left.
pub const MAX_PRUNED: u32 = 1000;

/// Reason of an order that nobody accepted in time, although every required integrator was told of it.
pub const NOT_ACCEPTED_IN_TIME: &str = "not_accepted_in_time";

/// States of handoffs that are not closed.
const OPEN: [HandoffState; 5] = [
    HandoffState::Due,
    HandoffState::Waiting,
    HandoffState::Sending,
    HandoffState::Held,
    HandoffState::Parked,
];

impl Ledger {
    /// Records attempts as unknown whose lease expired without an outcome; returns their number.
    pub async fn free_expired_leases(&self, walk: impl Into<Walk>) -> Result<u32> {
        let mut steps = Steps::new(walk);
        while let Some(page) = steps.next_page() {
            let found = {
                let mut tx = self.inner.db.read().await?;
                store::sweep::expired_leases(&mut tx, self.inner.clock.now(), page).await?
            };
            steps.begin_page(found.len());
            for (handoff, order) in found {
                if !steps.takes(part_key(handoff, order)) {
                    continue;
                }
                let freed = self.free_expired_lease(handoff, order).await;
                if let Some(error) = row_error(&freed) {
                    self.record_failed_release(handoff, error).await?;
                }
                steps.note("expired lease", handoff.uuid(), &freed);
            }
        }
        Ok(steps.done())
    }

    async fn free_expired_lease(&self, id: HandoffId, order: Option<OrderId>) -> Result<bool> {
        in_one_try!(&self.inner, CrashPoints::SWEEP, |change| {
            let Some((mut order, stored)) = lock(change, order, id).await? else {
                return Ok(false);
            };
            let is_over = stored.leased_until.is_some_and(|until| until <= change.now);
            if !is_over || !has_an_open_attempt(&stored) {
                return Ok(false);
            }
            let of = stored.handoff.integrator_id;
            let integrator = store::integrators::get(&mut change.tx, of)
                .await?
                .ok_or_else(|| StoreError::corrupt("handoffs", id, "its integrator is missing"))?
                .integrator;
            let heard = SendResult::Lost {
                error: "its worker was not heard of again".to_owned(),
            };
            let result = AttemptResult {
                heard: &heard,
                answer: None,
                used_cached_token: false,
            };
            store::handoffs::renew_fence(&mut change.tx, id, change.inner.chance.fence()).await?;
            conclude(change, order.as_mut(), &stored, &integrator, None, result).await?;
            Ok(true)
        })
    }

    async fn record_failed_release(&self, handoff: HandoffId, error: &StoreError) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let (now, not_before) = (change.now, change.now + FAILED_CLAIM_DELAY);
            let (fence, error) = (change.inner.chance.fence(), error.public_message());
            let tx = &mut change.tx;
            store::handoffs::record_release_failure(tx, handoff, &error, not_before, now, fence)
                .await?;
            Ok(())
        })
    }

    /// Fails handoffs past their deadline that no lane claims because their integrator is disabled; returns their
    /// number.
    pub async fn fail_overdue_handoffs(&self, walk: impl Into<Walk>) -> Result<u32> {
        let mut steps = Steps::new(walk);
        while let Some(page) = steps.next_page() {
            let found = {
                let mut tx = self.inner.db.read().await?;
                store::sweep::overdue_handoffs(&mut tx, self.inner.clock.now(), page).await?
            };
            steps.begin_page(found.len());
            for (handoff, order) in found {
                if !steps.takes(part_key(handoff, order)) {
                    continue;
                }
                let failed = self.fail_overdue_handoff(handoff, order).await;
                if let Some(error) = row_error(&failed) {
                    self.record_failed_claim(handoff, error).await?;
                }
                steps.note("overdue handoff", handoff.uuid(), &failed);
            }
        }
        Ok(steps.done())
    }

    async fn fail_overdue_handoff(&self, id: HandoffId, order: Option<OrderId>) -> Result<bool> {
        in_one_try!(&self.inner, CrashPoints::SWEEP, |change| {
            let Some((mut order, stored)) = lock(change, order, id).await? else {
                return Ok(false);
            };
            let handoff = &stored.handoff;
            let is_due = handoff.next_attempt_at.is_some_and(|at| at <= change.now);
            if !is_due || handoff.deadline > change.now {
                return Ok(false);
            }
            let stored_integrator = store::integrators::get(&mut change.tx, handoff.integrator_id)
                .await?
                .ok_or_else(|| StoreError::corrupt("handoffs", id, "its integrator is missing"))?;
            if stored_integrator.archived_at.is_some() {
                // A step of its own withdraws it.
                return Ok(false);
            }
            let integrator = stored_integrator.integrator;
            let reason = if integrator.enabled {
                FailReason::Deadline
            } else {
                FailReason::IntegratorDisabled
            };
            fail(change, order.as_mut(), handoff, &integrator, reason).await?;
            hint_next(change, handoff).await?;
            Ok(true)
        })
    }

    /// Ends orders that nobody accepted by their `accept_by`; returns their number.
    pub async fn end_overdue_orders(&self, walk: impl Into<Walk>) -> Result<u32> {
        let mut steps = Steps::new(walk);
        while let Some(page) = steps.next_page() {
            let found = {
                let mut tx = self.inner.db.read().await?;
                store::sweep::overdue_orders(&mut tx, self.inner.clock.now(), page).await?
            };
            steps.begin_page(found.len());
            for order in found {
                if steps.takes(order.uuid()) {
                    let ended = self.end_overdue_order(order).await;
                    steps.note("overdue order", order.uuid(), &ended);
                }
            }
        }
        Ok(steps.done())
    }

    async fn end_overdue_order(&self, id: OrderId) -> Result<bool> {
        in_one_try!(&self.inner, CrashPoints::SWEEP, |change| {
            let Some(mut order) = orders::lock(change, id).await? else {
                return Ok(false);
            };
            let Some(accept_by) = order.accept_by.filter(|_| order.status.awaits_acceptance())
            else {
                return Ok(false);
            };
            if accept_by > change.now {
                return Ok(false);
            }
            // A callback that came in time is applied first.
            if store::callbacks::has_unapplied(&mut change.tx, id, accept_by).await? {
                change.hint(Hint::Callbacks { order: id });
                return Ok(false);
            }
            let (to, reason) = decide_overdue_end(change, &order).await?;
            orders::advance(change, &mut order, to, By::Sweep, Some(reason), None)
                .await
                .map_err(corrupt_if_refused(id))?;
            Ok(true)
        })
    }

    /// Applies callbacks that wait for nobody; returns their number.
    pub async fn apply_leftover_callbacks(&self, walk: impl Into<Walk>) -> Result<u32> {
        let (mut steps, mut applied) = (Steps::new(walk), 0);
        // An order comes once for each of its callbacks; `false` if they were left.
        let mut seen: HashMap<OrderId, bool> = HashMap::new();
        while let Some(page) = steps.next_page() {
            let found = {
                let mut tx = self.inner.db.read().await?;
                store::sweep::orders_with_unapplied_callbacks(&mut tx, page).await?
            };
            steps.begin_page(found.len());
            for order in found {
                let is_done = match seen.get(&order) {
                    Some(is_done) => Ok(*is_done),
                    None if !steps.takes(order.uuid()) => {
                        seen.insert(order, false);
                        continue;
                    }
                    None => self.try_apply_callbacks(order).await.map(|more| {
                        applied += more;
                        true
                    }),
                };
                seen.insert(order, matches!(is_done, Ok(true)));
                steps.note("unapplied callbacks", order.uuid(), &is_done);
            }
        }
        Ok(applied)
    }

    /// Attaches callbacks whose reference has become known to their order, among the next `max_examined` after `after`,
    /// and gives up those that have waited too long; returns the number attached, and the callback after which the next
    /// call goes on.
    #[crate::boxed]
    pub async fn match_references(
        &self,
        after: Option<CallbackId>,
        max_examined: u32,
        part: Part,
    ) -> Result<(u32, Option<CallbackId>)> {
        let mut found = {
            let mut tx = self.inner.db.read().await?;
            store::sweep::unmatched(&mut tx, after, max_examined).await?
        };
        found
            .callbacks
            .retain(|callback| part.has(callback.id.uuid()));
        let mut matched = 0;
        for some in found.callbacks.chunks(MAX_MATCHED) {
            match self.match_page(some).await {
                Ok(more) => matched += more,
                // Others hold one of them: each by itself, so that only that one is left.
                Err(error) if error.is_held() => {
                    for one in some.chunks(1) {
                        matched += self.match_page(one).await.unwrap_or_default();
                    }
                }
                Err(error) => return Err(error),
            }
        }
        in_one_try!(&self.inner, CrashPoints::SWEEP, |change| {
            let (now, limit) = (change.now, max_examined);
            let before = now - REFERENCE_TIMEOUT;
            store::sweep::give_up_unmatched(&mut change.tx, before, now, limit).await?;
            let matched = u32::try_from(matched).unwrap_or(u32::MAX);
            Ok((matched, found.continue_after))
        })
    }

    async fn match_page(&self, unmatched: &[Unmatched]) -> Result<u64> {
        in_one_try!(&self.inner, CrashPoints::SWEEP, |change| {
            let tx = &mut change.tx;
            let mut matched = 0;
            let mut to_apply: Vec<OrderId> = Vec::new();
            for one in unmatched {
                let (integrator, reference) = (one.integrator_id, one.reference.as_str());
                let found = store::callbacks::order_of_reference(tx, integrator, reference).await?;
                if let Some(order) = found {
                    store::callbacks::lock_unattached(tx, integrator, reference).await?;
                    matched += store::callbacks::attach(tx, integrator, reference, order).await?;
                    to_apply.push(order);
                }
            }
            for order in to_apply {
                change.hint(Hint::Callbacks { order });
            }
            Ok(matched)
        })
    }

    /// Deletes expired drafts, idempotency keys, tickets, tokens and records of changes, a bounded number at a time; returns
    /// their number.
    #[crate::boxed]
    pub async fn prune(&self) -> Result<u64> {
        let pruned: Result<u64> = in_one_try!(&self.inner, CrashPoints::SWEEP, |change| {
            let now = change.now;
            let keys_before = now - KEY_RETENTION;
            let tx = &mut change.tx;
            let pruned = store::sweep::prune(tx, keys_before, now, MAX_PRUNED).await?;
            let retention = change.inner.settings.audit_retention;
            let retention = retention.and_then(|kept| TimeDelta::from_std(kept).ok());
            match retention.and_then(|kept| now.checked_sub_signed(kept)) {
                Some(before) => Ok(pruned + store::records::prune(tx, before, MAX_PRUNED).await?),
                None => Ok(pruned),
            }
        });
        Ok(pruned? + self.prune_drafts().await?)
    }

    /// Lists integrators after `after` that could be sent something now. The list may be incomplete: the query is
    /// bounded, and the result says where the next one continues.
    #[crate::boxed]
    pub async fn integrators_with_due_work(
        &self,
        after: Option<IntegratorId>,
        limit: u32,
    ) -> Result<DueWork> {
        let mut tx = self.inner.db.read().await?;
        let now = self.inner.clock.now();
        Ok(store::sweep::integrators_with_due_work(&mut tx, now, after, limit).await?)
    }

    /// Lists orders with callbacks left to apply, longest waiting first.
    #[cfg(any(test, feature = "testing"))]
    #[crate::boxed]
    pub async fn orders_with_unapplied_callbacks(&self, limit: u32) -> Result<Vec<OrderId>> {
        let mut tx = self.inner.db.read().await?;
        let mut orders = store::sweep::orders_with_unapplied_callbacks(&mut tx, limit).await?;
        orders.dedup();
        Ok(orders)
    }

    /// Lists everything that is stuck until a person looks at it, the longest first.
    #[crate::boxed]
    pub async fn stuck(&self) -> Result<Vec<Stuck>> {
        self.stuck_in_stores(None).await
    }

    /// Lists what is stuck in these stores, if given. Items without a store, such as an announcement, are in the full
    /// list only.
    #[crate::boxed]
    pub async fn stuck_in_stores(&self, stores: Option<&[StoreId]>) -> Result<Vec<Stuck>> {
        let queries = stuck::stuck_queries(&self.inner.settings.stuck, self.inner.clock.now());
        let mut tx = self.inner.db.read().await?;
        Ok(stuck::stuck(&mut tx, &queries, stores, MAX_STUCK_PER_KIND).await?)
    }

    /// Counts the handoffs that are not closed, by state; for gauges.
    #[crate::boxed]
    pub async fn handoff_counts(&self) -> Result<Vec<(HandoffState, i64)>> {
        let mut tx = self.inner.db.read().await?;
        let counts = store::sweep::count_handoffs(&mut tx, &OPEN.map(HandoffState::as_str)).await?;
        Ok(OPEN.into_iter().zip(counts).collect())
    }

    /// Counts the enabled integrators whose breaker is open; for a gauge.
    #[crate::boxed]
    pub async fn count_open_breakers(&self) -> Result<i64> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::integrators::count_open_breakers(&mut tx).await?)
    }

    /// Counts the callbacks left to apply; for a gauge.
    #[crate::boxed]
    pub async fn callbacks_left(&self) -> Result<i64> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::sweep::count_callbacks_left(&mut tx).await?)
    }
}

/// Returns the id that decides whose part a handoff is: its order's, so that one worker has all of them.
pub(crate) fn part_key(handoff: HandoffId, order: Option<OrderId>) -> Uuid {
    order.map_or(handoff.uuid(), OrderId::uuid)
}

/// Returns the error of a row that is itself at fault.
pub(crate) fn row_error(done: &Result<bool>) -> Option<&StoreError> {
    match done {
        Err(Failure::Store(error)) if error.is_row_fault() => Some(error),
        _ => None,
    }
}

/// Decides how an order that nobody accepted ends: failed if a required integrator never acknowledged it, else
/// cancelled.
async fn decide_overdue_end(
    change: &mut super::Change<'_>,
    order: &Order,
) -> Result<(OrderStatus, &'static str)> {
    let handoffs: Vec<Handoff> = store::handoffs::of_order(&mut change.tx, order.id).await?;
    let somebody_never_heard = handoffs.iter().any(|handoff| {
        handoff.required
            && handoff.event == HandoffEvent::OrderPlaced
            && !matches!(
                handoff.state,
                // Withdrawn while the order waits means that its integrator is archived.
                HandoffState::Acknowledged | HandoffState::Withdrawn
            )
    });
    Ok(if somebody_never_heard {
        (OrderStatus::Failed, orders::INTEGRATOR_UNREACHABLE)
    } else {
        (OrderStatus::Cancelled, NOT_ACCEPTED_IN_TIME)
    })
}
