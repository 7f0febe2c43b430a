//! Intake waits where orders come faster than this system hands them over, and only there.

use std::{sync::Arc, time::Duration};

use each_database::each_database;

use super::an_order;
use crate::{ChangeError, Failure, Ledger, NoWake, scene::Scene, testing::TestLedger};
use domain::ids::StoreId;

/// Longest wait by the tests' settings is two seconds.
const TOO_LONG: Duration = Duration::from_secs(2);

async fn is_refused(ledger: &Ledger, scene: &Scene) -> bool {
    let order = an_order(
        scene.store,
        scene.house.new_account_id(),
        &[(scene.product, 1)],
    );
    match ledger.place_order(order).await {
        Ok(_) => false,
        Err(ChangeError::Failed(Failure::Overloaded)) => true,
        Err(error) => panic!("{error:?}"),
    }
}

#[each_database]
async fn a_store_whose_orders_wait_too_long_takes_no_more_until_they_do_not(house: TestLedger) {
    let (scene, other) = (Scene::new(&house).await, Scene::new(&house).await);
    let kitchen = scene.slow_kitchen().await;
    other.slow_kitchen().await;
    let ledger = &house.ledger;
    assert!(!is_refused(ledger, &scene).await);
    ledger.note_lag(kitchen.id, TOO_LONG);
    // The first order tells which integrators the store has.
    assert!(!is_refused(ledger, &scene).await);
    assert!(is_refused(ledger, &scene).await);
    assert!(!is_refused(ledger, &other).await);
    assert!(!is_refused(ledger, &other).await);
    ledger.note_lag(kitchen.id, Duration::from_secs(1));
    assert!(!is_refused(ledger, &scene).await, "from half of it on");
    ledger.note_lag(kitchen.id, TOO_LONG);
    assert!(is_refused(ledger, &scene).await);
    // What nobody tells any more does not count.
    house.clock.advance(Duration::from_secs(1));
    assert!(!is_refused(ledger, &scene).await);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_process_that_takes_orders_hears_of_the_lag_of_a_worker_elsewhere(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let worker = house.ledger_with_wake(Arc::new(NoWake));
    let id = house.chance.id(house.clock.now());
    let beat = || worker.record_heartbeat(id, "worker", house.clock.now());
    worker.note_lag(kitchen.id, TOO_LONG);
    beat().await.unwrap();
    let ledger = &house.ledger;
    ledger.read_lags().await.unwrap();
    assert!(!is_refused(ledger, &scene).await);
    ledger.read_lags().await.unwrap();
    assert!(!is_refused(ledger, &scene).await);
    assert!(is_refused(ledger, &scene).await);
    house.clock.advance(Duration::from_secs(3));
    assert!(!is_refused(ledger, &scene).await);
    worker.note_lag(kitchen.id, TOO_LONG);
    beat().await.unwrap();
    ledger.read_lags().await.unwrap();
    assert!(is_refused(ledger, &scene).await);
    assert_eq!(ledger.lags().len(), 0, "what it hears it tells nobody");
    // The worker has caught up, and says so.
    worker.note_lag(kitchen.id, Duration::ZERO);
    beat().await.unwrap();
    assert_eq!(ledger.workers().await.unwrap()[0].lags, []);
    ledger.read_lags().await.unwrap();
    assert!(!is_refused(ledger, &scene).await);
}

#[test]
fn a_store_pauses_for_longer_the_further_it_is_behind_and_refuses_from_half_of_the_limit_on() {
    let lags = crate::lags::Lags::default();
    let now = chrono::DateTime::UNIX_EPOCH;
    let (store, kitchen) = (
        StoreId::from(uuid::Uuid::from_u128(1)),
        uuid::Uuid::from_u128(2).into(),
    );
    let ms = Duration::from_millis;
    for (lag_ms, pause_ms, refused) in [
        (0, 0, 0.0),
        (100, 0, 0.0),
        (300, 100, 0.0),
        (1000, 450, 0.0),
        (1500, 500, 0.5),
        (2000, 500, 1.0),
        (9000, 500, 1.0),
    ] {
        lags.note(kitchen, ms(lag_ms), now + ms(1));
        lags.note_stores([(&store, vec![kitchen])].into_iter());
        assert_eq!(lags.pause(store, now), ms(pause_ms), "{lag_ms}");
        let share = lags.share_to_refuse(store, Some(ms(2000)), now);
        assert!((share - refused).abs() < 0.001, "{lag_ms}: {share}");
        assert!(lags.share_to_refuse(store, None, now).abs() < 0.001);
        assert_eq!(lags.pause(store, now + ms(1)), ms(0));
    }
}
