//! An order and its items, at the prices they were sold at.

pub mod search;
pub mod size;
pub mod times;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    delivery::Delivery,
    ids::{AccountId, ItemId, OrderId, ProductId, SessionId, StoreId, StreamId},
    money::Money,
    options::ChosenOption,
    status::{self, By, OrderStatus},
    timing::Timing,
    trace::TraceContext,
    words::words,
};

/// Maximum number of items in one order.
pub const MAX_ITEMS: usize = 100;
/// Maximum quantity of one item.
pub const MAX_QUANTITY: u32 = 10_000;

words! {
    pub enum Fulfilment {
        Table = "table",
        Pickup = "pickup",
        /// Needs the customer's address.
        Delivery = "delivery",
    }
}

/// The customer of an order. Personal data: never in logs, in stored events, or in what guests see.
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
    /// Returns true if there is an address to deliver to.
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

/// An item of an order, with name, sku and unit price as they were when it was sold.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub id: ItemId,
    pub product_id: ProductId,
    pub sku: Option<String>,
    pub name: String,
    pub quantity: u32,
    /// Price of one piece with its options.
    pub unit_price: Money,
    pub options: Vec<ChosenOption>,
    pub note: Option<String>,
    /// True if the product's stock was counted when this was taken, so that it is given back.
    pub counted: bool,
}

impl Item {
    /// Returns the item's total, which cannot overflow: intake refuses such orders.
    #[must_use]
    pub fn total(&self) -> Money {
        self.unit_price
            .times(self.quantity)
            .expect("intake bounds every line's total")
    }

    /// Returns the counted products whose stock it takes, and how much of each; a product may occur several times.
    pub fn takes(&self) -> impl Iterator<Item = (ProductId, i64)> {
        let own = self
            .counted
            .then(|| (self.product_id, self.quantity.into()));
        let options = self.options.iter().filter(|option| option.counted);
        own.into_iter().chain(options.filter_map(move |option| {
            let product = option.product_id?;
            Some((product, option.quantity_in(self.quantity)))
        }))
    }
}

/// Returns the total of some lines; `None` if it exceeds [`super::money::MAX_AMOUNT`] or currencies differ.
pub fn total<'a>(zero: Money, lines: impl IntoIterator<Item = (&'a Money, u32)>) -> Option<Money> {
    lines
        .into_iter()
        .try_fold(zero, |sum, (unit_price, quantity)| {
            sum.plus(unit_price.times(quantity)?)
        })
}

/// The session of an order, as far as the order shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderSession {
    pub id: SessionId,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub id: OrderId,
    pub store_id: StoreId,
    /// Number for people, counted up per store. Drafts have none.
    pub number: Option<i64>,
    pub session: Option<OrderSession>,
    /// The account that placed it; `None` for a guest's order.
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
    /// True if it is counted in its store's tally, which then follows its status.
    pub tallied: bool,
    pub customer: Customer,
    pub items: Vec<Item>,
    pub total: Money,
    pub user_note: Option<String>,
    pub accept_by: Option<DateTime<Utc>>,
    pub timing: Timing,
    pub delivery: Option<Delivery>,
    pub replaces: Option<OrderId>,
    /// Place in a trace of the request that made it; `None` if that was not recorded.
    pub trace: Option<TraceContext>,
    pub created_at: DateTime<Utc>,
    pub placed_at: Option<DateTime<Utc>>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Time of the last change; `None` if that was made by a version that did not note it.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Order {
    /// Returns the stream that numbers its events.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.session
            .as_ref()
            .map_or_else(|| self.id.into(), |session| session.id.into())
    }

    /// Returns what decides its moves beside its status.
    #[must_use]
    pub fn move_facts(&self) -> status::Facts {
        status::Facts {
            has_courier: self.delivery.is_some(),
            cancel_until: self.timing.cancel_until,
        }
    }

    /// Returns the facts that everyone who may see the order may see: the `data` of its events, and the guests'
    /// representation (to which the api adds `mine` and `next`). No contact data, staff, integrators or handoffs.
    #[must_use]
    pub fn public_facts(&self) -> Value {
        let mut facts = json!({"order": {
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
                "options": item.options.iter().map(|option| json!({
                    "option_id": option.id,
                    "group": option.group,
                    "name": option.name,
                    "price": option.price,
                    "quantity": option.quantity,
                })).collect::<Vec<_>>(),
                "total": item.total(),
                "note": item.note,
            })).collect::<Vec<_>>(),
            "total": self.total,
            "accept_by": self.accept_by.map(rfc3339),
            "wanted_at": self.timing.wanted_at.map(rfc3339),
            "ready_at": self.timing.ready_at.map(rfc3339),
            "hand_over_at": self.waits_until().map(rfc3339),
            "delivery": self.delivery.as_ref().map(|delivery| json!({"status": delivery.status})),
            "created_at": rfc3339(self.created_at),
            "placed_at": self.placed_at.map(rfc3339),
            "accepted_at": self.accepted_at.map(rfc3339),
            "ended_at": self.ended_at.map(rfc3339),
        }});
        if let Some(trace) = self.trace {
            facts["order"]["traceparent"] = json!(trace);
        }
        facts
    }

    /// Returns the facts that a store's screens are shown beside [`Self::public_facts`]: of the customer what a person
    /// needs who hands the order over, and `next`, the statuses that staff may set when it stands at `status`.
    #[must_use]
    pub fn staff_facts(&self, status: OrderStatus) -> Value {
        let facts = self.move_facts();
        let Customer {
            name,
            phone,
            email,
            address,
            ..
        } = &self.customer;
        let is_known = [name, phone, email, address]
            .iter()
            .any(|field| field.is_some());
        json!({
            "session": self.session.as_ref().map(|session| json!({"name": session.name})),
            "reference": self.reference,
            "user_note": self.user_note,
            "customer": is_known.then(|| json!({
                "name": name,
                "phone": phone,
                "email": email,
                "address": address,
            })),
            "version": self.version,
            "next": status::next(status, By::Staff, facts),
        })
    }
}

/// Formats a time as RFC 3339 in UTC with microseconds, like every time on the wire.
#[must_use]
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
