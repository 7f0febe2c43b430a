//! Stores and what they sell.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ids::{ProductId, StoreId},
    money::{Currency, Money},
    timing::StoreTiming,
};

/// Contact data and location of a store, as integrators are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    pub phone: Option<String>,
    pub email: Option<String>,
    pub address: Option<String>,
    pub lat: Option<f64>,
    pub lng: Option<f64>,
}

/// A place that sells.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    pub id: StoreId,
    pub name: String,
    /// IANA zone, such as `Europe/Berlin`.
    pub timezone: String,
    pub currency: Currency,
    pub contact: Contact,
    /// Its id in the outside locations and products services, if it is one of theirs.
    pub external_location_id: Option<String>,
    /// True if a store without required integrators accepts its orders automatically (else staff do).
    pub auto_accept: bool,
    /// Seconds after its placement within which an order must be accepted; else the sweep ends it.
    pub accept_within_s: u32,
    /// Hours after its acceptance when the sweep takes an order for delivered that nobody has moved to a courier or an
    /// end; `None` leaves it open.
    pub deliver_accepted_after_h: Option<u32>,
    pub timing: StoreTiming,
    /// True if it takes no new orders for now.
    pub paused: bool,
    pub archived_at: Option<DateTime<Utc>>,
    /// Counts edits by people.
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// A product that a store sells.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    pub id: ProductId,
    pub store_id: StoreId,
    /// The store's own code for it: unique in the store, compared as bytes.
    pub sku: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub price: Money,
    pub available: bool,
    /// Quantity in stock; `None` means not counted, so that it never runs out.
    pub stock: Option<i64>,
    pub archived_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}
