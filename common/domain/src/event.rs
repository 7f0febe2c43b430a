//! Numbered events of a stream: the only messages that screens receive.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    actor::Actor,
    ids::{OrderId, StoreId, StreamId},
    words::words,
};

words! {
    /// Event types of the live channel (docs/design.md section 8).
    pub enum EventKind {
        OrderPlaced = "order.placed",
        OrderStatusChanged = "order.status_changed",
        OrderEdited = "order.edited",
        /// The time at which the order is expected to be ready.
        OrderReadyAtChanged = "order.ready_at_changed",
        HandoffFailed = "handoff.failed",
        DeliveryMoved = "delivery.moved",
        SessionOpened = "session.opened",
        SessionClosed = "session.closed",
        /// The session's old code is no longer valid; `data` contains neither the old code nor the new one (ADR 10).
        SessionCodeRenewed = "session.code_renewed",
        StorePaused = "store.paused",
        /// The store's hours or capacity changed, or people opened or closed it by hand or said how busy it is.
        StoreOpeningChanged = "store.opening_changed",
        ProductAvailability = "product.availability",
        /// On the store's stream: nothing more is sent to the integrator until people enable it again (ADR 8).
        IntegratorDisabled = "integrator.disabled",
    }
}

impl EventKind {
    /// Returns true for events about orders, sessions and availability; false for those about integrators or codes.
    #[must_use]
    pub const fn is_for_guests(self) -> bool {
        !matches!(
            self,
            Self::HandoffFailed | Self::IntegratorDisabled | Self::SessionCodeRenewed
        )
    }
}

/// Reads a feed message: events of one commit, in their order. The previous release sent each one alone.
///
/// # Errors
/// If it is neither an event nor an array of events.
pub fn in_feed_message(body: &[u8]) -> serde_json::Result<Vec<Event>> {
    if body.first() == Some(&b'{') {
        return Ok(vec![serde_json::from_slice(body)?]);
    }
    serde_json::from_slice(body)
}

/// One event of a stream. The numbers of a stream begin at 1 and have no gaps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub stream: StreamId,
    pub seq: i64,
    pub store_id: StoreId,
    pub order_id: Option<OrderId>,
    #[serde(rename = "type")]
    pub kind: EventKind,
    pub at: DateTime<Utc>,
    /// Actor that caused it; `None` if a version that did not note it wrote the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// For `order.*`: the order's public facts after the change (see [`super::order::Order::public_facts`]).
    pub data: Value,
}
