//! Integrators' callbacks: stored as soon as they are verified, applied under their order's lock.

use super::{Ledger, Result};
use crate::domain::{callback::Update, ids::{CallbackId, OrderId}, integrator::Integrator};

/// What became of a callback that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Stored { id: CallbackId },
    /// The integrator has sent this webhook id before.
    Duplicate,
}

/// Why a callback is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackRefused {
    #[error("the integrator was never handed an order {0}")]
    UnknownOrder(OrderId),
}

impl Ledger {
    pub async fn receive_callback(&self, integrator: &Integrator, webhook_id: &str, update: Update) -> Result<Received, CallbackRefused> { let _ = (integrator, webhook_id, update); todo!() }
    pub async fn apply_callbacks(&self, order: OrderId) -> Result<u32> { let _ = order; todo!() }
}
