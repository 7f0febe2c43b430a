//! Integrators' callbacks: stored as soon as they are verified, applied under their order's lock.

mod apply;
mod interpret;
#[cfg(test)]
mod tests;

use super::{
    ChangeError, ChangeResult, CrashPoints, Failure, Ledger, Refusal, Result, in_one_transaction,
};
use domain::{
    callback::Update,
    hint::Hint,
    ids::{CallbackId, OrderId},
    integrator::Integrator,
};
use platform::crash;
use store::{StoreError, callbacks::NewCallback};

pub use store::callbacks::{CallbackFilter, KeptCallback};

/// Result of receiving a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Stored {
        id: CallbackId,
    },
    /// The integrator has already sent this webhook id.
    Duplicate,
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
    pub async fn receive_callback(
        &self,
        integrator: &Integrator,
        webhook_id: &str,
        update: Update,
    ) -> ChangeResult<Received, CallbackRefused> {
        crash::point("callback.before_store");
        let stored = in_one_transaction!(&self.inner, CrashPoints::CALLBACK_STORED, |change| {
            let order_id = match (update.order_id, &update.reference) {
                (Some(order), _) => {
                    if !store::callbacks::was_handed(&mut change.tx, integrator.id, order).await? {
                        return Err(CallbackRefused::UnknownOrder(order).into());
                    }
                    Some(order)
                }
                (None, Some(reference)) => {
                    let (id, of) = (integrator.id, integrator.store_id);
                    store::callbacks::order_of_reference(&mut change.tx, id, of, reference).await?
                }
                (None, None) => None,
            };
            let id: CallbackId = change.inner.chance.id(change.now);
            let new = NewCallback {
                id,
                integrator_id: integrator.id,
                webhook_id,
                order_id,
                update: &update,
                received_at: change.now,
            };
            store::callbacks::insert(&mut change.tx, new).await?;
            if let Some(order) = order_id {
                change.hint(Hint::Callbacks { order });
            }
            Ok(Received::Stored { id })
        });
        match stored {
            Err(ChangeError::Failed(Failure::Store(StoreError::UniqueKeyTaken))) => {
                Ok(Received::Duplicate)
            }
            stored => stored,
        }
    }
}
