//! The pure rule of intake: decides from everything known and locked if an order is placed, and with what content.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, Utc};

use super::{
    super::Bounds,
    PlaceOrder, PlaceRefused, Placer, ProductRef, Shortage, check_open, load,
    options::{OptionGroups, Sold, check_available, sell},
};
use domain::{
    capacity::{Hold, StoreRules},
    ids::{OrderId, ProductId, SessionId, StoreId},
    integrator::{HandoffEvent, Integrator},
    money::Money,
    order::{Fulfilment, Item, Order, OrderSession, total},
    session::SessionState,
    status::OrderStatus,
    store::{Product, Store},
};
use platform::chance::Chance;
use store::{intake::SessionRow, slots::NewHold};

/// State that a batch is decided from, less what its earlier orders have used up.
#[derive(Debug, Default)]
pub(super) struct IntakeState {
    pub(super) sessions: HashMap<SessionId, SessionRow>,
    /// Number of orders of each session that have not ended, if there are any.
    pub(super) unfinished: HashMap<SessionId, u32>,
    pub(super) stores: HashMap<StoreId, Store>,
    pub(super) integrators: HashMap<StoreId, Vec<Integrator>>,
    /// The last order number of each store.
    pub(super) numbers: HashMap<StoreId, i64>,
    pub(super) products: HashMap<ProductId, Product>,
    pub(super) skus: HashMap<(StoreId, String), ProductId>,
    pub(super) option_groups: OptionGroups,
    /// Remaining stock of counted products, whose rows are locked.
    pub(super) stock: HashMap<ProductId, i64>,
    /// Rules of the stores that have some.
    pub(super) rules: HashMap<StoreId, StoreRules>,
    /// Number of open orders of each store whose rules ask for it.
    pub(super) open_orders: HashMap<StoreId, u32>,
    /// Units of capacity that a piece of a product takes, if that is known.
    pub(super) weights: HashMap<ProductId, i64>,
    /// Holds on the capacity of stores that limit it, also those of the batch's earlier orders.
    pub(super) held: HashMap<StoreId, Vec<Hold>>,
    /// Holds of the orders that are placed.
    pub(super) new_holds: Vec<NewHold>,
}

impl IntakeState {
    pub(super) fn product(&self, store: StoreId, wanted: &ProductRef) -> Option<&Product> {
        let id = match wanted {
            ProductRef::Id(id) => id,
            ProductRef::Sku(sku) => self.skus.get(&(store, sku.clone()))?,
        };
        self.products
            .get(id)
            .filter(|product| product.store_id == store && product.archived_at.is_none())
    }

    /// Returns the integrators that are handed a new order of the store.
    pub(super) fn receivers(&self, store: StoreId) -> impl Iterator<Item = &Integrator> {
        let all = self.integrators.get(&store).map_or(&[][..], Vec::as_slice);
        all.iter()
            .filter(|one| one.is_handed(HandoffEvent::OrderPlaced))
    }

    /// Returns true if the store accepts automatically and no integrator must confirm its orders.
    pub(super) fn auto_accepts(&self, store: StoreId) -> bool {
        let all = self.integrators.get(&store).map_or(&[][..], Vec::as_slice);
        let somebody_must_confirm = all.iter().any(Integrator::must_confirm);
        !somebody_must_confirm
            && self
                .stores
                .get(&store)
                .is_some_and(|store| store.auto_accept)
    }
}

