//! Places a draft with the rule and the writes of a new order, in a change of its own.

use super::{
    Line, PlaceOrder, PlaceRefused, Placer,
    batch::{load_rest, lock_numbers, lock_sessions, read_stores},
    decide::{IntakeState, decide},
    write::{Winner, write},
};
use crate::{Change, ChangeResult};
use domain::{money::Money, order::Order};

/// Locks taken before the draft's own: its session, if it has one, and its store's counter.
pub(crate) struct DraftScope(IntakeState);

/// Locks a draft's session and its store's counter, which come before orders in the lock order. An order's session and
/// store never change, so the draft may have been read without a lock.
pub(crate) async fn lock_draft_scope(
    change: &mut Change<'_>,
    draft: &Order,
) -> store::Result<DraftScope> {
    let session = draft.session.as_ref().map(|session| session.id);
    let sessions: Vec<_> = session.into_iter().collect();
    let mut state = IntakeState::default();
    lock_sessions(change, &sessions, &mut state, true).await?;
    lock_numbers(change, &[draft.store_id], &mut state, true).await?;
    Ok(DraftScope(state))
}

/// Places a locked draft at today's prices; its lines keep their ids.
pub(crate) async fn place_draft(
    change: &mut Change<'_>,
    DraftScope(mut state): DraftScope,
    draft: &Order,
    expected_total: Option<Money>,
) -> ChangeResult<Order, PlaceRefused> {
    let wanted = to_request(draft, expected_total);
    read_stores(change, &[draft.store_id], &mut state).await?;
    load_rest(change, &[&wanted], &[draft.store_id], &mut state, true).await?;
    let (chance, now) = (&change.inner.chance, change.now);
    let bounds = &change.inner.settings.bounds;
    let mut order = decide(&wanted, draft.id, &mut state, bounds, chance, now)?;
    order.created_at = draft.created_at;
    order.version = draft.version;
    order.guest_key_hash.clone_from(&draft.guest_key_hash);
    for (item, drafted) in order.items.iter_mut().zip(&draft.items) {
        item.id = drafted.id;
    }
    let winner = Winner {
        wanted: &wanted,
        order: &order,
        actor: None,
        was_draft: true,
        table_key: None,
    };
    write(change, &[winner], &state).await?;
    Ok(order)
}

fn to_request(draft: &Order, expected_total: Option<Money>) -> PlaceOrder {
    let placer = draft
        .account_id
        .map_or(Placer::Guest { key_hash: None }, Placer::Account);
    PlaceOrder {
        store_id: draft.store_id,
        session: draft.session.as_ref().map(|session| session.id),
        placer,
        reference: draft.reference.clone(),
        fulfilment: draft.fulfilment,
        wanted_at: draft.timing.wanted_at,
        customer: draft.customer.clone(),
        lines: draft.items.iter().map(Line::repeat).collect(),
        user_note: draft.user_note.clone(),
        expected_total,
        idempotency: None,
        replaces: draft.replaces,
        trace: draft.trace,
    }
}
