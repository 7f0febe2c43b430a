//! Rows of many orders that a change reads together, and its writes of one kind, which wait for one another.
//!
//! A claim, a batch of outcomes or one of callbacks calls [`Change::gather`] once its orders are locked. From then on the
//! writes below wait until [`Change::write_gathered`], which has one statement for each kind however many orders there
//! are, and the handoffs of these orders are known here, as these writes leave them. In any other change each of them is
//! written at once. Who reads one of these tables by another way writes what waits before.

mod reports;

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Counter};
use domain::{
    handoff::{Handoff, HandoffState},
    ids::{HandoffId, IntegratorId, OrderId, ProductId, StoreId},
    order::Order,
};
use store::{
    attempts::{Ended, NewAttempt},
    callbacks::Judged,
    handoffs::{Moved, NewClaim, NewHandoff, Reported},
    orders::Changed,
};

/// Reads of many orders, and writes that wait.
#[derive(Default)]
pub(crate) struct Rows {
    /// Handoffs of the gathered orders; `None` if every write goes at once.
    handoffs: Option<BTreeMap<OrderId, Vec<Handoff>>>,
    /// Gathered handoffs that were retried by hand, and tried before that; read once somebody asks.
    tried: Option<BTreeSet<HandoffId>>,
    /// Integrators' own ids of orders for which callbacks wait, of those that were asked about.
    waited_for: Option<BTreeSet<(IntegratorId, String)>>,
    /// Gathered orders with callbacks that nobody has applied; read once somebody asks.
    unapplied: Option<BTreeSet<OrderId>>,
    /// Integrators that gathered orders have reached; read once somebody asks.
    reached: Option<BTreeSet<(OrderId, IntegratorId)>>,
    /// Stores that were asked about, and if they accept orders automatically.
    auto_accept: BTreeMap<StoreId, bool>,
    writes: Writes,
}

/// Writes that wait, in the order in which they go out.
#[derive(Default)]
struct Writes {
    ended: Vec<Ended>,
    moved: BTreeMap<HandoffId, Moved>,
    reported: BTreeMap<HandoffId, Reported>,
    claimed: Vec<NewClaim>,
    withdrawn: BTreeMap<&'static str, Vec<HandoffId>>,
    orders: BTreeMap<OrderId, Order>,
    callbacks: Vec<Judged>,
    stock: BTreeMap<ProductId, i64>,
    slots: Vec<OrderId>,
    handoffs: Vec<NewHandoff>,
    attempts: Vec<NewAttempt>,
}

