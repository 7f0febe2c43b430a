//! A house with a worker in it, for the stories.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use common::{
    broker::Embedded,
    domain::{
        handoff::{Attempt, AttemptOutcome, Handoff},
        ids::{OrderId, ProductId, StoreId},
        integrator::{
            CallbackAuth, Confirms, Format, Integrator, IntegratorKind, OutboundAuth, UnknownPolicy,
        },
        money::Money,
        order::{Customer, Fulfilment},
        status::OrderStatus,
    },
    ledger::{
        Ledger, NoWake, Wake,
        intake::{Line, PlaceOrder, Placer, ProductRef},
        integrators::NewIntegrator,
        products::NewProduct,
    },
    lifecycle::Shutdown,
    metrics::Metrics,
    relay::{self, Relay},
    testing::{House, SOON},
};
use url::Url;

use crate::{Worker, WorkerParts, WorkerSettings, outbound::OutboundSettings};

/// A house with one store and one product, a worker, and mostly a relay between them.
pub(super) struct Scene {
    pub(super) house: House,
    pub(super) ledger: Ledger,
    pub(super) broker: Arc<Embedded>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: Shutdown,
    pub(super) worker: Worker,
    pub(super) store: StoreId,
    pub(super) product: ProductId,
}

impl Scene {
    pub(super) async fn new(house: House) -> Self {
        Self::with(house, true, Duration::from_secs(20)).await
    }

    /// Nobody tells the worker anything: only the sweep finds out.
    pub(super) async fn silent(house: House) -> Self {
        Self::with(house, false, Duration::from_secs(20)).await
    }

    pub(super) async fn with(house: House, relayed: bool, drain: Duration) -> Self {
        let shutdown = Shutdown::new(drain);
        let (broker, metrics) = (Arc::new(Embedded::new(1000)), Metrics::new());
        let (wake, queue) = relay::channel(1000);
        let wake: Arc<dyn Wake> = if relayed {
            Arc::new(wake)
        } else {
            Arc::new(NoWake)
        };
        let ledger = house.ledger_that_wakes(wake);
        let relay = Relay {
            ledger: ledger.clone(),
            broker: broker.clone(),
            metrics: metrics.clone(),
            sweep_batch: 100,
        };
        if relayed {
            shutdown.spawn("relay", relay.run(queue, shutdown.stopping()));
        }
        let parts = WorkerParts {
            ledger: ledger.clone(),
            broker: broker.clone(),
            metrics: metrics.clone(),
            settings: WorkerSettings {
                outbound: OutboundSettings {
                    attempt_timeout: Duration::from_secs(10),
                    connect_timeout: Duration::from_secs(2),
                    response_limit_bytes: 65_536,
                    allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
                    allow_http: true,
                },
                lease_margin: Duration::from_secs(15),
                // By hand, unless a test moves the clock that far.
                sweep_interval: Duration::from_secs(100_000),
                sweep_batch: 100,
                drain,
            },
        };
        let worker = Worker::start(parts, &shutdown).await.unwrap();
        let store = house.a_store().await;
        let product = NewProduct {
            store_id: store,
            sku: None,
            name: "Espresso".to_owned(),
            description: None,
            price: Money::new(250, "EUR".parse().unwrap()),
            available: true,
            stock: None,
        };
        Self {
            product: ledger.create_product(product, None).await.unwrap().id,
            house,
            ledger,
            broker,
            metrics,
            shutdown,
            worker,
            store,
        }
    }

    pub(super) async fn integrator_at(&self, url: Url) -> Integrator {
        self.integrator_like(url, |_| {}).await
    }

    pub(super) async fn integrator_like(
        &self,
        url: Url,
        change: impl FnOnce(&mut NewIntegrator),
    ) -> Integrator {
        let mut new = NewIntegrator {
            store_id: self.store,
            name: "Kitchen".to_owned(),
            kind: IntegratorKind::Kitchen,
            format: Format::Order,
            events: None,
            url,
            required: None,
            confirms: Confirms::Acknowledgement,
            unknown_policy: UnknownPolicy::Resend,
            callback_auth: CallbackAuth::Signature,
            auth: OutboundAuth::None,
            status_map: BTreeMap::new(),
            max_attempts: 5,
            concurrency: 8,
            rate_per_s: None,
        };
        change(&mut new);
        self.ledger.create_integrator(new).await.unwrap().0
    }

    pub(super) async fn place(&self) -> OrderId {
        let order = PlaceOrder {
            store_id: self.store,
            session: None,
            placer: Placer::Account(self.house.chance.id(self.house.clock.now())),
            reference: None,
            fulfilment: Fulfilment::Pickup,
            customer: Customer::default(),
            lines: vec![Line {
                product: ProductRef::Id(self.product),
                quantity: 1,
                note: None,
            }],
            user_note: None,
            expected_total: None,
            idempotency: None,
            replaces: None,
        };
        self.ledger.place_order(order).await.unwrap().order.id
    }

    pub(super) async fn status(&self, order: OrderId) -> OrderStatus {
        self.ledger.order(order).await.unwrap().unwrap().status
    }

    pub(super) async fn until_status(&self, order: OrderId, status: OrderStatus) {
        eventually(async || self.status(order).await == status).await;
    }

    pub(super) async fn handoff(&self, order: OrderId) -> (Handoff, Vec<Attempt>) {
        self.ledger
            .handoffs_of_order(order)
            .await
            .unwrap()
            .remove(0)
    }

    /// Waits until so many attempts have their outcome, and returns the last one's.
    pub(super) async fn until_concluded(&self, order: OrderId, attempts: usize) -> AttemptOutcome {
        let ended = async || {
            let (_, made) = self.handoff(order).await;
            made.len() == attempts && made.iter().all(|attempt| attempt.outcome.is_some())
        };
        eventually(ended).await;
        self.handoff(order).await.1[attempts - 1].outcome.unwrap()
    }

    pub(super) async fn end(self) {
        self.shutdown.begin();
        assert_eq!(self.shutdown.finish().await.left, Vec::<&str>::new());
        assert_eq!(self.ledger.audit().await.unwrap(), []);
    }
}

/// Until this holds; the test fails when that takes too long.
pub(super) async fn eventually(holds: impl AsyncFn() -> bool) {
    tokio::time::timeout(SOON, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("what the test waits for happens soon");
}
