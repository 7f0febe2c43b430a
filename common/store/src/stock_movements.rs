//! Manual changes of stock. Changes by orders are in `stock`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

#[cfg(any(test, feature = "testing"))]
use super::{fetch_all, rows::Text};
use crate::{error::Result, execute, fetch_optional, tx::Tx};
use domain::ids::{AccountId, ProductId};

/// A manual change, with its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Movement {
    pub id: Uuid,
    pub product_id: ProductId,
    pub delta: i64,
    pub reason: String,
    pub by: Option<AccountId>,
    pub at: DateTime<Utc>,
}

/// Changes a counted product's stock; `false` if it would be negative, or if the product is not counted.
pub async fn apply(tx: &mut Tx, product: ProductId, delta: i64) -> Result<bool> {
    let changed = execute!(
        tx,
        "UPDATE stock SET quantity = quantity + ? WHERE product_id = ? AND quantity + ? >= 0",
        delta,
        product,
        delta
    );
    Ok(changed == 1)
}

/// Starts to count a product's stock.
pub async fn begin_count(tx: &mut Tx, product: ProductId, quantity: i64) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO stock (product_id, quantity) VALUES (?, ?)",
        product,
        quantity
    );
    Ok(())
}

/// Returns the product's stock; `None` if it is not counted.
pub async fn quantity(tx: &mut Tx, product: ProductId) -> Result<Option<i64>> {
    let row: Option<(i64,)> = fetch_optional!(
        tx,
        "SELECT quantity FROM stock WHERE product_id = ?",
        product
    );
    Ok(row.map(|(quantity,)| quantity))
}

pub async fn insert(tx: &mut Tx, movement: &Movement) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO stock_movements (id, product_id, delta, reason, account_id, created_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
        movement.id,
        movement.product_id,
        movement.delta,
        &movement.reason,
        movement.by,
        movement.at
    );
    Ok(())
}

/// Returns the product's movements, newest first. Only tests read single movements so far.
#[cfg(any(test, feature = "testing"))]
pub async fn of_product(tx: &mut Tx, product: ProductId, limit: u32) -> Result<Vec<Movement>> {
    type Read = (Uuid, i64, Text, Option<AccountId>, DateTime<Utc>);
    let rows: Vec<Read> = fetch_all!(
        tx,
        "SELECT id, delta, reason, account_id, created_at FROM stock_movements \
         WHERE product_id = ? ORDER BY id DESC LIMIT ?",
        product,
        limit
    );
    let movements = rows
        .into_iter()
        .map(|(id, delta, reason, by, at)| Movement {
            id,
            product_id: product,
            delta,
            reason: reason.into(),
            by,
            at,
        });
    Ok(movements.collect())
}
