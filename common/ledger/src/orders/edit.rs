//! Edits by people: free in a draft; in a placed order, until the first attempt to hand it over.

mod stock;

use chrono::{DateTime, Utc};

use self::stock::move_stock;
use super::{
    advance::announce,
    lines,
    room::{lock_with_hold, move_hold},
    times,
};
use crate::{
    Change, ChangeError, ChangeResult, CrashPoints, Ledger, Refusal, Result, in_one_transaction,
    intake::{Line, PlaceRefused, check_available, check_count, sell},
};
use domain::{
    event::EventKind,
    handoff::Handoff,
    ids::{IntegratorId, ItemId, OrderId},
    money::Money,
    options::{AskedOptions, base_price},
    order::{Customer, Fulfilment, Item, MAX_ITEMS, Order, total},
    session::SessionState,
    status::OrderStatus,
};
use store::StoreError;

/// Changes to an order; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct OrderEdit {
    pub user_note: Option<Option<String>>,
    pub customer: CustomerEdit,
    pub fulfilment: Option<Fulfilment>,
    /// Time for which it is wanted; null means as soon as possible.
    pub wanted_at: Option<Option<DateTime<Utc>>>,
    pub reference: Option<Option<String>>,
    pub items: ItemsEdit,
}

/// Changes to an order's items. Items that stay keep the price that they were sold at; new ones get today's.
#[derive(Clone, Debug, Default)]
pub enum ItemsEdit {
    #[default]
    Keep,
    Replace(Vec<Line>),
    Add(Line),
    Change {
        item: ItemId,
        quantity: Option<u32>,
        /// Replaces the item's options, at today's prices; the product keeps the price that it was sold at.
        options: Option<AskedOptions>,
        note: Option<Option<String>>,
    },
    Remove(ItemId),
}

#[derive(Clone, Default)]
pub struct CustomerEdit {
    pub id: Option<Option<String>>,
    pub name: Option<Option<String>>,
    pub phone: Option<Option<String>>,
    pub email: Option<Option<String>>,
    pub address: Option<Option<String>>,
    pub lat: Option<Option<f64>>,
    pub lng: Option<Option<f64>>,
    pub device_token: Option<Option<String>>,
}

/// Why an edit is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditRefused {
    #[error("the order does not exist")]
    Unknown,
    #[error("the order has no such item")]
    UnknownItem,
    #[error("the order is {status} and can't be edited any more")]
    NotEditable { status: OrderStatus },
    #[error("it was edited meanwhile; its current version is {current}")]
    VersionConflict { current: i64 },
    #[error("an order has at most {MAX_ITEMS} items")]
    TooManyItems,
    #[error(transparent)]
    Place(#[from] PlaceRefused),
}

impl Refusal for EditRefused {}

impl Ledger {
    /// Edits an order; `version`, if given, must be its current one. The caller checks who may edit it.
    #[crate::boxed]
    pub async fn edit_order(
        &self,
        id: OrderId,
        version: Option<i64>,
        edit: &OrderEdit,
    ) -> ChangeResult<Order, EditRefused> {
        self.edit_order_in_status(id, version, None, edit).await
    }

    /// Edits an order as [`Self::edit_order`] does, if it also still has this status: a draft may have been placed by
    /// now.
    #[crate::boxed]
    pub async fn edit_order_in_status(
        &self,
        id: OrderId,
        version: Option<i64>,
        status: Option<OrderStatus>,
        edit: &OrderEdit,
    ) -> ChangeResult<Order, EditRefused> {
        in_one_transaction!(&self.inner, CrashPoints::ORDERS, |change| {
            let locked = lock_with_hold(change, id).await?;
            let (before, held) = locked.ok_or(EditRefused::Unknown)?;
            change.set_resource(id.uuid());
            let current = before.version;
            let is_other = version.is_some_and(|wanted| wanted != current)
                || status.is_some_and(|wanted| wanted != before.status);
            if is_other {
                return Err(EditRefused::VersionConflict { current }.into());
            }
            check_editable(change, &before).await?;
            let mut order = apply_edit(change, &before, edit).await?;
            if order == before {
                return Ok(order);
            }
            order.version += 1;
            if order.status != OrderStatus::Draft {
                move_hold(change, held, &before, &order)
                    .await
                    .map_err(|error| error.map_refused(EditRefused::Place))?;
            }
            order.updated_at = Some(change.now);
            if order.stock_held {
                move_stock(change, &before.items, &mut order.items).await?;
                if before
                    .items
                    .iter()
                    .chain(&order.items)
                    .any(|item| item.takes().next().is_some())
                {
                    change.menu_changed(order.store_id);
                }
            }
            write(change, &before, &order).await?;
            if order.status != OrderStatus::Draft {
                let data = order.public_facts();
                announce(change, &order, EventKind::OrderEdited, data);
                times::reschedule(change, &before, &order).await?;
            }
            Ok(order)
        })
    }
}

