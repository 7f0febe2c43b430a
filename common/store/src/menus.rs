//! Versions of menus: they tell in one statement that a copy of a menu is still right.

use crate::{
    error::Result, execute, fetch_all, fetch_optional, fetch_optional_scalar, for_update, tx::Tx,
};
use domain::ids::{ProductId, StoreId};

/// A menu's state. Whatever changes the menu changes one of these numbers in the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MenuStamp {
    /// The version of the store's row.
    pub store: i64,
    /// The number of changes to products, categories and stock, except by orders.
    pub menu: i64,
    /// The store's last order number: each new order takes stock.
    pub orders: i64,
}

/// Returns the stamp of the menu of a store that is not archived.
pub async fn stamp(tx: &mut Tx, store: StoreId) -> Result<Option<MenuStamp>> {
    let row: Option<(i64, Option<i64>, i64)> = fetch_optional!(
        tx,
        "SELECT s.version, m.version, c.last_number FROM stores s \
         JOIN store_counters c ON c.store_id = s.id LEFT JOIN menu_versions m ON m.store_id = s.id \
         WHERE s.id = ? AND s.archived_at IS NULL",
        store
    );
    Ok(row.map(|(store, menu, orders)| MenuStamp {
        store,
        menu: menu.unwrap_or_default(),
        orders,
    }))
}

/// Counts a change to the store's menu. The row stays locked until the commit, so this is a change's last lock.
pub async fn count_change(tx: &mut Tx, store: StoreId) -> Result<()> {
    // A transaction that waits for no lock must not wait for this one either.
    let lock = for_update!(tx, "SELECT version FROM menu_versions WHERE store_id = ?");
    let _: Option<i64> = fetch_optional_scalar!(tx, lock, store);
    let sql = tx.pick(
        "INSERT INTO menu_versions (store_id, version) VALUES (?, 1) ON DUPLICATE KEY UPDATE version = version + 1",
        // MySQL has no ON CONFLICT.
        "INSERT INTO menu_versions (store_id, version) VALUES (?, 1) ON CONFLICT (store_id) \
         DO UPDATE SET version = version + 1",
    );
    execute!(tx, sql, store);
    Ok(())
}

/// Returns the quantities of the store's counted products that are not archived, by id.
pub async fn stocks(tx: &mut Tx, store: StoreId) -> Result<Vec<(ProductId, i64)>> {
    Ok(fetch_all!(
        tx,
        "SELECT s.product_id, s.quantity FROM products p JOIN stock s ON s.product_id = p.id \
         WHERE p.store_id = ? AND p.archived_at IS NULL ORDER BY s.product_id",
        store
    ))
}
