//! The reconciler's steps: idempotent, each found by a query and done under locks of its own.

use chrono::{DateTime, Utc};

use super::{Ledger, Result};
use crate::domain::{handoff::HandoffState, ids::{IntegratorId, OrderId}, stuck::Stuck};

impl Ledger {
    pub async fn free_expired_leases(&self, limit: u32) -> Result<u32> { let _ = limit; todo!() }
    pub async fn fail_overdue_handoffs(&self, limit: u32) -> Result<u32> { let _ = limit; todo!() }
    pub async fn end_overdue_orders(&self, limit: u32) -> Result<u32> { let _ = limit; todo!() }
    pub async fn settle_left_over(&self, limit: u32) -> Result<u32> { let _ = limit; todo!() }
    pub async fn match_references(&self, limit: u32) -> Result<u32> { let _ = limit; todo!() }
    pub async fn prune(&self, now: DateTime<Utc>) -> Result<u64> { let _ = now; todo!() }
    pub async fn integrators_with_due_work(&self, limit: u32) -> Result<Vec<IntegratorId>> { let _ = limit; todo!() }
    pub async fn orders_with_callbacks_left(&self, limit: u32) -> Result<Vec<OrderId>> { let _ = limit; todo!() }
    pub async fn stuck(&self) -> Result<Vec<Stuck>> { todo!() }
    pub async fn handoff_counts(&self) -> Result<Vec<(HandoffState, i64)>> { todo!() }
}
