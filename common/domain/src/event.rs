//! What happened, as numbered lines: the only thing that screens are told.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ids::{OrderId, StoreId, StreamId},
    words::words,
};

words! {
    /// The live channel's vocabulary (design.md section 8).
    pub enum EventKind {
        OrderPlaced = "order.placed",
        OrderStatusChanged = "order.status_changed",
        OrderEdited = "order.edited",
        HandoffFailed = "handoff.failed",
        DeliveryMoved = "delivery.moved",
        SessionOpened = "session.opened",
        SessionClosed = "session.closed",
        /// The code that the session had is dead; its `data` has neither that nor the new one (ADR 10).
        SessionCodeRenewed = "session.code_renewed",
        StorePaused = "store.paused",
        ProductAvailability = "product.availability",
        /// On its store's stream: nothing more is sent to it until people enable it again (ADR 8).
        IntegratorDisabled = "integrator.disabled",
    }
}

impl EventKind {
    /// Guests are told of orders, sessions and availability; never of integrators, nor of codes.
    #[must_use]
    pub const fn is_for_guests(self) -> bool {
        !matches!(
            self,
            Self::HandoffFailed | Self::IntegratorDisabled | Self::SessionCodeRenewed
        )
    }
}

/// One line of a stream. Numbers of a stream begin at 1 and have no gaps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub stream: StreamId,
    pub seq: i64,
    pub store_id: StoreId,
    pub order_id: Option<OrderId>,
    #[serde(rename = "type")]
    pub kind: EventKind,
    pub at: DateTime<Utc>,
    /// For `order.*`: the order's public facts after the change (see [`super::order::Order::public_facts`]).
    pub data: Value,
}
