//! Request bodies that place and move orders.

use chrono::{DateTime, Utc};
use domain::{
    ids::StoreId,
    order::{Customer, Fulfilment, MAX_ITEMS, MAX_QUANTITY},
    session::Session,
    status::{By, OrderStatus},
};
use ledger::intake::{Idempotency, Line, PlaceOrder, Placer, ProductRef};
use poem_openapi::{Enum, Object};
use runtime::traces;
use uuid::Uuid;

use super::options::{NewItemOption, asked};
use crate::http::{
    body::format::{Email, Reference, Sku},
    enums,
    problem::{FieldError, Problem},
    scalars::{self, Time},
};

/// An order placed by an account.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct NewOrder {
    /// May be omitted if `session` is given.
    store_id: Option<Uuid>,
    /// A session's code; the order then belongs to the session's table.
    #[oai(validator(min_length = 40, max_length = 40))]
    pub(super) session: Option<String>,
    /// Default `pending`, which places the order. A `draft` may have no items; it holds no stock, has no number, is
    /// announced to nobody, and is deleted after a week. Moving it to `pending` places it.
    status: Option<FirstStatus>,
    #[oai(default, validator(max_items = 100))]
    items: Vec<NewItem>,
    /// Default `table` with a session, otherwise `pickup`. `delivery` requires the customer's address.
    fulfilment: Option<enums::Fulfilment>,
    /// Time for which it is ordered: at least the store's `lead_time_min` and at most its `order_ahead_days` ahead. It is
    /// handed over `lead_time_min` before. Default null: as soon as possible.
    wanted_at: Option<Time>,
    customer: Option<CustomerFields>,
    #[oai(validator(max_length = 1000))]
    user_note: Option<String>,
    /// The client's own id for the order, unique per account.
    reference: Option<Reference>,
    /// The total that the client expects; the order is refused if it differs.
    expected_total: Option<scalars::Money>,
}

/// The first status of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum FirstStatus {
    Draft,
    Pending,
}

/// A guest's order: either `items`, or `product_id` alone for one piece.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct GuestsOrder {
    #[oai(validator(min_items = 1, max_items = 100))]
    items: Option<Vec<NewItem>>,
    product_id: Option<Uuid>,
    /// Time for which it is ordered, if the store takes orders for later. Default null: as soon as possible.
    wanted_at: Option<Time>,
    #[oai(validator(max_length = 1000))]
    user_note: Option<String>,
    /// The client's own id for the order, unique per guest.
    reference: Option<Reference>,
    expected_total: Option<scalars::Money>,
}

/// An item to order, identified by either `product_id` or `sku`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct NewItem {
    product_id: Option<Uuid>,
    sku: Option<Sku>,
    /// Number of pieces. Default 1.
    #[oai(validator(minimum(value = "1"), maximum(value = "10000")))]
    quantity: Option<u32>,
    /// Options of the product's groups. A group of which none is named gets its defaults.
    #[oai(skip_serializing_if_is_none, validator(max_items = 50))]
    options: Option<Vec<NewItemOption>>,
    #[oai(validator(max_length = 500))]
    note: Option<String>,
}

/// The person whom the order is for.
#[derive(Clone, Debug, Default, Object)]
#[oai(rename = "Customer", deny_unknown_fields)]
pub(super) struct CustomerFields {
    #[oai(validator(max_length = 100))]
    id: Option<String>,
    #[oai(validator(max_length = 200))]
    name: Option<String>,
    #[oai(validator(max_length = 50))]
    phone: Option<String>,
    email: Option<Email>,
    #[oai(validator(max_length = 500))]
    address: Option<String>,
    #[oai(validator(minimum(value = "-90"), maximum(value = "90")))]
    lat: Option<f64>,
    #[oai(validator(minimum(value = "-180"), maximum(value = "180")))]
    lng: Option<f64>,
    /// Token for push messages.
    #[oai(validator(max_length = 500))]
    device_token: Option<String>,
}

impl From<CustomerFields> for Customer {
    fn from(fields: CustomerFields) -> Self {
        Self {
            id: fields.id,
            name: fields.name,
            phone: fields.phone,
            email: fields.email.map(|email| email.0),
            address: fields.address,
            lat: fields.lat,
            lng: fields.lng,
            device_token: fields.device_token,
        }
    }
}

impl From<Customer> for CustomerFields {
    fn from(customer: Customer) -> Self {
        Self {
            id: customer.id,
            name: customer.name,
            phone: customer.phone,
            email: customer.email.map(Email),
            address: customer.address,
            lat: customer.lat,
            lng: customer.lng,
            device_token: customer.device_token,
        }
    }
}

/// The status to move an order to.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct StatusChange {
    pub(super) status: enums::OrderStatus,
    /// Required for some moves: see the order's states.
    #[oai(validator(max_length = 200))]
    pub(super) reason: Option<String>,
    /// Time at which it is expected to be ready; from staff, with `accepted` or `preparing` only.
    ready_at: Option<Time>,
    /// For a draft that moves to `pending`: the move is refused if the total differs.
    pub(super) expected_total: Option<scalars::Money>,
}

