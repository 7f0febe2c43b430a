//! Writes the winning orders of a batch, sorted by their unique keys.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{PlaceOrder, decide::IntakeState, room};
use crate::Change;
use domain::{
    actor::Actor,
    event::{Event, EventKind},
    handoff::Cause,
    hint::Hint,
    ids::{ProductId, StoreId},
    order::{Item, Order},
    status::OrderStatus,
};
use store::{handoffs::NewHandoff, idempotency::KeyRow, orders::NewOrder};

pub(super) struct Winner<'a> {
    pub(super) wanted: &'a PlaceOrder,
    pub(super) order: &'a Order,
    /// Actor that places it, if not the one that makes the whole change.
    pub(super) actor: Option<&'a Actor>,
    /// True if it was a draft, whose rows exist and are locked.
    pub(super) was_draft: bool,
    /// Scope and text of the idempotency key that processes of an older version look for.
    pub(super) table_key: Option<(Uuid, &'a str)>,
}

pub(super) async fn write(
    change: &mut Change<'_>,
    winners: &[Winner<'_>],
    state: &IntakeState,
) -> store::Result<()> {
    store::stock::take(&mut change.tx, &taken(winners)).await?;
    store::intake::advance_numbers(&mut change.tx, &count_per_store(winners)).await?;

    room::write(change, state).await?;

    let mut orders: Vec<NewOrder<'_>> = winners
        .iter()
        .filter(|winner| !winner.was_draft)
        .map(|winner| NewOrder {
            order: winner.order,
            placed_by: winner.wanted.placed_by(),
            last_seq: i64::from(winner.order.session.is_none()),
        })
        .collect();
    orders.sort_unstable_by(|a, b| {
        (a.placed_by, &a.order.reference).cmp(&(b.placed_by, &b.order.reference))
    });
    store::orders::insert(&mut change.tx, &orders).await?;
    for draft in winners.iter().filter(|winner| winner.was_draft) {
        store::orders::update(&mut change.tx, draft.order).await?;
        store::orders::replace_items(&mut change.tx, draft.order).await?;
    }
    let numbers: Vec<i64> = winners
        .iter()
        .map(|winner| announce(change, winner))
        .collect();
    let handoffs = handoffs(change, winners, &numbers, state);
    store::handoffs::insert(&mut change.tx, &handoffs).await?;
    let mut keys = keys(winners);
    keys.sort_unstable_by(|a, b| (a.owner, &a.key).cmp(&(b.owner, &b.key)));
    store::idempotency::insert(&mut change.tx, &keys, change.now).await?;

    let now = change.now;
    // What is for later is found when it falls due.
    for handoff in handoffs.iter().filter(|one| one.due_at <= now) {
        change.hint(Hint::Handoffs {
            integrator: handoff.integrator_id,
        });
    }
    for winner in winners
        .iter()
        .filter(|winner| winner.order.is_handed_over_by(now))
        .filter(|winner| state.auto_accepts(winner.order.store_id))
    {
        change.hint(Hint::Accept {
            order: winner.order.id,
        });
    }
    Ok(())
}

fn taken(winners: &[Winner<'_>]) -> BTreeMap<ProductId, i64> {
    let mut taken = BTreeMap::new();
    let items = winners.iter().flat_map(|winner| &winner.order.items);
    for (product, quantity) in items.flat_map(Item::takes) {
        *taken.entry(product).or_default() += quantity;
    }
    taken
}

fn count_per_store(winners: &[Winner<'_>]) -> BTreeMap<StoreId, i64> {
    let mut numbered = BTreeMap::new();
    for winner in winners {
        *numbered.entry(winner.order.store_id).or_default() += 1;
    }
    numbered
}

fn handoffs(
    change: &Change<'_>,
    winners: &[Winner<'_>],
    numbers: &[i64],
    state: &IntakeState,
) -> Vec<NewHandoff> {
    winners
        .iter()
        .zip(numbers)
        .flat_map(|(winner, number)| {
            let cause = Cause {
                number: *number,
                from: winner.was_draft.then_some(OrderStatus::Draft.into()),
                to: OrderStatus::Pending.into(),
                reason: None,
                at: change.now,
            };
            state
                .receivers(winner.order.store_id)
                .map(move |integrator| (winner.order, integrator, cause.clone()))
        })
        .map(|(order, integrator, cause)| NewHandoff {
            id: change.inner.chance.id(change.now),
            store_id: order.store_id,
            order_id: Some(order.id),
            integrator_id: integrator.id,
            position: 1,
            event: domain::integrator::HandoffEvent::OrderPlaced,
            required: integrator.required,
            max_attempts: integrator.max_attempts,
            due_at: order.timing.hand_over_at.unwrap_or(change.now),
            deadline: order.accept_by.unwrap_or(change.now),
            cause: Some(cause),
            created_at: change.now,
        })
        .collect()
}

fn keys(winners: &[Winner<'_>]) -> Vec<KeyRow> {
    winners
        .iter()
        .filter_map(|winner| Some((winner, winner.wanted.idempotency.as_ref()?)))
        .flat_map(|(winner, it)| {
            let own = Some((it.owner, it.key.as_str()));
            let scopes = [own, winner.table_key].into_iter().flatten();
            scopes.map(|(owner, key)| KeyRow {
                owner,
                key: key.to_owned(),
                fingerprint: it.fingerprint,
                resource_id: winner.order.id.uuid(),
            })
        })
        .collect()
}

/// Adds the event that the order is placed, and returns its number.
fn announce(change: &mut Change<'_>, winner: &Winner<'_>) -> i64 {
    let order = winner.order;
    if let Some(actor) = winner.actor {
        change.act_as(actor.clone());
    }
    let data = order.public_facts();
    if order.session.is_some() || winner.was_draft {
        change.event(order.stream(), Some(order.id), EventKind::OrderPlaced, data)
    } else {
        // The order's own stream starts with this event, and its row is written with that number.
        change.add_numbered_event(Event {
            stream: order.stream(),
            seq: 1,
            store_id: order.store_id,
            order_id: Some(order.id),
            kind: EventKind::OrderPlaced,
            at: change.now,
            actor: None,
            data,
        });
        1
    }
}
