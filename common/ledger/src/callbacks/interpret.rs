//! Interprets one callback and applies it to its order (docs/design.md section 6).

mod at_once;
mod ready_time;

use chrono::{DateTime, Utc};

pub(super) use self::at_once::judge_at_once;
use self::ready_time::apply_ready_at;
use crate::{
    Change, ChangeError, Result,
    handoffs::{acknowledge_by_callback, corrupt_if_refused, move_delivery},
    orders,
};
use domain::{
    callback::{Age, CallbackResult, DeliveryUpdate, Update, UpdateMark},
    delivery::{Delivery, DeliveryStatus, DeliveryStep},
    handoff::Handoff,
    integrator::{Confirms, HandoffEvent, Integrator, meaning},
    order::Order,
    status::{By, OrderStatus},
};

/// Maximum length of a stored reason, in characters.
const MAX_REASON_CHARS: usize = 500;

/// Result of a callback, with an explanation.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) result: CallbackResult,
    pub(super) detail: Option<String>,
}

fn applied() -> Applied {
    Applied {
        result: CallbackResult::Applied,
        detail: None,
    }
}

fn unchanged() -> Applied {
    Applied {
        result: CallbackResult::Unchanged,
        detail: None,
    }
}

fn with_detail(result: CallbackResult, why: impl Into<String>) -> Applied {
    Applied {
        result,
        detail: Some(why.into()),
    }
}

/// An integrator's update, translated to our statuses.
struct Interpreted<'a> {
    status: Option<OrderStatus>,
    delivery: Option<DeliveryStatus>,
    tracking_number: Option<&'a str>,
    reason: Option<&'a str>,
    ready_at: Option<DateTime<Utc>>,
    /// A status that is neither one of ours nor in the integrator's map.
    unmapped: Option<&'a str>,
}

/// Applies an update under its order's lock. Only a fault of the database or of a row is an error.
pub(super) async fn apply(
    change: &mut Change<'_>,
    order: &mut Order,
    integrator: &Integrator,
    update: &Update,
    newest: UpdateMark,
) -> Result<Applied> {
    let handoffs: Vec<Handoff> = change
        .lock_handoffs_of(order.id)
        .await?
        .into_iter()
        .filter(|handoff| handoff.integrator_id == integrator.id)
        .collect();
    let interpreted = read(integrator, update);
    let is_courier = handoffs
        .iter()
        .any(|handoff| handoff.event == HandoffEvent::OrderDispatched);

    let previous_status = order.status;
    // Even a late or unreadable update proves that the order arrived.
    acknowledge_open(change, order, integrator, &handoffs, &interpreted).await?;
    let age = Age::of(update.mark(), newest);
    if age == Age::Older {
        return Ok(with_detail(
            CallbackResult::Stale,
            "a newer update was already applied",
        ));
    }
    if let Some(word) = interpreted.unmapped {
        return Ok(with_detail(
            CallbackResult::Unmapped,
            format!("unknown status {word:?}"),
        ));
    }
    let by = if is_courier {
        By::Courier
    } else {
        By::Integrator
    };
    let mut parts: Vec<Applied> = Vec::new();
    // The delivery first: it can't be delivered any more once the order has ended.
    if interpreted.delivery.is_some() || interpreted.tracking_number.is_some() {
        let part = if is_courier {
            apply_delivery(change, order, integrator, &interpreted, age).await?
        } else {
            with_detail(
                CallbackResult::Illegal,
                "only the order's courier may update the delivery",
            )
        };
        parts.push(part);
    }
    // Before the status, because an order that is ready has no such time to come.
    let says_no = interpreted.status.is_some_and(OrderStatus::is_unsuccessful);
    if let Some(ready_at) = interpreted.ready_at.filter(|_| !says_no) {
        parts.push(apply_ready_at(change, order, integrator, &handoffs, ready_at).await?);
    }
    if let Some(status) = interpreted.status {
        let reason = interpreted.reason;
        parts.push(
            apply_status(
                change, order, integrator, &handoffs, status, by, reason, age,
            )
            .await?,
        );
    }
    if order.status != previous_status && interpreted.status == Some(order.status) {
        return Ok(applied());
    }
    Ok(combine(parts))
}

fn read<'a>(integrator: &Integrator, update: &'a Update) -> Interpreted<'a> {
    let mut interpreted = Interpreted {
        status: None,
        delivery: None,
        tracking_number: None,
        reason: meaningful(update.reason.as_deref()),
        ready_at: update.ready_at,
        unmapped: None,
    };
    if let Some(word) = update.status.as_deref() {
        interpreted.status = meaning(&integrator.status_map, word);
        if interpreted.status.is_none() {
            // Seed 004's courier sends the delivery's status as its only status.
            interpreted.delivery = step(word);
            interpreted.unmapped = interpreted.delivery.is_none().then_some(word);
        }
    }
    if let Some(DeliveryUpdate {
        tracking_number,
        status,
    }) = &update.delivery
    {
        interpreted.tracking_number = tracking_number.as_deref();
        if let Some(word) = status.as_deref() {
            match step(word) {
                Some(status) => interpreted.delivery = Some(status),
                None => interpreted.unmapped = Some(word),
            }
        }
    }
    interpreted
}

