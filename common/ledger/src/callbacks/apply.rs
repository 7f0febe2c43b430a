//! Applies the waiting callbacks of one order together in one transaction; a poisoned one does not stop the others.

use std::collections::{BTreeMap, btree_map::Entry};

use super::interpret::{Applied, apply, settle};
use crate::{
    Change, ChangeError, ChangeResult, CrashPoints, Failure, Ledger, Result,
    idempotency::Handle,
    in_one_transaction, in_one_try, orders,
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
use store::{
    StoreError,
    callbacks::{Judged, Unapplied},
};

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
    /// Does the same as [`Self::apply_callbacks`] in transactions of its own, and waits for no order that others hold.
    pub(crate) async fn try_apply_callbacks(&self, order: OrderId) -> Result<u32> {
        apply_alone(&self.inner, order, None).await
    }
}

/// Applies the callbacks of one order in transactions of its own.
pub(super) async fn apply_alone(
    inner: &Handle,
    order: OrderId,
    permits: Option<&HeldRowPermits>,
) -> Result<u32> {
    crash::point("callback.before_apply");
    let mut left_out: Vec<CallbackId> = Vec::new();
    let mut applied = 0;
    loop {
        let mut done = apply_page(inner, order, &left_out, None).await;
        if matches!(&done, Err(ChangeError::Failed(failure)) if failure.is_held())
            && let Some(permit) = permits.and_then(HeldRowPermits::take)
        {
            done = apply_page(inner, order, &left_out, Some(&permit)).await;
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
                record_failed_callback(inner, callback, &public_message(&error)).await?;
                left_out.push(callback);
            }
            Err(ChangeError::Failed(failure)) => {
                if let Failure::Store(error) = &failure
                    && error.is_row_fault()
                {
                    // The fault is in the order's own row: none of its callbacks can be applied.
                    tracing::error!(%order, %error, "the order's callbacks can't be applied");
                    record_failed_order(inner, order, &error.public_message()).await?;
                }
                return Err(failure);
            }
        }
    }
}

async fn apply_page(
    inner: &Handle,
    order: OrderId,
    left_out: &[CallbackId],
    permit: Option<&HeldRowPermit<'_>>,
) -> ChangeResult<Page, Poisoned> {
    // Those left out are read too, so the page is longer by as many.
    let page = MAX_BATCH + left_out.len();
    in_one_try!(inner, CrashPoints::CALLBACK_APPLIED, permit, |change| {
        let Some(mut order) = orders::lock(change, order).await? else {
            return Ok(Page {
                applied: 0,
                is_last: true,
            });
        };
        let unapplied = store::callbacks::lock_unapplied(&mut change.tx, order.id, page).await?;
        let is_last = unapplied.len() < page;
        let marks = store::callbacks::newest_marks(&mut change.tx, order.id).await?;
        let mut known = Known::of(marks);
        let mut applied = 0;
        for callback in unapplied {
            if left_out.contains(&callback.id) {
                continue;
            }
            apply_one(change, &mut order, &callback, &mut known)
                .await
                .map_err(|error| poisoned(callback.id, error))?;
            applied += 1;
        }
        if is_last {
            // A handoff that failed meanwhile left the order to these callbacks.
            settle(change, &mut order).await?;
        }
        Ok(Page { applied, is_last })
    })
}

async fn record_failed_callback(inner: &Handle, callback: CallbackId, error: &str) -> Result<()> {
    in_one_transaction!(inner, CrashPoints::NONE, |change| {
        let now = change.now;
        store::callbacks::record_failure(&mut change.tx, callback, error, now).await?;
        Ok(())
    })
}

async fn record_failed_order(inner: &Handle, order: OrderId, error: &str) -> Result<()> {
    in_one_transaction!(inner, CrashPoints::NONE, |change| {
        let now = change.now;
        store::callbacks::record_failure_of_order(&mut change.tx, order, error, now).await?;
        Ok(())
    })
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

/// Knowledge about an order's callbacks while they are applied.
#[derive(Default)]
pub(super) struct Known {
    /// The newest update of each integrator that counted.
    marks: BTreeMap<IntegratorId, UpdateMark>,
    integrators: BTreeMap<IntegratorId, Integrator>,
}

impl Known {
    pub(super) fn of(marks: BTreeMap<IntegratorId, UpdateMark>) -> Self {
        Self {
            marks,
            integrators: BTreeMap::new(),
        }
    }
}

pub(super) async fn apply_one(
    change: &mut Change<'_>,
    order: &mut Order,
    callback: &Unapplied,
    known: &mut Known,
) -> Result<()> {
    let corrupt =
        |what: &dyn ToString| StoreError::corrupt("callbacks", callback.id, what.to_string());
    let mut update: Update =
        serde_json::from_value(callback.payload.clone()).map_err(|error| corrupt(&error))?;
    update.occurred_at = callback.occurred_at;
    let id = callback.integrator_id;
    let integrator = match known.integrators.entry(id) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => {
            let integrator = match change.known_integrator(id) {
                Some(known) => known.clone(),
                None => {
                    let stored = store::integrators::get(&mut change.tx, id).await?;
                    let stored = stored.ok_or_else(|| corrupt(&"its integrator is missing"))?;
                    stored.integrator
                }
            };
            unknown.insert(integrator)
        }
    };
    let newest_before = known.marks.get(&id).copied().unwrap_or_default();
    let before = change.act_as(Actor::integrator(integrator));
    let Applied { result, detail } =
        apply(change, order, integrator, &update, newest_before).await?;
    change.act_as(before);
    if matches!(result, CallbackResult::Applied | CallbackResult::Unchanged) {
        known.marks.insert(id, newest(newest_before, update.mark()));
    }
    let judged = Judged {
        id: callback.id,
        result,
        detail,
    };
    Ok(change.record_callback(judged).await?)
}
