//! Two workers: an integrator's limits hold for both together, and work reaches the worker that has a share.

use each_database::each_database;
use std::{sync::Arc, time::Duration};

use domain::{
    ids::WorkerId,
    integrator::Integrator as Registered,
    sharing::{DEAD_AFTER, HEARTBEAT_INTERVAL, Limits, share},
    status::OrderStatus,
};
use ledger::testing::TestLedger;
use platform::metrics::Metrics;
use tokio::sync::Notify;

use super::scene::{Scene, SceneOptions, eventually};
use crate::testing::{Integrator, Reply};

fn limits(of: &Registered) -> Limits {
    Limits {
        concurrency: of.concurrency,
        rate_per_s: of.rate_per_s,
    }
}

/// Returns a reply that is sent when `release` is notified.
fn waiting_for(release: &Arc<Notify>) -> Reply {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
    Reply::SayWhenReleased(answer, Arc::clone(release))
}

#[each_database]
async fn a_cap_is_for_both_workers_together(house: TestLedger) {
    let (scene, other_worker) = Scene::with_two_workers(house).await;
    let kitchen = Integrator::start([Reply::hang()]).await;
    scene
        .integrator_like(kitchen.url(), |new| new.concurrency = 3)
        .await;
    for _ in 0..8 {
        scene.place().await;
    }
    scene
        .advance_and_sweep_until_requests(&other_worker, &kitchen, 3)
        .await;
    scene.worker.sweep_once().await;
    other_worker.worker.sweep_once().await;
    let mut in_flight =
        [&scene.metrics, &other_worker.metrics].map(|metrics| metrics.lanes_in_flight.get());
    in_flight.sort_unstable();
    assert_eq!(in_flight, [1, 2]);
    assert_eq!(kitchen.peak(), 3);
    other_worker.leave().await;
    scene.end().await;
}

#[each_database]
async fn a_worker_without_a_share_hands_work_on_without_the_sweep(house: TestLedger) {
    let (scene, other_worker) = Scene::with_two_workers(house).await;
    // Some belong to one worker, some to the other.
    let kitchen = Integrator::start([Reply::status(200)]).await;
    for _ in 0..6 {
        scene
            .integrator_like(kitchen.url(), |new| new.concurrency = 1)
            .await;
    }
    for _ in 0..5 {
        let order = scene.place().await;
        let accepted = async || scene.status(order).await == OrderStatus::Accepted;
        scene.advance_until(accepted).await;
    }
    assert_eq!(kitchen.received().len(), 30);
    other_worker.leave().await;
    scene.end().await;
}

#[each_database]
async fn a_rate_is_for_both_workers_together(house: TestLedger) {
    let (scene, other_worker) = Scene::with_two_workers(house).await;
    let kitchen = Integrator::start([Reply::status(200)]).await;
    scene
        .integrator_like(kitchen.url(), |new| new.rate_per_s = Some(1))
        .await;
    let began_at = scene.house.clock.now();
    for _ in 0..4 {
        scene.place().await;
    }
    for n in 1..=4 {
        scene.advance_until_requests(&kitchen, n).await;
        scene.worker.sweep_once().await;
        other_worker.worker.sweep_once().await;
        let allowed = 1.0 + (scene.house.clock.now() - began_at).as_seconds_f64();
        assert!(kitchen.received().len() as f64 <= allowed);
    }
    other_worker.leave().await;
    scene.end().await;
}

#[each_database]
async fn shares_follow_workers_that_come_and_go(house: TestLedger) {
    let how = SceneOptions {
        is_alone: false,
        drain: Duration::from_millis(2500),
        ..SceneOptions::default()
    };
    let scene = Scene::like(house, how).await;
    let release = Arc::new(Notify::new());
    let kitchen = Integrator::start([waiting_for(&release)]).await;
    scene
        .integrator_like(kitchen.url(), |new| new.concurrency = 4)
        .await;
    for _ in 0..4 {
        scene.place().await;
    }
    kitchen.until_received(4).await;
    assert_eq!(
        scene.metrics.lanes_in_flight.get(),
        4,
        "the first worker is still the only one"
    );
    assert_eq!(scene.metrics.workers_live.get(), 1);

    let other_worker = scene.another_worker().await;
    scene.until_shared_with(&[&other_worker]).await;
    assert_eq!(scene.metrics.workers_live.get(), 2);
    eventually(async || {
        release.notify_waiters();
        scene.metrics.lanes_in_flight.get() == 0
    })
    .await;
    for _ in 0..8 {
        scene.place().await;
    }
    // One worker may have received all hints; the other's sweep then finds its part.
    scene
        .advance_until(async || {
            scene.worker.sweep_once().await;
            other_worker.worker.sweep_once().await;
            kitchen.received().len() >= 8
        })
        .await;
    assert_eq!(
        [&scene.metrics, &other_worker.metrics].map(|metrics| metrics.lanes_in_flight.get()),
        [2, 2]
    );

    other_worker.leave().await;
    // Its attempts were aborted and are retried later; the first worker's go on.
    assert_eq!(scene.metrics.lanes_in_flight.get(), 2);
    scene.until_shared_with(&[]).await;
    scene
        .advance_until(async || scene.metrics.lanes_in_flight.get() == 4)
        .await;
    scene.end().await;
}

