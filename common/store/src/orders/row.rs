//! Rows of orders and items.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError};
use domain::{
    delivery::Delivery,
    ids::ProductId,
    money::Money,
    order::{Customer, Item, Order, OrderSession},
};

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub(super) id: Uuid,
    store_id: Uuid,
    number: Option<i64>,
    session_id: Option<Uuid>,
    session_name: Option<String>,
    account_id: Option<Uuid>,
    guest_key_hash: Option<Vec<u8>>,
    reference: Option<Vec<u8>>,
    fulfilment: String,
    status: String,
    reason: Option<String>,
    version: i64,
    stock_held: bool,
    tallied: bool,
    customer: Json<Customer>,
    total_amount: i64,
    currency: String,
    user_note: Option<String>,
    accept_by: Option<DateTime<Utc>>,
    delivery: Option<Json<Delivery>>,
    replaces: Option<Uuid>,
    pub(super) last_seq: i64,
    created_at: DateTime<Utc>,
    placed_at: Option<DateTime<Utc>>,
    accepted_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
pub(super) struct ItemRow {
    id: Uuid,
    pub(super) order_id: Uuid,
    product_id: Uuid,
    sku: Option<Vec<u8>>,
    name: String,
    quantity: i64,
    unit_amount: i64,
    note: Option<String>,
    counted: bool,
}

impl Row {
    pub(super) fn into_order(self, items: Vec<ItemRow>) -> Result<Order> {
        let id = self.id;
        let corrupt = |what: &dyn ToString| StoreError::corrupt("orders", id, what.to_string());
        let currency = self.currency.parse().map_err(|error| corrupt(&error))?;
        let items = items
            .into_iter()
            .map(|item| {
                Ok(Item {
                    id: item.id.into(),
                    product_id: ProductId::from(item.product_id),
                    sku: item.sku.map(text),
                    name: item.name,
                    quantity: u32::try_from(item.quantity).map_err(|error| corrupt(&error))?,
                    unit_price: Money::new(item.unit_amount, currency),
                    note: item.note,
                    counted: item.counted,
                })
            })
            .collect::<Result<Vec<Item>>>()?;
        Ok(Order {
            id: id.into(),
            store_id: self.store_id.into(),
            number: self.number,
            session: self.session_id.map(|id| OrderSession {
                id: id.into(),
                name: self.session_name.unwrap_or_default(),
            }),
            account_id: self.account_id.map(Into::into),
            guest_key_hash: self.guest_key_hash,
            reference: self.reference.map(text),
            fulfilment: self.fulfilment.parse().map_err(|error| corrupt(&error))?,
            status: self.status.parse().map_err(|error| corrupt(&error))?,
            reason: self.reason,
            version: self.version,
            stock_held: self.stock_held,
            tallied: self.tallied,
            customer: self.customer.0,
            items,
            total: Money::new(self.total_amount, currency),
            user_note: self.user_note,
            accept_by: self.accept_by,
            delivery: self.delivery.map(|delivery| delivery.0),
            replaces: self.replaces.map(Into::into),
            created_at: self.created_at,
            placed_at: self.placed_at,
            accepted_at: self.accepted_at,
            ended_at: self.ended_at,
        })
    }
}

/// Converts a binary column to text. Its value was valid UTF-8 when it was accepted.
pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
