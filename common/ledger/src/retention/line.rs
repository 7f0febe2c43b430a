//! A line of the archive: an order with everything that belongs to it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use domain::{
    event::Event,
    handoff::Attempt,
    order::{Item, Order, rfc3339},
};
use store::retention::{ArchivedCallback, ArchivedHandoff};

/// Number of the form of a line; a later form that a reader must know has another one.
const FORMAT: i64 = 1;

/// Everything that belongs to the orders of a page; each goes into one line.
pub(super) struct Parts {
    pub(super) events: Vec<Event>,
    pub(super) handoffs: Vec<ArchivedHandoff>,
    pub(super) callbacks: Vec<ArchivedCallback>,
}

impl Parts {
    /// Returns the order's line, without its end.
    pub(super) fn line(&mut self, order: &Order) -> String {
        let id = Some(order.id);
        let events = self.events.extract_if(.., |event| event.order_id == id);
        let events: Vec<Event> = events.collect();
        let handoffs = self.handoffs.iter().filter(|it| it.handoff.order_id == id);
        let handoffs: Vec<Value> = handoffs.map(handoff_json).collect();
        let callbacks = self.callbacks.iter().filter(|it| it.order_id == order.id);
        let callbacks: Vec<Value> = callbacks.map(callback_json).collect();
        json!({
            "format": FORMAT,
            "order": order_json(order),
            "events": events,
            "handoffs": handoffs,
            "callbacks": callbacks,
        })
        .to_string()
    }
}

fn order_json(order: &Order) -> Value {
    let session = order.session.as_ref();
    json!({
        "id": order.id,
        "store_id": order.store_id,
        "number": order.number,
        "session": session.map(|session| json!({"id": session.id, "name": session.name})),
        "account_id": order.account_id,
        "reference": order.reference,
        "fulfilment": order.fulfilment,
        "status": order.status,
        "reason": order.reason,
        "version": order.version,
        "customer": order.customer,
        "items": order.items.iter().map(item_json).collect::<Vec<_>>(),
        "total": order.total,
        "user_note": order.user_note,
        "accept_by": at(order.accept_by),
        "wanted_at": at(order.timing.wanted_at),
        "ready_at": at(order.timing.ready_at),
        "hand_over_at": at(order.timing.hand_over_at),
        "delivery": order.delivery,
        "replaces": order.replaces,
        "traceparent": order.trace,
        "created_at": rfc3339(order.created_at),
        "placed_at": at(order.placed_at),
        "accepted_at": at(order.accepted_at),
        "ended_at": at(order.ended_at),
        "updated_at": at(order.updated_at),
    })
}

fn item_json(item: &Item) -> Value {
    json!({
        "id": item.id,
        "product_id": item.product_id,
        "sku": item.sku,
        "name": item.name,
        "quantity": item.quantity,
        "unit_price": item.unit_price,
        "options": item.options,
        "total": item.total(),
        "note": item.note,
    })
}

fn handoff_json(archived: &ArchivedHandoff) -> Value {
    let handoff = &archived.handoff;
    let rounds = archived.rounds.iter().map(|round| {
        json!({
            "round": round.round,
            "account_id": round.account_id,
            "opened_at": rfc3339(round.opened_at),
        })
    });
    json!({
        "id": handoff.id,
        "integrator_id": handoff.integrator_id,
        "event": handoff.event,
        "state": handoff.state,
        "required": handoff.required,
        "position": handoff.position,
        "confirmed_at": at(handoff.confirmed_at),
        "deadline": rfc3339(handoff.deadline),
        "reference": handoff.reference,
        "reason": handoff.reason,
        "cause": archived.cause,
        "body": archived.body,
        "created_at": rfc3339(handoff.created_at),
        "closed_at": at(handoff.closed_at),
        "attempts": archived.attempts.iter().map(attempt_json).collect::<Vec<_>>(),
        "rounds": rounds.collect::<Vec<_>>(),
    })
}

fn attempt_json(attempt: &Attempt) -> Value {
    json!({
        "round": attempt.round,
        "n": attempt.n,
        "started_at": rfc3339(attempt.started_at),
        "ended_at": at(attempt.ended_at),
        "outcome": attempt.outcome,
        "counted": attempt.counted,
        "http_status": attempt.http_status,
        "error": attempt.error,
        "response": attempt.response,
    })
}

fn callback_json(callback: &ArchivedCallback) -> Value {
    json!({
        "id": callback.id,
        "integrator_id": callback.integrator_id,
        "webhook_id": callback.webhook_id,
        "payload": callback.payload,
        "received_at": rfc3339(callback.received_at),
        "applied_at": at(callback.applied_at),
        "result": callback.result,
        "detail": callback.detail,
    })
}

fn at(at: Option<DateTime<Utc>>) -> Option<String> {
    at.map(rfc3339)
}
