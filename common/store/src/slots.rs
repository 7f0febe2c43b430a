//! Holds of orders on their store's capacity. They are added and raised only while the store's counters are locked, so
//! that who has that lock reads exact sums.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::{
    error::Result, execute, execute_in, fetch_all, fetch_in, fetch_optional, fetch_scalar,
    insert_many, tx::Tx,
};
use domain::{
    capacity::{Hold, Load, Slot},
    ids::{OrderId, ProductId, StoreId},
    order::Fulfilment,
};

type Row = (OrderId, Fulfilment, DateTime<Utc>, i64, i64);

fn hold(row: Row) -> (OrderId, Hold) {
    let (order, fulfilment, ready_at, items, weight) = row;
    let load = Load {
        orders: 1,
        items,
        weight,
    };
    let hold = Hold {
        fulfilment,
        ready_at,
        load,
    };
    (order, hold)
}

/// Returns the store's holds in this stretch of time, by order.
pub async fn held(tx: &mut Tx, store: StoreId, within: Slot) -> Result<Vec<(OrderId, Hold)>> {
    let rows: Vec<Row> = fetch_all!(
        tx,
        "SELECT order_id, fulfilment, ready_at, items, weight FROM slot_holds \
         WHERE store_id = ? AND ready_at >= ? AND ready_at < ?",
        store,
        within.from,
        within.to
    );
    Ok(rows.into_iter().map(hold).collect())
}

/// Returns an order's hold.
pub async fn of_order(tx: &mut Tx, order: OrderId) -> Result<Option<Hold>> {
    let row: Option<Row> = fetch_optional!(
        tx,
        "SELECT order_id, fulfilment, ready_at, items, weight FROM slot_holds WHERE order_id = ?",
        order
    );
    Ok(row.map(hold).map(|(_, hold)| hold))
}

/// A new hold of an order.
#[derive(Clone, Copy, Debug)]
pub struct NewHold {
    pub order: OrderId,
    pub store: StoreId,
    pub hold: Hold,
}

/// Adds holds.
pub async fn insert(tx: &mut Tx, holds: &[NewHold]) -> Result<()> {
    insert_many!(
        &mut *tx,
        "INSERT INTO slot_holds (order_id, store_id, fulfilment, ready_at, items, weight) ",
        holds,
        |push, new| push
            .push_bind(new.order)
            .push_bind(new.store)
            .push_bind(new.hold.fulfilment)
            .push_bind(new.hold.ready_at)
            .push_bind(new.hold.load.items)
            .push_bind(new.hold.load.weight)
    );
    Ok(())
}

/// Replaces an order's hold.
pub async fn replace(tx: &mut Tx, order: OrderId, hold: &Hold) -> Result<()> {
    execute!(
        tx,
        "UPDATE slot_holds SET fulfilment = ?, ready_at = ?, items = ?, weight = ? WHERE order_id = ?",
        hold.fulfilment,
        hold.ready_at,
        hold.load.items,
        hold.load.weight,
        order
    );
    Ok(())
}

/// Gives the capacity of these orders back whose time lies ahead; once it has come, the kitchen has used it.
pub async fn give_back(tx: &mut Tx, orders: &[OrderId], now: DateTime<Utc>) -> Result<()> {
    execute_in!(tx, "DELETE FROM slot_holds WHERE ready_at > ", now, " AND order_id IN ("; orders);
    Ok(())
}

/// Deletes the store's holds of times before this one.
pub async fn prune(tx: &mut Tx, store: StoreId, before: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "DELETE FROM slot_holds WHERE store_id = ? AND ready_at < ?",
        store,
        before
    );
    Ok(())
}

/// Returns the units of capacity that one piece of each of these products takes: the most that a category of it has. A
/// product without a category is left out.
pub async fn weights(tx: &mut Tx, products: &[ProductId]) -> Result<HashMap<ProductId, i64>> {
    let rows = fetch_in!(
        tx,
        "SELECT p.product_id, MAX(c.weight) FROM product_categories p JOIN categories c ON c.id = p.category_id \
         WHERE p.product_id IN (",
        products,
        ") GROUP BY p.product_id"
    );
    Ok(rows.into_iter().collect())
}

/// Counts the orders of these stores that keep the kitchen busy, or are about to; a store without any is left out.
pub async fn count_open(
    tx: &mut Tx,
    stores: &BTreeSet<StoreId>,
    now: DateTime<Utc>,
) -> Result<HashMap<StoreId, u32>> {
    let stores: Vec<StoreId> = stores.iter().copied().collect();
    let sql = tx.pick(
        "SELECT store_id, COUNT(*) FROM orders FORCE INDEX (orders_of_store_by_status) \
         WHERE status IN ('pending', 'processing', 'accepted', 'preparing') AND store_id IN (",
        "SELECT store_id, COUNT(*) FROM orders INDEXED BY orders_of_store_by_status \
         WHERE status IN ('pending', 'processing', 'accepted', 'preparing') AND store_id IN (",
    );
    let rows: Vec<(StoreId, i64)> = fetch_in!(tx, sql, &stores, ") GROUP BY store_id");
    let mut counts = HashMap::new();
    for (store, open) in rows {
        // Those that wait for their hand-over keep nobody busy yet.
        let waiting: i64 = fetch_scalar!(
            tx,
            "SELECT COUNT(*) FROM orders /*! FORCE INDEX (orders_of_store_by_wanted) */ \
             WHERE store_id = ? AND wanted_at >= ? AND hand_over_at > ? AND status IN ('pending', 'accepted')",
            store,
            now,
            now
        );
        counts.insert(store, u32::try_from(open - waiting).unwrap_or_default());
    }
    Ok(counts)
}
