//! Places a draft with the rule and the writes of a new order, in a change of its own.

use super::{
    Line, PlaceOrder, PlaceRefused, Placer,
    batch::{fill, lock_places},
    decide::{World, decide},
    write::{Winner, write},
};
use crate::{Change, LedgerError, Result};
use domain::{money::Money, order::Order};

/// Locks taken before the draft's own: its session, if it has one, and its store's counter.
pub(crate) struct Place(World);

/// Locks a draft's session and its store's counter, which come before orders in the lock order. An order's session and
/// store never change, so the draft may have been read without a lock.
pub(crate) async fn lock_place(change: &mut Change<'_>, draft: &Order) -> store::Result<Place> {
    let session = draft.session.as_ref().map(|session| session.id);
    let sessions: Vec<_> = session.into_iter().collect();
    Ok(Place(
        lock_places(change, &sessions, &[draft.store_id], true).await?,
    ))
}

/// Places a locked draft at today's prices; its lines keep their ids.
pub(crate) async fn place_draft(
    change: &mut Change<'_>,
    Place(mut world): Place,
    draft: &Order,
    expected_total: Option<Money>,
) -> Result<Order, PlaceRefused> {
    let wanted = wanted(draft, expected_total);
    fill(change, &[&wanted], &[draft.store_id], &mut world).await?;
    let (chance, now) = (&change.inner.chance, change.now);
    let mut order =
        decide(&wanted, draft.id, &mut world, chance, now).map_err(LedgerError::Refused)?;
    order.created_at = draft.created_at;
    order.version = draft.version;
    order.guest_key_hash.clone_from(&draft.guest_key_hash);
    for (item, drafted) in order.items.iter_mut().zip(&draft.items) {
        item.id = drafted.id;
    }
    let winner = Winner {
        wanted: &wanted,
        order: &order,
        was_draft: true,
    };
    write(change, &[winner], &world).await?;
    Ok(order)
}

fn wanted(draft: &Order, expected_total: Option<Money>) -> PlaceOrder {
    let placer = draft
        .account_id
        .map_or(Placer::Guest { key_hash: None }, Placer::Account);
    PlaceOrder {
        store_id: draft.store_id,
        session: draft.session.as_ref().map(|session| session.id),
        placer,
        reference: draft.reference.clone(),
        fulfilment: draft.fulfilment,
        customer: draft.customer.clone(),
        lines: draft.items.iter().map(Line::again).collect(),
        user_note: draft.user_note.clone(),
        expected_total,
        idempotency: None,
        replaces: draft.replaces,
    }
}
