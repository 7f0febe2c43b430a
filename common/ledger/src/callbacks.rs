//! Integrators' callbacks: stored as soon as they are verified, applied under their order's lock.

mod apply;
mod apply_batch;
mod interpret;
#[cfg(test)]
mod tests;

use super::{
    Change, ChangeError, ChangeResult, CrashPoints, Failure, Ledger, Refusal, Result,
    in_one_transaction,
};
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    callback::{CallbackResult, Update},
    hint::Hint,
    ids::{CallbackId, OrderId},
    integrator::Integrator,
    status::OrderStatus,
};
use platform::{crash, secrets::sha256};
use store::{StoreError, callbacks::NewCallback};

pub(crate) use apply_batch::{Places, Queue, start_writers};
pub use store::callbacks::{CallbackFilter, KeptCallback};

/// Result of receiving a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Stored {
        id: CallbackId,
        /// Result that it will have, if that is known already: `unmapped` or `illegal`.
        judged: Option<CallbackResult>,
    },
    /// The integrator has already sent this update with this webhook id.
    Duplicate,
    /// The integrator has already sent another update with this webhook id; this one is on record and will not be
    /// applied.
    Conflict,
}

/// Why a callback is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackRefused {
    #[error("the integrator was never handed an order {0}")]
    UnknownOrder(OrderId),
}

impl Refusal for CallbackRefused {}

impl Ledger {
    /// Lists received callbacks, newest first; `before` is the last one of the previous page.
    #[crate::boxed]
    pub async fn callbacks(
        &self,
        filter: &CallbackFilter,
        before: Option<CallbackId>,
        limit: u32,
    ) -> Result<Vec<KeptCallback>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::callbacks::list::list(&mut tx, filter, before, limit).await?)
    }

    /// Stores a callback with a verified signature, and wakes a worker to apply it.
    #[crate::boxed]
    pub async fn receive_callback(
        &self,
        integrator: &Integrator,
        webhook_id: &str,
        update: Update,
    ) -> ChangeResult<Received, CallbackRefused> {
        crash::point("callback.before_store");
        let stored = in_one_transaction!(&self.inner, CrashPoints::CALLBACK_STORED, |change| {
            let order = order_of(change, integrator, &update).await?;
            let order_id = order.map(|(id, _)| id);
            let judged = judge_at_once(change, integrator, &update, order).await?;
            let id: CallbackId = change.inner.chance.id(change.now);
            let new = NewCallback {
                id,
                integrator_id: integrator.id,
                webhook_id,
                order_id,
                update: &update,
                occurred_at: time_that_counts(change, integrator, &update),
                received_at: change.now,
            };
            store::callbacks::insert(&mut change.tx, new).await?;
            if let Some(order) = order_id {
                change.hint(Hint::Callbacks { order });
            }
            Ok(Received::Stored { id, judged })
        });
        match stored {
            // A body with a repeated id may name an order that this integrator was never sent; the id counts first.
            Err(
                ChangeError::Failed(Failure::Store(StoreError::UniqueKeyTaken))
                | ChangeError::Refused(CallbackRefused::UnknownOrder(_)),
            ) => {
                let repeated = self.receive_repeated(integrator, webhook_id, &update).await;
                repeated.map_or_else(|error| Err(error.into()), |known| known.map_or(stored, Ok))
            }
            stored => stored,
        }
    }

    /// Compares a callback with the first one of the same webhook id: the same update is a duplicate, and another one is
    /// put on record. Returns `None` if there is no such callback. Updates are compared, not bytes: a sender may write the
    /// same JSON anew.
    async fn receive_repeated(
        &self,
        integrator: &Integrator,
        webhook_id: &str,
        update: &Update,
    ) -> Result<Option<Received>> {
        let judged: Result<_> = in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let first = store::callbacks::find(&mut change.tx, integrator.id, webhook_id).await?;
            let Some((first, payload)) = first else {
                return Ok(None);
            };
            // Retention has removed an old one's update, and nobody can tell any more.
            let is_removed = payload.as_object().is_some_and(serde_json::Map::is_empty);
            let is_same =
                || serde_json::from_value::<Update>(payload).is_ok_and(|first| first == *update);
            if is_removed || is_same() {
                return Ok(Some(Received::Duplicate));
            }
            let order_id = match order_of(change, integrator, update).await {
                Ok(order) => order.map(|(id, _)| id),
                Err(ChangeError::Refused(CallbackRefused::UnknownOrder(_))) => None,
                Err(ChangeError::Failed(failure)) => return Err(failure),
            };
            let new = NewCallback {
                id: change.inner.chance.id(change.now),
                integrator_id: integrator.id,
                webhook_id,
                order_id,
                update,
                occurred_at: time_that_counts(change, integrator, update),
                received_at: change.now,
            };
            let body = serde_json::to_string(update).unwrap_or_default();
            let key = sha256(format!("{webhook_id}\n{body}").as_bytes());
            let why = format!("callback {first} has this webhook-id and another body");
            store::callbacks::insert_refused(&mut change.tx, new, &key, &why).await?;
            Ok(Some(Received::Conflict))
        });
        match judged {
            // It is on record already.
            Err(Failure::Store(StoreError::UniqueKeyTaken)) => Ok(Some(Received::Conflict)),
            judged => judged,
        }
    }
}

/// Bounds the time that an update says, and logs one from the future.
fn time_that_counts(
    change: &Change<'_>,
    integrator: &Integrator,
    update: &Update,
) -> Option<DateTime<Utc>> {
    let tolerance = change.inner.settings.callback_tolerance;
    let counts = update.time_that_counts(change.now, tolerance);
    if counts != update.occurred_at {
        tracing::warn!(
            integrator = %integrator.id, occurred_at = ?update.occurred_at,
            "a callback's occurred_at is in the future and counts as of its receipt: is the integrator's clock or time zone wrong?"
        );
    }
    counts
}

/// Returns the result of an update that is known before it is applied: its words mean nothing, or its order has ended and
/// stays as it is.
async fn judge_at_once(
    change: &mut Change<'_>,
    integrator: &Integrator,
    update: &Update,
    order: Option<(OrderId, Option<OrderStatus>)>,
) -> store::Result<Option<CallbackResult>> {
    let ended = order.and_then(|(id, status)| Some((id, status.filter(|it| it.is_final())?)));
    let newest = match ended {
        Some((id, _)) => store::callbacks::newest_marks(&mut change.tx, id).await?,
        None => BTreeMap::new(),
    };
    let newest = newest.get(&integrator.id).copied().unwrap_or_default();
    let ended = ended.map(|(_, status)| status);
    Ok(interpret::judge_at_once(integrator, update, ended, newest))
}

/// Returns the order that an update names, and its status if that came with it; `None` if its reference is not known yet.
async fn order_of(
    change: &mut Change<'_>,
    integrator: &Integrator,
    update: &Update,
) -> ChangeResult<Option<(OrderId, Option<OrderStatus>)>, CallbackRefused> {
    let tx = &mut change.tx;
    match (update.order_id, &update.reference) {
        (Some(order), _) => {
            let status = store::callbacks::status_if_handed(tx, integrator.id, order).await?;
            match status {
                Some(status) => Ok(Some((order, Some(status)))),
                None => Err(CallbackRefused::UnknownOrder(order).into()),
            }
        }
        (None, Some(reference)) => {
            let found = store::callbacks::order_of_reference(tx, integrator.id, reference);
            Ok(found.await?.map(|order| (order, None)))
        }
        (None, None) => Ok(None),
    }
}
