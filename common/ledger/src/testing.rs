//! For tests of every crate: a ledger over a fresh database of its own, dropped at the end.
//!
//! `#[each_database]` makes one test per database out of one body that takes a [`TestLedger`], its `Ledger` or its `Db`.

pub mod fixtures;

use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

use domain::{
    event::Event,
    hint::Hint,
    ids::{AccountId, ProductId, StoreId},
    order::Order,
    retention::Limits,
    session::Session,
    store::{Contact, Store},
    stuck::StuckLimits,
};
use platform::{
    chance::Chance,
    clock::Clock,
    secrets::{Keys, SealingKeys},
};
pub use store::testing::{FreshDb, TEST_TIMEOUT, environment, fresh_mysql, fresh_sqlite, noon};
use store::{
    Db,
    testing::{with_mysql, with_sqlite},
};
use tokio::sync::watch;

use crate::{
    BatchLimits, Bounds, ChangeError, ChangeResult, Ledger, LedgerParts, LedgerSettings, OutboxRow,
    Wake, intake::PlaceOrder, products::NewProduct,
};

/// A ledger over a fresh database, with a clock that stands at [`noon`] until the test moves it.
#[derive(Clone, Debug)]
pub struct TestLedger {
    pub db: Db,
    pub ledger: Ledger,
    pub clock: Clock,
    pub chance: Chance,
    pub keys: Keys,
    pub woken: Woken,
}

impl TestLedger {
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self::with_clock(db, Clock::manual(noon()))
    }

    #[must_use]
    pub fn with_clock(db: Db, clock: Clock) -> Self {
        let woken = Woken::default();
        Self {
            ledger: ledger_with(&db, &clock, Arc::new(woken.clone()), roomy()),
            db,
            clock,
            chance: Chance::system(),
            keys: Keys::seeded(1),
            woken,
        }
    }

    /// Creates another ledger over the same database, as another process would, with its own [`Wake`].
    #[must_use]
    pub fn ledger_with_wake(&self, wake: Arc<dyn Wake>) -> Ledger {
        ledger_with(&self.db, &self.clock, wake, roomy())
    }

    /// Creates another ledger over the same database, as a process with other keys would.
    #[must_use]
    pub fn ledger_with_keys(&self, keys: &Keys) -> Ledger {
        let (wake, sealing) = (Arc::new(self.woken.clone()), keys.encryption.clone());
        ledger_of(
            sealing,
            &self.db,
            &self.clock,
            wake,
            roomy(),
            Limits::default(),
        )
    }

    /// Creates another ledger over the same database with other bounds.
    #[must_use]
    pub fn ledger_with_bounds(&self, change: impl FnOnce(&mut Bounds)) -> Ledger {
        let mut bounds = roomy();
        change(&mut bounds);
        ledger_with(&self.db, &self.clock, Arc::new(self.woken.clone()), bounds)
    }

    /// Creates another ledger over the same database that keeps ended orders for so long.
    #[must_use]
    pub fn ledger_with_retention(&self, limits: Limits) -> Ledger {
        self.ledger_with_wake_and_retention(Arc::new(self.woken.clone()), limits)
    }

    /// Does the same with its own [`Wake`].
    #[must_use]
    pub fn ledger_with_wake_and_retention(&self, wake: Arc<dyn Wake>, limits: Limits) -> Ledger {
        let sealing = Keys::seeded(1).encryption;
        ledger_of(sealing, &self.db, &self.clock, wake, roomy(), limits)
    }

    /// Creates a product that never runs out and costs 2.50.
    pub async fn create_product(&self, store_id: StoreId) -> ProductId {
        self.create_product_with(store_id, |_| {}).await
    }

    /// Creates a product like [`Self::create_product`] with a change.
    pub async fn create_product_with(
        &self,
        store_id: StoreId,
        change: impl FnOnce(&mut NewProduct),
    ) -> ProductId {
        let mut new = fixtures::new_product(store_id);
        change(&mut new);
        let product = self.ledger.create_product(new, None).await;
        product.expect("the store takes a product").id
    }

    /// Draws an id for an account that exists only as the placer of orders.
    #[must_use]
    pub fn new_account_id(&self) -> AccountId {
        self.chance.id(self.clock.now())
    }

    /// Places an order for one piece, by a guest without a key.
    pub async fn place_guest_order(&self, session: &Session, product: ProductId) -> Order {
        self.place_guest_order_with(session, product, |_| {}).await
    }

    /// Places an order like [`Self::place_guest_order`] with a change.
    pub async fn place_guest_order_with(
        &self,
        session: &Session,
        product: ProductId,
        change: impl FnOnce(&mut PlaceOrder),
    ) -> Order {
        let mut order = fixtures::guest_order(session, product);
        change(&mut order);
        let placed = self.ledger.place_order(order).await;
        placed.expect("an open session takes an order").order
    }

    /// Creates a store that sells in euros and accepts orders automatically.
    pub async fn create_store(&self) -> StoreId {
        self.create_store_with(|_| {}).await
    }

    /// Creates a store like [`Self::create_store`] with a change.
    pub async fn create_store_with(&self, change: impl FnOnce(&mut Store)) -> StoreId {
        let now = self.clock.now();
        let mut store = Store {
            id: self.chance.id(now),
            name: "Corner Café".to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            currency: "EUR".parse().expect("a currency"),
            contact: Contact::default(),
            external_location_id: None,
            auto_accept: true,
            accept_within_s: 600,
            deliver_accepted_after_h: None,
            timing: Default::default(),
            paused: false,
            language: domain::language::Language::default(),
            archived_at: None,
            version: 1,
            created_at: now,
        };
        change(&mut store);
        store::testing::insert_store(&self.db, &store)
            .await
            .expect("a fresh database takes a store");
        store.id
    }
}