/// Returns the step of a delivery that an integrator's word means, ignoring case as for orders. A failed handoff is
/// only ours to report.
fn step(word: &str) -> Option<DeliveryStatus> {
    let step = word.to_uppercase().parse().ok();
    step.filter(|status| *status != DeliveryStatus::HandoffFailed)
}

/// Returns the reason without white space around it, unless it is empty.
fn meaningful(reason: Option<&str>) -> Option<&str> {
    reason.map(str::trim).filter(|reason| !reason.is_empty())
}

fn shortened(reason: &str) -> String {
    reason.chars().take(MAX_REASON_CHARS).collect()
}

/// Combines the parts: applied if any part was applied, else the first refusal, else unchanged.
fn combine(parts: Vec<Applied>) -> Applied {
    let rank = |part: &Applied| match part.result {
        CallbackResult::Applied => 0,
        CallbackResult::Unchanged => 2,
        _ => 1,
    };
    let detail = parts.iter().find_map(|part| part.detail.clone());
    match parts.into_iter().min_by_key(rank) {
        Some(best) => Applied {
            result: best.result,
            detail,
        },
        None => with_detail(CallbackResult::Unchanged, "the update is empty"),
    }
}

/// Acknowledges the open handoff of an order that a callback is about: the callback proves its arrival, so it needs no
/// further try. A handoff that was never tried, or that carried something else (a cancellation, a push), is left alone.
async fn acknowledge_open(
    change: &mut Change<'_>,
    order: &mut Order,
    integrator: &Integrator,
    handoffs: &[Handoff],
    interpreted: &Interpreted<'_>,
) -> Result<()> {
    let Some(handoff) = handoffs.iter().find(|handoff| {
        !handoff.state.is_closed()
            && (handoff.attempts > 0 || handoff.round > 1)
            && matches!(
                handoff.event,
                HandoffEvent::OrderPlaced | HandoffEvent::OrderDispatched
            )
    }) else {
        return Ok(());
    };
    // It was retried by hand and not sent since, so it may have arrived in an earlier round.
    if handoff.attempts == 0 && !change.was_tried(handoff).await? {
        return Ok(());
    }
    acknowledge_by_callback(change, order, handoff).await?;
    let says_no = interpreted.status.is_some_and(OrderStatus::is_unsuccessful);
    if handoff.event == HandoffEvent::OrderPlaced
        && integrator.confirms == Confirms::Acknowledgement
        && !says_no
    {
        change.confirm_handoff(handoff.id).await?;
        settle(change, order).await?;
    }
    Ok(())
}

pub(super) async fn settle(change: &mut Change<'_>, order: &mut Order) -> Result<bool> {
    orders::settle(change, order)
        .await
        .map_err(corrupt_if_refused(order.id))
}

#[expect(
    clippy::too_many_arguments,
    reason = "one decision needs all of these facts"
)]
async fn apply_status(
    change: &mut Change<'_>,
    order: &mut Order,
    integrator: &Integrator,
    handoffs: &[Handoff],
    to: OrderStatus,
    by: By,
    reason: Option<&str>,
    age: Age,
) -> Result<Applied> {
    if order.status == to {
        return Ok(unchanged());
    }
    let goes_on = to.progress() >= OrderStatus::Accepted.progress();
    if order.status.awaits_acceptance() && goes_on {
        if let Some(not_yet) = accept_first(change, order, integrator, handoffs, to).await? {
            return Ok(not_yet);
        }
        if order.status == to {
            return Ok(applied());
        }
    }
    let goes_back = (order.status.progress().zip(to.progress()))
        .is_some_and(|(stands, said)| said < stands)
        || (age == Age::SameTime && order.status.is_final());
    if goes_back && age != Age::Newer {
        return Ok(with_detail(
            CallbackResult::Stale,
            format!("the order is already {}", order.status),
        ));
    }
    // A cancellation or rejection without a reason counts all the same.
    let reason = match reason {
        None if to.is_unsuccessful() => Some("the integrator gave no reason".to_owned()),
        reason => reason.map(shortened),
    };
    let reason = reason.as_deref();
    match orders::advance(change, order, to, by, reason, Some(integrator.id)).await {
        Ok(()) => {
            if by == By::Courier && to == OrderStatus::Delivered {
                mark_delivered(change, order).await?;
            }
            Ok(applied())
        }
        Err(ChangeError::Refused(refused)) => {
            Ok(with_detail(CallbackResult::Illegal, refused.to_string()))
        }
        Err(error) => Err(corrupt_if_refused(order.id)(error)),
    }
}

