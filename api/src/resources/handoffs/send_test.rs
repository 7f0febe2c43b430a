//! A test: one message about no order, to see whether an integrator answers.

use ledger::{LedgerError, handoffs::TestRefused};
use poem_openapi::{ApiResponse, OpenApi, param::Path, payload::Json};
use serde_json::Value;
use uuid::Uuid;

use super::view::HandoffView;
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        idempotency::{IdempotencyKey, once},
        problem::{Problem, Reason},
    },
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct Trials(pub(crate) ApiState);

#[derive(ApiResponse)]
enum TrialAnswer {
    /// On its way. `GET /handoffs/{id}` shows what comes of it.
    #[oai(status = 202)]
    Accepted(
        Json<HandoffView>,
        #[oai(header = "Location")] String,
        /// `true` where the idempotency key was known: this is the test that it sent, as it is now.
        #[oai(header = "Idempotency-Replayed")]
        Option<bool>,
    ),
}

#[OpenApi(tag = "Topic::Integrators")]
impl Trials {
    /// Send an integrator a test
    ///
    /// `{"event":"test","callback_url","store"}`, signed and authenticated as any other, in one attempt, within ten
    /// minutes. What comes of it moves no order; only a 410 disables the integrator, as always. Nothing is sent to one
    /// that is disabled.
    #[oai(
        path = "/integrators/:id/test",
        method = "post",
        operation_id = "test_integrator"
    )]
    async fn send(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Any text of up to 200 bytes that names this request among the caller's.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
    ) -> Result<TrialAnswer, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &Value::Null)?;
        let ledger = &self.0.ledger;
        let integrator = ledger.integrator(id.0.into()).await?;
        let integrator = integrator.ok_or_else(Problem::not_found)?;
        caller.must_manage(integrator.store_id)?;
        let (id, replayed) = once(
            &self.0,
            key,
            async |ledger| {
                let id = ledger.test_integrator(integrator.id).await?;
                tracing::info!(handoff = %id, integrator = %integrator.id, by = %caller.id(), "an integrator is tested");
                Ok::<_, LedgerError<TestRefused>>(id)
            },
            async |id| Ok(id.into()),
        )
        .await?;
        let sent = ledger.handoff_history(id).await?;
        let sent = sent.ok_or_else(|| Problem::internal("a test is gone"))?;
        let location = format!("/api/v1/handoffs/{id}");
        let (view, replayed) = (HandoffView::of(sent), replayed.then_some(true));
        Ok(TrialAnswer::Accepted(Json(view), location, replayed))
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
