//! Rights to an order: of its owner, its guest, its store's staff, and an integrator that was told of it.

use domain::{account::Role, ids::OrderId, order::Order, status::By};
use platform::secrets::{same, sha256};

use crate::{auth::Caller, http::problem::Problem, state::ApiState};

/// Returns the order and the capacity in which the caller acts on it, or 404 if the caller may not see it.
pub(super) async fn visible_order(
    state: &ApiState,
    caller: &Caller,
    id: OrderId,
) -> Result<(Order, By), Problem> {
    let order = state.ledger.order(id).await?;
    let order = order.ok_or_else(Problem::not_found)?;
    let by = capacity(caller, &order).ok_or_else(Problem::not_found)?;
    Ok((order, by))
}

/// Returns an order that has a handoff to one of the caller's integrators, otherwise 404. Such a caller moves orders
/// only by callbacks.
pub(super) async fn order_for_integrator(
    state: &ApiState,
    caller: &Caller,
    id: OrderId,
) -> Result<Order, Problem> {
    let handoffs = state.ledger.handoff_histories(id).await?;
    let mut handoffs = handoffs.iter().map(|history| &history.listed.handoff);
    if !handoffs.any(|handoff| caller.represents(handoff.integrator_id)) {
        return Err(Problem::not_found());
    }
    let order = state.ledger.order(id).await?;
    order.ok_or_else(Problem::not_found)
}

/// Returns the capacity in which the caller acts on the order; `None` if there is none.
pub(super) fn capacity(caller: &Caller, order: &Order) -> Option<By> {
    if caller.is(Role::Operator) {
        Some(By::Operator)
    } else if caller.serves(order.store_id) {
        Some(By::Staff)
    } else if caller.owns(order) {
        Some(By::Owner)
    } else {
        None
    }
}

/// Returns true if this guest key placed the order.
pub(super) fn has_guest_key(order: &Order, key_hash: Option<[u8; 32]>) -> bool {
    match (&order.guest_key_hash, key_hash) {
        (Some(placed_with), Some(shown)) => same(placed_with, &shown),
        _ => false,
    }
}

/// Hashes a guest's own random key; only the hash is stored.
pub(crate) fn hash_guest_key(header: Option<String>) -> Result<Option<[u8; 32]>, Problem> {
    match header {
        None => Ok(None),
        Some(key) if (16..=200).contains(&key.len()) => Ok(Some(sha256(key.as_bytes()))),
        Some(_) => Err(Problem::invalid_field(
            "Expediter-Guest",
            "must have from 16 to 200 characters",
        )),
    }
}
