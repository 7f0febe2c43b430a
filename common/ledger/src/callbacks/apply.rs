//! Applies the waiting callbacks of one order together in one transaction; a poisoned one does not stop the others.

use std::collections::{BTreeMap, btree_map::Entry};

use super::interpret::{Applied, apply, settle};
use crate::{
    Change, Ledger, LedgerError, Points, Result, handoffs::is_a_rows_fault, in_one_transaction,
    orders,
};
use domain::{
    callback::{CallbackResult, Mark, Update, newest},
    ids::{CallbackId, IntegratorId, OrderId},
    integrator::Integrator,
    order::Order,
};
use platform::crash;
use store::{StoreError, callbacks::Unapplied};

/// Maximum number of callbacks that one transaction applies; it locks the order, and all others of its session, for as
/// long.
pub(super) const MOST_TOGETHER: usize = 64;

/// A callback that can't be applied for a reason of its own.
#[derive(Debug)]
struct Poisoned {
    callback: CallbackId,
    error: LedgerError,
}

/// Result of one transaction.
#[derive(Clone, Copy, Debug)]
struct Page {
    applied: u32,
    was_all: bool,
}

impl Ledger {
    /// Applies an order's waiting callbacks in order of receipt; returns the number applied. One that fails is skipped,
    /// and parked at its fifth failure.
    pub async fn apply_callbacks(&self, order: OrderId) -> Result<u32> {
        crash::point("callback.before_apply");
        let mut left_out: Vec<CallbackId> = Vec::new();
        let mut applied = 0;
        loop {
            match self.apply_some_but(order, &left_out).await {
                Ok(page) => {
                    applied += page.applied;
                    if page.was_all {
                        return Ok(applied);
                    }
                }
                Err(LedgerError::Refused(Poisoned { callback, error })) => {
                    tracing::error!(%callback, %order, %error, "callback can't be applied");
                    self.note_failed_callback(callback, &in_public(&error))
                        .await?;
                    left_out.push(callback);
                }
                Err(LedgerError::Store(error)) => {
                    if is_a_rows_fault(&error) {
                        // The fault is in the order's own row: none of its callbacks can be applied.
                        tracing::error!(%order, %error, "the order's callbacks can't be applied");
                        self.note_failed_order(order, &error.in_public()).await?;
                    }
                    return Err(LedgerError::Store(error));
                }
                Err(LedgerError::Unsealable(why)) => return Err(LedgerError::Unsealable(why)),
                Err(LedgerError::Overloaded) => return Err(LedgerError::Overloaded),
                Err(LedgerError::DoneBefore(resource)) => {
                    return Err(LedgerError::DoneBefore(resource));
                }
                Err(LedgerError::KeyReused) => return Err(LedgerError::KeyReused),
                Err(LedgerError::KeyInProgress) => return Err(LedgerError::KeyInProgress),
            }
        }
    }

    async fn apply_some_but(
        &self,
        order: OrderId,
        left_out: &[CallbackId],
    ) -> Result<Page, Poisoned> {
        // The skipped ones are among those that are read.
        let page = MOST_TOGETHER + left_out.len();
        in_one_transaction!(&self.inner, Points::CALLBACK_APPLIED, |change| {
            let Some(mut order) = orders::lock(&mut change, order).await? else {
                return Ok(Page {
                    applied: 0,
                    was_all: true,
                });
            };
            let unapplied =
                store::callbacks::lock_unapplied(&mut change.tx, order.id, page).await?;
            let was_all = unapplied.len() < page;
            let mut marks = store::callbacks::newest_marks(&mut change.tx, order.id).await?;
            let mut integrators: BTreeMap<IntegratorId, Integrator> = BTreeMap::new();
            let mut applied = 0;
            for callback in unapplied {
                if left_out.contains(&callback.id) {
                    continue;
                }
                apply_one(
                    &mut change,
                    &mut order,
                    &callback,
                    &mut marks,
                    &mut integrators,
                )
                .await
                .map_err(|error| poisoned(callback.id, error))?;
                applied += 1;
            }
            if was_all {
                // A handoff that failed meanwhile left the order to these callbacks.
                settle(&mut change, &mut order)
                    .await
                    .map_err(LedgerError::widen)?;
            }
            Ok(Page { applied, was_all })
        })
    }

    async fn note_failed_callback(&self, callback: CallbackId, error: &str) -> Result<()> {
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let now = change.now;
            store::callbacks::failed(&mut change.tx, callback, error, now).await?;
            Ok(())
        })
    }

    async fn note_failed_order(&self, order: OrderId, error: &str) -> Result<()> {
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let now = change.now;
            store::callbacks::failed_of_order(&mut change.tx, order, error, now).await?;
            Ok(())
        })
    }
}

/// Keeps an error that any callback would meet now; every other error is the callback's own fault.
fn poisoned(callback: CallbackId, error: LedgerError) -> LedgerError<Poisoned> {
    match error {
        LedgerError::Store(
            error @ (StoreError::LockLost(_)
            | StoreError::Unavailable(_)
            | StoreError::CommitUnknown(_)),
        ) => LedgerError::Store(error),
        error => LedgerError::Refused(Poisoned { callback, error }),
    }
}

fn in_public(error: &LedgerError) -> String {
    match error {
        LedgerError::Store(error) => error.in_public(),
        error => error.to_string(),
    }
}

async fn apply_one(
    change: &mut Change<'_>,
    order: &mut Order,
    callback: &Unapplied,
    marks: &mut BTreeMap<IntegratorId, Mark>,
    integrators: &mut BTreeMap<IntegratorId, Integrator>,
) -> Result<()> {
    let corrupt =
        |what: &dyn ToString| StoreError::corrupt("callbacks", callback.id, what.to_string());
    let update: Update =
        serde_json::from_value(callback.payload.clone()).map_err(|error| corrupt(&error))?;
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
    let Applied { result, detail } =
        apply(change, order, integrator, &update, newest_before).await?;
    if matches!(result, CallbackResult::Applied | CallbackResult::Unchanged) {
        marks.insert(id, newest(newest_before, update.mark()));
    }
    let (detail, now) = (detail.as_deref(), change.now);
    store::callbacks::applied(&mut change.tx, callback.id, result, detail, now).await?;
    Ok(())
}
