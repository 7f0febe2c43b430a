use super::*;
impl Ledger {
    pub async fn claim_handoffs(&self, integrator: crate::domain::ids::IntegratorId, limit: usize, lease: std::time::Duration) -> Result<Claims> { let _ = (integrator, limit, lease); todo!() }
}
