//! Products of stores, with the stock of those that are counted.

pub mod details;
pub mod outside;

use sqlx::types::Json;

use crate::{
    error::Result,
    execute, fetch_optional, read_all, read_in, read_optional,
    rows::{ReadRow, Row, read_rows},
    statements::Statement,
    tx::Tx,
};
use domain::{
    ids::{ProductId, StoreId},
    money::Money,
    store::Product,
};

/// Returns a product, archived or not.
pub async fn get(tx: &mut Tx, id: ProductId) -> Result<Option<Product>> {
    read(tx, id, select!("WHERE p.id = ?")).await
}

/// Locks a product against concurrent edits and against another first count of its stock, and returns it. Its stock is
/// not locked.
pub async fn lock(tx: &mut Tx, id: ProductId) -> Result<Option<Product>> {
    let sql = tx.pick(
        // Locks the row of products alone, without `OF`, which MariaDB does not have.
        "SELECT id FROM products WHERE id = ? FOR UPDATE",
        // SQLite has one writer; nothing to lock.
        "SELECT id FROM products WHERE id = ?",
    );
    let locked: Option<(ProductId,)> = fetch_optional!(tx, sql, id);
    match locked {
        Some(_) => get(tx, id).await,
        None => Ok(None),
    }
}

/// Returns the products that exist, archived ones too, by id.
pub async fn many(tx: &mut Tx, ids: &[ProductId]) -> Result<Vec<Product>> {
    Ok(read_in!(
        tx,
        select!("WHERE p.id IN ("),
        ids,
        ") ORDER BY p.id"
    ))
}

/// Returns the store's products with these SKUs, by id. An archived product has no SKU.
pub async fn by_skus(tx: &mut Tx, store: StoreId, skus: &[&str]) -> Result<Vec<Product>> {
    let Some(last) = skus.last() else {
        return Ok(Vec::new());
    };
    // Padded to a power of two, so that the statement has few shapes (see `batch`).
    let wanted = skus.len().next_power_of_two();
    let rows = {
        let mut query = Statement::new(tx, select!("WHERE p.store_id = "));
        query.push_bind(store).push(" AND p.sku IN (");
        let mut list = query.separated(", ");
        for sku in skus.iter().chain(std::iter::repeat(last)).take(wanted) {
            list.push_bind(sku.as_bytes());
        }
        query.push(") ORDER BY p.id");
        query.fetch_all(tx).await?
    };
    read_rows(rows)
}

/// Returns the store's products that are not archived, by id, after `after`.
pub async fn list(
    tx: &mut Tx,
    store: StoreId,
    after: Option<ProductId>,
    limit: u32,
) -> Result<Vec<Product>> {
    Ok(read_all!(
        tx,
        select!(
            "WHERE p.store_id = ? AND p.archived_at IS NULL AND p.id > ? ORDER BY p.id LIMIT ?"
        ),
        store,
        after.unwrap_or(ProductId::MIN),
        limit
    ))
}

/// Returns the products of all stores that are not archived, by id, after `after`.
pub async fn list_of_all(
    tx: &mut Tx,
    after: Option<ProductId>,
    limit: u32,
) -> Result<Vec<Product>> {
    // A scalar subquery, because a join might read all products of all stores and sort them.
    Ok(read_all!(
        tx,
        select!(
            "WHERE p.archived_at IS NULL AND p.id > ? \
             AND (SELECT o.archived_at IS NULL FROM stores o WHERE o.id = p.store_id) \
             ORDER BY p.id LIMIT ?"
        ),
        after.unwrap_or(ProductId::MIN),
        limit
    ))
}

/// Returns the products on the store's menu, by id, including those that are sold out or come back by themselves.
pub async fn menu(tx: &mut Tx, store: StoreId, limit: u32) -> Result<Vec<Product>> {
    Ok(read_all!(
        tx,
        select!(
            "WHERE p.store_id = ? AND p.archived_at IS NULL AND (p.available = TRUE OR p.available_from IS NOT NULL) \
             ORDER BY p.id LIMIT ?"
        ),
        store,
        limit
    ))
}

/// Inserts a product without stock; [`StoreError::UniqueKeyTaken`] if its SKU is taken.
pub async fn insert(tx: &mut Tx, product: &Product) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO products (id, store_id, sku, name, description, price_amount, currency, available, \
             available_from, archived_at, option_group_ids, version, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        product.id,
        product.store_id,
        product.sku.as_deref().map(str::as_bytes),
        &product.name,
        &product.description,
        product.price.amount,
        product.price.currency,
        product.available,
        product.available_from,
        product.archived_at,
        (!product.option_group_ids.is_empty()).then_some(Json(&product.option_group_ids)),
        product.version,
        product.created_at
    );
    Ok(())
}

/// Writes the editable columns if the product still has `version`, and increments it; `false` if not. A taken SKU is
/// [`StoreError::UniqueKeyTaken`].
pub async fn update(tx: &mut Tx, product: &Product, version: i64) -> Result<bool> {
    let changed = execute!(
        tx,
        "UPDATE products SET sku = ?, name = ?, description = ?, price_amount = ?, available = ?, available_from = ?, \
         archived_at = ?, option_group_ids = ?, version = version + 1 WHERE id = ? AND version = ?",
        product.sku.as_deref().map(str::as_bytes),
        &product.name,
        &product.description,
        product.price.amount,
        product.available,
        product.available_from,
        product.archived_at,
        (!product.option_group_ids.is_empty()).then_some(Json(&product.option_group_ids)),
        product.id,
        version
    );
    Ok(changed == 1)
}

async fn read(tx: &mut Tx, id: ProductId, sql: &'static str) -> Result<Option<Product>> {
    Ok(read_optional!(tx, sql, id))
}

/// `SELECT` of a product's columns and stock, with the rest of the statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, p.store_id, p.sku, p.name, p.description, p.price_amount, p.currency, p.available, \
             p.option_group_ids, p.available_from, s.quantity AS stock, p.archived_at, p.version, p.created_at \
             FROM products p LEFT JOIN stock s ON s.product_id = p.id ",
            $rest
        )
    };
}
use select;

impl ReadRow for Product {
    const TABLE: &'static str = "products";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            store_id: row.get("store_id")?,
            sku: row.parse_optional("sku", String::from_utf8)?,
            name: row.get("name")?,
            description: row.get("description")?,
            price: Money::new(row.get("price_amount")?, row.get("currency")?),
            option_group_ids: row
                .get::<Option<Json<_>>>("option_group_ids")?
                .map(|Json(ids)| ids)
                .unwrap_or_default(),
            available: row.get("available")?,
            available_from: row.get("available_from")?,
            stock: row.get("stock")?,
            archived_at: row.get("archived_at")?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
        })
    }
}
