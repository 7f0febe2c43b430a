//! A store for measurements, created through the ledger: products (every other one counted), tables, one kitchen.

use std::sync::Arc;

use domain::{
    ids::{AccountId, ProductId, SessionId, StoreId},
    integrator::Integrator,
    order::Fulfilment,
};
use ledger::{
    Ledger, NoWake,
    intake::{PlaceOrder, Placer},
    integrators::NewIntegrator,
    products::NewProduct,
    testing::{
        TestLedger,
        fixtures::{line, new_integrator, new_order, new_product},
    },
};
use platform::clock::Clock;
use store::Db;

/// Number of items per order.
pub(crate) const ITEMS: usize = 3;
const PRODUCTS: usize = 20;
const TABLES: usize = 64;
const ACCOUNTS: usize = 500;

#[derive(Clone, Debug)]
pub(crate) struct Stall {
    /// A ledger without a relay: its outbox rows stay.
    pub(crate) ledger: Ledger,
    pub(crate) house: TestLedger,
    pub(crate) store: StoreId,
    pub(crate) kitchen: Integrator,
    products: Arc<[ProductId]>,
    tables: Arc<[SessionId]>,
    accounts: Arc<[AccountId]>,
}

impl Stall {
    pub(crate) async fn open(db: &Db) -> anyhow::Result<Self> {
        let house = TestLedger::with_clock(db.clone(), Clock::system());
        let ledger = house.ledger_with_wake(Arc::new(NoWake));
        let store = house.create_store().await;
        let mut products = Vec::new();
        for number in 0..PRODUCTS {
            let new = NewProduct {
                name: format!("Dish {number}"),
                stock: (number % 2 == 0).then_some(1_000_000_000),
                ..new_product(store)
            };
            products.push(ledger.create_product(new, None).await?.id);
        }
        let mut tables = Vec::new();
        for number in 0..TABLES {
            tables.push(
                ledger
                    .open_session(store, &format!("Table {number}"))
                    .await?
                    .id,
            );
        }
        let kitchen = NewIntegrator {
            url: "http://127.0.0.1:9/orders".parse()?,
            required: Some(true),
            concurrency: 64,
            ..new_integrator(store)
        };
        let (kitchen, _) = ledger.create_integrator(kitchen).await?;
        let accounts = (0..ACCOUNTS).map(|_| house.new_account_id()).collect();
        Ok(Self {
            ledger,
            house,
            store,
            kitchen,
            products: products.into(),
            tables: tables.into(),
            accounts,
        })
    }

    /// Returns order number `n`: three items, one or two of them counted; every other order is a guest's at a table.
    pub(crate) fn order(&self, n: usize) -> PlaceOrder {
        let product = |at: usize| self.products[(n / 2 + at) % self.products.len()];
        let lines = (0..ITEMS).map(|at| line(product(at), 1)).collect();
        if !n.is_multiple_of(2) {
            let placer = Placer::Account(self.accounts[n / 2 % self.accounts.len()]);
            return new_order(self.store, placer, lines);
        }
        PlaceOrder {
            session: Some(self.tables[n / 2 % self.tables.len()]),
            fulfilment: Fulfilment::Table,
            ..new_order(self.store, Placer::Guest { key_hash: None }, lines)
        }
    }
}
