//! The one function that moves an order, with everything that a move entails.

use std::collections::BTreeMap;

use serde_json::Value;

use super::lines;
use crate::{Change, ChangeResult, Refusal};
use domain::{
    delivery::{Delivery, DeliveryStatus, DeliveryStep},
    event::EventKind,
    handoff::{Cause, HandoffState},
    hint::Hint,
    ids::{IntegratorId, OrderId, SessionId},
    integrator::{HandoffEvent, Integrator},
    order::{Order, OrderSession},
    session::Session,
    status::{self, By, MoveRefused, OrderStatus, StockEffect},
    tally::Counted,
};
use store::{events::Counter, handoffs::NewHandoff};

/// Reason of handoffs that are withdrawn because their order has ended.
pub(crate) const ORDER_ENDED: &str = "order_ended";

/// Deadline of a handoff without `accept_by` (cancellations, couriers, pushes), counted from its creation, or from the
/// order's hand-over if that is later.
pub(super) const DEFAULT_DEADLINE: chrono::Duration = chrono::Duration::hours(24);

/// Locks the order's session, if it has one, and then the order, so that it may be moved.
pub(crate) async fn lock(change: &mut Change<'_>, id: OrderId) -> store::Result<Option<Order>> {
    let Some(session_id) = store::orders::session_of(&mut change.tx, id).await? else {
        return Ok(None);
    };
    let session = match session_id {
        Some(session_id) => store::sessions::lock(&mut change.tx, session_id).await?,
        None => None,
    };
    lock_in_session(change, id, session.as_ref()).await
}

/// Locks the order after its session, which is locked, if it has one.
pub(super) async fn lock_in_session(
    change: &mut Change<'_>,
    id: OrderId,
    session: Option<&Session>,
) -> store::Result<Option<Order>> {
    let locked = store::orders::lock(&mut change.tx, id).await?;
    Ok(locked.map(|(order, last_seq)| register_locked_order(change, order, last_seq, session)))
}

/// Prepares an order whose row is locked, and its session's, if it has one, as [`lock`] returns it.
fn register_locked_order(
    change: &mut Change<'_>,
    mut order: Order,
    last_seq: i64,
    session: Option<&Session>,
) -> Order {
    match session {
        Some(session) => {
            change.register_stream(
                session.id.into(),
                Counter::Session,
                session.store_id,
                session.seq,
            );
            order.session = Some(OrderSession {
                id: session.id,
                name: session.name.clone(),
            });
        }
        None => change.register_stream(order.id.into(), Counter::Order, order.store_id, last_seq),
    }
    order
}

/// Orders that were locked, and sessions of others that somebody holds.
pub(crate) struct Available {
    pub(crate) orders: BTreeMap<OrderId, Order>,
    pub(crate) held_sessions: Vec<SessionId>,
}

/// Locks orders as [`lock`] does, but with one statement, and none that others hold or whose session they hold.
pub(crate) async fn lock_available(
    change: &mut Change<'_>,
    ids: &[OrderId],
) -> store::Result<Available> {
    let found = store::orders::lock_available_with_sessions(&mut change.tx, ids).await?;
    let mut orders = BTreeMap::new();
    for one in found.locked {
        let order = one.order;
        let store = order.store_id;
        match (&order.session, one.session_seq) {
            (Some(session), Some(seq)) => {
                change.register_stream(session.id.into(), Counter::Session, store, seq);
            }
            _ => change.register_stream(order.id.into(), Counter::Order, store, one.last_seq),
        }
        orders.insert(order.id, order);
    }
    Ok(Available {
        orders,
        held_sessions: found.held_sessions,
    })
}

impl Refusal for MoveRefused {}

