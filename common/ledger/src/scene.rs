//! Test support: a store that sells one counted product, its integrators, its orders, and the messages between them.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use super::{
    callbacks::Received,
    handoffs::{Claimed, Claims, Concluded},
    intake::{PlaceOrder, Placer},
    integrators::NewIntegrator,
    sweep::Part,
};
use crate::testing::{
    TEST_TIMEOUT, TestLedger,
    fixtures::{line, new_integrator, new_order},
};
use domain::{
    callback::Update,
    handoff::{Handoff, HandoffState, RetryAfter, SendResult},
    ids::{HandoffId, IntegratorId, OrderId, ProductId, StoreId},
    integrator::{Confirms, Format, HandoffEvent, Integrator, IntegratorKind},
    order::Order,
    status::{By, OrderStatus},
    store::Store,
    stuck::{Stuck, StuckKind},
};

/// Initial stock of the product.
pub(crate) const STOCK: i64 = 100;
/// Quantity that every order takes.
pub(crate) const QUANTITY: u32 = 3;
pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) struct Scene {
    pub(crate) house: TestLedger,
    pub(crate) store: StoreId,
    pub(crate) product: ProductId,
    callbacks_sent: AtomicU32,
}

impl Scene {
    pub(crate) async fn new(house: &TestLedger) -> Self {
        Self::with_store(house, |_| {}).await
    }

    /// Creates a scene whose store is adjusted by `change`.
    pub(crate) async fn with_store(house: &TestLedger, change: impl FnOnce(&mut Store)) -> Self {
        let store = house.create_store_with(change).await;
        let stock = Some(u32::try_from(STOCK).unwrap());
        let product = house
            .create_product_with(store, |new| new.stock = stock)
            .await;
        Self {
            house: house.clone(),
            store,
            product,
            callbacks_sent: AtomicU32::new(0),
        }
    }

    /// Creates a required kitchen whose 2xx accepts orders, adjusted by `change`.
    pub(crate) async fn integrator(&self, change: impl FnOnce(&mut NewIntegrator)) -> Integrator {
        let mut new = NewIntegrator {
            required: Some(true),
            ..new_integrator(self.store)
        };
        change(&mut new);
        self.house.ledger.create_integrator(new).await.unwrap().0
    }

    pub(crate) async fn kitchen(&self) -> Integrator {
        self.integrator(|_| {}).await
    }

    /// Creates a required kitchen that accepts by callback only.
    pub(crate) async fn slow_kitchen(&self) -> Integrator {
        self.integrator(|new| new.confirms = Confirms::Callback)
            .await
    }

    pub(crate) async fn courier(&self) -> Integrator {
        self.courier_with(|_| {}).await
    }

    pub(crate) async fn courier_with(&self, change: impl FnOnce(&mut NewIntegrator)) -> Integrator {
        self.integrator(|new| {
            new.kind = IntegratorKind::Delivery;
            new.format = Format::Delivery;
            new.events = Some(vec![
                HandoffEvent::OrderDispatched,
                HandoffEvent::OrderCancelled,
            ]);
            change(new);
        })
        .await
    }

    pub(crate) async fn order(&self) -> Order {
        self.order_with(|_| {}).await
    }

    pub(crate) async fn order_with(&self, change: impl FnOnce(&mut PlaceOrder)) -> Order {
        let placer = Placer::Account(self.house.new_account_id());
        let mut order = self.wanted(placer);
        change(&mut order);
        self.house.ledger.place_order(order).await.unwrap().order
    }

    /// Builds an order of the product.
    pub(crate) fn wanted(&self, placer: Placer) -> PlaceOrder {
        new_order(self.store, placer, vec![line(self.product, QUANTITY)])
    }

    pub(crate) async fn claims(&self, integrator: &Integrator) -> Claims {
        self.house
            .ledger
            .claim_handoffs(integrator.id, 10, LEASE)
            .await
            .unwrap()
    }

    /// Claims the only handoff that is due.
    pub(crate) async fn claim(&self, integrator: &Integrator) -> Claimed {
        let mut claimed = self.claims(integrator).await.claimed;
        assert_eq!(claimed.len(), 1, "{claimed:?}");
        claimed.pop().unwrap()
    }

    pub(crate) async fn assert_nothing_due(&self, integrator: &Integrator) {
        let claimed = self.claims(integrator).await.claimed;
        assert!(claimed.is_empty(), "{claimed:?}");
    }

    pub(crate) async fn heard(
        &self,
        claimed: &Claimed,
        heard: SendResult,
        answer: &[u8],
    ) -> Concluded {
        self.house
            .ledger
            .conclude_attempt(claimed, &heard, Some(answer), false)
            .await
            .unwrap()
    }

    pub(crate) async fn answers(&self, claimed: &Claimed, status: u16) -> Concluded {
        let heard = SendResult::Answer {
            status,
            retry_after: None,
        };
        self.heard(claimed, heard, b"{}").await
    }

    /// Answers with "slow down" and, if given, a `Retry-After` of so many seconds.
    pub(crate) async fn is_slowed_down(
        &self,
        claimed: &Claimed,
        status: u16,
        retry_after_s: Option<u64>,
    ) -> Concluded {
        let retry_after = retry_after_s.map(|s| RetryAfter::After(Duration::from_secs(s)));
        let heard = SendResult::Answer {
            status,
            retry_after,
        };
        self.heard(claimed, heard, b"later").await
    }

