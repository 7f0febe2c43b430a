//! Test messages: one message about no order, to see whether an integrator answers.

use ledger::{ChangeError, handoffs::TestRefused};
use poem_openapi::{OpenApi, param::Path};
use serde_json::Value;
use uuid::Uuid;

use super::view::HandoffView;
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        idempotency::{IdempotencyKey, once},
        problem::{Problem, Reason},
        response::{Answer, QueuedTest},
    },
    resources::integrators::seen_integrator,
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct IntegratorTests(pub(crate) ApiState);

#[OpenApi(tag = "Topic::Integrators")]
impl IntegratorTests {
    /// Send a test message to an integrator
    ///
    /// Sends `{"event":"test","callback_url","store"}`, signed and authenticated like any other message, in one attempt
    /// within ten minutes. It goes out even while the integrator's breaker is open, and an answer that asks for no retry
    /// closes the breaker: send a test when the integrator is mended, and all that waits goes out at once. The outcome
    /// moves no order; as always, a 410 disables the integrator. Nothing is sent to a disabled integrator.
    #[oai(
        path = "/integrators/:id/test",
        method = "post",
        operation_id = "test_integrator"
    )]
    async fn send(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        key: IdempotencyKey,
    ) -> Result<Answer<HandoffView, QueuedTest>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &Value::Null)?;
        let ledger = &self.0.ledger;
        let integrator = seen_integrator(&self.0, &caller, id.0.into()).await?;
        let mut stores = integrator.stores();
        stores.retain(|store| caller.manages(*store));
        let (id, replayed) = once(
            &self.0,
            key,
            async |ledger| {
                let id = ledger.test_integrator(integrator.id, &stores).await?;
                tracing::info!(handoff = %id, integrator = %integrator.id, by = %caller.id(), "integrator test queued");
                Ok::<_, ChangeError<TestRefused>>(id)
            },
            async |id| Ok(id.into()),
        )
        .await?;
        let sent = ledger.handoff_history(id).await?;
        let sent =
            sent.ok_or_else(|| Problem::internal("the test handoff just created is missing"))?;
        let location = format!("/api/v1/handoffs/{id}");
        Ok(Answer::of(HandoffView::of(sent))
            .at(location)
            .replayed(replayed))
    }
}

impl From<TestRefused> for Problem {
    fn from(refused: TestRefused) -> Self {
        match refused {
            TestRefused::Unknown => Self::not_found(),
            TestRefused::Disabled => {
                Self::new(Reason::IntegratorDisabled).detail(format!("{refused}."))
            }
        }
    }
}
