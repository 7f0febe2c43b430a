//! Groups of options, each one row with its options.

use sqlx::types::Json;

use crate::{
    error::Result,
    execute, fetch_scalar, fetch_scalars, for_update, read_all, read_in,
    rows::{ReadRow, Row},
    tx::Tx,
};
use domain::{
    ids::{OptionGroupId, ProductId, StoreId},
    options::OptionGroup,
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, store_id, name, min_chosen, max_chosen, position, options, translations, version, created_at \
             FROM option_groups ",
            $rest
        )
    };
}

/// Returns the groups that exist, by id.
pub async fn many(tx: &mut Tx, ids: &[OptionGroupId]) -> Result<Vec<OptionGroup>> {
    Ok(read_in!(tx, select!("WHERE id IN ("), ids, ") ORDER BY id"))
}

/// Locks the groups that exist, by id, and returns them.
pub async fn lock(tx: &mut Tx, ids: &[OptionGroupId]) -> Result<Vec<OptionGroup>> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let end = for_update!(tx, ") ORDER BY id");
    Ok(read_in!(tx, select!("WHERE id IN ("), &ids, end))
}

/// Returns the store's groups by id, after `after`.
pub async fn list(
    tx: &mut Tx,
    store: StoreId,
    after: Option<OptionGroupId>,
    limit: u32,
) -> Result<Vec<OptionGroup>> {
    Ok(read_all!(
        tx,
        select!("WHERE store_id = ? AND id > ? ORDER BY id LIMIT ?"),
        store,
        after.unwrap_or(OptionGroupId::MIN),
        limit
    ))
}

pub async fn count(tx: &mut Tx, store: StoreId) -> Result<i64> {
    Ok(fetch_scalar!(
        tx,
        "SELECT COUNT(*) FROM option_groups WHERE store_id = ?",
        store
    ))
}

pub async fn insert(tx: &mut Tx, group: &OptionGroup) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO option_groups (id, store_id, name, min_chosen, max_chosen, position, options, translations, version, \
         created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        group.id,
        group.store_id,
        &group.name,
        i64::from(group.min),
        i64::from(group.max),
        i64::from(group.position),
        Json(&group.options),
        Json(&group.translations),
        group.version,
        group.created_at
    );
    Ok(())
}

/// Writes a locked group.
pub async fn update(tx: &mut Tx, group: &OptionGroup) -> Result<()> {
    execute!(
        tx,
        "UPDATE option_groups SET name = ?, min_chosen = ?, max_chosen = ?, position = ?, options = ?, translations = ?, \
         version = ? WHERE id = ?",
        &group.name,
        i64::from(group.min),
        i64::from(group.max),
        i64::from(group.position),
        Json(&group.options),
        Json(&group.translations),
        group.version,
        group.id
    );
    Ok(())
}

pub async fn delete(tx: &mut Tx, id: OptionGroupId) -> Result<()> {
    execute!(tx, "DELETE FROM option_groups WHERE id = ?", id);
    Ok(())
}

/// Returns the products of the store that offer the group, archived ones too.
pub async fn products(tx: &mut Tx, store: StoreId, group: OptionGroupId) -> Result<Vec<ProductId>> {
    let holds = format!("%\"{group}\"%");
    Ok(fetch_scalars!(
        tx,
        "SELECT id FROM products WHERE store_id = ? AND option_group_ids LIKE ? ORDER BY id",
        store,
        holds.as_str()
    ))
}

impl ReadRow for OptionGroup {
    const TABLE: &'static str = "option_groups";

    fn read(row: &Row<'_>) -> Result<Self> {
        let Json(options) = row.get("options")?;
        let translations: Option<Json<_>> = row.get("translations")?;
        Ok(Self {
            id: row.get("id")?,
            store_id: row.get("store_id")?,
            name: row.get("name")?,
            min: row.count("min_chosen")?,
            max: row.count("max_chosen")?,
            position: row.parse("position", |position: i64| position.try_into())?,
            options,
            translations: translations.map(|Json(texts)| texts).unwrap_or_default(),
            version: row.get("version")?,
            created_at: row.get("created_at")?,
        })
    }
}
