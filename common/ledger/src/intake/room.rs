//! The part of intake's rule that is about time: if the store is open, and if there is room at the time of the order.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::{PlaceOrder, PlaceRefused, decide::IntakeState};
use crate::Change;
use domain::{
    capacity::{Hold, LOOK_AHEAD, Load, Slot, StoreRules},
    ids::{ProductId, StoreId},
    opening,
    order::Fulfilment,
    store::Store,
    timing::stored,
};

/// Time after which a hold is of no interest any more.
const HOLD_RETENTION: TimeDelta = TimeDelta::days(1);

/// Refuses an order for a time at which the store is closed or paused.
pub(crate) fn check_open(
    rules: &StoreRules,
    store: &Store,
    fulfilment: Fulfilment,
    at: DateTime<Utc>,
) -> Result<(), PlaceRefused> {
    if let Some(until) = rules.paused_until(at) {
        return Err(PlaceRefused::PausedUntil { until });
    }
    let opening = rules.opening(opening::zone(&store.timezone));
    if opening.is_open(fulfilment, at) {
        return Ok(());
    }
    let opens_at = opening.next_opening(fulfilment, at);
    Err(PlaceRefused::StoreClosed { opens_at })
}

/// Returns the refusal of an order for which there is no room at its time.
pub(crate) fn slot_full(
    rules: &StoreRules,
    store: &Store,
    held: &[Hold],
    new: &Hold,
) -> Result<(), PlaceRefused> {
    let zone = opening::zone(&store.timezone);
    let capacity = &rules.capacity;
    if capacity.full_slot(zone, held, new).is_none() {
        return Ok(());
    }
    let next_free_at = capacity.next_free(&rules.opening(zone), held, new);
    Err(PlaceRefused::SlotFull { next_free_at })
}

/// Returns the stretch of time whose holds decide about orders for times from `first` to `last`, and about the next
/// free time.
pub(crate) fn concerned(
    rules: &StoreRules,
    store: &Store,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
) -> Slot {
    let zone = opening::zone(&store.timezone);
    Slot {
        from: rules.capacity.widest_slot(zone, first).from,
        to: rules.capacity.widest_slot(zone, last + LOOK_AHEAD).to,
    }
}

/// Returns the part of a slot that an order of these products takes; a piece of a product without a weight has one unit.
pub(crate) fn load(
    pieces: impl Iterator<Item = (ProductId, u32)>,
    weights: &HashMap<ProductId, i64>,
) -> Load {
    let mut load = Load {
        orders: 1,
        ..Load::default()
    };
    for (product, quantity) in pieces {
        let quantity = i64::from(quantity);
        load.items += quantity;
        load.weight += quantity * weights.get(&product).copied().unwrap_or(1);
    }
    load
}

/// Reads the holds and the numbers of open orders that the rule needs; nothing for stores without such rules.
pub(super) async fn read(
    change: &mut Change<'_>,
    orders: &[&PlaceOrder],
    state: &mut IntakeState,
) -> store::Result<()> {
    let busy: BTreeSet<StoreId> = state
        .rules
        .iter()
        .filter(|(_, rules)| rules.capacity.busy.open_orders.is_some())
        .map(|(store, _)| *store)
        .collect();
    if !busy.is_empty() {
        state.open_orders = store::slots::count_open(&mut change.tx, &busy, change.now).await?;
    }
    let mut ranges: HashMap<StoreId, Slot> = HashMap::new();
    for (store, rules) in &state.rules {
        let times = orders.iter().filter(|order| order.store_id == *store);
        let times = times.map(|order| ready_at(state, order, change.now));
        let (first, last) = (times.clone().min(), times.max());
        if let (Some(first), Some(last), Some(of)) = (first, last, state.stores.get(store))
            && !rules.capacity.is_unlimited()
        {
            ranges.insert(*store, concerned(rules, of, first, last));
        }
    }
    if !ranges.is_empty() {
        let of_ruled = state.products.values();
        let of_ruled = of_ruled.filter(|product| ranges.contains_key(&product.store_id));
        let products: Vec<ProductId> = of_ruled.map(|product| product.id).collect();
        state.weights = store::slots::weights(&mut change.tx, &products).await?;
    }
    for (store, range) in ranges {
        let held = store::slots::held(&mut change.tx, store, range).await?;
        let held = held.into_iter().map(|(_, hold)| hold).collect();
        state.held.insert(store, held);
    }
    Ok(())
}

/// Returns the time at which an order that is placed now is to be ready.
fn ready_at(state: &IntakeState, wanted: &PlaceOrder, now: DateTime<Utc>) -> DateTime<Utc> {
    let store = wanted.store_id;
    let timing = state.stores.get(&store).map(|store| store.timing);
    let usual = timing
        .unwrap_or_default()
        .ready_at(now, state.busy_for(store));
    wanted.wanted_at.map_or(usual, stored)
}

impl IntakeState {
    /// Returns the time that an order of the store takes longer now.
    pub(super) fn busy_for(&self, store: StoreId) -> TimeDelta {
        let open = self.open_orders.get(&store).copied().unwrap_or_default();
        let rules = self.rules.get(&store);
        TimeDelta::minutes(rules.map_or(0, |rules| rules.adds_minutes(open)).into())
    }

    /// Returns the order's hold on its store's capacity, if that is limited; refuses if there is no room.
    pub(super) fn hold(
        &self,
        wanted: &PlaceOrder,
        load: Load,
        now: DateTime<Utc>,
    ) -> Result<Option<Hold>, PlaceRefused> {
        let rules = self.rules.get(&wanted.store_id);
        let Some((rules, store)) = rules.zip(self.stores.get(&wanted.store_id)) else {
            return Ok(None);
        };
        if rules.capacity.is_unlimited() {
            return Ok(None);
        }
        let new = Hold {
            fulfilment: wanted.fulfilment,
            ready_at: ready_at(self, wanted, now),
            load,
        };
        let held = self.held.get(&wanted.store_id);
        slot_full(rules, store, held.map_or(&[], Vec::as_slice), &new)?;
        Ok(Some(new))
    }
}

/// Writes the holds of the orders that are placed, and now and then deletes old ones.
pub(super) async fn write(change: &mut Change<'_>, state: &IntakeState) -> store::Result<()> {
    if state.new_holds.is_empty() {
        return Ok(());
    }
    store::slots::insert(&mut change.tx, &state.new_holds).await?;
    let due = |store: &StoreId| state.numbers.get(store).is_some_and(|n| n % 20 == 0);
    let stores: BTreeSet<StoreId> = state.new_holds.iter().map(|new| new.store).collect();
    for store in stores.into_iter().filter(due) {
        let before = change.now - HOLD_RETENTION;
        store::slots::prune(&mut change.tx, store, before).await?;
    }
    Ok(())
}
