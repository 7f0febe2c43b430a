//! Archives an integrator: marks it at once, and the sweep withdraws its open handoffs one at a time.
//!
//! Thus no transaction grows with the number of its handoffs. The sweep also finds a handoff that an order made for it
//! meanwhile.

#[cfg(test)]
mod tests;

use serde_json::Map;

use super::{IntegratorRefused, Stored, about, lock, write};
use crate::{
    Change, ChangeError, ChangeResult, CrashPoints, Ledger, Result,
    handoffs::{self, FAILED_CLAIM_DELAY, withdraw_from_order},
    in_one_transaction, in_one_try,
    sweep::{Steps, Walk, part_key, row_error},
};
use domain::{
    handoff::HandoffState,
    ids::{HandoffId, IntegratorId, OrderId},
    record::Action,
};
use store::StoreError;

impl Ledger {
    /// Archives an integrator: it is sent nothing more and its callbacks no longer count; its history stays readable.
    /// An order that waited for nobody else is left to staff. Idempotent.
    #[crate::boxed]
    pub async fn archive_integrator(
        &self,
        id: IntegratorId,
        version: Option<i64>,
    ) -> ChangeResult<(), IntegratorRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let stored = store::integrators::get(&mut change.tx, id).await?;
            if stored.is_some_and(|stored| stored.archived_at.is_some()) {
                return Ok(());
            }
            let mut stored = lock(change, id, version).await?;
            archive(change, &mut stored).await
        })
    }

    /// Archives listeners that were not heard of for [`crate::listeners::LISTENER_TTL`]; returns their number.
    #[crate::boxed]
    pub async fn archive_expired_listeners(&self, limit: u32) -> Result<u32> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.db.read().await?;
        let expired = store::integrators::expired_listeners(&mut tx, now, limit).await?;
        drop(tx);
        let mut archived = 0;
        for id in expired {
            match self.archive_expired_listener(id).await {
                Ok(done) => archived += u32::from(done),
                Err(ChangeError::Failed(failure)) if !failure.is_held() => return Err(failure),
                // Somebody holds it, or was faster.
                Err(_) => {}
            }
        }
        Ok(archived)
    }

    async fn archive_expired_listener(
        &self,
        id: IntegratorId,
    ) -> ChangeResult<bool, IntegratorRefused> {
        in_one_try!(&self.inner, CrashPoints::NONE, |change| {
            let mut stored = lock(change, id, None).await?;
            let until = stored.integrator.listens_until;
            if until.is_none_or(|until| until > change.now) {
                return Ok(false);
            }
            archive(change, &mut stored).await?;
            Ok(true)
        })
    }

    /// Withdraws handoffs of archived integrators that are not on the wire at this moment; returns their number.
    pub async fn withdraw_from_archived(&self, walk: impl Into<Walk>) -> Result<u32> {
        let mut steps = Steps::new(walk);
        while let Some(page) = steps.next_page() {
            let found = {
                let mut tx = self.inner.db.read().await?;
                store::sweep::handoffs_of_archived(&mut tx, self.inner.clock.now(), page).await?
            };
            steps.begin_page(found.len());
            for (handoff, order) in found {
                if !steps.takes(part_key(handoff, order)) {
                    continue;
                }
                let withdrawn = self.withdraw_one_from_archived(handoff, order).await;
                if let Some(error) = row_error(&withdrawn) {
                    self.record_failed_withdrawal(handoff, error).await?;
                }
                steps.note(
                    "handoff of an archived integrator",
                    handoff.uuid(),
                    &withdrawn,
                );
            }
        }
        Ok(steps.done())
    }

    async fn withdraw_one_from_archived(
        &self,
        id: HandoffId,
        order: Option<OrderId>,
    ) -> Result<bool> {
        in_one_try!(&self.inner, CrashPoints::SWEEP, |change| {
            let Some((mut order, stored)) = handoffs::lock(change, order, id).await? else {
                return Ok(false);
            };
            let handoff = &stored.handoff;
            if handoff.state.is_closed() || handoff.state == HandoffState::Sending {
                return Ok(false);
            }
            withdraw_from_order(change, order.as_mut(), handoff).await?;
            Ok(true)
        })
    }

    async fn record_failed_withdrawal(&self, handoff: HandoffId, error: &StoreError) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let not_before = change.now + FAILED_CLAIM_DELAY;
            let error = error.public_message();
            store::handoffs::record_withdrawal_failure(&mut change.tx, handoff, &error, not_before)
                .await?;
            Ok(())
        })
    }
}

async fn archive(
    change: &mut Change<'_>,
    stored: &mut Stored,
) -> ChangeResult<(), IntegratorRefused> {
    stored.integrator.enabled = false;
    stored.integrator.disabled_reason = Some("archived".to_owned());
    stored.given_up = None;
    stored.archived_at = Some(change.now);
    change.record_fields(about(&stored.integrator), Action::Archived, Map::new());
    write(change, stored).await
}
