//! Test setup: a worker on a test ledger and broker.

use std::{sync::Arc, time::Duration};

use broker::Embedded;
use domain::{
    handoff::{Attempt, AttemptOutcome, Handoff},
    ids::{OrderId, ProductId, StoreId},
    integrator::Integrator,
    retention::Limits,
    status::OrderStatus,
};
use ledger::{
    Ledger, NoWake, Wake,
    intake::Placer,
    integrators::NewIntegrator,
    testing::{
        TestLedger,
        fixtures::{line, new_integrator, new_order},
    },
};
use platform::metrics::Metrics;
use runtime::{
    lifecycle::Shutdown,
    relay::{self, Relay},
};
use store::testing::TEST_TIMEOUT;
use url::Url;

use crate::{
    Worker, WorkerParts, WorkerSettings, outbound::OutboundSettings, testing::Integrator as Server,
};

/// A worker, a ledger with one store and one product, and in most tests a relay between them.
pub(super) struct Scene {
    pub(super) house: TestLedger,
    how: SceneOptions,
    pub(super) ledger: Ledger,
    pub(super) broker: Arc<Embedded>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: Shutdown,
    pub(super) worker: Worker,
    pub(super) store: StoreId,
    pub(super) product: ProductId,
}

/// Another worker on the same database and broker.
pub(super) struct OtherWorker {
    pub(super) worker: Worker,
    pub(super) metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

/// Options that differ between tests.
#[derive(Clone, Copy)]
pub(super) struct SceneOptions {
    /// True if a relay publishes the hints of commits.
    pub(super) relayed: bool,
    pub(super) drain: Duration,
    pub(super) is_alone: bool,
    pub(super) attempt_timeout: Duration,
    pub(super) max_lanes: usize,
    pub(super) retention: Limits,
}

impl Default for SceneOptions {
    fn default() -> Self {
        Self {
            relayed: true,
            drain: Duration::from_secs(20),
            is_alone: true,
            // Long enough that no attempt times out on a slow machine.
            attempt_timeout: Duration::from_secs(60),
            max_lanes: 4096,
            retention: Limits::default(),
        }
    }
}

impl SceneOptions {
    fn settings(self) -> WorkerSettings {
        WorkerSettings {
            outbound: OutboundSettings {
                attempt_timeout: self.attempt_timeout,
                connect_timeout: Duration::from_secs(2),
                body_grace: Duration::from_secs(1),
                response_limit_bytes: 65_536,
                allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
                allow_http: true,
                allow_http_on_loopback: false,
                own_address: None,
                proxy: None,
            },
            lease_margin: Duration::from_secs(15),
            // Tests sweep by hand, unless they move the clock that far.
            sweep_interval: Duration::from_secs(100_000),
            sweep_batch: 100,
            max_lanes: self.max_lanes,
            is_alone: self.is_alone,
            drain: self.drain,
        }
    }
}

impl OtherWorker {
    /// Shuts the worker down; hanging attempts are aborted.
    pub(super) async fn leave(self) {
        self.shutdown.begin();
        assert_eq!(self.shutdown.finish().await.left, Vec::<&str>::new());
    }
}

impl Scene {
    pub(super) async fn new(house: TestLedger) -> Self {
        Self::with(house, true, Duration::from_secs(20)).await
    }

    /// Creates a scene without hints: only the sweep finds work.
    pub(super) async fn silent(house: TestLedger) -> Self {
        Self::with(house, false, Duration::from_secs(20)).await
    }

    pub(super) async fn with(house: TestLedger, relayed: bool, drain: Duration) -> Self {
        let how = SceneOptions {
            relayed,
            drain,
            ..SceneOptions::default()
        };
        Self::like(house, how).await
    }

    /// Creates a scene with two workers that share the integrators; hanging attempts are aborted at the end.
    pub(super) async fn with_two_workers(house: TestLedger) -> (Self, OtherWorker) {
        let how = SceneOptions {
            is_alone: false,
            drain: Duration::from_millis(2500),
            ..SceneOptions::default()
        };
        let scene = Self::like(house, how).await;
        let other_worker = scene.another_worker().await;
        scene.until_shared_with(&[&other_worker]).await;
        // The rate of a whole second is available to them by now.
        scene.house.clock.advance(Duration::from_secs(1));
        (scene, other_worker)
    }

