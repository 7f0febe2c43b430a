//! Details of products that only menus show, and the products' places in categories.

use std::{collections::HashMap, str::FromStr};

use sqlx::types::Json;

use crate::{
    error::Result,
    execute, fetch_all, fetch_in, insert_many, read_all, read_in,
    rows::{ReadRow, Row},
    tx::Tx,
};
use domain::{
    UnknownWord,
    ids::{CategoryId, ProductId, StoreId},
    menu::{Details, Image, Placement},
};

/// A product's place, as a row: product, category, position.
type PlaceRow = (ProductId, CategoryId, i64);

/// Returns the details of these products; those of a product that has none are the default ones.
pub async fn many(tx: &mut Tx, ids: &[ProductId]) -> Result<HashMap<ProductId, Details>> {
    let details: Vec<DetailsRow> = read_in!(
        tx,
        "SELECT d.product_id, d.image_url, d.image_id, d.allergens, d.diets, d.translations FROM product_details d \
         WHERE d.product_id IN (",
        ids,
        ")"
    );
    let places: Vec<PlaceRow> = fetch_in!(
        tx,
        "SELECT product_id, category_id, position FROM product_categories WHERE product_id IN (",
        ids,
        ") ORDER BY product_id, category_id"
    );
    Ok(join(details, places))
}

/// Returns the details of one product.
pub async fn get(tx: &mut Tx, id: ProductId) -> Result<Details> {
    Ok(many(tx, &[id]).await?.remove(&id).unwrap_or_default())
}

/// Returns the details of all products of a store that have some, also of archived ones.
pub async fn of_store(tx: &mut Tx, store: StoreId) -> Result<HashMap<ProductId, Details>> {
    let details: Vec<DetailsRow> = read_all!(
        tx,
        "SELECT d.product_id, d.image_url, d.image_id, d.allergens, d.diets, d.translations \
         FROM products p JOIN product_details d ON d.product_id = p.id WHERE p.store_id = ?",
        store
    );
    let places: Vec<PlaceRow> = fetch_all!(
        tx,
        "SELECT c.product_id, c.category_id, c.position \
         FROM products p JOIN product_categories c ON c.product_id = p.id WHERE p.store_id = ? \
         ORDER BY c.product_id, c.category_id",
        store
    );
    Ok(join(details, places))
}

/// Writes the details of a locked product in place of those that it had; its categories are locked.
pub async fn write(tx: &mut Tx, id: ProductId, details: &Details) -> Result<()> {
    let (image_url, image_id) = match &details.image {
        None => (None, None),
        Some(Image::At(url)) => (Some(url), None),
        Some(Image::Uploaded(id)) => (None, Some(*id)),
    };
    execute!(
        tx,
        "REPLACE INTO product_details (product_id, image_url, image_id, allergens, diets, translations) \
         VALUES (?, ?, ?, ?, ?, ?)",
        id,
        image_url,
        image_id,
        joined(details.allergens.iter().map(|word| word.as_str())),
        joined(details.diets.iter().map(|word| word.as_str())),
        Json(&details.translations)
    );
    execute!(
        tx,
        "DELETE FROM product_categories WHERE product_id = ?",
        id
    );
    insert_many!(
        &mut *tx,
        "INSERT INTO product_categories (product_id, category_id, position) ",
        &details.categories,
        |push, one| push
            .push_bind(id)
            .push_bind(one.category_id)
            .push_bind(i64::from(one.position))
    );
    Ok(())
}

/// The row of a product that has one.
struct DetailsRow(ProductId, Details);

fn join(rows: Vec<DetailsRow>, places: Vec<PlaceRow>) -> HashMap<ProductId, Details> {
    let rows = rows
        .into_iter()
        .map(|DetailsRow(id, details)| (id, details));
    let mut found: HashMap<ProductId, Details> = rows.collect();
    for (product, category_id, position) in places {
        let place = Placement {
            category_id,
            position: u32::try_from(position).unwrap_or_default(),
        };
        found.entry(product).or_default().categories.push(place);
    }
    found
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(",")
}

fn split<T: FromStr<Err = UnknownWord>, C: FromIterator<T>>(
    words: String,
) -> std::result::Result<C, UnknownWord> {
    let words = words.split(',').filter(|word| !word.is_empty());
    words.map(str::parse).collect()
}

impl ReadRow for DetailsRow {
    const TABLE: &'static str = "product_details";
    const KEY: &'static str = "product_id";

    fn read(row: &Row<'_>) -> Result<Self> {
        let at: Option<String> = row.get("image_url")?;
        let uploaded: Option<_> = row.get("image_id")?;
        let details = Details {
            categories: Vec::new(),
            image: at.map(Image::At).or(uploaded.map(Image::Uploaded)),
            allergens: row.parse("allergens", split)?,
            diets: row.parse("diets", split)?,
            translations: row.get("translations").map(|Json(texts)| texts)?,
        };
        Ok(Self(row.get("product_id")?, details))
    }
}
