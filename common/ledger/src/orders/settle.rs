//! Settles orders that wait for acceptance: decides if they have it by now, or can't get it any more.

use super::advance;
use crate::{Change, ChangeResult};
use domain::{
    actor::Actor,
    handoff::{FailReason, Handoff, HandoffState},
    integrator::HandoffEvent,
    order::Order,
    status::{By, MoveRefused, OrderStatus},
};

/// Reasons of a failed order.
pub(crate) const INTEGRATOR_UNREACHABLE: &str = "integrator_unreachable";
pub(crate) const INTEGRATOR_REFUSED: &str = "integrator_refused";

/// Accepts a locked order if every required integrator that was handed `order.placed` and is not archived has confirmed
/// (if none was handed it: if the store accepts automatically), or fails it if one of them failed for good. Returns
/// true if the order moved.
///
/// The decision is made from the current handoffs under the order's lock: of two integrators that acknowledge at the
/// same moment, the second one sees the first.
pub(crate) async fn settle(
    change: &mut Change<'_>,
    order: &mut Order,
) -> ChangeResult<bool, MoveRefused> {
    if !order.status.awaits_acceptance() {
        return Ok(false);
    }
    let mut required: Vec<Handoff> = change
        .handoffs_of(order.id)
        .await?
        .into_iter()
        .filter(|handoff| handoff.required && handoff.event == HandoffEvent::OrderPlaced)
        .collect();
    if let Some(failed) = required
        .iter()
        .find(|handoff| handoff.state == HandoffState::Failed && handoff.confirmed_at.is_none())
    {
        advance(
            change,
            order,
            OrderStatus::Failed,
            By::System,
            Some(failure_reason(failed)),
            None,
        )
        .await?;
        return Ok(true);
    }
    let is_handed = !required.is_empty();
    drop_archived(change, order, &mut required).await?;
    if is_handed && required.is_empty() {
        // Nobody is left who could confirm: staff decide, never the system.
        return Ok(false);
    }
    let confirmed = required
        .iter()
        .all(|handoff| handoff.confirmed_at.is_some());
    if !confirmed || !none_left_out(change, order, &required).await? {
        return Ok(false);
    }
    let by = last_to_confirm(change, order, &required).await?;
    let before = change.act_as(by);
    advance(change, order, OrderStatus::Accepted, By::System, None, None).await?;
    change.act_as(before);
    Ok(true)
}

/// Returns the integrator whose confirmation was the last that the order waited for; the system, if it waited for none.
async fn last_to_confirm(
    change: &mut Change<'_>,
    order: &Order,
    required: &[Handoff],
) -> store::Result<Actor> {
    let last = required.iter().max_by_key(|handoff| handoff.confirmed_at);
    // Read before, to see that none was left out.
    let integrators = change.integrators_of(order.store_id).await?;
    let last = last.and_then(|last| integrators.iter().find(|one| one.id == last.integrator_id));
    Ok(last.map_or(Actor::SYSTEM, Actor::integrator))
}

/// Leaves out archived integrators, which confirm nothing more. One with a request on the wire stays until that is
/// concluded.
async fn drop_archived(
    change: &mut Change<'_>,
    order: &Order,
    required: &mut Vec<Handoff>,
) -> store::Result<()> {
    let is_over = |handoff: &Handoff| {
        handoff.confirmed_at.is_none()
            && matches!(
                handoff.state,
                HandoffState::Acknowledged | HandoffState::Withdrawn
            )
    };
    if required.iter().any(is_over) {
        let listed = change.integrators_of(order.store_id).await?;
        required.retain(|handoff| {
            !is_over(handoff) || listed.iter().any(|one| one.id == handoff.integrator_id)
        });
    }
    Ok(())
}

/// Returns true if no required integrator was left out. One that was disabled when the order came has no handoff: then
/// staff decide, never the system. If no integrator is required, the store's `auto_accept` decides
/// as soon as the order is handed over.
async fn none_left_out(
    change: &mut Change<'_>,
    order: &Order,
    handed: &[Handoff],
) -> store::Result<bool> {
    let integrators = change.integrators_of(order.store_id).await?;
    let mut required = integrators.iter().filter(|one| one.must_confirm());
    if !handed.is_empty() {
        // An integrator that was added after the order came does not hold it up.
        let came_at = order.placed_at.unwrap_or(order.created_at);
        return Ok(required.all(|one| {
            handed.iter().any(|handoff| handoff.integrator_id == one.id)
                || (one.enabled && one.joined_at > came_at)
        }));
    }
    if required.next().is_some() || !order.is_handed_over_by(change.now) {
        return Ok(false);
    }
    change.accepts_automatically(order.store_id).await
}

fn failure_reason(handoff: &Handoff) -> &'static str {
    let refused = [FailReason::Refused, FailReason::Gone].map(FailReason::as_str);
    if handoff
        .reason
        .as_deref()
        .is_some_and(|reason| refused.contains(&reason))
    {
        INTEGRATOR_REFUSED
    } else {
        INTEGRATOR_UNREACHABLE
    }
}