    pub(super) async fn like(house: TestLedger, how: SceneOptions) -> Self {
        let SceneOptions { relayed, drain, .. } = how;
        let shutdown = Shutdown::new(drain);
        let (broker, metrics) = (Arc::new(Embedded::new(1000)), Metrics::new());
        let (wake, queue) = relay::channel(1000);
        let wake: Arc<dyn Wake> = if relayed {
            Arc::new(wake)
        } else {
            Arc::new(NoWake)
        };
        let ledger = house.ledger_with_wake_and_retention(wake, how.retention);
        let relay = Relay {
            ledger: ledger.clone(),
            broker: broker.clone(),
            metrics: metrics.clone(),
            sweep_batch: 100,
            drops_hints: Arc::default(),
        };
        if relayed {
            shutdown.spawn("relay", relay.run(queue, shutdown.stopping()));
        }
        let parts = WorkerParts {
            ledger: ledger.clone(),
            broker: broker.clone(),
            metrics: metrics.clone(),
            settings: how.settings(),
        };
        let worker = Worker::start(parts, &shutdown).await.unwrap();
        let store = house.create_store().await;
        Self {
            product: house.create_product(store).await,
            house,
            how,
            ledger,
            broker,
            metrics,
            shutdown,
            worker,
            store,
        }
    }

    /// Starts a worker on the same database and broker, as in another process.
    pub(super) async fn another_worker(&self) -> OtherWorker {
        let (shutdown, metrics) = (Shutdown::new(self.how.drain), Metrics::new());
        let parts = WorkerParts {
            ledger: self.ledger.clone(),
            broker: self.broker.clone(),
            metrics: metrics.clone(),
            settings: self.how.settings(),
        };
        let worker = Worker::start(parts, &shutdown).await.unwrap();
        OtherWorker {
            worker,
            metrics,
            shutdown,
        }
    }

    /// Moves the clock until each worker knows the others and has its share.
    pub(super) async fn until_shared_with(&self, colleagues: &[&OtherWorker]) {
        let workers: Vec<&Worker> = std::iter::once(&self.worker)
            .chain(colleagues.iter().map(|other_worker| &other_worker.worker))
            .collect();
        let is_shared = |worker: &&Worker| worker.membership.borrow().is_shared_by(workers.len());
        self.advance_until(async || workers.iter().all(is_shared))
            .await;
    }

    /// Moves the clock in small steps until `holds` returns true, so that tasks which have just begun to wait are not
    /// skipped. Concurrent claims need it too: a lane retries rows that another one had locked after a short delay.
    pub(super) async fn advance_until(&self, holds: impl AsyncFn() -> bool) {
        eventually(async || {
            self.house.clock.advance(Duration::from_millis(10));
            holds().await
        })
        .await;
    }

    pub(super) async fn advance_until_requests(&self, at: &Server, count: usize) {
        self.advance_until(async || at.received_count() >= count)
            .await;
    }

    /// Also sweeps: a hint that reaches a lane without a free slot does not tell the other worker, whose lane may have one.
    pub(super) async fn advance_and_sweep_until_requests(
        &self,
        other: &OtherWorker,
        at: &Server,
        count: usize,
    ) {
        self.advance_until(async || {
            self.worker.sweep_once().await;
            other.worker.sweep_once().await;
            at.received_count() >= count
        })
        .await;
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
            url,
            concurrency: 8,
            ..new_integrator(self.store)
        };
        change(&mut new);
        self.ledger.create_integrator(new).await.unwrap().0
    }

    pub(super) async fn place(&self) -> OrderId {
        self.place_at(self.store, self.product).await
    }

    /// Creates another store with one product.
    pub(super) async fn another_store(&self) -> (StoreId, ProductId) {
        let store = self.house.create_store().await;
        (store, self.house.create_product(store).await)
    }

    pub(super) async fn place_at(&self, store_id: StoreId, product: ProductId) -> OrderId {
        let placer = Placer::Account(self.house.new_account_id());
        let order = new_order(store_id, placer, vec![line(product, 1)]);
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

    /// Waits until this many attempts have an outcome, and returns the last one's.
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

/// Waits until `holds` returns true; panics if that takes too long.
pub(super) async fn eventually(holds: impl AsyncFn() -> bool) {
    tokio::time::timeout(TEST_TIMEOUT, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("the condition holds in time");
}
