//! Counted stock: taken at intake, and given back when an order is called off. Rows are locked by id before they are
//! changed.

use std::collections::{BTreeMap, HashMap};

use crate::{
    error::{Result, StoreError},
    fetch_in, for_update, skip_locked,
    tx::Tx,
    update_many,
};
use domain::ids::ProductId;

/// Locks the stock rows of those products that are counted, and returns their quantities.
pub async fn lock(tx: &mut Tx, products: &[ProductId]) -> Result<HashMap<ProductId, i64>> {
    let end = for_update!(tx, ") ORDER BY product_id");
    some(tx, products, end).await
}

/// Does the same for the rows that no other transaction has locked.
pub async fn lock_available(
    tx: &mut Tx,
    products: &[ProductId],
) -> Result<HashMap<ProductId, i64>> {
    let end = skip_locked!(tx, ") ORDER BY product_id");
    some(tx, products, end).await
}

async fn some(
    tx: &mut Tx,
    products: &[ProductId],
    end: &'static str,
) -> Result<HashMap<ProductId, i64>> {
    let mut ids = products.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let rows = fetch_in!(
        tx,
        "SELECT product_id, quantity FROM stock WHERE product_id IN (",
        &ids,
        end
    );
    Ok(rows.into_iter().collect())
}

/// Takes stock from rows that are locked and known to have enough.
pub async fn take(tx: &mut Tx, wanted: &BTreeMap<ProductId, i64>) -> Result<()> {
    let wanted = rows(wanted);
    let taken = update_many!(tx, "product_id", "UPDATE stock SET ", &wanted, |row| row.0, [
        "quantity = quantity - " row.1, " WHERE ";
        "quantity >= " row.1, " AND product_id IN (";
    ]);
    check_all(&wanted, taken)
}

/// Gives stock back to locked rows.
pub async fn give_back(tx: &mut Tx, returned: &BTreeMap<ProductId, i64>) -> Result<()> {
    let returned = rows(returned);
    let given = update_many!(tx, "product_id", "UPDATE stock SET ", &returned, |row| row.0, [
        "quantity = quantity + " row.1, " WHERE ";
        "0 <= " row.1, " AND product_id IN (";
    ]);
    check_all(&returned, given)
}

fn rows(amounts: &BTreeMap<ProductId, i64>) -> Vec<(ProductId, i64)> {
    amounts.iter().map(|(id, amount)| (*id, *amount)).collect()
}

fn check_all(rows: &[(ProductId, i64)], changed: u64) -> Result<()> {
    if changed == rows.len() as u64 {
        return Ok(());
    }
    let ids: Vec<ProductId> = rows.iter().map(|row| row.0).collect();
    let what = "changed in spite of its lock";
    Err(StoreError::corrupt("stock", format!("{ids:?}"), what))
}
