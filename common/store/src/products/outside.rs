//! Products that an outside service lists, by the service's ids.

use crate::{
    error::Result,
    execute, insert_many, read_all,
    rows::{ReadRow, Row},
    tx::Tx,
};
use domain::ids::{ProductId, StoreId};

/// A product that an outside service lists, or has listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideProduct {
    pub external_id: String,
    pub product: ProductId,
    /// True if the service listed it when it was last asked.
    pub listed: bool,
}

/// Returns the store's outside products, by external id.
pub async fn of_store(tx: &mut Tx, store: StoreId) -> Result<Vec<OutsideProduct>> {
    Ok(read_all!(
        tx,
        "SELECT external_id, product_id, listed FROM outside_products WHERE store_id = ? ORDER BY external_id",
        store
    ))
}

impl ReadRow for OutsideProduct {
    const TABLE: &'static str = "outside_products";
    const KEY: &'static str = "product_id";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            external_id: row.parse("external_id", String::from_utf8)?,
            product: row.get("product_id")?,
            listed: row.get("listed")?,
        })
    }
}

/// Inserts new outside products, which are sorted by external id.
pub async fn insert(tx: &mut Tx, store: StoreId, new: &[OutsideProduct]) -> Result<()> {
    insert_many!(
        &mut *tx,
        "INSERT INTO outside_products (store_id, external_id, product_id, listed) ",
        new,
        |push, one| push
            .push_bind(store)
            .push_bind(one.external_id.as_bytes())
            .push_bind(one.product)
            .push_bind(one.listed)
    );
    Ok(())
}

pub async fn set_listed(tx: &mut Tx, product: ProductId, listed: bool) -> Result<()> {
    execute!(
        tx,
        "UPDATE outside_products SET listed = ? WHERE product_id = ?",
        listed,
        product
    );
    Ok(())
}
