//! Effects of an acknowledged or failed handoff on its order.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{INTEGRATOR_ARCHIVED, corrupt_if_refused};
use crate::{Change, ChangeError, Result, orders};
use domain::{
    delivery::{Delivery, DeliveryStatus, DeliveryStep},
    event::EventKind,
    handoff::{
        FailReason, Handoff, HandoffState, parse_ready_at, parse_reference, parse_tracking_number,
    },
    hint::Hint,
    integrator::{Confirms, HandoffEvent, Integrator},
    order::Order,
};
use store::handoffs::Moved;

/// The integrator's own ids of an order, and when it is ready, from its answer.
#[derive(Clone, Debug, Default)]
pub(super) struct AnsweredIds {
    reference: Option<String>,
    /// Read for a dispatch only.
    tracking_number: Option<String>,
    /// Time at which the order is expected to be ready; read for a new order only.
    ready_at: Option<DateTime<Utc>>,
}

impl AnsweredIds {
    pub(super) fn read(handoff: &Handoff, integrator: &Integrator, answer: &[u8]) -> Self {
        let at = integrator.answers.reference.as_ref();
        let tracking_number = match handoff.event {
            HandoffEvent::OrderDispatched => parse_tracking_number(answer, at),
            _ => None,
        };
        Self {
            reference: parse_reference(answer, at),
            tracking_number,
            ready_at: match handoff.event {
                HandoffEvent::OrderPlaced => parse_ready_at(answer),
                _ => None,
            },
        }
    }

    pub(super) fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }
}

/// Records an acknowledgement (2xx). If the integrator confirms by acknowledgement, the order may become accepted.
pub(super) async fn acknowledge(
    change: &mut Change<'_>,
    order: Option<&mut Order>,
    handoff: &Handoff,
    integrator: &Integrator,
    ids: &AnsweredIds,
) -> Result<()> {
    let reference = ids.reference();
    let confirms = handoff.event == HandoffEvent::OrderPlaced
        && integrator.confirms == Confirms::Acknowledgement;
    let now = change.now;
    let mut acknowledged = handoff.clone();
    acknowledged.state = HandoffState::Acknowledged;
    acknowledged.reason = None;
    acknowledged.closed_at = Some(now);
    keep_reference(&mut acknowledged, reference);
    if confirms && acknowledged.confirmed_at.is_none() {
        acknowledged.confirmed_at = Some(now);
    }
    end_lease(change, acknowledged, None).await?;
    attach_callbacks(change, handoff, reference).await?;
    let Some(order) = order else { return Ok(()) };
    if let Some(ready_at) = ids.ready_at.filter(|_| !integrator.is_listener()) {
        match orders::set_ready_at(change, order, ready_at, Some(integrator.id)).await {
            Ok(_) => {}
            // It is no reason to send the order again.
            Err(ChangeError::Refused(refused)) => {
                tracing::debug!(order = %order.id, %refused, "ready_at in an answer is ignored");
            }
            Err(ChangeError::Failed(failure)) => return Err(failure),
        }
    }
    match handoff.event {
        HandoffEvent::OrderPlaced if confirms => {
            orders::settle(change, order)
                .await
                .map_err(corrupt_if_refused(order.id))?;
        }
        // Somebody who listens brings no order.
        _ if integrator.is_listener() => {}
        _ => record_courier_received(change, order, handoff, ids).await?,
    }
    Ok(())
}

/// Takes over the integrator's own id of the order, if its answer has one.
pub(super) fn keep_reference(handoff: &mut Handoff, reference: Option<&str>) {
    if let Some(reference) = reference {
        handoff.reference = Some(reference.to_owned());
    }
}

/// Writes a locked handoff, whose lease ends, with the time of its next attempt if it changes.
pub(super) async fn end_lease(
    change: &mut Change<'_>,
    handoff: Handoff,
    due_at: Option<DateTime<Utc>>,
) -> Result<()> {
    Ok(change.move_handoff(Moved { handoff, due_at }).await?)
}

/// Closes a handoff (failed, withdrawn) or holds it for a person, and releases its lease.
pub(super) async fn close(
    change: &mut Change<'_>,
    handoff: &Handoff,
    state: HandoffState,
    reason: Option<&str>,
) -> Result<()> {
    let mut closed = handoff.clone();
    closed.state = state;
    closed.reason = reason.map(str::to_owned);
    closed.closed_at = state.is_closed().then_some(change.now);
    end_lease(change, closed, None).await
}

/// Acknowledges a handoff because a verified callback proves its arrival. The caller decides whether it also confirms.
pub(crate) async fn acknowledge_by_callback(
    change: &mut Change<'_>,
    order: &mut Order,
    handoff: &Handoff,
) -> Result<()> {
    change.acknowledge_handoff(handoff.id).await?;
    record_courier_received(change, order, handoff, &AnsweredIds::default()).await?;
    hint_next(change, handoff).await
}

/// Fails a handoff for good: tells staff, and updates the order if it depended on it. The caller must call
/// [`hint_next`].
pub(crate) async fn fail(
    change: &mut Change<'_>,
    order: Option<&mut Order>,
    handoff: &Handoff,
    integrator: &Integrator,
    reason: FailReason,
) -> Result<()> {
    close(change, handoff, HandoffState::Failed, Some(reason.as_str())).await?;
    // Nobody but the one who listens waits for a listener.
    if let Some(order) = order.filter(|_| !integrator.is_listener()) {
        let data = json!({
            "order": {"id": order.id, "number": order.number, "status": order.status},
            "handoff": {
                "id": handoff.id,
                "integrator_id": integrator.id,
                "integrator": integrator.name,
                "event": handoff.event,
                "required": handoff.required,
                "reason": reason,
            },
        });
        change.event(
            order.stream(),
            Some(order.id),
            EventKind::HandoffFailed,
            data,
        );
        update_unacknowledged(change, order, handoff, reason.as_str()).await?;
    }
    Ok(())
}