impl Change<'_> {
    /// Reads the handoffs of these orders, which are locked, and lets the writes of this change wait for one another.
    pub(crate) async fn gather(&mut self, orders: &[OrderId]) -> store::Result<()> {
        let handoffs = store::handoffs::of_orders(&mut self.tx, orders).await?;
        self.keep_handoffs(orders, handoffs);
        Ok(())
    }

    /// Does the same as [`Change::gather`], and locks the handoffs; fails at once if others hold one.
    pub(crate) async fn gather_locked(&mut self, orders: &[OrderId]) -> store::Result<()> {
        let handoffs = store::handoffs::lock_of_orders(&mut self.tx, orders).await?;
        self.keep_handoffs(orders, handoffs);
        Ok(())
    }

    fn keep_handoffs(&mut self, orders: &[OrderId], handoffs: Vec<Handoff>) {
        let mut of: BTreeMap<OrderId, Vec<Handoff>> =
            orders.iter().map(|order| (*order, Vec::new())).collect();
        for handoff in handoffs {
            if let Some(known) = handoff.order_id.and_then(|order| of.get_mut(&order)) {
                known.push(handoff);
            }
        }
        for handoffs in of.values_mut() {
            handoffs.sort_by_key(|one| (one.integrator_id, one.position));
        }
        self.rows.handoffs = Some(of);
    }

    /// Reads the integrators of these stores with one statement.
    pub(crate) async fn gather_integrators(
        &mut self,
        stores: &BTreeSet<StoreId>,
    ) -> store::Result<()> {
        let stores: Vec<StoreId> = stores.iter().copied().collect();
        let mut of: BTreeMap<StoreId, Vec<_>> =
            stores.iter().map(|store| (*store, Vec::new())).collect();
        for (store, integrator) in store::integrators::of_stores(&mut self.tx, &stores).await? {
            of.entry(store).or_default().push(integrator);
        }
        let read = of.into_iter().map(|(store, all)| (store, all.into()));
        self.integrators.extend(read);
        Ok(())
    }

    /// Finds out with one statement for which of these references of an answer callbacks wait, and locks those.
    pub(crate) async fn gather_waiting_callbacks(
        &mut self,
        references: &[(IntegratorId, String)],
    ) -> store::Result<()> {
        let waiting = store::callbacks::lock_waiting(&mut self.tx, references).await?;
        self.rows.waited_for = Some(waiting.into_iter().collect());
        Ok(())
    }

    /// Attaches the callbacks to the order that wait for this reference; returns true if there are any.
    pub(crate) async fn attach_callbacks(
        &mut self,
        integrator: IntegratorId,
        reference: &str,
        order: OrderId,
    ) -> store::Result<bool> {
        if let Some(waited_for) = &self.rows.waited_for
            && !waited_for.contains(&(integrator, reference.to_owned()))
        {
            return Ok(false);
        }
        let attached =
            store::callbacks::attach(&mut self.tx, integrator, reference, order).await? > 0;
        if attached && let Some(unapplied) = &mut self.rows.unapplied {
            unapplied.insert(order);
        }
        Ok(attached)
    }

    /// Returns true if the order has callbacks that nobody has applied.
    pub(crate) async fn has_unapplied_callbacks(&mut self, order: OrderId) -> store::Result<bool> {
        let now = self.now;
        let Some(gathered) = self.gathered(order) else {
            return store::callbacks::has_unapplied(&mut self.tx, order, now).await;
        };
        if self.rows.unapplied.is_none() {
            let found = store::callbacks::with_unapplied(&mut self.tx, &gathered, now).await?;
            self.rows.unapplied = Some(found.into_iter().collect());
        }
        let unapplied = self.rows.unapplied.as_ref();
        Ok(unapplied.is_some_and(|orders| orders.contains(&order)))
    }

    /// Returns the integrators that may have received the order.
    pub(crate) async fn integrators_reached(
        &mut self,
        order: OrderId,
    ) -> store::Result<BTreeSet<IntegratorId>> {
        let gathered = self.gathered(order);
        let reached = match (gathered, &self.rows.reached) {
            (Some(_), Some(reached)) => reached.clone(),
            (gathered, _) => {
                self.write_ended().await?;
                let orders = gathered.clone().unwrap_or_else(|| vec![order]);
                let reached = store::orders::integrators_reached(&mut self.tx, &orders).await?;
                let reached: BTreeSet<_> = reached.into_iter().collect();
                self.rows.reached = gathered.map(|_| reached.clone());
                reached
            }
        };
        let of_order = reached.range((order, IntegratorId::MIN)..=(order, IntegratorId::MAX));
        Ok(of_order.map(|(_, integrator)| *integrator).collect())
    }

    /// Returns true if the store accepts orders that no integrator is to confirm.
    pub(crate) async fn accepts_automatically(&mut self, store: StoreId) -> store::Result<bool> {
        if let Some(known) = self.rows.auto_accept.get(&store) {
            return Ok(*known);
        }
        let read = store::stores::get(&mut self.tx, store).await?;
        let accepts = read.is_some_and(|store| store.auto_accept);
        self.rows.auto_accept.insert(store, accepts);
        Ok(accepts)
    }

    /// Returns all gathered orders, if this is one of them.
    fn gathered(&self, order: OrderId) -> Option<Vec<OrderId>> {
        let handoffs = self.rows.handoffs.as_ref()?;
        let is_gathered = handoffs.contains_key(&order);
        is_gathered.then(|| handoffs.keys().copied().collect())
    }

    fn known_handoffs(&self, order: OrderId) -> Option<&Vec<Handoff>> {
        self.rows.handoffs.as_ref()?.get(&order)
    }

    /// Returns all handoffs of one order, by integrator and position, as this change leaves them.
    pub(crate) async fn handoffs_of(&mut self, order: OrderId) -> store::Result<Vec<Handoff>> {
        if let Some(known) = self.known_handoffs(order) {
            return Ok(known.clone());
        }
        store::handoffs::of_order(&mut self.tx, order).await
    }

    /// Returns the same; locks the rows unless the order is gathered: then its own lock is enough, since nobody changes
    /// more than the due time of a handoff without it.
    pub(crate) async fn lock_handoffs_of(&mut self, order: OrderId) -> store::Result<Vec<Handoff>> {
        if let Some(known) = self.known_handoffs(order) {
            return Ok(known.clone());
        }
        store::handoffs::lock_of_order(&mut self.tx, order).await
    }

    /// Returns true if a later handoff of the same order to the same integrator waits for this one.
    pub(crate) async fn has_open_after(&mut self, handoff: &Handoff) -> store::Result<bool> {
        let known = handoff
            .order_id
            .and_then(|order| self.known_handoffs(order));
        let Some(known) = known else {
            return store::handoffs::has_open_after(&mut self.tx, handoff).await;
        };
        Ok(known.iter().any(|other| {
            other.integrator_id == handoff.integrator_id
                && other.position > handoff.position
                && matches!(other.state, HandoffState::Due | HandoffState::Waiting)
        }))
    }

    /// Returns true if an earlier handoff of the same gathered order to the same integrator is not closed yet.
    pub(crate) fn is_blocked(&self, handoff: &Handoff) -> bool {
        let known = handoff
            .order_id
            .and_then(|order| self.known_handoffs(order));
        known.into_iter().flatten().any(|other| {
            other.integrator_id == handoff.integrator_id
                && other.position < handoff.position
                && !other.state.is_closed()
        })
    }

    /// Returns the last position of each integrator's handoffs of this order, whose row is locked.
    pub(crate) async fn last_positions(
        &mut self,
        order: OrderId,
    ) -> store::Result<BTreeMap<IntegratorId, i32>> {
        let Some(known) = self.known_handoffs(order) else {
            return store::handoffs::last_positions(&mut self.tx, order).await;
        };
        let mut last = BTreeMap::new();
        for handoff in known {
            let position: &mut i32 = last.entry(handoff.integrator_id).or_default();
            *position = handoff.position.max(*position);
        }
        Ok(last)
    }

    /// Records the end of an open attempt.
    pub(crate) async fn end_attempt(&mut self, ended: Ended) -> store::Result<()> {
        self.rows.writes.ended.push(ended);
        self.write_unless_gathering().await
    }

    /// Writes a locked handoff whose lease is over, with the time of its next attempt if it changes.
    pub(crate) async fn move_handoff(&mut self, moved: Moved) -> store::Result<()> {
        self.note_handoff(&moved.handoff);
        self.rows.writes.moved.insert(moved.handoff.id, moved);
        self.write_unless_gathering().await
    }

    /// Claims a locked handoff, and begins its attempt.
    pub(crate) async fn claim_handoff(
        &mut self,
        claimed: &Handoff,
        claim: NewClaim,
        attempt: NewAttempt,
    ) -> store::Result<()> {
        self.note_handoff(claimed);
        self.rows.writes.claimed.push(claim);
        self.rows.writes.attempts.push(attempt);
        self.write_unless_gathering().await
    }

    /// Withdraws those handoffs of a locked order that are neither being sent nor closed.
    pub(crate) async fn withdraw_handoffs(
        &mut self,
        ids: &[HandoffId],
        reason: &'static str,
    ) -> store::Result<()> {
        let now = self.now;
        let known = self.rows.handoffs.iter_mut().flat_map(BTreeMap::values_mut);
        for handoff in known.flatten().filter(|one| ids.contains(&one.id)) {
            if !handoff.state.is_closed() && handoff.state != HandoffState::Sending {
                handoff.state = HandoffState::Withdrawn;
                handoff.reason = Some(reason.to_owned());
                handoff.closed_at = Some(now);
            }
        }
        let withdrawn = self.rows.writes.withdrawn.entry(reason).or_default();
        withdrawn.extend(ids);
        self.write_unless_gathering().await
    }

    /// Writes the status, delivery and times of a locked order, and notes the time of the change.
    pub(crate) async fn write_order(&mut self, order: &mut Order) -> store::Result<()> {
        order.updated_at = Some(self.now);
        self.rows.writes.orders.insert(order.id, order.clone());
        self.write_unless_gathering().await
    }

    /// Gives stock back. Its rows are locked together, once all orders and handoffs are.
    pub(crate) async fn give_back_stock(
        &mut self,
        returned: &BTreeMap<ProductId, i64>,
    ) -> store::Result<()> {
        for (product, quantity) in returned {
            *self.rows.writes.stock.entry(*product).or_default() += quantity;
        }
        self.write_unless_gathering().await
    }

    /// Gives back what an order holds of its store's capacity.
    pub(crate) async fn give_back_slot(&mut self, order: OrderId) -> store::Result<()> {
        self.rows.writes.slots.push(order);
        self.write_unless_gathering().await
    }

    /// Inserts handoffs of locked orders.
    pub(crate) async fn insert_handoffs(&mut self, made: Vec<NewHandoff>) -> store::Result<()> {
        for new in &made {
            let handoffs = self.rows.handoffs.as_mut();
            let of = handoffs.zip(new.order_id);
            if let Some(known) = of.and_then(|(handoffs, order)| handoffs.get_mut(&order)) {
                known.push(new.as_inserted());
                known.sort_by_key(|one| (one.integrator_id, one.position));
            }
        }
        self.rows.writes.handoffs.extend(made);
        self.write_unless_gathering().await
    }

    /// Takes over a handoff as it is now.
    fn note_handoff(&mut self, now: &Handoff) {
        let of = self.rows.handoffs.as_mut().zip(now.order_id);
        let known = of.and_then(|(handoffs, order)| handoffs.get_mut(&order));
        if let Some(known) = known.and_then(|all| all.iter_mut().find(|one| one.id == now.id)) {
            known.clone_from(now);
        }
    }

    async fn write_unless_gathering(&mut self) -> store::Result<()> {
        if self.rows.handoffs.is_some() {
            return Ok(());
        }
        self.write_gathered().await
    }

    /// Writes the ends of attempts, for somebody who reads attempts.
    pub(crate) async fn write_ended(&mut self) -> store::Result<()> {
        let ended = std::mem::take(&mut self.rows.writes.ended);
        store::attempts::end(&mut self.tx, &ended).await
    }

    /// Writes all that waits. Nothing is locked here but stock, after the orders and handoffs that are locked by now.
    pub(crate) async fn write_gathered(&mut self) -> store::Result<()> {
        self.write_ended().await?;
        let now = self.now;
        let writes = std::mem::take(&mut self.rows.writes);
        let moved: Vec<Moved> = writes.moved.into_values().collect();
        store::handoffs::write_moved(&mut self.tx, &moved).await?;
        let reported: Vec<Reported> = writes.reported.into_values().collect();
        store::handoffs::write_reported(&mut self.tx, &reported, now).await?;
        store::handoffs::claim(&mut self.tx, &writes.claimed).await?;
        for (reason, ids) in writes.withdrawn {
            store::handoffs::withdraw(&mut self.tx, &ids, reason, now).await?;
        }
        let changed: Vec<Changed> = writes
            .orders
            .into_values()
            .map(|order| Changed {
                last_seq: self.count_events_of(order.id),
                order,
            })
            .collect();
        store::orders::write_changed(&mut self.tx, &changed).await?;
        store::callbacks::record_results(&mut self.tx, &writes.callbacks, now).await?;
        if !writes.stock.is_empty() {
            let products: Vec<ProductId> = writes.stock.keys().copied().collect();
            store::stock::lock(&mut self.tx, &products).await?;
            store::stock::give_back(&mut self.tx, &writes.stock).await?;
        }
        store::slots::give_back(&mut self.tx, &writes.slots, now).await?;
        store::handoffs::insert(&mut self.tx, &writes.handoffs).await?;
        store::attempts::insert(&mut self.tx, &writes.attempts).await
    }

    /// Returns the last number of the order's own stream with the events that this change has added, so that it is
    /// written with the order; `None` if its events are in a session's stream, or there are none.
    fn count_events_of(&mut self, order: OrderId) -> Option<i64> {
        let stream = self.streams.get_mut(&order.into())?;
        if stream.counter != Counter::Order || stream.new_events == stream.counted_events {
            return None;
        }
        stream.counted_events = stream.new_events;
        Some(stream.last_seq + stream.new_events)
    }
}
