//! Manual changes of stock. Changes by orders are in `stock`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{error::Result, on, tx::Tx};
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
    let changed = on!(tx, |conn| sqlx::query(
        "UPDATE stock SET quantity = quantity + ? WHERE product_id = ? AND quantity + ? >= 0"
    )
    .bind(delta)
    .bind(product.uuid())
    .bind(delta)
    .execute(conn)
    .await?
    .rows_affected());
    Ok(changed == 1)
}

/// Starts to count a product's stock.
pub async fn begin_count(tx: &mut Tx, product: ProductId, quantity: i64) -> Result<()> {
    on!(tx, |conn| {
        sqlx::query("INSERT INTO stock (product_id, quantity) VALUES (?, ?)")
            .bind(product.uuid())
            .bind(quantity)
            .execute(conn)
            .await?;
    });
    Ok(())
}

/// Returns the product's stock; `None` if it is not counted.
pub async fn quantity(tx: &mut Tx, product: ProductId) -> Result<Option<i64>> {
    let row: Option<(i64,)> = on!(tx, |conn| sqlx::query_as(
        "SELECT quantity FROM stock WHERE product_id = ?"
    )
    .bind(product.uuid())
    .fetch_optional(conn)
    .await?);
    Ok(row.map(|(quantity,)| quantity))
}

pub async fn insert(tx: &mut Tx, movement: &Movement) -> Result<()> {
    on!(tx, |conn| {
        sqlx::query(
            "INSERT INTO stock_movements (id, product_id, delta, reason, account_id, created_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(movement.id)
        .bind(movement.product_id.uuid())
        .bind(movement.delta)
        .bind(&movement.reason)
        .bind(movement.by.map(AccountId::uuid))
        .bind(movement.at)
        .execute(conn)
        .await?;
    });
    Ok(())
}

/// Returns the product's movements, newest first. Only tests read single movements so far.
#[cfg(any(test, feature = "testing"))]
pub async fn of_product(tx: &mut Tx, product: ProductId, limit: u32) -> Result<Vec<Movement>> {
    let rows: Vec<Row> = on!(tx, |conn| sqlx::query_as(
        "SELECT id, product_id, delta, reason, account_id, created_at FROM stock_movements \
         WHERE product_id = ? ORDER BY id DESC LIMIT ?"
    )
    .bind(product.uuid())
    .bind(limit)
    .fetch_all(conn)
    .await?);
    Ok(rows.into_iter().map(Into::into).collect())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    product_id: Uuid,
    delta: i64,
    reason: String,
    account_id: Option<Uuid>,
    created_at: DateTime<Utc>,
}

impl From<Row> for Movement {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            product_id: row.product_id.into(),
            delta: row.delta,
            reason: row.reason,
            by: row.account_id.map(Into::into),
            at: row.created_at,
        }
    }
}
