//! Counted stock: taken at intake, and given back when an order is called off. Rows are locked by id before they are
//! changed.

use std::collections::{BTreeMap, HashMap};

use sqlx::QueryBuilder;

use crate::{
    bulk::by_amount,
    error::{Result, StoreError},
    fetch_in, for_update, on, push_ids, skip_locked,
    tx::Tx,
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
    change(
        tx,
        wanted,
        "UPDATE stock SET quantity = quantity - ",
        " AND quantity >= ",
    )
    .await
}

/// Gives stock back to locked rows.
pub async fn give_back(tx: &mut Tx, returned: &BTreeMap<ProductId, i64>) -> Result<()> {
    change(
        tx,
        returned,
        "UPDATE stock SET quantity = quantity + ",
        " AND 0 <= ",
    )
    .await
}

/// Changes quantities, with one statement per distinct amount.
async fn change(
    tx: &mut Tx,
    amounts: &BTreeMap<ProductId, i64>,
    sql: &'static str,
    guard: &'static str,
) -> Result<()> {
    for (amount, ids) in by_amount(amounts) {
        let changed = on!(&mut *tx, |conn| {
            let mut query = QueryBuilder::new(sql);
            query.push_bind(amount).push(" WHERE product_id IN (");
            push_ids(&mut query, &ids);
            query.push(")").push(guard).push_bind(amount);
            query.build().execute(conn).await?.rows_affected()
        });
        if changed != ids.len() as u64 {
            return Err(StoreError::corrupt(
                "stock",
                format!("{ids:?}"),
                "changed in spite of its lock",
            ));
        }
    }
    Ok(())
}
