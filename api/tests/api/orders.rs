//! Placing, reading and moving orders, as accounts and as guests.

mod drafted;
mod edited;
mod followed;
mod found;
mod guests;
mod later;
mod linked;
mod listed;
mod placed;

use domain::{
    ids::{ProductId, StoreId},
    session::Session,
};
use ledger::products::NewProduct;
use serde_json::{Value, json};

use crate::app::App;

const ORDERS: &str = "/api/v1/orders";

async fn create_product(app: &App, store_id: StoreId, stock: Option<u32>) -> ProductId {
    let change = |new: &mut NewProduct| {
        new.sku = Some("ESP".into());
        new.stock = stock;
    };
    app.house.create_product_with(store_id, change).await
}

async fn a_table(app: &App, store: StoreId) -> (Session, String) {
    let session = app
        .house
        .ledger
        .open_session(store, "Table 1")
        .await
        .unwrap();
    let orders = format!("/api/v1/sessions/{}/orders", session.code);
    (session, orders)
}

fn wanted(store: StoreId, product: ProductId, quantity: u32) -> Value {
    json!({"store_id": store, "items": [{"product_id": product, "quantity": quantity}]})
}
