//! More integrators than places for lanes: all of them are served.

use each_database::each_database;
use std::{sync::Arc, time::Duration};

use domain::{
    ids::{OrderId, ProductId, StoreId},
    status::OrderStatus,
};
use futures_util::future::join_all;
use ledger::testing::TestLedger;
use tokio::sync::Notify;

use super::scene::{Scene, SceneOptions, eventually};
use crate::testing::{Integrator, Reply};

async fn scene_with(house: TestLedger, max_lanes: usize) -> Scene {
    let how = SceneOptions {
        max_lanes,
        drain: Duration::from_millis(2500),
        ..SceneOptions::default()
    };
    Scene::like(house, how).await
}

/// Creates that many stores, each with one integrator at this server.
async fn stores_at(scene: &Scene, server: &Integrator, count: usize) -> Vec<(StoreId, ProductId)> {
    let mut stores = Vec::new();
    for _ in 0..count {
        let (store, product) = scene.another_store().await;
        let change = |new: &mut ledger::integrators::NewIntegrator| new.store_id = store;
        scene.integrator_like(server.url(), change).await;
        stores.push((store, product));
    }
    stores
}

async fn all_accepted(scene: &Scene, orders: &[OrderId]) {
    for order in orders {
        let accepted = async || scene.status(*order).await == OrderStatus::Accepted;
        scene.advance_until(accepted).await;
    }
}

#[each_database]
async fn many_steadily_busy_integrators_are_all_served_by_a_few_lanes(house: TestLedger) {
    let scene = scene_with(house, 3).await;
    let kitchen = Integrator::start([Reply::status(200)]).await;
    let stores = stores_at(&scene, &kitchen, 20).await;
    for _ in 0..3 {
        let mut orders = Vec::new();
        for (store, product) in &stores {
            orders.push(scene.place_at(*store, *product).await);
        }
        all_accepted(&scene, &orders).await;
        assert!(scene.worker.lanes.count() <= 3);
    }
    assert_eq!(kitchen.received().len(), 60);
    scene.end().await;
}

#[each_database]
async fn integrators_with_a_backlog_give_their_places_to_others_after_a_turn(house: TestLedger) {
    let scene = scene_with(house, 2).await;
    let release = Arc::new(Notify::new());
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
    let slow = Integrator::start([Reply::SayWhenReleased(answer, Arc::clone(&release))]).await;
    let busy = stores_at(&scene, &slow, 2).await;
    for (store, product) in &busy {
        for _ in 0..40 {
            scene.place_at(*store, *product).await;
        }
    }
    scene.advance_until_requests(&slow, 16).await;
    let quick = Integrator::start([Reply::status(200)]).await;
    let mut orders = Vec::new();
    for (store, product) in stores_at(&scene, &quick, 5).await {
        orders.push(scene.place_at(store, product).await);
    }
    scene.house.clock.advance(Duration::from_secs(1));
    for order in &orders {
        let accepted = async || {
            release.notify_waiters();
            scene.status(*order).await == OrderStatus::Accepted
        };
        scene.advance_until(accepted).await;
    }
    // The backlog goes on in its turns.
    scene
        .advance_until(async || {
            release.notify_waiters();
            slow.received().len() == 80
        })
        .await;
    scene.end().await;
}

#[each_database]
async fn integrators_that_fail_keep_no_lane_while_they_wait_for_their_next_attempts(
    house: TestLedger,
) {
    let scene = scene_with(house, 2).await;
    let failing = Integrator::start([Reply::status(500)]).await;
    for (store, product) in stores_at(&scene, &failing, 6).await {
        scene.place_at(store, product).await;
    }
    scene.advance_until_requests(&failing, 6).await;
    let fine = Integrator::start([Reply::status(200)]).await;
    let mut orders = Vec::new();
    for (store, product) in stores_at(&scene, &fine, 6).await {
        orders.push(scene.place_at(store, product).await);
    }
    all_accepted(&scene, &orders).await;
    // Those that gave their lanes away are found again when their second attempts are due.
    scene
        .advance_until(async || {
            scene.worker.sweep_once().await;
            failing.received().len() >= 12
        })
        .await;
    scene.end().await;
}

#[each_database]
#[ignore = "takes minutes: the ten thousand integrators of the issue"]
async fn ten_thousand_integrators_with_one_order_each_twenty_seconds_are_all_served(
    house: TestLedger,
) {
    const STORES: usize = 10_000;
    // Together they take as long as one, because the ledger writes them at once.
    const AT_ONCE: usize = 250;
    let scene = scene_with(house, 4096).await;
    let kitchen = Integrator::start([Reply::status(200)]).await;
    let mut stores = Vec::new();
    while stores.len() < STORES {
        let some = (0..10).map(|_| stores_at(&scene, &kitchen, AT_ONCE / 10));
        stores.extend(join_all(some).await.concat());
    }
    for round in 1..=2 {
        for some in stores.chunks(AT_ONCE) {
            let placed = some
                .iter()
                .map(|(store, product)| scene.place_at(*store, *product));
            join_all(placed).await;
            let step = Duration::from_secs(20) * u32::try_from(AT_ONCE).unwrap();
            scene
                .house
                .clock
                .advance(step / u32::try_from(STORES).unwrap());
        }
        scene.worker.sweep_once().await;
        // Ten thousand of them take a while, but there is always a next one. The clock is slow, for the sake of their
        // deadlines.
        while kitchen.received_count() < round * STORES {
            let next = kitchen.received_count() + 1;
            eventually(async || {
                scene.house.clock.advance(Duration::from_millis(1));
                kitchen.received_count() >= next
            })
            .await;
        }
    }
    scene.end().await;
}
