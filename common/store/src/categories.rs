//! Categories: the headings of stores' menus.

use sqlx::types::Json;

use crate::{
    error::Result,
    execute, fetch_in, fetch_scalar, for_update, read_all, read_optional,
    rows::{ReadRow, Row},
    tx::Tx,
};
use domain::{
    ids::{CategoryId, StoreId},
    menu::Category,
};

/// `SELECT` of a category's columns, with the rest of the statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, store_id, name, description, position, weight, translations, version, created_at \
             FROM categories ",
            $rest
        )
    };
}

pub async fn get(tx: &mut Tx, id: CategoryId) -> Result<Option<Category>> {
    Ok(read_optional!(tx, select!("WHERE id = ?"), id))
}

/// Locks a category against concurrent edits and against products that are put into it, and returns it.
pub async fn lock(tx: &mut Tx, id: CategoryId) -> Result<Option<Category>> {
    let sql = for_update!(tx, select!("WHERE id = ?"));
    Ok(read_optional!(tx, sql, id))
}

/// Locks those of these categories that the store has, by id, and returns their ids.
pub async fn lock_many(tx: &mut Tx, store: StoreId, ids: &[CategoryId]) -> Result<Vec<CategoryId>> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let end = for_update!(tx, ") ORDER BY id");
    let rows: Vec<(CategoryId, StoreId)> = fetch_in!(
        tx,
        "SELECT id, store_id FROM categories WHERE id IN (",
        &sorted,
        end
    );
    let own = rows.into_iter().filter(|(_, of)| *of == store);
    Ok(own.map(|(id, _)| id).collect())
}

/// Returns the store's categories by id, after `after`.
pub async fn list(
    tx: &mut Tx,
    store: StoreId,
    after: Option<CategoryId>,
    limit: u32,
) -> Result<Vec<Category>> {
    Ok(read_all!(
        tx,
        select!("WHERE store_id = ? AND id > ? ORDER BY id LIMIT ?"),
        store,
        after.unwrap_or(CategoryId::MIN),
        limit
    ))
}

pub async fn count(tx: &mut Tx, store: StoreId) -> Result<i64> {
    Ok(fetch_scalar!(
        tx,
        "SELECT COUNT(*) FROM categories WHERE store_id = ?",
        store
    ))
}

pub async fn insert(tx: &mut Tx, category: &Category) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO categories (id, store_id, name, description, position, weight, translations, version, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        category.id,
        category.store_id,
        &category.name,
        &category.description,
        i64::from(category.position),
        i64::from(category.weight),
        Json(&category.translations),
        category.version,
        category.created_at
    );
    Ok(())
}

/// Writes a locked category with its new version.
pub async fn update(tx: &mut Tx, category: &Category) -> Result<()> {
    execute!(
        tx,
        "UPDATE categories SET name = ?, description = ?, position = ?, weight = ?, translations = ?, version = ? \
         WHERE id = ?",
        &category.name,
        &category.description,
        i64::from(category.position),
        i64::from(category.weight),
        Json(&category.translations),
        category.version,
        category.id
    );
    Ok(())
}

/// Deletes a locked category, and takes its products out of it.
pub async fn delete(tx: &mut Tx, id: CategoryId) -> Result<()> {
    execute!(
        tx,
        "DELETE FROM product_categories WHERE category_id = ?",
        id
    );
    execute!(tx, "DELETE FROM categories WHERE id = ?", id);
    Ok(())
}

impl ReadRow for Category {
    const TABLE: &'static str = "categories";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            store_id: row.get("store_id")?,
            name: row.get("name")?,
            description: row.get("description")?,
            position: row.count("position")?,
            weight: row.count("weight")?,
            translations: row.get("translations").map(|Json(texts)| texts)?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
        })
    }
}
