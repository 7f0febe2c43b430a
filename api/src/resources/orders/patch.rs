//! Request bodies that edit and replace orders.

use chrono::{DateTime, Utc};
use domain::{
    ids::ItemId,
    order::{Customer, Order},
};
use ledger::{
    intake::{Idempotency, Line, PlaceOrder, Placer, ProductRef},
    orders::{CustomerEdit, ItemsEdit, OrderEdit},
};
use poem_openapi::{Object, types::MaybeUndefined};
use runtime::traces;

use super::{
    options::{NewItemOption, asked},
    request::{CustomerFields, NewItem, lines},
};
use crate::http::{
    body::format::{Email, Reference},
    enums,
    merge_patch::{RequiredFields, said},
    problem::Problem,
    scalars::{self, Time},
};

/// A merge patch (RFC 7396): absent fields stay unchanged. `null` clears a field, but is refused for `fulfilment`.
/// `items` are replaced as a whole.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct OrderPatch {
    #[oai(validator(max_items = 100))]
    items: MaybeUndefined<Vec<NewItem>>,
    fulfilment: MaybeUndefined<enums::Fulfilment>,
    /// Time for which it is wanted, as in a new order. Null: as soon as possible.
    wanted_at: MaybeUndefined<Time>,
    customer: MaybeUndefined<CustomerPatch>,
    #[oai(validator(max_length = 1000))]
    user_note: MaybeUndefined<String>,
    reference: MaybeUndefined<Reference>,
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct CustomerPatch {
    #[oai(validator(max_length = 100))]
    id: MaybeUndefined<String>,
    #[oai(validator(max_length = 200))]
    name: MaybeUndefined<String>,
    #[oai(validator(max_length = 50))]
    phone: MaybeUndefined<String>,
    email: MaybeUndefined<Email>,
    #[oai(validator(max_length = 500))]
    address: MaybeUndefined<String>,
    #[oai(validator(minimum(value = "-90"), maximum(value = "90")))]
    lat: MaybeUndefined<f64>,
    #[oai(validator(minimum(value = "-180"), maximum(value = "180")))]
    lng: MaybeUndefined<f64>,
    #[oai(validator(max_length = 500))]
    device_token: MaybeUndefined<String>,
}

/// A merge patch (RFC 7396) of one item: absent fields stay unchanged, `null` clears the `note`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct ItemPatch {
    #[oai(validator(minimum(value = "1"), maximum(value = "10000")))]
    quantity: MaybeUndefined<u32>,
    /// Replace the item's options, at their current prices; the product keeps the price that it was sold at.
    #[oai(validator(max_items = 50))]
    options: MaybeUndefined<Vec<NewItemOption>>,
    #[oai(validator(max_length = 500))]
    note: MaybeUndefined<String>,
}

/// Changes in the replacement order. Absent fields are taken from the old order, at current prices.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct Replacement {
    #[oai(validator(min_items = 1, max_items = 100))]
    items: Option<Vec<NewItem>>,
    fulfilment: Option<enums::Fulfilment>,
    /// Null: as soon as possible. Taken from the old order only if it lies ahead.
    wanted_at: MaybeUndefined<Time>,
    customer: Option<CustomerFields>,
    #[oai(validator(max_length = 1000))]
    user_note: Option<String>,
    /// Not taken from the old order.
    reference: Option<Reference>,
    /// The total that the client expects; the order is refused if it differs.
    expected_total: Option<scalars::Money>,
}

