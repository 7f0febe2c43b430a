//! Applies the waiting callbacks of one order together in one transaction; a poisoned one does not stop the others.

use std::collections::{BTreeMap, btree_map::Entry};

use super::interpret::{Applied, apply, settle};
use crate::{
    Change, ChangeError, ChangeResult, CrashPoints, Failure, Ledger, Result, in_one_transaction,
    in_one_try, orders,
    permits::{HeldRowPermit, HeldRowPermits},
};
use domain::{
    actor::Actor,
    callback::{CallbackResult, Update, UpdateMark, newest},
    ids::{CallbackId, IntegratorId, OrderId},
    integrator::Integrator,
    order::Order,
};
use platform::crash;
use store::{StoreError, callbacks::Unapplied};

/// Maximum number of callbacks that one transaction applies; it locks the order, and all others of its session, for as
/// long.
pub(super) const MAX_BATCH: usize = 64;

/// A callback that can't be applied for a reason of its own.
#[derive(Debug)]
struct Poisoned {
    callback: CallbackId,
    error: Failure,
}

/// Result of one transaction.
#[derive(Clone, Copy, Debug)]
struct Page {
    applied: u32,
    is_last: bool,
}

impl Ledger {
    /// Applies an order's waiting callbacks in order of receipt; returns the number applied. One that fails is skipped,
    /// and parked at its fifth failure. If another transaction holds the order, at most two callers wait for it; the next
    /// ones get an error at once.
    #[crate::boxed]
    pub async fn apply_callbacks(&self, order: OrderId) -> Result<u32> {
        self.apply_all(order, Some(&self.inner.held_rows)).await
    }

    /// Does the same, but waits for no order that others hold.
    pub(crate) async fn try_apply_callbacks(&self, order: OrderId) -> Result<u32> {
        self.apply_all(order, None).await
    }

    async fn apply_all(&self, order: OrderId, permits: Option<&HeldRowPermits>) -> Result<u32> {
        crash::point("callback.before_apply");
        let mut left_out: Vec<CallbackId> = Vec::new();
        let mut applied = 0;
        loop {
            let mut done = self.apply_batch_except(order, &left_out, None).await;
            if matches!(&done, Err(ChangeError::Failed(failure)) if failure.is_held())
                && let Some(permit) = permits.and_then(HeldRowPermits::take)
            {
                done = self
                    .apply_batch_except(order, &left_out, Some(&permit))
                    .await;
            }
            match done {
                Ok(page) => {
                    applied += page.applied;
                    if page.is_last {
                        return Ok(applied);
                    }
                }
                Err(ChangeError::Refused(Poisoned { callback, error })) => {
                    tracing::error!(%callback, %order, %error, "callback can't be applied");
                    self.record_failed_callback(callback, &public_message(&error))
                        .await?;
                    left_out.push(callback);
                }
                Err(ChangeError::Failed(failure)) => {
                    if let Failure::Store(error) = &failure
                        && error.is_row_fault()
                    {
                        // The fault is in the order's own row: none of its callbacks can be applied.
                        tracing::error!(%order, %error, "the order's callbacks can't be applied");
                        self.record_failed_order(order, &error.public_message())
                            .await?;
                    }
                    return Err(failure);
                }
            }
        }
    }

    async fn apply_batch_except(
        &self,
        order: OrderId,
        left_out: &[CallbackId],
        permit: Option<&HeldRowPermit<'_>>,
    ) -> ChangeResult<Page, Poisoned> {
        // Those left out are read too, so the page is longer by as many.
        let page = MAX_BATCH + left_out.len();
        in_one_try!(
            &self.inner,
            CrashPoints::CALLBACK_APPLIED,
            permit,
            |change| {
                let Some(mut order) = orders::lock(change, order).await? else {
                    return Ok(Page {
                        applied: 0,
                        is_last: true,
                    });
                };
                let unapplied =
                    store::callbacks::lock_unapplied(&mut change.tx, order.id, page).await?;
                let is_last = unapplied.len() < page;
                let mut marks = store::callbacks::newest_marks(&mut change.tx, order.id).await?;
                let mut integrators: BTreeMap<IntegratorId, Integrator> = BTreeMap::new();
                let mut applied = 0;
                for callback in unapplied {
                    if left_out.contains(&callback.id) {
                        continue;
                    }
                    apply_one(change, &mut order, &callback, &mut marks, &mut integrators)
                        .await
                        .map_err(|error| poisoned(callback.id, error))?;
                    applied += 1;
                }
                if is_last {
                    // A handoff that failed meanwhile left the order to these callbacks.
                    settle(change, &mut order).await?;
                }
                Ok(Page { applied, is_last })
            }
        )
    }

    async fn record_failed_callback(&self, callback: CallbackId, error: &str) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let now = change.now;
            store::callbacks::record_failure(&mut change.tx, callback, error, now).await?;
            Ok(())
        })
    }

    async fn record_failed_order(&self, order: OrderId, error: &str) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let now = change.now;
            store::callbacks::record_failure_of_order(&mut change.tx, order, error, now).await?;
            Ok(())
        })
    }
}

/// Keeps an error that any callback would meet now; every other error is the callback's own fault.
fn poisoned(callback: CallbackId, error: Failure) -> ChangeError<Poisoned> {
    match error {
        Failure::Store(error) if !error.is_row_fault() => error.into(),
        error => ChangeError::Refused(Poisoned { callback, error }),
    }
}

fn public_message(error: &Failure) -> String {
    match error {
        Failure::Store(error) => error.public_message(),
        error => error.to_string(),
    }
}

async fn apply_one(
    change: &mut Change<'_>,
    order: &mut Order,
    callback: &Unapplied,
    marks: &mut BTreeMap<IntegratorId, UpdateMark>,
    integrators: &mut BTreeMap<IntegratorId, Integrator>,
) -> Result<()> {
    let corrupt =
        |what: &dyn ToString| StoreError::corrupt("callbacks", callback.id, what.to_string());
    let mut update: Update =
        serde_json::from_value(callback.payload.clone()).map_err(|error| corrupt(&error))?;
    update.occurred_at = callback.occurred_at;
    let id = callback.integrator_id;
    let integrator = match integrators.entry(id) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => {
            let stored = store::integrators::get(&mut change.tx, id)
                .await?
                .ok_or_else(|| corrupt(&"its integrator is missing"))?;
            unknown.insert(stored.integrator)
        }
    };
    let newest_before = marks.get(&id).copied().unwrap_or_default();
    let before = change.act_as(Actor::integrator(integrator));
    let Applied { result, detail } =
        apply(change, order, integrator, &update, newest_before).await?;
    change.act_as(before);
    if matches!(result, CallbackResult::Applied | CallbackResult::Unchanged) {
        marks.insert(id, newest(newest_before, update.mark()));
    }
    let (detail, now) = (detail.as_deref(), change.now);
    store::callbacks::record_result(&mut change.tx, callback.id, result, detail, now).await?;
    Ok(())
}