/// Moves an order that [`lock`] locked: status, timestamps, stock, event, and the handoffs that start or end with the
/// move. `integrator` is the one that asked for it, if any.
pub(crate) async fn advance(
    change: &mut Change<'_>,
    order: &mut Order,
    to: OrderStatus,
    by: By,
    reason: Option<&str>,
    integrator: Option<IntegratorId>,
) -> ChangeResult<(), MoveRefused> {
    let stock = status::decide(order.status, to, by, reason, order.move_facts())?;
    let integrators = change.integrators_of(order.store_id).await?;

    let (was, was_status) = (Counted::of(order), order.status);
    order.status = to;
    order.reason = reason
        .map(str::trim)
        .filter(|reason| !reason.is_empty())
        .map(str::to_owned);
    if to == OrderStatus::Accepted {
        order.accepted_at = Some(change.now);
    }
    if to.is_final() {
        order.ended_at = Some(change.now);
    }
    let gives_back = stock == StockEffect::GiveBack && order.stock_held;
    if gives_back {
        order.stock_held = false;
    }
    if to == OrderStatus::Dispatched
        && listening(&integrators, HandoffEvent::OrderDispatched).any(|one| !one.is_listener())
    {
        let status = DeliveryStatus::ReadyForPickUp;
        let history = vec![DeliveryStep {
            status,
            at: change.now,
        }];
        order.delivery = Some(Delivery {
            status,
            tracking_number: None,
            history,
        });
    }
    change.write_order(order).await?;
    change.update_tally(was, order);

    if to.is_unsuccessful() {
        withdraw(change, order).await?;
    } else if to.is_final() {
        change
            .withdraw_from_delivered(order.id, ORDER_ENDED)
            .await?;
    }
    if gives_back {
        give_back_stock(change, order).await?;
    }
    if to.is_unsuccessful() {
        change.give_back_slot(order.id).await?;
    }
    let data = order.public_facts();
    let cause = Cause {
        number: announce(change, order, EventKind::OrderStatusChanged, data),
        from: Some(was_status.into()),
        to: to.into(),
        reason: order.reason.clone(),
        at: change.now,
    };
    create_handoffs(change, order, &cause, &integrators, integrator).await?;
    Ok(())
}

/// Adds an event to the order's stream, and returns its number.
pub(crate) fn announce(
    change: &mut Change<'_>,
    order: &Order,
    kind: EventKind,
    data: Value,
) -> i64 {
    change.event(order.stream(), Some(order.id), kind, data)
}

/// Withdraws the handoffs that are not on the wire at this moment.
async fn withdraw(change: &mut Change<'_>, order: &Order) -> store::Result<()> {
    let handoffs = change.lock_handoffs_of(order.id).await?;
    let called_off: Vec<_> = handoffs
        .iter()
        .filter(|handoff| !handoff.state.is_closed() && handoff.state != HandoffState::Sending)
        .map(|handoff| handoff.id)
        .collect();
    change.withdraw_handoffs(&called_off, ORDER_ENDED).await
}

async fn give_back_stock(change: &mut Change<'_>, order: &Order) -> store::Result<()> {
    let returned = lines::counted(&order.items);
    if !returned.is_empty() {
        change.menu_changed(order.store_id);
    }
    change.give_back_stock(&returned).await
}

fn listening(integrators: &[Integrator], event: HandoffEvent) -> impl Iterator<Item = &Integrator> {
    integrators.iter().filter(move |one| one.is_handed(event))
}

/// Creates the handoffs that a move entails, in the same transaction.
async fn create_handoffs(
    change: &mut Change<'_>,
    order: &Order,
    cause: &Cause,
    integrators: &[Integrator],
    asked_by: Option<IntegratorId>,
) -> store::Result<()> {
    let mut made: Vec<NewHandoff> = Vec::new();
    let new = |change: &Change<'_>, one: &Integrator, event| {
        new_handoff(change, order, cause, one, event)
    };
    if order.status.is_unsuccessful() {
        let reached = change.integrators_reached(order.id).await?;
        let rejected_it = if order.status == OrderStatus::Rejected {
            asked_by
        } else {
            None
        };
        // Disabled ones too: they are told when they are enabled again, or staff are told that they were not.
        let told = integrators
            .iter()
            .filter(|one| one.listens_to(HandoffEvent::OrderCancelled))
            .filter(|one| reached.contains(&one.id) && Some(one.id) != rejected_it);
        made.extend(told.map(|one| new(change, one, HandoffEvent::OrderCancelled)));
    }
    if order.status == OrderStatus::Dispatched {
        let couriers = listening(integrators, HandoffEvent::OrderDispatched);
        made.extend(couriers.map(|one| new(change, one, HandoffEvent::OrderDispatched)));
    }
    let followers = listening(integrators, HandoffEvent::OrderStatusChanged);
    made.extend(followers.map(|one| new(change, one, HandoffEvent::OrderStatusChanged)));
    insert_handoffs(change, order, made).await
}

