//! An order and its items: what was asked for, at the price it was sold at.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    delivery::Delivery,
    ids::{AccountId, ItemId, OrderId, ProductId, SessionId, StoreId, StreamId},
    money::Money,
    status::OrderStatus,
    words::words,
};

/// Lines of one order; more is refused.
pub const MAX_ITEMS: usize = 100;
/// Pieces of one line; more is refused.
pub const MAX_QUANTITY: u32 = 10_000;

words! {
    pub enum Fulfilment {
        Table = "table",
        Pickup = "pickup",
        /// Needs the customer's address.
        Delivery = "delivery",
    }
}

/// Who the order is for. Personal: never in logs, events, or what guests see.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Customer {
    pub id: Option<String>,
    pub name: Option<String>,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub address: Option<String>,
    pub lat: Option<f64>,
    pub lng: Option<f64>,
    pub device_token: Option<String>,
}

impl Customer {
    /// Somewhere to deliver to.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.address
            .as_deref()
            .is_some_and(|address| !address.trim().is_empty())
    }
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Customer(…)")
    }
}

/// A line of an order, with name, sku and unit price as they were when it was sold.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub id: ItemId,
    pub product_id: ProductId,
    pub sku: Option<String>,
    pub name: String,
    pub quantity: u32,
    pub unit_price: Money,
    pub note: Option<String>,
    /// The product was counted when this was taken, so that it is given back.
    pub counted: bool,
}

impl Item {
    /// Intake lets nothing in that overflows.
    #[must_use]
    pub fn total(&self) -> Money {
        self.unit_price
            .times(self.quantity)
            .expect("intake bounds every line's total")
    }
}

/// The total of some lines; `None` when it passes [`super::money::MAX_AMOUNT`] or currencies differ.
pub fn total<'a>(zero: Money, lines: impl IntoIterator<Item = (&'a Money, u32)>) -> Option<Money> {
    lines
        .into_iter()
        .try_fold(zero, |sum, (unit_price, quantity)| {
            sum.plus(unit_price.times(quantity)?)
        })
}

/// The session that an order belongs to, as far as an order shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderSession {
    pub id: SessionId,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub id: OrderId,
    pub store_id: StoreId,
    /// Counts up per store, for people. Drafts have none.
    pub number: Option<i64>,
    pub session: Option<OrderSession>,
    /// The account that placed it; `None` for a guest's.
    pub account_id: Option<AccountId>,
    /// SHA-256 of the guest's key.
    pub guest_key_hash: Option<Vec<u8>>,
    pub reference: Option<String>,
    pub fulfilment: Fulfilment,
    pub status: OrderStatus,
    pub reason: Option<String>,
    /// Counts edits by people.
    pub version: i64,
    pub stock_held: bool,
    /// Counted in its store's tally, which follows what becomes of it.
    pub tallied: bool,
    pub customer: Customer,
    pub items: Vec<Item>,
    pub total: Money,
    pub user_note: Option<String>,
    pub accept_by: Option<DateTime<Utc>>,
    pub delivery: Option<Delivery>,
    pub replaces: Option<OrderId>,
    pub created_at: DateTime<Utc>,
    pub placed_at: Option<DateTime<Utc>>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
}

impl Order {
    /// Where its events are numbered.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.session
            .as_ref()
            .map_or_else(|| self.id.into(), |session| session.id.into())
    }

    /// What anyone who may see the order at all may see: the `data` of its events, and guests' representation
    /// (to which the api adds `mine` and `next`). No contact data, staff, integrators or handoffs.
    #[must_use]
    pub fn public_facts(&self) -> Value {
        json!({"order": {
            "id": self.id,
            "number": self.number,
            "status": self.status,
            "reason": self.reason,
            "fulfilment": self.fulfilment,
            "items": self.items.iter().map(|item| json!({
                "id": item.id,
                "product_id": item.product_id,
                "name": item.name,
                "quantity": item.quantity,
                "unit_price": item.unit_price,
                "total": item.total(),
                "note": item.note,
            })).collect::<Vec<_>>(),
            "total": self.total,
            "accept_by": self.accept_by.map(rfc3339),
            "delivery": self.delivery.as_ref().map(|delivery| json!({"status": delivery.status})),
            "created_at": rfc3339(self.created_at),
            "placed_at": self.placed_at.map(rfc3339),
            "accepted_at": self.accepted_at.map(rfc3339),
            "ended_at": self.ended_at.map(rfc3339),
        }})
    }
}

/// RFC 3339 in UTC with microseconds, as every time on the wire.
#[must_use]
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
