//! An order's events, as they are shown to those who follow it.

use crate::{
    auth::Caller,
    http::{enums, scalars::Time},
    resources::accounts::UserRole,
};
use domain::{
    actor::{Actor, Viewer},
    event::Event,
    status::By,
};
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
    /// Actor that caused it; null if that was before the version that notes it.
    actor: Option<ActorView>,
    data: Value,
}

/// Author of a change, as of then. Staff, managers and operators see who it was; an order's owner sees this only of
/// themselves; guests never.
#[derive(Debug, Object)]
#[oai(rename = "Actor")]
pub(crate) struct ActorView {
    kind: enums::ActorKind,
    /// Id of the account or integrator; null if that may not be known.
    id: Option<Uuid>,
    /// Username of the account, or name of the integrator.
    name: Option<String>,
    /// Role of the account.
    role: Option<UserRole>,
}

impl From<Actor> for ActorView {
    fn from(actor: Actor) -> Self {
        Self {
            kind: actor.kind.into(),
            id: actor.id,
            name: actor.name,
            role: actor.role.map(Into::into),
        }
    }
}

impl EventView {
    /// Converts the events. Customers see what guests see: nothing about integrators, as on the live channel.
    pub(super) fn visible_to(by: By, caller: &Caller, mut events: Vec<Event>) -> Vec<Self> {
        let viewer = if by == By::Owner {
            events.retain(|event| event.kind.is_for_guests());
            Viewer::Owner(caller.id())
        } else {
            Viewer::Staff
        };
        let events = events.into_iter();
        events.map(|event| Self::of(event, viewer)).collect()
    }

    pub(crate) fn of(event: Event, viewer: Viewer) -> Self {
        Self {
            stream: event.stream.uuid(),
            seq: event.seq,
            kind: event.kind.to_string(),
            at: event.at.into(),
            actor: event.actor.map(|actor| actor.shown_to(viewer).into()),
            data: event.data,
        }
    }
}
