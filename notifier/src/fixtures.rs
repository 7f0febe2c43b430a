//! Events for tests.

use chrono::DateTime;
use domain::event::{Event, EventKind};
use serde_json::json;
use uuid::Uuid;

/// Returns an event without an order and without data.
pub(crate) fn event(seq: i64) -> Event {
    Event {
        stream: Uuid::nil().into(),
        seq,
        store_id: Uuid::nil().into(),
        order_id: None,
        kind: EventKind::OrderPlaced,
        at: DateTime::UNIX_EPOCH,
        actor: None,
        data: json!({}),
    }
}