/// Returns bounds that let a test place as many orders in one session as it likes.
fn roomy() -> Bounds {
    Bounds {
        unfinished_orders_per_session: 100_000,
        ..Bounds::default()
    }
}

fn ledger_with(db: &Db, clock: &Clock, wake: Arc<dyn Wake>, bounds: Bounds) -> Ledger {
    let sealing = Keys::seeded(1).encryption;
    ledger_of(sealing, db, clock, wake, bounds, Limits::default())
}

/// Creates a ledger with the system's `Chance`, because two ledgers over one database must not draw the same ids.
fn ledger_of(
    sealing: SealingKeys,
    db: &Db,
    clock: &Clock,
    wake: Arc<dyn Wake>,
    bounds: Bounds,
    retention: Limits,
) -> Ledger {
    Ledger::new(LedgerParts {
        db: db.clone(),
        clock: clock.clone(),
        chance: Chance::system(),
        sealing: Arc::new(sealing),
        wake,
        metrics: platform::metrics::Metrics::new(),
        settings: LedgerSettings {
            outbox_claim_after: Duration::from_secs(10),
            public_url: "http://127.0.0.1:8080".to_owned(),
            callback_base: "http://127.0.0.1:8080".to_owned(),
            intake: BatchLimits {
                max_requests: 256,
                max_bytes: 4 << 20,
                writers: 2,
                queue_capacity: 4096,
            },
            max_pause: Duration::from_secs(300),
            max_handover_lag: Some(Duration::from_secs(2)),
            stuck: StuckLimits::default(),
            callback_tolerance: Duration::from_secs(300),
            audit_retention: Some(Duration::from_secs(365 * 86_400)),
            bounds,
            retention,
        },
    })
}

impl From<&TestLedger> for TestLedger {
    fn from(test_ledger: &TestLedger) -> Self {
        test_ledger.clone()
    }
}

impl From<&TestLedger> for Db {
    fn from(test_ledger: &TestLedger) -> Self {
        test_ledger.db.clone()
    }
}

impl From<&TestLedger> for Ledger {
    fn from(test_ledger: &TestLedger) -> Self {
        test_ledger.ledger.clone()
    }
}

/// A [`Wake`] that records the rows it was offered. Clones share the record.
#[derive(Clone, Debug)]
pub struct Woken {
    rows: Arc<Mutex<Vec<OutboxRow>>>,
    /// Number of rows offered in all.
    offered: watch::Sender<usize>,
}

impl Default for Woken {
    fn default() -> Self {
        Self {
            rows: Arc::default(),
            offered: watch::Sender::new(0),
        }
    }
}

impl Woken {
    #[must_use]
    pub fn rows(&self) -> Vec<OutboxRow> {
        self.rows.lock().clone()
    }

    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let rows = self.rows().into_iter();
        rows.flat_map(|row| row.announcement.events).collect()
    }

    #[must_use]
    pub fn hints(&self) -> Vec<Hint> {
        let rows = self.rows().into_iter();
        rows.flat_map(|row| row.announcement.hints).collect()
    }

    /// Returns the rows offered since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<OutboxRow> {
        std::mem::take(&mut *self.rows.lock())
    }

    /// Waits until this many rows were offered in all, including those taken meanwhile.
    ///
    /// # Panics
    /// If that takes longer than [`TEST_TIMEOUT`].
    pub async fn until(&self, rows: usize) {
        let mut offered = self.offered.subscribe();
        tokio::time::timeout(TEST_TIMEOUT, offered.wait_for(|now| *now >= rows))
            .await
            .expect("what the test waits for is committed soon")
            .expect("the sender lives as long as this");
    }
}

impl Wake for Woken {
    fn offer(&self, row: OutboxRow) {
        self.rows.lock().push(row);
        self.offered.send_modify(|offered| *offered += 1);
    }
}

/// Runs a body of `#[each_database]` over SQLite, and drops the database even if the body panics.
pub async fn on_sqlite<F: Future<Output = ()>>(body: impl FnOnce(TestLedger) -> F) {
    with_sqlite(|db| body(TestLedger::new(db))).await;
}

/// Runs a body like [`on_sqlite`] over MySQL, if a server is named.
pub async fn on_mysql<F: Future<Output = ()>>(body: impl FnOnce(TestLedger) -> F) {
    with_mysql(|db| body(TestLedger::new(db))).await;
}

/// Returns the reason of a refusal.
///
/// # Panics
/// If it was not refused.
pub fn refusal<T: std::fmt::Debug, R: std::fmt::Debug>(done: ChangeResult<T, R>) -> R {
    match done {
        Err(ChangeError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use each_database::each_database;

    #[each_database]
    async fn a_fresh_house_answers_and_tells_no_time_of_its_own(house: TestLedger) {
        house.db.ping().await.unwrap();
        house.create_store().await;
        assert_eq!(house.ledger.outbox_backlog().await.unwrap(), (0, None));
        assert_eq!(house.ledger.clock().now(), noon());
    }
}
