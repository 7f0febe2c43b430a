//! Sessions as the API shows them: to staff with the code, to guests with the orders.

use domain::{
    actor::Viewer,
    event::Event,
    ids::{EpochId, StreamId},
    order::Order,
    session::Session,
};
use ledger::events::SessionSnapshot;
use poem_openapi::Object;
use uuid::Uuid;

use crate::{
    http::{enums::SessionState, paging::cursor, scalars::Time},
    resources::orders::{EventView, GuestOrderView},
};

/// A session as staff see it.
#[derive(Debug, Object)]
#[oai(rename = "Session")]
pub(super) struct SessionView {
    store_id: Uuid,
    name: String,
    state: SessionState,
    /// The guests' key: 40 hex digits. It is a secret.
    code: String,
    /// URL of the guests' page, which the QR code encodes.
    url: String,
    opened_at: Time,
    closed_at: Option<Time>,
}

impl SessionView {
    pub(super) fn of(session: Session, url: String) -> Self {
        Self {
            store_id: session.store_id.uuid(),
            name: session.name,
            state: session.state.into(),
            code: session.code,
            url,
            opened_at: session.opened_at.into(),
            closed_at: session.closed_at.map(Into::into),
        }
    }
}

/// A session as its guests see it.
#[derive(Debug, Object)]
#[oai(rename = "SessionWithOrders")]
pub(super) struct OpenView {
    store_id: Uuid,
    name: String,
    state: SessionState,
    opened_at: Time,
    closed_at: Option<Time>,
    /// Id of the stream of the live channel and of `…/events`.
    stream: Uuid,
    /// Number of the last event that this answer includes; pass it as `?after=`, with the `epoch`.
    seq: i64,
    /// Epoch in which the number counts. It changes when the database lost commits: numbers of another epoch are void.
    epoch: Option<Uuid>,
    /// Oldest first: the unfinished orders and the latest 50. Long orders may leave no room for all of them.
    orders: Vec<GuestOrderView>,
    /// Value of `cursor` with which `…/orders` continues, if orders were left out. It may repeat some of these.
    next_cursor: Option<String>,
}

impl OpenView {
    pub(super) fn of(snapshot: &SessionSnapshot, key_hash: Option<[u8; 32]>) -> Self {
        let SessionSnapshot {
            epoch,
            session,
            orders,
            next,
        } = snapshot;
        Self {
            store_id: session.store_id.uuid(),
            name: session.name.clone(),
            state: session.state.into(),
            opened_at: session.opened_at.into(),
            closed_at: session.closed_at.map(Into::into),
            stream: session.id.uuid(),
            seq: session.seq,
            epoch: epoch.map(EpochId::uuid),
            orders: shown(orders, key_hash),
            next_cursor: next.map(|id| cursor(id.uuid())),
        }
    }
}

#[derive(Debug, Object)]
#[oai(rename = "ClosedSession")]
pub(super) struct ClosedView {
    session: SessionView,
    /// The orders that have not ended, oldest first. If they are too long for one answer, these are the newest.
    unfinished: Vec<GuestOrderView>,
    /// Number of all orders that have not ended.
    unfinished_count: u32,
}

impl ClosedView {
    pub(super) fn of(session: SessionView, unfinished: &[Order], unfinished_count: u32) -> Self {
        Self {
            session,
            unfinished: shown(unfinished, None),
            unfinished_count,
        }
    }
}

/// Converts orders; `key_hash` is that of the guest's key.
pub(super) fn shown(orders: &[Order], key_hash: Option<[u8; 32]>) -> Vec<GuestOrderView> {
    let orders = orders.iter();
    orders
        .map(|order| GuestOrderView::of(order, key_hash))
        .collect()
}

/// A part of a session's stream.
#[derive(Debug, Object)]
pub(super) struct SessionEvents {
    stream: Uuid,
    items: Vec<EventView>,
    /// Number up to which this answer is complete; pass it as the next `?after=`, with the `epoch`.
    last: i64,
    /// Epoch in which the number counts.
    epoch: Option<Uuid>,
    /// True if there are more events already.
    has_more: bool,
}

impl SessionEvents {
    /// Builds the answer; `head` is the last number of the stream.
    pub(super) fn of(
        stream: StreamId,
        epoch: Option<EpochId>,
        after: i64,
        events: Vec<Event>,
        head: i64,
    ) -> Self {
        let last = events.last().map_or(after, |event| event.seq);
        Self {
            stream: stream.uuid(),
            last,
            epoch: epoch.map(EpochId::uuid),
            has_more: !events.is_empty() && last < head,
            items: events
                .into_iter()
                .filter(|event| event.kind.is_for_guests())
                .map(|event| EventView::of(event, Viewer::Guest))
                .collect(),
        }
    }
}