impl StatusChange {
    /// Returns the time at which the order is expected to be ready, if the caller may set it with this status.
    pub(super) fn ready_at(&self, by: By) -> Result<Option<DateTime<Utc>>, Problem> {
        let is_to_come = matches!(
            self.status.0,
            OrderStatus::Accepted | OrderStatus::Preparing
        );
        match self.ready_at {
            Some(_) if !is_to_come || by == By::Owner => Err(Problem::invalid_field(
                "/ready_at",
                "may be set by the store's staff, with accepted or preparing",
            )),
            ready_at => Ok(ready_at.map(|at| at.0)),
        }
    }
}

impl NewOrder {
    pub(super) fn is_draft(&self) -> bool {
        self.status == Some(FirstStatus::Draft)
    }

    pub(super) fn into_command(
        self,
        placer: Placer,
        session: Option<&Session>,
        idempotency: Option<Idempotency>,
    ) -> Result<PlaceOrder, Problem> {
        let store_id = self
            .store_id
            .map(StoreId::from)
            .or(session.map(|session| session.store_id));
        let is_placed = !self.is_draft();
        let mut errors = Vec::new();
        if is_placed && self.items.is_empty() {
            errors.push(FieldError::new(
                "/items",
                "must not be empty for a placed order",
            ));
        }
        if store_id.is_none() {
            errors.push(FieldError::new(
                "/store_id",
                "is required if no session is given",
            ));
        }
        let default_fulfilment = if session.is_some() {
            Fulfilment::Table
        } else {
            Fulfilment::Pickup
        };
        let fulfilment = self.fulfilment.map_or(default_fulfilment, Into::into);
        let customer: Customer = self.customer.unwrap_or_default().into();
        if is_placed && fulfilment == Fulfilment::Delivery && !customer.has_address() {
            errors.push(FieldError::new(
                "/customer/address",
                "is required for a delivery",
            ));
        }
        let lines = lines(self.items, &mut errors);
        let (Some(store_id), true) = (store_id, errors.is_empty()) else {
            return Err(Problem::invalid(errors));
        };
        Ok(PlaceOrder {
            store_id,
            session: session.map(|session| session.id),
            placer,
            reference: self.reference.map(|reference| reference.0),
            fulfilment,
            wanted_at: self.wanted_at.map(|at| at.0),
            customer,
            lines,
            user_note: self.user_note,
            expected_total: self.expected_total.map(Into::into),
            idempotency,
            replaces: None,
            trace: traces::current(),
        })
    }
}

impl GuestsOrder {
    pub(super) fn into_command(
        self,
        placer: Placer,
        session: &Session,
        idempotency: Option<Idempotency>,
    ) -> Result<PlaceOrder, Problem> {
        let mut errors = Vec::new();
        let items = match (self.items, self.product_id) {
            (Some(items), None) => items,
            (None, Some(product)) => vec![NewItem {
                product_id: Some(product),
                sku: None,
                quantity: None,
                options: None,
                note: None,
            }],
            _ => {
                errors.push(FieldError::new(
                    "/items",
                    "exactly one of items and product_id is required",
                ));
                Vec::new()
            }
        };
        let lines = lines(items, &mut errors);
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        Ok(PlaceOrder {
            store_id: session.store_id,
            session: Some(session.id),
            placer,
            reference: self.reference.map(|reference| reference.0),
            fulfilment: Fulfilment::Table,
            wanted_at: self.wanted_at.map(|at| at.0),
            customer: Customer::default(),
            lines,
            user_note: self.user_note,
            expected_total: self.expected_total.map(Into::into),
            idempotency,
            replaces: None,
            trace: traces::current(),
        })
    }
}

pub(super) fn lines(items: Vec<NewItem>, errors: &mut Vec<FieldError>) -> Vec<Line> {
    debug_assert!(items.len() <= MAX_ITEMS, "the schema bounds the items");
    let mut lines = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        match item.line() {
            Some(line) => lines.push(line),
            None => errors.push(FieldError::new(
                format!("/items/{at}"),
                "exactly one of product_id and sku is required",
            )),
        }
    }
    lines
}

impl NewItem {
    /// Returns `None` unless exactly one of `product_id` and `sku` is set.
    pub(super) fn line(self) -> Option<Line> {
        let product = match (self.product_id, self.sku) {
            (Some(id), None) => ProductRef::Id(id.into()),
            (None, Some(sku)) => ProductRef::Sku(sku.0),
            _ => return None,
        };
        Some(Line {
            product,
            quantity: self.quantity.unwrap_or(1).min(MAX_QUANTITY),
            options: asked(self.options.unwrap_or_default()),
            note: self.note,
        })
    }
}