/// Withdraws a handoff that is not on the wire because its integrator is archived. It is nobody's fault, and the order
/// goes on without it.
pub(crate) async fn withdraw_from_order(
    change: &mut Change<'_>,
    order: Option<&mut Order>,
    handoff: &Handoff,
) -> Result<()> {
    change
        .withdraw_handoffs(&[handoff.id], INTEGRATOR_ARCHIVED)
        .await?;
    if let Some(order) = order {
        update_unacknowledged(change, order, handoff, INTEGRATOR_ARCHIVED).await?;
    }
    Ok(())
}

/// Updates an order after one of its handoffs closed without an acknowledgement.
async fn update_unacknowledged(
    change: &mut Change<'_>,
    order: &mut Order,
    handoff: &Handoff,
    reason: &str,
) -> Result<()> {
    if handoff.event == HandoffEvent::OrderDispatched {
        record_courier_failed(change, order, handoff, reason).await?;
    }
    // A waiting callback may accept the order: it is applied first, and the order settled then.
    if change.has_unapplied_callbacks(order.id).await? {
        change.hint(Hint::Callbacks { order: order.id });
        return Ok(());
    }
    orders::settle(change, order)
        .await
        .map_err(corrupt_if_refused(order.id))?;
    Ok(())
}

/// Attaches the callbacks to the order that came under this reference before it was known.
pub(super) async fn attach_callbacks(
    change: &mut Change<'_>,
    handoff: &Handoff,
    reference: Option<&str>,
) -> Result<()> {
    let (Some(order), Some(reference)) = (handoff.order_id, reference) else {
        return Ok(());
    };
    let integrator = handoff.integrator_id;
    if change
        .attach_callbacks(integrator, reference, order)
        .await?
    {
        change.hint(Hint::Callbacks { order });
    }
    Ok(())
}

/// Wakes the lane for a later handoff of the same order that had to wait for this one.
pub(crate) async fn hint_next(change: &mut Change<'_>, handoff: &Handoff) -> Result<()> {
    if change.has_open_after(handoff).await? {
        change.hint(Hint::Handoffs {
            integrator: handoff.integrator_id,
        });
    }
    Ok(())
}

/// Records that the courier has the order, if the handoff is a dispatch: its tracking number, unless one is known, and
/// that the delivery is not lost.
pub(super) async fn record_courier_received(
    change: &mut Change<'_>,
    order: &mut Order,
    handoff: &Handoff,
    ids: &AnsweredIds,
) -> Result<()> {
    let is_dispatch = handoff.event == HandoffEvent::OrderDispatched;
    let Some(delivery) = order.delivery.as_mut().filter(|_| is_dispatch) else {
        return Ok(());
    };
    let was_lost = delivery.status == DeliveryStatus::HandoffFailed;
    if delivery.tracking_number.is_none() && ids.tracking_number.is_some() {
        delivery.tracking_number.clone_from(&ids.tracking_number);
        change.write_order(order).await?;
    }
    if was_lost {
        move_delivery(change, order, DeliveryStatus::ReadyForPickUp, None).await?;
    }
    Ok(())
}

/// Records that a courier could not be told. Another one may have the order, or may still be told.
async fn record_courier_failed(
    change: &mut Change<'_>,
    order: &mut Order,
    handoff: &Handoff,
    reason: &str,
) -> Result<()> {
    let nobody_moved_it = order
        .delivery
        .as_ref()
        .is_none_or(|delivery| delivery.status == DeliveryStatus::ReadyForPickUp);
    if !nobody_moved_it || !order.status.is_open() {
        return Ok(());
    }
    let handoffs = change.handoffs_of(order.id).await?;
    let mut dispatches: Vec<&Handoff> = handoffs.iter().collect();
    dispatches.retain(|other| other.event == HandoffEvent::OrderDispatched);
    let told: Vec<_> = dispatches.iter().map(|one| one.integrator_id).collect();
    let listeners = store::integrators::listeners_among(&mut change.tx, &told).await?;
    if listeners.contains(&handoff.integrator_id) {
        return Ok(());
    }
    let is_left_to_another = dispatches.iter().any(|other| {
        other.id != handoff.id
            && !listeners.contains(&other.integrator_id)
            && !matches!(other.state, HandoffState::Failed | HandoffState::Withdrawn)
    });
    if !is_left_to_another {
        move_delivery(change, order, DeliveryStatus::HandoffFailed, Some(reason)).await?;
    }
    Ok(())
}

/// Writes the delivery's status and history, and adds an event for the screens and for integrators that listen to it.
pub(crate) async fn move_delivery(
    change: &mut Change<'_>,
    order: &mut Order,
    to: DeliveryStatus,
    reason: Option<&str>,
) -> Result<()> {
    let step = DeliveryStep {
        status: to,
        at: change.now,
    };
    let from = order.delivery.as_ref().map(|delivery| delivery.status);
    let delivery = order.delivery.get_or_insert_with(|| Delivery {
        status: to,
        tracking_number: None,
        history: Vec::new(),
    });
    delivery.record(step);
    change.write_order(order).await?;
    orders::announce_step(change, order, from, to, reason).await?;
    Ok(())
}
