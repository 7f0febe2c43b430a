//! Removes what people and integrators wrote from ended orders, and leaves the rows.

use serde_json::Value;

use super::{delete_in, execute_counted, handoffs_of_orders, uuids};
use crate::{error::Result, events, tx::Tx};
use domain::{event::Event, ids::OrderId};

/// Removes the contact data and notes of locked orders, which must have ended, and every copy of them: in events, in
/// the messages to integrators and in their answers. Returns how many rows were changed.
pub async fn strip_contact(tx: &mut Tx, orders: &[OrderId]) -> Result<u64> {
    let ids = uuids(orders);
    let mut changed = execute_counted(
        tx,
        "UPDATE orders /*! FORCE INDEX (PRIMARY) */ SET customer = '{}', user_note = NULL WHERE id IN (",
        &ids,
    )
    .await?;
    changed += execute_counted(
        tx,
        "UPDATE order_items /*! FORCE INDEX (order_id) */ SET note = NULL WHERE note IS NOT NULL AND order_id IN (",
        &ids,
    )
    .await?;
    changed += strip_events(tx, orders).await?;
    Ok(changed + strip_messages(tx, orders).await?)
}

/// Removes the bodies of the messages about locked orders, of their answers and of callbacks. Returns how many rows
/// were changed.
pub async fn strip_messages(tx: &mut Tx, orders: &[OrderId]) -> Result<u64> {
    let handoffs = handoffs_of_orders(tx, orders).await?;
    let mut changed = execute_counted(
        tx,
        "UPDATE handoffs /*! FORCE INDEX (PRIMARY) */ SET body = NULL WHERE body IS NOT NULL AND id IN (",
        &handoffs,
    )
    .await?;
    changed += execute_counted(
        tx,
        "UPDATE attempts /*! FORCE INDEX (handoff_id) */ SET response = NULL WHERE response IS NOT NULL AND handoff_id IN (",
        &handoffs,
    )
    .await?;
    let ids = uuids(orders);
    changed += execute_counted(
        tx,
        "UPDATE callbacks /*! FORCE INDEX (callbacks_of_order) */ SET payload = '{}' WHERE order_id IN (",
        &ids,
    )
    .await?;
    Ok(changed)
}

/// Removes the notes from the events of these orders.
async fn strip_events(tx: &mut Tx, orders: &[OrderId]) -> Result<u64> {
    let mut noted = events::of_orders(tx, orders).await?;
    let with_notes: Vec<OrderId> = {
        let changed = noted.iter_mut().filter_map(|event| {
            let order = event.order_id?;
            remove_notes(event).then_some(order)
        });
        let mut orders: Vec<OrderId> = changed.collect();
        orders.sort_unstable();
        orders.dedup();
        orders
    };
    // All events of an order are written anew, because the database finds them by their order only.
    noted.retain(|event| {
        event
            .order_id
            .is_some_and(|id| with_notes.binary_search(&id).is_ok())
    });
    let ids = uuids(&with_notes);
    execute_counted(
        tx,
        delete_in!("events", "events_of_order", "order_id"),
        &ids,
    )
    .await?;
    events::insert(tx, &noted).await?;
    Ok(u64::try_from(noted.len()).unwrap_or(u64::MAX))
}

/// Removes the notes of items from an event; returns false if there were none.
fn remove_notes(event: &mut Event) -> bool {
    let mut found = false;
    let items = event.data.pointer_mut("/order/items");
    for item in items.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(note) = item.get_mut("note").filter(|note| !note.is_null()) {
            *note = Value::Null;
            found = true;
        }
    }
    found
}
