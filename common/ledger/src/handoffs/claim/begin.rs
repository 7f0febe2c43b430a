//! Begins the attempts of a claim: decides about each locked handoff, and writes all of them together.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    Change, Inner, Result,
    handoffs::{Claimed, Claims, available::Locked, corrupt_if_refused, fail, hint_next},
    orders,
};
use domain::{
    handoff::{FailReason, HandoffState},
    ids::{AttemptId, OrderId, StoreId},
    integrator::HandoffEvent,
    order::Order,
    payload,
    status::{By, OrderStatus},
    store::Store,
};
use store::{
    StoreError,
    attempts::NewAttempt,
    handoffs::{NewClaim, Stored},
};

/// Begins an attempt of each of these handoffs that may be sent, and closes those that must not be sent any more.
pub(super) async fn begin_attempts(
    change: &mut Change<'_>,
    to: &store::integrators::Stored,
    locked: Vec<Locked>,
    lease: Duration,
    claims: &mut Claims,
) -> Result<()> {
    let (auth, signing) = change.inner.outbound_secrets(to, change.now)?;
    gather(change, &locked).await?;
    // A pending order is moved here, and so has its newest event in this change.
    let unwritten = locked.iter().filter(|one| one.stored.body.is_none());
    let known_orders: Vec<OrderId> = unwritten
        .filter_map(|one| one.order.as_ref())
        .filter(|order| order.status != OrderStatus::Pending)
        .map(|order| order.id)
        .collect();
    let newest = store::events::newest_of_orders(&mut change.tx, &known_orders).await?;
    let stores = load_stores(change, &locked).await?;
    for Locked { stored, mut order } in locked {
        let handoff = &stored.handoff;
        // Another claim may have taken it between the query and the lock; then others may be due.
        let is_due = handoff.next_attempt_at.is_some_and(|at| at <= change.now);
        if !is_due || change.is_blocked(handoff) {
            claims.retry_soon = true;
            continue;
        }
        if close_unsendable(change, to, &stored, order.as_mut()).await? {
            claims.retry_soon = true;
            continue;
        }
        if let Some(order) = &mut order
            && handoff.event == HandoffEvent::OrderPlaced
            && order.status == OrderStatus::Pending
            && !to.integrator.is_listener()
        {
            orders::advance(
                change,
                order,
                OrderStatus::Processing,
                By::System,
                None,
                None,
            )
            .await
            .map_err(corrupt_if_refused(order.id))?;
        }
        let leased_until = change.now + lease;
        if let Some(due_at) = handoff.next_attempt_at
            && (handoff.round, handoff.attempts) == (1, 0)
        {
            let waited = (change.now - due_at).to_std().unwrap_or_default();
            claims.longest_wait = claims.longest_wait.max(waited);
        }
        let (n, fence) = (handoff.attempts + 1, change.inner.chance.fence());
        let body = match &stored.body {
            Some(frozen) => frozen.clone(),
            None => {
                let id = handoff.store_id;
                let store = stores.get(&id).ok_or_else(|| {
                    StoreError::corrupt("handoffs", handoff.id, "its store is missing")
                })?;
                let order = order.as_ref();
                let version = order.and_then(|order| {
                    let of_this_change = change.newest_event_of(order.id);
                    of_this_change.or_else(|| newest.get(&order.id).copied())
                });
                render_body(change.inner, to, store, &stored, order, version)
            }
        };
        let attempt = NewAttempt {
            id: change.inner.chance.id::<AttemptId>(change.now),
            handoff_id: handoff.id,
            round: handoff.round,
            n,
            fence,
            started_at: change.now,
        };
        let claim = NewClaim {
            id: handoff.id,
            attempts: n,
            fence,
            leased_until,
            body: stored.body.is_none().then(|| body.clone()),
        };
        let mut handoff = stored.handoff;
        handoff.state = HandoffState::Sending;
        handoff.attempts = n;
        handoff.next_attempt_at = None;
        change.claim_handoff(&handoff, claim, attempt).await?;
        claims.claimed.push(Claimed {
            handoff,
            n,
            fence,
            started_at: change.now,
            leased_until,
            integrator: to.integrator.clone(),
            was_healthy: to.breaker.is_healthy(),
            pressure: to.pressure,
            auth: auth.clone(),
            signing: signing.clone(),
            body: Bytes::from(body),
            session: order
                .as_ref()
                .and_then(|order| order.session.as_ref())
                .map(|session| session.id),
            order_number: order.as_ref().and_then(|order| order.number),
            trace: order.and_then(|order| order.trace),
        });
    }
    // The breaker's row is locked after these.
    Ok(change.write_gathered().await?)
}

/// Reads what the claims of these handoffs may need.
async fn gather(change: &mut Change<'_>, locked: &[Locked]) -> Result<()> {
    let orders = locked.iter().filter_map(|one| one.order.as_ref());
    let ids: Vec<OrderId> = orders.clone().map(|order| order.id).collect();
    let pending = orders.filter(|order| order.status == OrderStatus::Pending);
    let stores: BTreeSet<StoreId> = pending.map(|order| order.store_id).collect();
    change.gather(&ids).await?;
    Ok(change.gather_integrators(&stores).await?)
}

/// Closes a due handoff that must not be sent any more: its order has ended, its deadline has passed, or its attempts
/// are used up. Returns true if it did.
async fn close_unsendable(
    change: &mut Change<'_>,
    to: &store::integrators::Stored,
    stored: &Stored,
    order: Option<&mut Order>,
) -> Result<bool> {
    let handoff = &stored.handoff;
    let order_ended = order.as_ref().is_some_and(|order| order.status.is_final());
    if order_ended && handoff.event.requires_open_order() {
        change
            .withdraw_handoffs(&[handoff.id], orders::ORDER_ENDED)
            .await?;
    } else if handoff.deadline <= change.now {
        fail(change, order, handoff, &to.integrator, FailReason::Deadline).await?;
    } else if handoff.counted_attempts() >= handoff.max_attempts {
        fail(
            change,
            order,
            handoff,
            &to.integrator,
            FailReason::AttemptsUsedUp,
        )
        .await?;
    } else {
        return Ok(false);
    }
    hint_next(change, handoff).await?;
    Ok(true)
}

/// Returns the stores of the messages that are not written yet: one integrator may have several.
async fn load_stores(
    change: &mut Change<'_>,
    locked: &[Locked],
) -> store::Result<HashMap<StoreId, Store>> {
    let unwritten = locked.iter().filter(|one| one.stored.body.is_none());
    let ids: BTreeSet<StoreId> = unwritten.map(|one| one.stored.handoff.store_id).collect();
    let ids: Vec<StoreId> = ids.into_iter().collect();
    let found = store::stores::many(&mut change.tx, &ids).await?;
    Ok(found.into_iter().map(|store| (store.id, store)).collect())
}

/// Returns the body of a handoff's message, as it is now.
pub(in crate::handoffs) fn render_body(
    inner: &Inner,
    to: &store::integrators::Stored,
    store: &Store,
    stored: &Stored,
    order: Option<&Order>,
    version: Option<i64>,
) -> Vec<u8> {
    let integrator = &to.integrator;
    let callback_base = &inner.settings.callback_base;
    let callback_url = format!(
        "{callback_base}/api/v1/integrators/{}/callbacks",
        integrator.id
    );
    let subject = payload::Subject {
        event: stored.handoff.event,
        callback_url: &callback_url,
        store,
        order,
        cause: stored.cause.as_ref(),
        version,
    };
    payload::body(integrator.format, subject)
}
