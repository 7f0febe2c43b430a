//! Archives an integrator: marks it at once, and the sweep withdraws its open handoffs one at a time.
//!
//! Thus no transaction grows with the number of its handoffs. The sweep also finds a handoff that an order made for it
//! meanwhile.

#[cfg(test)]
mod tests;

use super::{IntegratorRefused, lock, write};
use crate::{
    Ledger, LedgerError, Points, Result,
    handoffs::{self, AFTER_A_FAILED_CLAIM, call_off, is_a_rows_fault},
    in_one_transaction,
};
use domain::{
    handoff::HandoffState,
    ids::{HandoffId, IntegratorId, OrderId},
};
use store::StoreError;

impl Ledger {
    /// Archives an integrator: it is sent nothing more and its callbacks no longer count; its history stays readable.
    /// An order that waited for nobody else is left to staff. Idempotent.
    pub async fn archive_integrator(
        &self,
        id: IntegratorId,
        version: Option<i64>,
    ) -> Result<(), IntegratorRefused> {
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let stored = store::integrators::get(&mut change.tx, id).await?;
            if stored.is_some_and(|stored| stored.archived_at.is_some()) {
                return Ok(());
            }
            let mut stored = lock(&mut change, id, version).await?;
            stored.integrator.enabled = false;
            stored.integrator.disabled_reason = Some("archived".to_owned());
            stored.given_up = None;
            stored.archived_at = Some(change.now);
            write(&mut change, &mut stored).await?;
            Ok(())
        })
    }

    /// Withdraws handoffs of archived integrators that are not on the wire at this moment; returns their number.
    pub async fn withdraw_from_archived(&self, limit: u32) -> Result<u32> {
        let found = {
            let mut tx = self.inner.db.read().await?;
            store::sweep::handoffs_of_archived(&mut tx, self.inner.clock.now(), limit).await?
        };
        let mut withdrawn = 0;
        for (handoff, order) in found {
            match self.withdraw_one_from_archived(handoff, order).await {
                Ok(done) => withdrawn += u32::from(done),
                Err(LedgerError::Store(error)) if is_a_rows_fault(&error) => {
                    tracing::error!(%handoff, %error, "handoff can't be withdrawn");
                    self.note_failed_withdrawal(handoff, &error).await?;
                }
                Err(error) => tracing::warn!(%handoff, %error, "handoff was not withdrawn"),
            }
        }
        Ok(withdrawn)
    }

    async fn withdraw_one_from_archived(
        &self,
        id: HandoffId,
        order: Option<OrderId>,
    ) -> Result<bool> {
        in_one_transaction!(&self.inner, Points::SWEEP, |change| {
            let Some((mut order, stored)) = handoffs::lock(&mut change, order, id).await? else {
                return Ok(false);
            };
            let handoff = &stored.handoff;
            if handoff.state.is_closed() || handoff.state == HandoffState::Sending {
                return Ok(false);
            }
            call_off(&mut change, order.as_mut(), handoff).await?;
            Ok(true)
        })
    }

    async fn note_failed_withdrawal(&self, handoff: HandoffId, error: &StoreError) -> Result<()> {
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let not_before = change.now + AFTER_A_FAILED_CLAIM;
            let error = error.in_public();
            store::handoffs::withdrawing_failed(&mut change.tx, handoff, &error, not_before)
                .await?;
            Ok(())
        })
    }
}
