//! Deletes old rows, those of an order or a session all in one transaction.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{delete_in, execute_counted, handoffs_of_orders, raise_floors, shared_streams, uuids};
use crate::{error::Result, execute, fetch_all, fetch_in, fetch_scalars, tx::Tx};
use domain::ids::OrderId;

/// Deletes locked orders, which must have ended, with everything that belongs to them; returns how many events went
/// with them.
pub async fn delete_orders(tx: &mut Tx, orders: &[OrderId]) -> Result<u64> {
    let ids = uuids(orders);
    let handoffs = handoffs_of_orders(tx, orders).await?;
    for sql in [
        delete_in!("attempts", "handoff_id", "handoff_id"),
        delete_in!("handoff_rounds", "PRIMARY", "handoff_id"),
        delete_in!("handoffs", "PRIMARY", "id"),
    ] {
        execute_counted(tx, sql, &handoffs).await?;
    }
    execute_counted(
        tx,
        delete_in!("callbacks", "callbacks_of_order", "order_id"),
        &ids,
    )
    .await?;
    let events = delete_events_of_orders(tx, orders).await?;
    for sql in [
        delete_in!("slot_holds", "order_id", "order_id"),
        delete_in!("order_items", "order_id", "order_id"),
        delete_in!("orders", "PRIMARY", "id"),
    ] {
        execute_counted(tx, sql, &ids).await?;
    }
    Ok(events)
}

/// Deletes the events of these orders; returns how many. An order's own stream ends with it, and others have a floor
/// from now on, below which clients begin with a snapshot.
pub async fn delete_events_of_orders(tx: &mut Tx, orders: &[OrderId]) -> Result<u64> {
    let floors = shared_streams(tx, orders).await?;
    raise_floors(tx, &floors).await?;
    let ids = uuids(orders);
    execute_counted(
        tx,
        delete_in!("events", "events_of_order", "order_id"),
        &ids,
    )
    .await
}

/// Locks those of these sessions that were closed at this time or before and have no order, unless others have them
/// locked.
pub async fn ended_sessions(
    tx: &mut Tx,
    sessions: &[Uuid],
    closed_by: DateTime<Utc>,
) -> Result<Vec<Uuid>> {
    // SQLite has one writer and no row locks.
    let end = tx.pick(") ORDER BY id FOR UPDATE SKIP LOCKED", ") ORDER BY id");
    let closed: Vec<(Uuid, Option<DateTime<Utc>>)> = fetch_in!(
        tx,
        "SELECT id, closed_at FROM sessions /*! FORCE INDEX (PRIMARY) */ WHERE state = 'CLOSED' AND id IN (",
        sessions,
        end
    );
    let mut ended: Vec<Uuid> = closed
        .into_iter()
        .filter(|(_, at)| at.is_some_and(|at| at <= closed_by))
        .map(|(id, _)| id)
        .collect();
    // One entry of the index for each session, however many orders it has: MariaDB would make a join of an EXISTS.
    let used: Vec<(Uuid,)> = fetch_in!(
        tx,
        "SELECT s.id FROM sessions s /*! FORCE INDEX (PRIMARY) */ WHERE \
         (SELECT o.id FROM orders o /*! FORCE INDEX (orders_of_session) */ WHERE o.session_id = s.id LIMIT 1) IS NOT NULL \
         AND s.id IN (",
        ended,
        ")"
    );
    ended.retain(|id| !used.contains(&(*id,)));
    Ok(ended)
}

/// Deletes locked sessions, which must be closed and without orders, with their streams; returns how many events went
/// with them.
pub async fn delete_sessions(tx: &mut Tx, sessions: &[Uuid]) -> Result<u64> {
    let events =
        execute_counted(tx, delete_in!("events", "PRIMARY", "stream_id"), sessions).await?;
    let floors = delete_in!("event_floors", "PRIMARY", "stream_id");
    execute_counted(tx, floors, sessions).await?;
    execute_counted(tx, delete_in!("sessions", "PRIMARY", "id"), sessions).await?;
    Ok(events)
}

/// Deletes the oldest events of a store's own stream up to this time, at most `limit`; returns how many.
pub async fn delete_store_events(
    tx: &mut Tx,
    store: Uuid,
    until: DateTime<Utc>,
    limit: u32,
) -> Result<u64> {
    // The time is compared here: by the database, a stream without old events would be read to its end.
    let oldest: Vec<(i64, DateTime<Utc>)> = fetch_all!(
        tx,
        "SELECT seq, at FROM events WHERE stream_id = ? ORDER BY seq LIMIT ?",
        store,
        limit
    );
    let old = oldest.iter().take_while(|(_, at)| *at <= until);
    let Some((seq, _)) = old.last() else {
        return Ok(0);
    };
    raise_floors(tx, &[(store, *seq)]).await?;
    Ok(execute!(
        tx,
        "DELETE FROM events WHERE stream_id = ? AND seq <= ?",
        store,
        *seq
    ))
}

/// Deletes callbacks of no order that were applied or given up at this time or before; returns how many.
pub async fn delete_callbacks_without_order(
    tx: &mut Tx,
    until: DateTime<Utc>,
    limit: u32,
) -> Result<u64> {
    let found: Vec<Uuid> = fetch_scalars!(
        tx,
        "SELECT id FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ \
         WHERE order_id IS NULL AND applied_at <= ? ORDER BY applied_at LIMIT ?",
        until,
        limit
    );
    execute_counted(tx, delete_in!("callbacks", "PRIMARY", "id"), &found).await
}
