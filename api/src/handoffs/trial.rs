//! A test: one message about no order, to see whether an integrator answers.

use common::ledger::handoffs::TestRefused;
use poem_openapi::{ApiResponse, OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use super::view::HandoffView;
use crate::{
    auth::Caller,
    problem::{Problem, Reason},
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct Trials(pub(crate) ApiState);

#[derive(ApiResponse)]
enum TrialAnswer {
    /// On its way. `GET /handoffs/{id}` shows what comes of it.
    #[oai(status = 202)]
    Accepted(Json<HandoffView>, #[oai(header = "Location")] String),
}

#[OpenApi]
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
    async fn send(&self, caller: Caller, id: Path<Uuid>) -> Result<TrialAnswer, Problem> {
        let ledger = &self.0.ledger;
        let integrator = ledger.integrator(id.0.into()).await?;
        let integrator = integrator.ok_or_else(Problem::not_found)?;
        caller.must_manage(integrator.store_id)?;
        let id = ledger.test_integrator(integrator.id).await?;
        tracing::info!(handoff = %id, integrator = %integrator.id, by = %caller.id(), "an integrator is tested");
        let sent = ledger.handoff_history(id).await?;
        let sent = sent.ok_or_else(|| Problem::internal("a test is gone"))?;
        let location = format!("/api/v1/handoffs/{id}");
        Ok(TrialAnswer::Accepted(Json(HandoffView::of(sent)), location))
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
