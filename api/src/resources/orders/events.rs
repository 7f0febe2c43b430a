//! An order's events, as they are shown to those who follow it.

use crate::http::scalars::Time;
use domain::{event::Event, status::By};
use poem_openapi::Object;
use serde_json::Value;
use uuid::Uuid;

/// One event of a stream.
#[derive(Debug, Object)]
#[oai(rename = "Event")]
pub(crate) struct EventView {
    /// Id of the stream: the session's, or the order's own.
    stream: Uuid,
    /// Number of the event; a stream has no gaps.
    seq: i64,
    #[oai(rename = "type")]
    kind: String,
    at: Time,
    data: Value,
}

impl EventView {
    /// Converts the events. Customers see what guests see: nothing about integrators, as on the live channel.
    pub(super) fn visible_to(by: By, mut events: Vec<Event>) -> Vec<Self> {
        if by == By::Owner {
            events.retain(|event| event.kind.is_for_guests());
        }
        events.into_iter().map(Self::of).collect()
    }

    pub(crate) fn of(event: Event) -> Self {
        Self {
            stream: event.stream.uuid(),
            seq: event.seq,
            kind: event.kind.to_string(),
            at: event.at.into(),
            data: event.data,
        }
    }
}