/// Accepts the order first if the integrator reports progress while it waits for acceptance. `Some` is the final result
/// if the order still is not accepted.
async fn accept_first(
    change: &mut Change<'_>,
    order: &mut Order,
    integrator: &Integrator,
    handoffs: &[Handoff],
    to: OrderStatus,
) -> Result<Option<Applied>> {
    let required = handoffs
        .iter()
        .find(|handoff| handoff.required && handoff.event == HandoffEvent::OrderPlaced);
    if let Some(handoff) = required {
        let confirmed_before = handoff.confirmed_at.is_some();
        change.confirm_handoff(handoff.id).await?;
        if settle(change, order).await? {
            return Ok(None);
        }
        let waits = "the order waits for another integrator to accept it";
        return Ok(Some(match (to, confirmed_before) {
            (OrderStatus::Accepted, false) => with_detail(CallbackResult::Applied, waits),
            (OrderStatus::Accepted, true) => with_detail(CallbackResult::Unchanged, waits),
            _ => with_detail(CallbackResult::Illegal, waits),
        }));
    }
    if has_required_integrators(change, order).await? {
        let why = "only a required integrator or staff may accept this order";
        return Ok(Some(with_detail(CallbackResult::Illegal, why)));
    }
    let accepted = OrderStatus::Accepted;
    orders::advance(
        change,
        order,
        accepted,
        By::Integrator,
        None,
        Some(integrator.id),
    )
    .await
    .map_err(corrupt_if_refused(order.id))?;
    Ok(None)
}

/// Returns true if the store has required integrators, even disabled ones: its orders wait for them or for staff.
async fn has_required_integrators(change: &mut Change<'_>, order: &Order) -> Result<bool> {
    let integrators = change.integrators_of(order.store_id).await?;
    Ok(integrators.iter().any(Integrator::must_confirm))
}

async fn apply_delivery(
    change: &mut Change<'_>,
    order: &mut Order,
    integrator: &Integrator,
    interpreted: &Interpreted<'_>,
    age: Age,
) -> Result<Applied> {
    if order.status.is_final() && order.status != OrderStatus::Delivered {
        return Ok(with_detail(
            CallbackResult::Illegal,
            format!("the order is {}", order.status),
        ));
    }
    let stands = order.delivery.as_ref().map(|delivery| delivery.status);
    let moves_to = interpreted.delivery.filter(|to| stands != Some(*to));
    if let (Some(stands), Some(to)) = (stands, moves_to) {
        // A step back in one second is the earlier of two updates, which came late.
        let comes_late = age == Age::SameTime && stands.goes_back_to(to);
        if comes_late || !stands.may_become(to) {
            let result = if age == Age::Newer {
                CallbackResult::Illegal
            } else {
                CallbackResult::Stale
            };
            let why = format!("the delivery is already {stands}");
            return Ok(with_detail(result, why));
        }
    }
    let tracked = set_tracking_number(change, order, interpreted.tracking_number).await?;
    let Some(to) = moves_to else {
        return Ok(if tracked { applied() } else { unchanged() });
    };
    let reason = interpreted.reason.map(shortened);
    move_delivery(change, order, to, reason.as_deref()).await?;
    if to == DeliveryStatus::Delivered && order.status != OrderStatus::Delivered {
        let (delivered, courier) = (OrderStatus::Delivered, By::Courier);
        match orders::advance(change, order, delivered, courier, None, Some(integrator.id)).await {
            Ok(()) => {}
            Err(ChangeError::Refused(refused)) => {
                return Ok(with_detail(CallbackResult::Applied, refused.to_string()));
            }
            Err(error) => return Err(corrupt_if_refused(order.id)(error)),
        }
    }
    Ok(applied())
}

async fn set_tracking_number(
    change: &mut Change<'_>,
    order: &mut Order,
    number: Option<&str>,
) -> Result<bool> {
    let known = order
        .delivery
        .as_ref()
        .and_then(|delivery| delivery.tracking_number.as_deref());
    let Some(number) = number.filter(|number| known != Some(*number)) else {
        return Ok(false);
    };
    let status = DeliveryStatus::ReadyForPickUp;
    let delivery = order.delivery.get_or_insert_with(|| Delivery {
        status,
        tracking_number: None,
        history: vec![DeliveryStep {
            status,
            at: change.now,
        }],
    });
    delivery.tracking_number = Some(number.to_owned());
    change.write_order(order).await?;
    Ok(true)
}

/// Marks the delivery as delivered if the courier reported only the order as delivered.
async fn mark_delivered(change: &mut Change<'_>, order: &mut Order) -> Result<()> {
    let not_yet = order
        .delivery
        .as_ref()
        .is_some_and(|delivery| delivery.status.may_become(DeliveryStatus::Delivered));
    if not_yet {
        move_delivery(change, order, DeliveryStatus::Delivered, None).await?;
    }
    Ok(())
}
