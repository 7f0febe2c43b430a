//! Stores and what they sell.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ids::{OptionGroupId, ProductId, StoreId},
    language::Language,
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// Language of its names and descriptions.
    pub language: Language,
    pub archived_at: Option<DateTime<Utc>>,
    /// Counts edits by people.
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// A product that a store sells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Product {
    pub id: ProductId,
    pub store_id: StoreId,
    /// The store's own code for it: unique in the store, compared as bytes.
    pub sku: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub price: Money,
    /// The groups of options that it offers, in this order.
    pub option_group_ids: Vec<OptionGroupId>,
    /// False if people took it off sale; see [`Self::is_available`].
    pub available: bool,
    /// Time at which a product that was taken off sale comes back by itself.
    pub available_from: Option<DateTime<Utc>>,
    /// Quantity in stock; `None` means not counted, so that it never runs out.
    pub stock: Option<i64>,
    pub archived_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

impl Product {
    /// Returns true if the product can be ordered at this time, regardless of its stock.
    #[must_use]
    pub fn is_available(&self, now: DateTime<Utc>) -> bool {
        self.available || self.available_from.is_some_and(|back_at| back_at <= now)
    }

    /// Returns the time at which the product comes back, if it is not available.
    #[must_use]
    pub fn comes_back_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.available_from.filter(|_| !self.is_available(now))
    }

    /// Returns true if the product can't be ordered at this time, or its stock is used up.
    #[must_use]
    pub fn is_sold_out(&self, now: DateTime<Utc>) -> bool {
        !self.is_available(now) || self.stock.is_some_and(|left| left <= 0)
    }
}