/// Refuses an edit once somebody may have been told of the order. This is decided under the order's lock, which a claim
/// takes before it makes an attempt.
async fn check_editable(change: &mut Change<'_>, order: &Order) -> ChangeResult<(), EditRefused> {
    let nobody_was_told = match order.status {
        OrderStatus::Draft => true,
        OrderStatus::Pending => {
            let handoffs: Vec<Handoff> =
                store::handoffs::of_order(&mut change.tx, order.id).await?;
            let told: Vec<IntegratorId> = handoffs
                .iter()
                .filter(|handoff| handoff.round > 1 || handoff.attempts > 0)
                .map(|handoff| handoff.integrator_id)
                .collect();
            // A listener fulfils nothing.
            let listeners = store::integrators::listeners_among(&mut change.tx, &told).await?;
            told.iter().all(|one| listeners.contains(one))
        }
        _ => false,
    };
    if nobody_was_told {
        Ok(())
    } else {
        let status = order.status;
        Err(EditRefused::NotEditable { status }.into())
    }
}

/// Returns the edited order, except for its version and for which of its items are counted.
async fn apply_edit(
    change: &mut Change<'_>,
    before: &Order,
    edit: &OrderEdit,
) -> ChangeResult<Order, EditRefused> {
    let mut order = before.clone();
    set(&mut order.user_note, &edit.user_note);
    set(&mut order.fulfilment, &edit.fulfilment);
    set(&mut order.reference, &edit.reference);
    edit.customer.apply(&mut order.customer);
    if let Some(wanted_at) = edit.wanted_at {
        times::set_wanted_at(change, &mut order, wanted_at)
            .await
            .map_err(|error| error.map_refused(EditRefused::Place))?;
    }
    if !matches!(edit.items, ItemsEdit::Keep) {
        check_session_open(change, before).await?;
        order.items = edit_items(change, before, &edit.items).await?;
    }
    if order.items.len() > MAX_ITEMS {
        return Err(EditRefused::TooManyItems.into());
    }
    check_count(order.items.iter().map(|item| item.options.len()).sum())?;
    // An order from before the limit may be shortened.
    if order.text_bytes() > before.text_bytes() {
        let limit = change.inner.settings.bounds.order_text_bytes;
        order.check_text(limit).map_err(PlaceRefused::from)?;
    }
    let is_placed = order.status != OrderStatus::Draft;
    if is_placed && order.items.is_empty() {
        return Err(PlaceRefused::NoItems.into());
    }
    let needs_address = is_placed && order.fulfilment == Fulfilment::Delivery;
    if needs_address && !order.customer.has_address() {
        return Err(PlaceRefused::AddressMissing.into());
    }
    let priced = order
        .items
        .iter()
        .map(|item| (&item.unit_price, item.quantity));
    order.total =
        total(Money::new(0, before.total.currency), priced).ok_or(PlaceRefused::TotalTooLarge)?;
    Ok(order)
}

/// Refuses to change items once the session is closed: nothing is added to a table's bill after that.
async fn check_session_open(
    change: &mut Change<'_>,
    order: &Order,
) -> ChangeResult<(), EditRefused> {
    let Some(session) = &order.session else {
        return Ok(());
    };
    let session = store::sessions::get(&mut change.tx, session.id).await?;
    if session.is_some_and(|session| session.state == SessionState::Closed) {
        return Err(PlaceRefused::SessionClosed.into());
    }
    Ok(())
}

async fn edit_items(
    change: &mut Change<'_>,
    order: &Order,
    edit: &ItemsEdit,
) -> ChangeResult<Vec<Item>, EditRefused> {
    let mut items = order.items.clone();
    match edit {
        ItemsEdit::Keep => {}
        ItemsEdit::Replace(lines) => items = new_items(change, order, lines).await?,
        ItemsEdit::Add(line) => {
            items.extend(new_items(change, order, std::slice::from_ref(line)).await?);
        }
        ItemsEdit::Change {
            item,
            quantity,
            options,
            note,
        } => {
            let at = position(&items, *item)?;
            let item = &mut items[at];
            let is_more = quantity.is_some_and(|quantity| quantity > item.quantity);
            set(&mut item.quantity, quantity);
            set(&mut item.note, note);
            if let Some(options) = options {
                choose_anew(change, order, at, item, options).await?;
            }
            if is_more && order.status != OrderStatus::Draft {
                check_still_sold(change, order, at, item).await?;
            }
        }
        ItemsEdit::Remove(item) => {
            let at = position(&items, *item)?;
            items.remove(at);
        }
    }
    Ok(items)
}

