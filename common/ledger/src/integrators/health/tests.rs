//! An integrator's health on both databases.

use each_database::each_database;
use std::time::Duration;

use super::*;
use crate::{intake::ProductRef, scene::Scene, testing::TestLedger};
use domain::{handoff::SendResult, integrator::BreakerState};

async fn health(scene: &Scene, of: IntegratorId) -> Health {
    scene.house.ledger.health_of(&[of]).await.unwrap().remove(0)
}

#[each_database]
async fn of_one_that_was_sent_nothing_yet_nothing_is_known(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    assert_eq!(health(&scene, kitchen.id).await, Health::default());
    scene.order().await;
    scene.claim(&kitchen).await;
    assert_eq!(
        health(&scene, kitchen.id).await,
        Health::default(),
        "an attempt in flight does not count"
    );
    assert_eq!(house.ledger.health_of(&[]).await.unwrap(), []);
}

#[each_database]
async fn successes_and_failures_make_the_rate_and_the_last_of_each_is_shown(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, other) = (
        scene.kitchen().await,
        scene.integrator(|new| new.required = Some(false)).await,
    );
    for _ in 0..4 {
        scene.order().await;
    }
    let claimed = scene.claims(&kitchen).await.claimed;
    scene.answers(&claimed[0], 200).await;
    house.clock.advance(Duration::from_secs(1));
    let succeeded_at = house.clock.now();
    scene.answers(&claimed[1], 200).await;
    house.clock.advance(Duration::from_secs(1));
    scene.answers(&claimed[2], 422).await;
    let shown = health(&scene, kitchen.id).await;
    assert_eq!(
        (shown.success_rate, shown.last_success_at),
        (Some(2.0 / 3.0), Some(succeeded_at))
    );
    let refused = LastFailure {
        at: house.clock.now(),
        http_status: Some(422),
        error: None,
    };
    assert_eq!(shown.last_failure, Some(refused));
    assert!(shown.breaker.is_healthy());

    house.clock.advance(Duration::from_secs(1));
    scene
        .heard(
            &claimed[3],
            SendResult::NotConnected {
                error: "connection refused".to_owned(),
            },
            b"",
        )
        .await;
    let shown = health(&scene, kitchen.id).await;
    assert_eq!(
        (shown.success_rate, shown.last_success_at),
        (Some(0.5), Some(succeeded_at))
    );
    let failed = LastFailure {
        at: house.clock.now(),
        http_status: None,
        error: Some("connection refused".to_owned()),
    };
    assert_eq!(shown.last_failure, Some(failed));
    assert_eq!(
        (shown.breaker.failures_in_a_row, shown.breaker.failing_since),
        (1, Some(house.clock.now()))
    );
    assert_eq!(shown.breaker.state, BreakerState::Closed);
    let both = house
        .ledger
        .health_of(&[other.id, kitchen.id])
        .await
        .unwrap();
    assert_eq!(both, [Health::default(), shown]);
}

#[each_database]
async fn the_rate_is_of_the_last_hundred_and_a_success_before_them_is_still_known(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.integrator(|new| new.required = Some(false)).await;
    scene.order().await;
    let succeeded = scene.claim(&kitchen).await;
    scene.answers(&succeeded, 200).await;
    let succeeded_at = house.clock.now();
    house.clock.advance(Duration::from_secs(1));
    let endless = house.create_product(scene.store).await;
    for _ in 0..10 {
        for _ in 0..10 {
            scene
                .order_with(|order| order.lines[0].product = ProductRef::Id(endless))
                .await;
        }
        let claimed = scene.claims(&kitchen).await.claimed;
        assert_eq!(claimed.len(), 10);
        for one in &claimed {
            scene.answers(one, 400).await;
        }
    }
    let shown = health(&scene, kitchen.id).await;
    assert_eq!(
        (shown.success_rate, shown.last_success_at),
        (Some(0.0), Some(succeeded_at))
    );
}