/// Adds the event of a step of the order's delivery, and a handoff for each integrator that listens to it.
pub(crate) async fn announce_step(
    change: &mut Change<'_>,
    order: &Order,
    from: Option<DeliveryStatus>,
    to: DeliveryStatus,
    reason: Option<&str>,
) -> store::Result<()> {
    let data = order.public_facts();
    let cause = Cause {
        number: announce(change, order, EventKind::DeliveryMoved, data),
        from: from.map(Into::into),
        to: to.into(),
        reason: reason.map(str::to_owned),
        at: change.now,
    };
    let event = HandoffEvent::DeliveryMoved;
    let integrators = change.integrators_of(order.store_id).await?;
    let made = listening(&integrators, event)
        .map(|one| new_handoff(change, order, &cause, one, event))
        .collect();
    insert_handoffs(change, order, made).await
}

/// Adds the event that another time is expected for the order to be ready, and a handoff for each integrator that
/// listens to it, but not for the one that said so.
pub(super) async fn announce_ready_at(
    change: &mut Change<'_>,
    order: &Order,
    said_by: Option<IntegratorId>,
) -> store::Result<()> {
    let data = order.public_facts();
    let cause = Cause {
        number: announce(change, order, EventKind::OrderReadyAtChanged, data),
        from: Some(order.status.into()),
        to: order.status.into(),
        reason: None,
        at: change.now,
    };
    let event = HandoffEvent::OrderReadyAtChanged;
    let integrators = change.integrators_of(order.store_id).await?;
    let made = listening(&integrators, event)
        .filter(|one| Some(one.id) != said_by)
        .map(|one| new_handoff(change, order, &cause, one, event))
        .collect();
    insert_handoffs(change, order, made).await
}

/// Inserts handoffs behind those that each integrator has of this order, and wakes their lanes.
async fn insert_handoffs(
    change: &mut Change<'_>,
    order: &Order,
    mut made: Vec<NewHandoff>,
) -> store::Result<()> {
    if made.is_empty() {
        return Ok(());
    }
    let positions = change.last_positions(order.id).await?;
    for handoff in &mut made {
        handoff.position = positions
            .get(&handoff.integrator_id)
            .map_or(1, |last| last + 1);
        change.hint(Hint::Handoffs {
            integrator: handoff.integrator_id,
        });
    }
    // Two handoffs to the same integrator at once (a cancellation and a push) are sent one after the other.
    for at in 1..made.len() {
        let before = made[..at]
            .iter()
            .filter(|other| other.integrator_id == made[at].integrator_id)
            .count();
        made[at].position += i32::try_from(before).unwrap_or(i32::MAX);
    }
    change.insert_handoffs(made).await
}

fn new_handoff(
    change: &Change<'_>,
    order: &Order,
    cause: &Cause,
    integrator: &Integrator,
    event: HandoffEvent,
) -> NewHandoff {
    NewHandoff {
        id: change.inner.chance.id(change.now),
        store_id: order.store_id,
        order_id: Some(order.id),
        integrator_id: integrator.id,
        position: 1,
        event,
        required: false,
        max_attempts: integrator.max_attempts,
        due_at: change.now,
        // What comes before the hand-over of the order waits for it.
        deadline: order
            .timing
            .hand_over_at
            .max(Some(change.now))
            .unwrap_or(change.now)
            + DEFAULT_DEADLINE,
        cause: Some(cause.clone()),
        created_at: change.now,
    }
}