/// Returns the order as it will be written; takes its stock and number from `state`.
pub(super) fn decide(
    wanted: &PlaceOrder,
    id: OrderId,
    state: &mut IntakeState,
    bounds: &Bounds,
    chance: &Chance,
    now: DateTime<Utc>,
) -> Result<Order, PlaceRefused> {
    wanted.check_text(bounds.order_text_bytes)?;
    let session = match wanted.session {
        Some(session_id) => Some(open_session(state, session_id, wanted.store_id)?),
        None => None,
    };
    let limit = bounds.unfinished_orders_per_session;
    if let Some(id) = wanted.session
        && state
            .unfinished
            .get(&id)
            .is_some_and(|count| *count >= limit)
    {
        return Err(PlaceRefused::TooManyUnfinished { limit });
    }
    let store = state
        .stores
        .get(&wanted.store_id)
        .ok_or(PlaceRefused::UnknownStore)?;
    if store.archived_at.is_some() {
        return Err(PlaceRefused::StoreArchived);
    }
    if store.paused {
        return Err(PlaceRefused::StorePaused);
    }
    let busy = state.busy_for(wanted.store_id);
    let timing = store.timing.of_order(wanted.wanted_at, now, busy)?;
    if let Some(rules) = state.rules.get(&wanted.store_id) {
        let at = timing.wanted_at.unwrap_or(now);
        check_open(rules, store, wanted.fulfilment, at)?;
    }
    if wanted.lines.is_empty() {
        return Err(PlaceRefused::NoItems);
    }
    if wanted.fulfilment == Fulfilment::Delivery && !wanted.customer.has_address() {
        return Err(PlaceRefused::AddressMissing);
    }
    let products = products(wanted, state, now)?;
    let sold = sell(
        products.iter().copied(),
        &wanted.lines,
        &state.option_groups,
    )?;
    check_available(&sold)?;
    let lines = sold
        .iter()
        .zip(&wanted.lines)
        .map(|(sold, line)| (&sold.unit_price, line.quantity));
    let total = total(Money::new(0, store.currency), lines).ok_or(PlaceRefused::TotalTooLarge)?;
    if let Some(expected) = wanted.expected_total
        && expected != total
    {
        return Err(PlaceRefused::TotalMismatch {
            expected,
            actual: total,
        });
    }
    let taken = check_stock(wanted, &products, &sold, state)?;
    let pieces = products.iter().zip(&wanted.lines);
    let pieces = pieces.map(|(product, line)| (product.id, line.quantity));
    let hold = state.hold(wanted, load(pieces, &state.weights), now)?;

    let items = products
        .iter()
        .zip(sold)
        .zip(&wanted.lines)
        .map(|((product, sold), line)| Item {
            id: chance.id(now),
            product_id: product.id,
            sku: product.sku.clone(),
            name: product.name.clone(),
            quantity: line.quantity,
            unit_price: sold.unit_price,
            options: sold
                .choice
                .options
                .into_iter()
                .map(|mut option| {
                    option.counted = option.product_id.is_some_and(|id| taken.contains_key(&id));
                    option
                })
                .collect(),
            note: line.note.clone(),
            counted: taken.contains_key(&product.id),
        })
        .collect();
    let accept_by =
        timing.hand_over_at.unwrap_or(now) + Duration::seconds(i64::from(store.accept_within_s));
    let number = state
        .numbers
        .get_mut(&wanted.store_id)
        .ok_or(PlaceRefused::UnknownStore)?;
    *number += 1;
    let number = *number;
    if let Some(id) = wanted.session {
        *state.unfinished.entry(id).or_default() += 1;
    }
    for (product, quantity) in taken {
        if let Some(left) = state.stock.get_mut(&product) {
            *left -= quantity;
        }
    }
    if let Some(hold) = hold {
        let store = wanted.store_id;
        state.held.entry(store).or_default().push(hold);
        state.new_holds.push(NewHold {
            order: id,
            store,
            hold,
        });
    }
    let (account_id, guest_key_hash) = match &wanted.placer {
        Placer::Account(account) => (Some(*account), None),
        Placer::Guest { key_hash } => (None, key_hash.map(|hash| hash.to_vec())),
    };
    Ok(Order {
        id,
        store_id: wanted.store_id,
        number: Some(number),
        session,
        account_id,
        guest_key_hash,
        reference: wanted.reference.clone(),
        fulfilment: wanted.fulfilment,
        status: OrderStatus::Pending,
        reason: None,
        version: 1,
        stock_held: true,
        tallied: false,
        customer: wanted.customer.clone(),
        items,
        total,
        user_note: wanted.user_note.clone(),
        accept_by: Some(accept_by),
        timing,
        delivery: None,
        replaces: wanted.replaces,
        trace: wanted.trace,
        created_at: now,
        placed_at: Some(now),
        accepted_at: None,
        ended_at: None,
        updated_at: Some(now),
    })
}

fn open_session(
    state: &IntakeState,
    id: SessionId,
    store: StoreId,
) -> Result<OrderSession, PlaceRefused> {
    let session = state
        .sessions
        .get(&id)
        .filter(|session| session.store_id == store)
        .ok_or(PlaceRefused::UnknownSession)?;
    match session.state {
        SessionState::Open => Ok(OrderSession {
            id,
            name: session.name.clone(),
        }),
        SessionState::Closed => Err(PlaceRefused::SessionClosed),
    }
}

/// Returns the product of each line; the refusal names every line without one, or whose product is unavailable.
fn products<'w>(
    wanted: &PlaceOrder,
    state: &'w IntakeState,
    now: DateTime<Utc>,
) -> Result<Vec<&'w Product>, PlaceRefused> {
    let found: Vec<Option<&Product>> = wanted
        .lines
        .iter()
        .map(|line| state.product(wanted.store_id, &line.product))
        .collect();
    let lines_where = |wrong: &dyn Fn(&Option<&Product>) -> bool| -> Vec<usize> {
        found
            .iter()
            .enumerate()
            .filter(|(_, product)| wrong(product))
            .map(|(line, _)| line)
            .collect()
    };
    let unknown = lines_where(&|product| product.is_none());
    if !unknown.is_empty() {
        return Err(PlaceRefused::UnknownProducts { lines: unknown });
    }
    let unavailable =
        lines_where(&|product| product.is_some_and(|product| !product.is_available(now)));
    if !unavailable.is_empty() {
        return Err(PlaceRefused::Unavailable { lines: unavailable });
    }
    Ok(found.into_iter().flatten().collect())
}

/// Returns the quantity of each counted product that the order takes, over all lines and their options; refuses if
/// stock is insufficient.
fn check_stock(
    wanted: &PlaceOrder,
    products: &[&Product],
    sold: &[Sold],
    state: &IntakeState,
) -> Result<BTreeMap<ProductId, i64>, PlaceRefused> {
    let mut takes: BTreeMap<ProductId, i64> = BTreeMap::new();
    let mut take = |product: ProductId, quantity: i64| {
        if state.stock.contains_key(&product) {
            *takes.entry(product).or_default() += quantity;
        }
    };
    for ((product, sold), line) in products.iter().zip(sold).zip(&wanted.lines) {
        take(product.id, line.quantity.into());
        for option in &sold.choice.options {
            if let Some(product) = option.product_id {
                take(product, option.quantity_in(line.quantity));
            }
        }
    }
    let short: Vec<Shortage> = takes
        .iter()
        .map(|(product, wanted)| (product, *wanted, state.stock[product]))
        .filter(|(_, wanted, left)| wanted > left)
        .map(|(product, wanted, left)| Shortage {
            product_id: *product,
            name: state.products[product].name.clone(),
            wanted,
            left,
        })
        .collect();
    if short.is_empty() {
        Ok(takes)
    } else {
        Err(PlaceRefused::InsufficientStock { short })
    }
}
