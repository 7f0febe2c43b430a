//! What stands still until a person looks at it.

use chrono::{DateTime, Utc};

use super::{
    ids::{CallbackId, HandoffId, IntegratorId, OrderId, StoreId},
    words::words,
};

words! {
    /// Why something stands still until a person looks at it.
    pub enum StuckKind {
        /// Its claim failed five times.
        HandoffParked = "handoff_parked",
        /// After an unknown outcome, where the integrator's policy is `hold`.
        HandoffHeld = "handoff_held",
        /// A required handoff failed after its order was accepted, or a courier's did.
        HandoffFailed = "handoff_failed",
        /// Applying it failed five times.
        CallbackParked = "callback_parked",
        /// No order had its reference within ten minutes.
        CallbackUnmatched = "callback_unmatched",
        /// Open past its `accept_by`, or waiting for nobody.
        OrderOverdue = "order_overdue",
        /// Publishing it failed five times.
        OutboxParked = "outbox_parked",
    }
}

/// One place on the stuck list.
#[derive(Clone, Debug, PartialEq)]
pub struct Stuck {
    pub kind: StuckKind,
    pub store_id: Option<StoreId>,
    pub order_id: Option<OrderId>,
    pub integrator_id: Option<IntegratorId>,
    pub handoff_id: Option<HandoffId>,
    pub callback_id: Option<CallbackId>,
    pub since: DateTime<Utc>,
    pub why: Option<String>,
}