    /// Interrupts the attempt: there is no response, and it is unknown if the request arrived.
    pub(crate) async fn is_lost(&self, claimed: &Claimed) -> Concluded {
        self.house
            .ledger
            .interrupt_attempt(claimed, "time-out")
            .await
            .unwrap()
    }

    /// Moves the clock to the time when the handoff is due again.
    pub(crate) async fn advance_until_due(&self, handoff: HandoffId) {
        let due_at = self.handoff(handoff).await.next_attempt_at.unwrap();
        if due_at > self.house.clock.now() {
            self.house.clock.set(due_at);
        }
    }

    pub(crate) async fn handoff(&self, id: HandoffId) -> Handoff {
        let mut tx = self.house.db.read().await.unwrap();
        store::handoffs::get(&mut tx, id).await.unwrap().unwrap()
    }

    pub(crate) async fn handoffs(&self, order: OrderId) -> Vec<Handoff> {
        let mut tx = self.house.db.read().await.unwrap();
        store::handoffs::of_order(&mut tx, order).await.unwrap()
    }

    /// Returns the events and states of the order's handoffs to an integrator.
    pub(crate) async fn states(
        &self,
        order: OrderId,
        integrator: &Integrator,
    ) -> Vec<(HandoffEvent, HandoffState)> {
        let handoffs = self.handoffs(order).await.into_iter();
        handoffs
            .filter(|handoff| handoff.integrator_id == integrator.id)
            .map(|handoff| (handoff.event, handoff.state))
            .collect()
    }

    pub(crate) async fn now(&self, order: OrderId) -> Order {
        self.house.ledger.order(order).await.unwrap().unwrap()
    }

    pub(crate) async fn status(&self, order: OrderId) -> OrderStatus {
        self.now(order).await.status
    }

    pub(crate) async fn stock(&self) -> i64 {
        let product = self.house.ledger.product(self.product).await.unwrap();
        product.unwrap().stock.unwrap()
    }

    pub(crate) async fn staff_move(&self, order: OrderId, to: OrderStatus) {
        let done = self
            .house
            .ledger
            .move_order(order, to, By::Staff, Some("why not"))
            .await;
        done.unwrap();
    }

    /// Stores a callback with a new webhook id, and applies the order's waiting callbacks.
    pub(crate) async fn says(&self, integrator: &Integrator, order: OrderId, update: Update) {
        let received = self.send_callback(integrator, update).await;
        assert!(matches!(received, Received::Stored { .. }));
        self.house.ledger.apply_callbacks(order).await.unwrap();
    }

    /// Applies an order's callbacks as a worker does: again, while others hold the order.
    /// Sweeps the whole for unsettled orders; returns how many were settled.
    pub(crate) async fn settle_unsettled(&self) -> u32 {
        let swept = self
            .house
            .ledger
            .settle_unsettled_orders(None, 10, Part::WHOLE);
        swept.await.unwrap().0
    }

    pub(crate) async fn apply_callbacks(&self, order: OrderId) -> u32 {
        let applied = async {
            loop {
                match self.house.ledger.apply_callbacks(order).await {
                    Err(error) if error.is_held() => tokio::task::yield_now().await,
                    applied => break applied.unwrap(),
                }
            }
        };
        let applied = tokio::time::timeout(TEST_TIMEOUT, applied).await;
        applied.expect("nobody holds the order for long")
    }

    pub(crate) async fn send_callback(&self, integrator: &Integrator, update: Update) -> Received {
        let webhook_id = format!(
            "msg_{}",
            self.callbacks_sent.fetch_add(1, Ordering::Relaxed)
        );
        self.house
            .ledger
            .receive_callback(integrator, &webhook_id, update)
            .await
            .unwrap()
    }

    pub(crate) async fn disable(&self, integrator: IntegratorId) {
        let edit = super::integrators::IntegratorEdit {
            enabled: Some(false),
            ..Default::default()
        };
        let edited = self.house.ledger.edit_integrator(integrator, None, edit);
        edited.await.unwrap();
    }

    /// Runs a statement that no part of the program would run.
    pub(crate) async fn damage(&self, statement: &'static str) {
        let mut tx = self.house.db.begin().await.unwrap();
        let changed = store::testing::run(&mut tx, statement).await.unwrap();
        assert!(changed > 0, "{statement} changes no row");
        tx.commit().await.unwrap();
    }

    /// Lists what is stuck, except for rows that wait to be published: nobody publishes here.
    pub(crate) async fn stuck(&self) -> Vec<Stuck> {
        let mut stuck = self.house.ledger.stuck().await.unwrap();
        stuck.retain(|one| one.kind != StuckKind::OutboxLate);
        stuck
    }

    pub(crate) async fn assert_audit_clean(&self) {
        assert_eq!(self.house.ledger.audit().await.unwrap(), []);
    }
}

/// Returns an update that has only a status.
pub(crate) fn word(order: OrderId, status: &str) -> Update {
    Update {
        order_id: Some(order),
        reference: None,
        status: Some(status.to_owned()),
        reason: None,
        sequence: None,
        occurred_at: None,
        ready_at: None,
        delivery: None,
    }
}

/// Returns an update that has a status and a sequence.
pub(crate) fn numbered(order: OrderId, status: &str, sequence: i64) -> Update {
    Update {
        sequence: Some(sequence),
        ..word(order, status)
    }
}
