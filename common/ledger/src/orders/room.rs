//! Edits and time: an edited order keeps its place in its slot, or gets another one if there is room.

use std::collections::HashMap;

use super::advance::{lock, lock_in_session};
use crate::{
    Change, ChangeResult,
    intake::{PlaceRefused, check_open, concerned, load, slot_full},
};
use domain::{
    capacity::{Hold, StoreRules},
    ids::{OrderId, ProductId, StoreId},
    order::Order,
};
use store::StoreError;

/// An order's hold on its store's capacity, and that store's rules, under the lock of its counters.
pub(super) struct Held {
    hold: Hold,
    rules: StoreRules,
}

/// Locks an order as [`lock`] does and, if it holds capacity, its store's counters, which come before it.
pub(super) async fn lock_with_hold(
    change: &mut Change<'_>,
    id: OrderId,
) -> store::Result<Option<(Order, Option<Held>)>> {
    if store::slots::of_order(&mut change.tx, id).await?.is_none() {
        let Some(order) = lock(change, id).await? else {
            return Ok(None);
        };
        if store::slots::of_order(&mut change.tx, id).await?.is_some() {
            let why = "the order was placed meanwhile".to_owned();
            return Err(StoreError::LockLost(why));
        }
        return Ok(Some((order, None)));
    }
    let Some(seen) = store::orders::get(&mut change.tx, id).await? else {
        return Ok(None);
    };
    let session = match &seen.session {
        Some(session) => store::sessions::lock(&mut change.tx, session.id).await?,
        None => None,
    };
    let (_, mut rules): (_, HashMap<StoreId, StoreRules>) =
        store::intake::lock_numbers(&mut change.tx, &[seen.store_id], true).await?;
    let Some(order) = lock_in_session(change, id, session.as_ref()).await? else {
        return Ok(None);
    };
    // It may have been called off meanwhile.
    let hold = store::slots::of_order(&mut change.tx, id).await?;
    let rules = rules.remove(&seen.store_id).unwrap_or_default();
    Ok(Some((order, hold.map(|hold| Held { hold, rules }))))
}

/// Refuses an edit to a time or a fulfilment for which the store is closed, and moves the order's hold.
pub(super) async fn move_hold(
    change: &mut Change<'_>,
    held: Option<Held>,
    before: &Order,
    order: &Order,
) -> ChangeResult<(), PlaceRefused> {
    let is_wanted_otherwise = order.timing.wanted_at != before.timing.wanted_at;
    let is_for_another = order.fulfilment != before.fulfilment || is_wanted_otherwise;
    let mut new_load = None;
    if held.is_some() && order.items != before.items {
        let products: Vec<ProductId> = order.items.iter().map(|item| item.product_id).collect();
        let weights = store::slots::weights(&mut change.tx, &products).await?;
        let pieces = order
            .items
            .iter()
            .map(|item| (item.product_id, item.quantity));
        new_load = Some(load(pieces, &weights));
    }
    let new = held.as_ref().map(|held| Hold {
        fulfilment: order.fulfilment,
        ready_at: order
            .timing
            .ready_at
            .filter(|_| is_wanted_otherwise)
            .unwrap_or(held.hold.ready_at),
        load: new_load.unwrap_or(held.hold.load),
    });
    let is_moved = new != held.as_ref().map(|held| held.hold);
    if !is_for_another && !is_moved {
        return Ok(());
    }
    let store = store::stores::get(&mut change.tx, order.store_id)
        .await?
        .ok_or(PlaceRefused::UnknownStore)?;
    if is_for_another {
        let rules = store::store_rules::get(&mut change.tx, store.id).await?;
        let at = order.timing.wanted_at.unwrap_or(change.now);
        check_open(&rules, &store, order.fulfilment, at)?;
    }
    let (Some(Held { hold, rules }), Some(new)) = (held, new) else {
        return Ok(());
    };
    let stays = (new.fulfilment, new.ready_at) == (hold.fulfilment, hold.ready_at);
    if !(stays && new.load.is_within(hold.load)) {
        let range = concerned(&rules, &store, new.ready_at, new.ready_at);
        let others = store::slots::held(&mut change.tx, store.id, range).await?;
        let others: Vec<Hold> = others
            .into_iter()
            .filter(|(of, _)| *of != order.id)
            .map(|(_, hold)| hold)
            .collect();
        slot_full(&rules, &store, &others, &new)?;
    }
    Ok(store::slots::replace(&mut change.tx, order.id, &new).await?)
}