impl OrderPatch {
    pub(super) fn into_edit(self) -> Result<OrderEdit, Problem> {
        let items = match said(self.items) {
            None => ItemsEdit::Keep,
            Some(items) => ItemsEdit::Replace(parse_items(items.unwrap_or_default())?),
        };
        let mut filled = RequiredFields::default();
        let fulfilment = filled.said("fulfilment", self.fulfilment);
        filled.all(OrderEdit {
            user_note: said(self.user_note),
            customer: match self.customer {
                MaybeUndefined::Undefined => CustomerEdit::default(),
                MaybeUndefined::Null => CustomerEdit::clear_all(),
                MaybeUndefined::Value(customer) => customer.into(),
            },
            fulfilment: fulfilment.map(Into::into),
            wanted_at: said(self.wanted_at).map(|at| at.map(|at| at.0)),
            reference: said(self.reference).map(|reference| reference.map(|reference| reference.0)),
            items,
        })
    }
}

impl From<CustomerPatch> for CustomerEdit {
    fn from(patch: CustomerPatch) -> Self {
        Self {
            id: said(patch.id),
            name: said(patch.name),
            phone: said(patch.phone),
            email: said(patch.email).map(|email| email.map(|email| email.0)),
            address: said(patch.address),
            lat: said(patch.lat),
            lng: said(patch.lng),
            device_token: said(patch.device_token),
        }
    }
}

impl ItemPatch {
    pub(super) fn into_edit(self, item: ItemId) -> Result<OrderEdit, Problem> {
        let mut filled = RequiredFields::default();
        let change = ItemsEdit::Change {
            item,
            quantity: filled.said("quantity", self.quantity),
            options: filled.said("options", self.options).map(asked),
            note: said(self.note),
        };
        filled.all(items_edit(change))
    }
}

impl Replacement {
    /// Builds the new order from `order`, which has ended. It has the same owner and session.
    pub(super) fn into_command(
        self,
        order: &Order,
        now: DateTime<Utc>,
        idempotency: Option<Idempotency>,
    ) -> Result<PlaceOrder, Problem> {
        let lines = match self.items {
            Some(items) => parse_items(items)?,
            None => order.items.iter().map(Line::repeat).collect(),
        };
        let key_hash = || order.guest_key_hash.clone()?.try_into().ok();
        let placer = order.account_id.map_or_else(
            || Placer::Guest {
                key_hash: key_hash(),
            },
            Placer::Account,
        );
        Ok(PlaceOrder {
            store_id: order.store_id,
            session: order.session.as_ref().map(|session| session.id),
            placer,
            reference: self.reference.map(|reference| reference.0),
            fulfilment: self.fulfilment.map_or(order.fulfilment, Into::into),
            wanted_at: match said(self.wanted_at) {
                Some(wanted_at) => wanted_at.map(|at| at.0),
                None => order.timing.wanted_at.filter(|at| *at > now),
            },
            customer: self
                .customer
                .map_or_else(|| order.customer.clone(), Customer::from),
            lines,
            user_note: self.user_note.or_else(|| order.user_note.clone()),
            expected_total: self.expected_total.map(Into::into),
            idempotency,
            replaces: Some(order.id),
            trace: traces::current(),
        })
    }
}

/// Returns an edit that adds one item.
pub(super) fn add_item_edit(item: NewItem) -> Result<OrderEdit, Problem> {
    let line = item.line().ok_or_else(|| {
        Problem::invalid_field(
            "/product_id",
            "exactly one of product_id and sku is required",
        )
    })?;
    Ok(items_edit(ItemsEdit::Add(line)))
}

pub(super) fn items_edit(items: ItemsEdit) -> OrderEdit {
    OrderEdit {
        items,
        ..OrderEdit::default()
    }
}

/// Returns the pointer to the field of a new item that names its product.
pub(super) fn pointer_to(product: &ProductRef) -> &'static str {
    match product {
        ProductRef::Id(_) => "/product_id",
        ProductRef::Sku(_) => "/sku",
    }
}

fn parse_items(items: Vec<NewItem>) -> Result<Vec<Line>, Problem> {
    let mut errors = Vec::new();
    let lines = lines(items, &mut errors);
    if errors.is_empty() {
        Ok(lines)
    } else {
        Err(Problem::invalid(errors))
    }
}
