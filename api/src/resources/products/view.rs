//! A product as the API shows it.

use domain::store::Product;
use poem_openapi::Object;
use uuid::Uuid;

use crate::http::scalars::{self, Time};

/// A product of a store.
#[derive(Debug, Object)]
#[oai(rename = "Product")]
pub(crate) struct ProductView {
    id: Uuid,
    store_id: Uuid,
    /// The store's own code for the product, unique per store and case-sensitive.
    sku: Option<String>,
    name: String,
    description: Option<String>,
    price: scalars::Money,
    /// True if it may be ordered now, regardless of stock.
    available: bool,
    /// Quantity in stock; null if it is not counted and never runs out.
    stock: Option<i64>,
    archived_at: Option<Time>,
    version: i64,
    created_at: Time,
}

impl From<Product> for ProductView {
    fn from(product: Product) -> Self {
        Self {
            id: product.id.uuid(),
            store_id: product.store_id.uuid(),
            sku: product.sku,
            name: product.name,
            description: product.description,
            price: product.price.into(),
            available: product.available,
            stock: product.stock,
            archived_at: product.archived_at.map(Into::into),
            version: product.version,
            created_at: product.created_at.into(),
        }
    }
}