async fn new_items(
    change: &mut Change<'_>,
    order: &Order,
    lines: &[Line],
) -> ChangeResult<Vec<Item>, EditRefused> {
    let found = lines::find(&mut change.tx, order.store_id, lines).await??;
    if order.status != OrderStatus::Draft {
        found.check_available(change.now)?;
    }
    Ok(found.items(lines, &change.inner.chance, change.now))
}

/// Replaces an item's options.
async fn choose_anew(
    change: &mut Change<'_>,
    order: &Order,
    at: usize,
    item: &mut Item,
    options: &AskedOptions,
) -> ChangeResult<(), EditRefused> {
    let found = lines::find_sold(&mut change.tx, order.store_id, item.product_id).await?;
    let (mut product, groups) = found.ok_or(PlaceRefused::Unavailable { lines: vec![at] })?;
    product.price = base_price(item.unit_price, &item.options);
    let line = Line {
        options: options.clone(),
        ..Line::repeat(item)
    };
    let sold = sell([&product], &[line], &groups)?;
    if order.status != OrderStatus::Draft {
        check_available(&sold)?;
    }
    for sold in sold {
        item.unit_price = sold.unit_price;
        item.options = sold.choice.options;
    }
    Ok(())
}

/// Refuses a larger quantity if the product or one of its options is not sold any more.
async fn check_still_sold(
    change: &mut Change<'_>,
    order: &Order,
    at: usize,
    item: &Item,
) -> ChangeResult<(), EditRefused> {
    let found = lines::find_sold(&mut change.tx, order.store_id, item.product_id).await?;
    let is_sold =
        |(product, groups)| lines::is_still_sold(&product, &groups, &item.options, change.now);
    if found.is_some_and(is_sold) {
        Ok(())
    } else {
        Err(PlaceRefused::Unavailable { lines: vec![at] }.into())
    }
}

fn position(items: &[Item], wanted: ItemId) -> ChangeResult<usize, EditRefused> {
    items
        .iter()
        .position(|item| item.id == wanted)
        .ok_or(EditRefused::UnknownItem.into())
}

async fn write(
    change: &mut Change<'_>,
    before: &Order,
    order: &Order,
) -> ChangeResult<(), EditRefused> {
    match store::orders::update(&mut change.tx, order).await {
        Ok(()) => {}
        Err(StoreError::UniqueKeyTaken) => return Err(reference_taken(change, order).await?),
        Err(error) => return Err(error.into()),
    }
    if order.items != before.items {
        store::orders::replace_items(&mut change.tx, order).await?;
    }
    Ok(())
}

/// Returns the refusal that names the other order with this reference. If that order has given it up meanwhile, returns
/// a lost lock, so that the change is tried again.
async fn reference_taken(
    change: &mut Change<'_>,
    order: &Order,
) -> Result<ChangeError<EditRefused>> {
    let placed_by = store::orders::placed_by(&mut change.tx, order.id).await?;
    let key = (placed_by, order.reference.as_deref().unwrap_or_default());
    let known = store::orders::find_by_references(&mut change.tx, &[key]).await?;
    let existing = known.into_values().next();
    Ok(existing.map_or_else(
        || StoreError::LockLost("the reference was released meanwhile".to_owned()).into(),
        |existing| PlaceRefused::DuplicateOrder { existing }.into(),
    ))
}

impl CustomerEdit {
    /// Returns an edit that clears every field.
    #[must_use]
    pub const fn clear_all() -> Self {
        Self {
            id: Some(None),
            name: Some(None),
            phone: Some(None),
            email: Some(None),
            address: Some(None),
            lat: Some(None),
            lng: Some(None),
            device_token: Some(None),
        }
    }

    fn apply(&self, customer: &mut Customer) {
        set(&mut customer.id, &self.id);
        set(&mut customer.name, &self.name);
        set(&mut customer.phone, &self.phone);
        set(&mut customer.email, &self.email);
        set(&mut customer.address, &self.address);
        set(&mut customer.lat, &self.lat);
        set(&mut customer.lng, &self.lng);
        set(&mut customer.device_token, &self.device_token);
    }
}

/// Hides the contact data, which must not be logged.
impl std::fmt::Debug for CustomerEdit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CustomerEdit(…)")
    }
}

fn set<T: Clone>(field: &mut T, said: &Option<T>) {
    if let Some(said) = said {
        field.clone_from(said);
    }
}
