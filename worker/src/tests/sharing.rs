//! Two workers: an integrator's limits hold for both together, and work reaches the worker that has a share.

use each_database::each_database;
use std::{sync::Arc, time::Duration};

use domain::{
    ids::WorkerId,
    integrator::Integrator as Registered,
    sharing::{BEATS_EVERY, DEAD_AFTER, Limits, share},
    status::OrderStatus,
};
use ledger::testing::House;
use tokio::sync::Notify;

use super::scene::{How, Scene, eventually};
use crate::testing::{Integrator, Reply};

fn limits(of: &Registered) -> Limits {
    Limits {
        concurrency: of.concurrency,
        rate_per_s: of.rate_per_s,
    }
}

/// Returns a reply that is sent when `let_go` is notified.
fn waiting_for(let_go: &Arc<Notify>) -> Reply {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
    Reply::SayWhenLet(answer, Arc::clone(let_go))
}

#[each_database]
async fn a_cap_is_for_both_workers_together(house: House) {
    let (scene, colleague) = Scene::of_two(house).await;
    let kitchen = Integrator::start([Reply::hang()]).await;
    scene
        .integrator_like(kitchen.url(), |new| new.concurrency = 3)
        .await;
    for _ in 0..8 {
        scene.place().await;
    }
    scene.until_time_brings_requests(&kitchen, 3).await;
    scene.worker.sweep_once().await;
    colleague.worker.sweep_once().await;
    let mut in_flight =
        [&scene.metrics, &colleague.metrics].map(|metrics| metrics.lanes_in_flight.get());
    in_flight.sort_unstable();
    assert_eq!(in_flight, [1, 2]);
    assert_eq!(kitchen.peak(), 3);
    colleague.leave().await;
    scene.end().await;
}

#[each_database]
async fn a_worker_without_a_share_hands_work_on_without_the_sweep(house: House) {
    let (scene, colleague) = Scene::of_two(house).await;
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
        scene.until_time_brings(accepted).await;
    }
    assert_eq!(kitchen.received().len(), 30);
    colleague.leave().await;
    scene.end().await;
}

#[each_database]
async fn a_rate_is_for_both_workers_together(house: House) {
    let (scene, colleague) = Scene::of_two(house).await;
    let kitchen = Integrator::start([Reply::status(200)]).await;
    scene
        .integrator_like(kitchen.url(), |new| new.rate_per_s = Some(1))
        .await;
    let began_at = scene.house.clock.now();
    for _ in 0..4 {
        scene.place().await;
    }
    for n in 1..=4 {
        scene.until_time_brings_requests(&kitchen, n).await;
        scene.worker.sweep_once().await;
        colleague.worker.sweep_once().await;
        let allowed = 1.0 + (scene.house.clock.now() - began_at).as_seconds_f64();
        assert!(kitchen.received().len() as f64 <= allowed);
    }
    colleague.leave().await;
    scene.end().await;
}

#[each_database]
async fn shares_follow_workers_that_come_and_go(house: House) {
    let how = How {
        is_alone: false,
        drain: Duration::from_millis(2500),
        ..How::default()
    };
    let scene = Scene::like(house, how).await;
    let let_go = Arc::new(Notify::new());
    let kitchen = Integrator::start([waiting_for(&let_go)]).await;
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

    let colleague = scene.another_worker().await;
    scene.until_shared_with(&[&colleague]).await;
    assert_eq!(scene.metrics.workers_live.get(), 2);
    eventually(async || {
        let_go.notify_waiters();
        scene.metrics.lanes_in_flight.get() == 0
    })
    .await;
    for _ in 0..8 {
        scene.place().await;
    }
    // One worker may have received all hints; the other's sweep then finds its part.
    scene
        .until_time_brings(async || {
            scene.worker.sweep_once().await;
            colleague.worker.sweep_once().await;
            kitchen.received().len() >= 8
        })
        .await;
    assert_eq!(
        [&scene.metrics, &colleague.metrics].map(|metrics| metrics.lanes_in_flight.get()),
        [2, 2]
    );

    colleague.leave().await;
    // Its attempts were aborted and are retried later; the first worker's go on.
    assert_eq!(scene.metrics.lanes_in_flight.get(), 2);
    scene.until_shared_with(&[]).await;
    scene
        .until_time_brings(async || scene.metrics.lanes_in_flight.get() == 4)
        .await;
    scene.end().await;
}

#[each_database]
async fn a_dead_workers_share_lies_idle_for_fifteen_seconds_and_then_is_anothers(house: House) {
    let how = How {
        is_alone: false,
        ..How::default()
    };
    let scene = Scene::like(house, how).await;
    let clock = &scene.house.clock;
    let dead: WorkerId = scene.house.chance.id(clock.now());
    scene
        .ledger
        .worker_seen(dead, "another host", clock.now())
        .await
        .unwrap();
    let died_at = clock.now();
    scene
        .until_time_brings(async || scene.worker.crew.borrow().is_one_of(2))
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

    while clock.now() < died_at + DEAD_AFTER - BEATS_EVERY {
        let next = clock.now() + BEATS_EVERY;
        scene.until_time_brings(async || clock.now() >= next).await;
    }
    scene.worker.sweep_once().await;
    assert_eq!(scene.status(order).await, OrderStatus::Pending);
    scene
        .until_time_brings(async || scene.worker.crew.borrow().is_one_of(1))
        .await;
    assert!(clock.now() >= died_at + DEAD_AFTER);
    // It has hinted a moment ago, but hints again because the shares have changed.
    scene.worker.sweep_once().await;
    scene.until_status(order, OrderStatus::Accepted).await;
    eventually(async || scene.ledger.workers().await.unwrap().len() == 1).await;
    scene.end().await;
}

#[each_database]
async fn a_worker_that_ends_in_order_is_counted_no_more(house: House) {
    let (scene, colleague) = Scene::of_two(house).await;
    colleague.leave().await;
    assert_eq!(scene.ledger.workers().await.unwrap().len(), 1);
    scene.until_shared_with(&[]).await;
    scene.end().await;
}
