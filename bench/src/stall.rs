//! A store for measurements, created through the ledger: products (every other one counted), tables, one kitchen.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    ids::{AccountId, ProductId, SessionId, StoreId},
    integrator::{
        CallbackAuth, Confirms, Format, Integrator, IntegratorKind, OutboundAuth, UnknownPolicy,
    },
    money::Money,
    order::{Customer, Fulfilment},
};
use ledger::{
    Ledger, NoWake,
    intake::{Line, PlaceOrder, Placer, ProductRef},
    integrators::NewIntegrator,
    products::NewProduct,
    testing::House,
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
    pub(crate) house: House,
    pub(crate) store: StoreId,
    pub(crate) kitchen: Integrator,
    products: Arc<[ProductId]>,
    tables: Arc<[SessionId]>,
    accounts: Arc<[AccountId]>,
}

impl Stall {
    pub(crate) async fn open(db: &Db) -> anyhow::Result<Self> {
        let house = House::with_clock(db.clone(), Clock::system());
        let ledger = house.ledger_with_wake(Arc::new(NoWake));
        let store = house.create_store().await;
        let mut products = Vec::new();
        for number in 0..PRODUCTS {
            let new = NewProduct {
                store_id: store,
                sku: None,
                name: format!("Dish {number}"),
                description: None,
                price: Money::new(250, "EUR".parse()?),
                available: true,
                stock: (number % 2 == 0).then_some(1_000_000_000),
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
            store_id: store,
            name: "Kitchen".to_owned(),
            kind: IntegratorKind::Kitchen,
            format: Format::Order,
            events: None,
            url: "http://127.0.0.1:9/orders".parse()?,
            required: Some(true),
            confirms: Confirms::Acknowledgement,
            unknown_policy: UnknownPolicy::Resend,
            callback_auth: CallbackAuth::Signature,
            auth: OutboundAuth::None,
            status_map: BTreeMap::new(),
            max_attempts: 5,
            concurrency: 64,
            rate_per_s: None,
        };
        let (kitchen, _) = ledger.create_integrator(kitchen).await?;
        let now = ledger.clock().now();
        let accounts = (0..ACCOUNTS).map(|_| ledger.chance().id(now)).collect();
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
        let is_guests = n.is_multiple_of(2);
        let line = |at: usize| Line {
            product: ProductRef::Id(self.products[(n / 2 + at) % self.products.len()]),
            quantity: 1,
            note: None,
        };
        PlaceOrder {
            store_id: self.store,
            session: is_guests.then(|| self.tables[n / 2 % self.tables.len()]),
            placer: if is_guests {
                Placer::Guest { key_hash: None }
            } else {
                Placer::Account(self.accounts[n / 2 % self.accounts.len()])
            },
            reference: None,
            fulfilment: if is_guests {
                Fulfilment::Table
            } else {
                Fulfilment::Pickup
            },
            customer: Customer::default(),
            lines: (0..ITEMS).map(line).collect(),
            user_note: None,
            expected_total: None,
            idempotency: None,
            replaces: None,
        }
    }
}
