//! Rows of orders and items.

use sqlx::types::Json;

use crate::{
    Result, StoreError,
    rows::{ReadRow, Row, optional_text},
};
use domain::{
    ids::{ItemId, OrderId, ProductId},
    money::{Currency, Money},
    options::ChosenOption,
    order::{Item, Order, OrderSession},
    timing::Timing,
};

/// An order without its items, and the last number of its own stream.
pub(super) struct OrderRow {
    pub(super) order: Order,
    pub(super) last_seq: i64,
}

pub(super) struct ItemRow {
    id: ItemId,
    pub(super) order_id: OrderId,
    product_id: ProductId,
    sku: Option<Vec<u8>>,
    name: String,
    quantity: i64,
    unit_amount: i64,
    note: Option<String>,
    counted: bool,
    options: Vec<ChosenOption>,
}

impl ReadRow for OrderRow {
    const TABLE: &'static str = "orders";

    fn read(row: &Row<'_>) -> Result<Self> {
        let session_name: Option<String> = row.get("session_name")?;
        let session = row.get::<Option<_>>("session_id")?.map(|id| OrderSession {
            id,
            name: session_name.unwrap_or_default(),
        });
        let order = Order {
            id: row.get("id")?,
            store_id: row.get("store_id")?,
            number: row.get("number")?,
            session,
            account_id: row.get("account_id")?,
            guest_key_hash: row.get("guest_key_hash")?,
            reference: row.get("reference").map(optional_text)?,
            fulfilment: row.get("fulfilment")?,
            status: row.get("status")?,
            reason: row.get("reason")?,
            version: row.get("version")?,
            stock_held: row.get("stock_held")?,
            tallied: row.get("tallied")?,
            customer: row.get("customer").map(|Json(customer)| customer)?,
            items: Vec::new(),
            total: Money::new(row.get("total_amount")?, row.get("currency")?),
            user_note: row.get("user_note")?,
            accept_by: row.get("accept_by")?,
            timing: Timing {
                wanted_at: row.get("wanted_at")?,
                ready_at: row.get("ready_at")?,
                hand_over_at: row.get("hand_over_at")?,
                cancel_until: row.get::<Option<_>>("cancel_until")?.unwrap_or_default(),
            },
            delivery: row.get::<Option<Json<_>>>("delivery")?.map(|Json(it)| it),
            replaces: row.get("replaces")?,
            trace: row
                .get::<Option<String>>("traceparent")?
                .and_then(|trace| trace.parse().ok()),
            created_at: row.get("created_at")?,
            placed_at: row.get("placed_at")?,
            accepted_at: row.get("accepted_at")?,
            ended_at: row.get("ended_at")?,
            updated_at: row.get("updated_at")?,
        };
        let last_seq = row.get("last_seq")?;
        Ok(Self { order, last_seq })
    }
}

impl ReadRow for ItemRow {
    const TABLE: &'static str = "order_items";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            order_id: row.get("order_id")?,
            product_id: row.get("product_id")?,
            sku: row.get("sku")?,
            name: row.get("name")?,
            quantity: row.get("quantity")?,
            unit_amount: row.get("unit_amount")?,
            note: row.get("note")?,
            counted: row.get("counted")?,
            options: row
                .get::<Option<Json<_>>>("options")?
                .map(|Json(options)| options)
                .unwrap_or_default(),
        })
    }
}

impl ItemRow {
    pub(super) fn into_item(self, currency: Currency) -> Result<Item> {
        let corrupt = |error| StoreError::corrupt("orders", self.order_id, error);
        Ok(Item {
            id: self.id,
            product_id: self.product_id,
            sku: optional_text(self.sku),
            name: self.name,
            quantity: u32::try_from(self.quantity).map_err(corrupt)?,
            unit_price: Money::new(self.unit_amount, currency),
            options: self.options,
            note: self.note,
            counted: self.counted,
        })
    }
}
