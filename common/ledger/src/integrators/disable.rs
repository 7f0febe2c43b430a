//! Disables an integrator that fails for too long: marked with the outcome that decided it, done and announced right
//! after.
//!
//! It takes a second transaction because the outcome holds its order's lock, while the store's counter, whose number
//! the event needs, must be locked before any order. Between the two nothing is claimed for the integrator; if the
//! process dies there, the sweep finds the mark. The staff of its further stores are told first, one store in each
//! transaction, so that a busy store of a hundred holds up no other; each is told once.

#[cfg(test)]
mod tests;

use serde_json::json;

use crate::{
    Change, CrashPoints, Ledger, Result, in_one_try,
    stores::lock_stream,
    sweep::{Steps, Walk},
};
use domain::{
    event::EventKind,
    ids::{IntegratorId, StoreId},
    integrator::{DisableReason, Integrator},
};

impl Ledger {
    /// Disables the integrators that are marked for it, and tells their stores' staff; returns their number.
    pub async fn disable_failing_integrators(&self, walk: impl Into<Walk>) -> Result<u32> {
        let mut steps = Steps::new(walk);
        while let Some(page) = steps.next_page() {
            let found = {
                let mut tx = self.inner.db.read().await?;
                store::integrators::given_up(&mut tx, page).await?
            };
            steps.begin_page(found.len());
            for (integrator, store) in found {
                if steps.takes(integrator.uuid()) {
                    let disabled = self.disable_failing_integrator(integrator, store).await;
                    steps.note("failing integrator", integrator.uuid(), &disabled);
                }
            }
        }
        Ok(steps.done())
    }

    /// Disables a marked integrator. Returns `false` if the mark is gone: a person or another process was faster. Does
    /// not wait for a store or an integrator that others hold.
    pub(crate) async fn disable_failing_integrator(
        &self,
        id: IntegratorId,
        store: StoreId,
    ) -> Result<bool> {
        let untold = {
            let mut tx = self.inner.db.read().await?;
            store::integrators::untold_stores(&mut tx, id).await?
        };
        let mut held = Ok(());
        for further in untold {
            match self.tell_further_store(id, further).await {
                // The others are told meanwhile.
                Err(error) if error.is_held() => held = Err(error),
                told => told?,
            }
        }
        held?;
        let disabled: Result<_> = in_one_try!(&self.inner, CrashPoints::NONE, |change| {
            lock_stream(change, store).await?;
            let Some(stored) = store::integrators::lock(&mut change.tx, id).await? else {
                return Ok(None);
            };
            let Some(because) = stored.given_up else {
                return Ok(None);
            };
            store::integrators::disable(&mut change.tx, id, because.in_words()).await?;
            store::integrators::forget_told(&mut change.tx, id).await?;
            announce(change, store, &stored.integrator, because);
            Ok(Some(because))
        });
        let disabled = disabled?;
        if let Some(because) = disabled {
            tracing::warn!(integrator = %id, "integrator disabled: {}", because.in_words());
        }
        Ok(disabled.is_some())
    }

    /// Tells the staff of a further store, once, that the integrator is disabled, unless the mark is gone.
    async fn tell_further_store(&self, id: IntegratorId, store: StoreId) -> Result<()> {
        in_one_try!(&self.inner, CrashPoints::NONE, |change| {
            lock_stream(change, store).await?;
            let Some(stored) = store::integrators::lock(&mut change.tx, id).await? else {
                return Ok(());
            };
            let Some(because) = stored.given_up else {
                return Ok(());
            };
            if store::integrators::record_told(&mut change.tx, id, store, change.now).await? {
                announce(change, store, &stored.integrator, because);
            }
            Ok(())
        })
    }
}

/// Adds the event for the store's staff.
fn announce(
    change: &mut Change<'_>,
    store: StoreId,
    integrator: &Integrator,
    because: DisableReason,
) {
    let (id, name) = (integrator.id, &integrator.name);
    let data = json!({"integrator": {"id": id, "name": name, "reason": because}});
    change.event(store.into(), None, EventKind::IntegratorDisabled, data);
}
