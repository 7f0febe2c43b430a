//! A test handoff, sent by a person to see whether an integrator answers; it belongs to no order.

use chrono::TimeDelta;

use serde_json::Map;

use crate::{ChangeResult, CrashPoints, Ledger, Refusal, in_one_transaction, records::About};
use domain::{
    hint::Hint,
    ids::{HandoffId, IntegratorId, StoreId},
    integrator::HandoffEvent,
    record::{Action, Subject},
};
use store::handoffs::NewHandoff;

/// Deadline of a test: it fails if not sent by then, because no worker runs or the integrator keeps saying "slow down".
const SEND_DEADLINE: TimeDelta = TimeDelta::minutes(10);
/// Number of attempts; more would tell a person nothing new.
const MAX_ATTEMPTS: u32 = 1;

/// Why a test is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TestRefused {
    #[error("the integrator does not exist")]
    Unknown,
    #[error("the integrator is disabled; nothing is sent to it, not even a test")]
    Disabled,
}

impl Refusal for TestRefused {}

impl Ledger {
    /// Creates a handoff of event `test`, due at once and tried once, which a worker sends like any other, but even while
    /// the breaker is open. Its outcome moves no order; a sign of life closes the breaker, and a 410 disables the
    /// integrator as usual. It belongs to the first of these stores that the integrator has; otherwise to its first one.
    #[crate::boxed]
    pub async fn test_integrator(
        &self,
        integrator: IntegratorId,
        at: &[StoreId],
    ) -> ChangeResult<HandoffId, TestRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let stored = store::integrators::get(&mut change.tx, integrator).await?;
            let to = stored
                .filter(|stored| stored.archived_at.is_none())
                .ok_or(TestRefused::Unknown)?
                .integrator;
            if !to.enabled {
                return Err(TestRefused::Disabled.into());
            }
            let further = store::integrators::further_stores(&mut change.tx, &[integrator]).await?;
            let has = |store: &&StoreId| further.iter().any(|(_, further)| further == *store);
            let at = if at.contains(&to.store_id) {
                to.store_id
            } else {
                at.iter().find(has).copied().unwrap_or(to.store_id)
            };
            let now = change.now;
            let id: HandoffId = change.inner.chance.id(now);
            let test = NewHandoff {
                id,
                store_id: at,
                order_id: None,
                integrator_id: integrator,
                position: 1,
                event: HandoffEvent::Test,
                required: false,
                max_attempts: MAX_ATTEMPTS,
                due_at: now,
                deadline: now + SEND_DEADLINE,
                cause: None,
                created_at: now,
            };
            store::handoffs::insert(&mut change.tx, &[test]).await?;
            change.hint(Hint::Handoffs { integrator });
            let about = About {
                subject: Subject::Integrator,
                id: integrator.uuid(),
                stores: &[at],
            };
            change.record_fields(about, Action::Tested, Map::new());
            change.set_resource(id.uuid());
            Ok(id)
        })
    }
}