#[each_database]
async fn a_dead_workers_share_lies_idle_for_fifteen_seconds_and_then_is_anothers(
    house: TestLedger,
) {
    let how = SceneOptions {
        is_alone: false,
        ..SceneOptions::default()
    };
    let scene = Scene::like(house, how).await;
    let clock = &scene.house.clock;
    let dead: WorkerId = scene.house.chance.id(clock.now());
    scene
        .ledger
        .record_heartbeat(dead, "another host", clock.now())
        .await
        .unwrap();
    let died_at = clock.now();
    scene
        .advance_until(async || scene.worker.membership.borrow().is_shared_by(2))
        .await;
    let members = scene.ledger.workers().await.unwrap();
    let all: Vec<WorkerId> = members.iter().map(|member| member.id).collect();

    let kitchen = Integrator::start([Reply::status(200)]).await;
    // Finds an integrator whose only slot belongs to the dead worker.
    loop {
        let made = scene
            .integrator_like(kitchen.url(), |new| new.concurrency = 1)
            .await;
        if share(limits(&made), made.id, dead, &all).concurrency == 1 {
            break;
        }
        scene
            .ledger
            .archive_integrator(made.id, None)
            .await
            .unwrap();
    }
    let order = scene.place().await;
    scene.worker.sweep_once().await;
    eventually(async || scene.worker.lanes.count() == 0).await;
    assert_eq!(scene.status(order).await, OrderStatus::Pending);

    while clock.now() < died_at + DEAD_AFTER - HEARTBEAT_INTERVAL {
        let next = clock.now() + HEARTBEAT_INTERVAL;
        scene.advance_until(async || clock.now() >= next).await;
    }
    scene.worker.sweep_once().await;
    assert_eq!(scene.status(order).await, OrderStatus::Pending);
    scene
        .advance_until(async || scene.worker.membership.borrow().is_shared_by(1))
        .await;
    assert!(clock.now() >= died_at + DEAD_AFTER);
    // It has hinted a moment ago, but hints again because the shares have changed.
    scene.worker.sweep_once().await;
    scene.until_status(order, OrderStatus::Accepted).await;
    eventually(async || scene.ledger.workers().await.unwrap().len() == 1).await;
    scene.end().await;
}

#[each_database]
async fn a_worker_that_ends_in_order_is_counted_no_more(house: TestLedger) {
    let (scene, other_worker) = Scene::with_two_workers(house).await;
    other_worker.leave().await;
    assert_eq!(scene.ledger.workers().await.unwrap().len(), 1);
    scene.until_shared_with(&[]).await;
    scene.end().await;
}

#[each_database]
async fn one_worker_counts_the_gauges_for_both_and_the_one_that_is_left_takes_over(
    house: TestLedger,
) {
    let (scene, other_worker) = Scene::with_two_workers(house).await;
    let counts = |metrics: &Metrics| {
        let text = metrics.render();
        ["expediter_handoffs{", "expediter_stuck{"].map(|gauge| text.contains(gauge))
    };
    scene.worker.sweep_once().await;
    other_worker.worker.sweep_once().await;
    let mut counted = [counts(&scene.metrics), counts(&other_worker.metrics)];
    counted.sort_unstable();
    assert_eq!(counted, [[false; 2], [true; 2]]);
    other_worker.leave().await;
    scene.until_shared_with(&[]).await;
    // However long the counts took.
    scene.house.clock.advance(Duration::from_secs(60));
    scene.worker.sweep_once().await;
    assert_eq!(counts(&scene.metrics), [true; 2]);
    scene.end().await;
}
