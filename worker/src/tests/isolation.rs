//! A bad integrator does not affect the others: four integrators and two workers.

use each_database::each_database;
use std::{collections::HashSet, sync::Arc, time::Duration};

use domain::ids::{ProductId, StoreId};
use ledger::testing::TestLedger;
use tokio::sync::Notify;
use url::Url;

use super::scene::{OtherWorker, Scene};
use crate::testing::{Integrator, Received, Reply};

const ORDERS: usize = 60;
const CAP: u32 = 4;

/// Test integrators, of one store or of several.
struct FourIntegrators {
    /// Reads its requests and responds to none until `release` is notified.
    hanging: Integrator,
    release: Arc<Notify>,
    /// Responds with 500.
    failing: Integrator,
    /// Allows one request per second.
    limited: Integrator,
    fine: Integrator,
}

impl FourIntegrators {
    async fn at(scene: &Scene, stores: [StoreId; 4]) -> Self {
        let release = Arc::new(Notify::new());
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
        let late = Reply::SayWhenReleased(answer, Arc::clone(&release));
        let four = Self {
            hanging: Integrator::start([late]).await,
            release,
            failing: Integrator::start([Reply::status(500)]).await,
            limited: Integrator::start([Reply::status(200)]).await,
            fine: Integrator::start([Reply::status(200)]).await,
        };
        let urls: [Url; 4] =
            [&four.hanging, &four.failing, &four.limited, &four.fine].map(Integrator::url);
        for (store, url) in stores.into_iter().zip(urls) {
            let rate_per_s = (url == four.limited.url()).then_some(1);
            scene
                .integrator_like(url, |new| {
                    new.store_id = store;
                    new.concurrency = CAP;
                    new.rate_per_s = rate_per_s;
                })
                .await;
        }
        four
    }

    /// Asserts that each integrator is sent what it should be, once all orders are placed.
    async fn assert_isolated(self, scene: Scene, other_worker: OtherWorker) {
        let began_at = scene.house.clock.now();
        scene.advance_until_requests(&self.fine, ORDERS).await;
        let fine = self.fine.received();
        assert_eq!(ids(&fine).len(), ORDERS, "each order once");

        // The first attempts to the hanging one are still open.
        scene
            .advance_and_sweep_until_requests(&other_worker, &self.hanging, CAP as usize)
            .await;
        let hanging = self.hanging.received();
        assert_eq!(hanging.len(), CAP as usize);
        assert!(
            hanging
                .iter()
                .all(|one| one.header("expediter-attempt") == "1/5")
        );
        assert_eq!(self.hanging.peak(), CAP as usize);

        for n in 1..=4 {
            scene.advance_until_requests(&self.limited, n).await;
            scene.worker.sweep_once().await;
            other_worker.worker.sweep_once().await;
            let allowed = 1.0 + (scene.house.clock.now() - began_at).as_seconds_f64();
            assert!(
                self.limited.received().len() as f64 <= allowed,
                "one at once, and one a second"
            );
        }
        for one in [&self.hanging, &self.failing, &self.limited, &self.fine] {
            assert!(one.peak() <= CAP as usize, "{} at once", one.peak());
        }
        assert!(!self.failing.received().is_empty());

        // Once it responds, it is sent the rest.
        let hanging = &self.hanging;
        scene
            .advance_until(async || {
                self.release.notify_waiters();
                ids(&hanging.received()).len() == ORDERS
            })
            .await;
        assert_eq!(hanging.peak(), CAP as usize);
        other_worker.leave().await;
        scene.end().await;
    }
}

/// Returns the ids of the distinct handoffs.
fn ids(received: &[Received]) -> HashSet<String> {
    received
        .iter()
        .map(|one| one.header("webhook-id").to_owned())
        .collect()
}

#[each_database]
async fn integrators_of_one_store_do_not_harm_each_other(house: TestLedger) {
    let (scene, other_worker) = Scene::with_two_workers(house).await;
    let four = FourIntegrators::at(&scene, [scene.store; 4]).await;
    for _ in 0..ORDERS {
        scene.place().await;
    }
    four.assert_isolated(scene, other_worker).await;
}

#[each_database]
async fn integrators_of_different_stores_do_not_harm_each_other(house: TestLedger) {
    let (scene, other_worker) = Scene::with_two_workers(house).await;
    let mut places: Vec<(StoreId, ProductId)> = Vec::new();
    for _ in 0..4 {
        places.push(scene.another_store().await);
    }
    let four = FourIntegrators::at(&scene, [0, 1, 2, 3].map(|n| places[n].0)).await;
    for (store, product) in places {
        for _ in 0..ORDERS {
            scene.place_at(store, product).await;
        }
    }
    four.assert_isolated(scene, other_worker).await;
}

#[each_database]
async fn first_attempts_go_before_late_retries(house: TestLedger) {
    let scene = Scene::new(house).await;
    let release = Arc::new(Notify::new());
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
    let busy = Reply::SayWhenReleased(answer, Arc::clone(&release));
    let kitchen = Integrator::start([Reply::status(503), busy, Reply::status(200)]).await;
    scene
        .integrator_like(kitchen.url(), |new| new.concurrency = 1)
        .await;
    let retried = scene.place().await;
    scene.until_concluded(retried, 1).await;
    let busy_with = scene.place().await;
    kitchen.until_received(2).await;
    // The retry is overdue when the newest order arrives.
    scene.house.clock.advance(Duration::from_secs(4));
    let newest = scene.place().await;
    release.notify_one();
    let received = kitchen.until_received(4).await;
    let mut expected = Vec::new();
    for order in [retried, busy_with, newest, retried] {
        expected.push(scene.handoff(order).await.0.id.to_string());
    }
    let came: Vec<&str> = received
        .iter()
        .map(|one| one.header("webhook-id"))
        .collect();
    assert_eq!(came, expected);
    scene.end().await;
}
