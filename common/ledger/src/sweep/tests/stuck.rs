//! Stuck items: everything without progress for longer than its limit is listed with the reason.

use each_database::each_database;
use std::time::Duration;

use crate::{
    scene::{LEASE, Scene, word},
    testing::TestLedger,
};
use domain::{
    callback::CallbackResult,
    status::OrderStatus,
    stuck::{Obstacle, StuckKind},
};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// Lists the stuck items of a kind.
macro_rules! listed {
    ($scene:expr, $kind:ident) => {{
        let mut stuck = $scene.stuck().await;
        stuck.retain(|one| one.kind == StuckKind::$kind);
        stuck
    }};
}

#[each_database]
async fn an_order_that_stands_in_one_state_too_long_is_listed_until_it_moves(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await;
    scene.staff_move(order.id, OrderStatus::Accepted).await;
    let accepted_at = house.clock.now();
    house.clock.advance(2 * HOUR - SECOND);
    assert_eq!(listed!(scene, OrderIdle), []);
    house.clock.advance(SECOND);
    let stuck = listed!(scene, OrderIdle);
    assert_eq!(
        (stuck.len(), stuck[0].order_id, stuck[0].since),
        (1, Some(order.id), accepted_at)
    );
    assert!(stuck[0].why().contains("accepted") && stuck[0].next().contains(&order.id.to_string()));
    assert_eq!(stuck[0].order_number, Some(1));

    scene.staff_move(order.id, OrderStatus::Ready).await;
    house.clock.advance(4 * HOUR - SECOND);
    assert_eq!(
        listed!(scene, OrderIdle),
        [],
        "it has moved, and its new status has its own limit"
    );
    house.clock.advance(SECOND);
    assert_eq!(listed!(scene, OrderIdle)[0].said.as_deref(), Some("ready"));
    scene.staff_move(order.id, OrderStatus::Delivered).await;
    house.clock.advance(48 * HOUR);
    assert_eq!(listed!(scene, OrderIdle), []);
}

#[each_database]
async fn a_handoff_that_nobody_sends_is_listed_with_what_stands_in_its_way(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.order().await;
    house.clock.advance(300 * SECOND - SECOND);
    assert_eq!(listed!(scene, HandoffLate), []);
    house.clock.advance(SECOND);
    let late = listed!(scene, HandoffLate);
    assert_eq!(
        (late.len(), late[0].integrator_id, late[0].hindrance),
        (1, Some(kitchen.id), Some(Obstacle::NoWorker))
    );
    assert_eq!(late[0].integrator_name.as_deref(), Some("Kitchen"));
    scene.disable(kitchen.id).await;
    let late = listed!(scene, HandoffLate);
    assert!(
        late[0].why().contains("disabled") && late[0].next().contains("enabled"),
        "{late:?}"
    );
    assert_eq!(
        house
            .ledger
            .stuck_in_stores(Some(&[scene.store]))
            .await
            .unwrap(),
        late
    );
    assert_eq!(
        house
            .ledger
            .stuck_in_stores(Some(&[house.create_store().await]))
            .await
            .unwrap(),
        []
    );
    assert_eq!(house.ledger.stuck_in_stores(Some(&[])).await.unwrap(), []);
}

#[each_database]
async fn a_handoff_whose_worker_is_gone_is_listed_where_no_sweep_frees_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    house.clock.advance(LEASE + 300 * SECOND - SECOND);
    assert_eq!(listed!(scene, HandoffLate), []);
    house.clock.advance(SECOND);
    assert_eq!(
        listed!(scene, HandoffLate)[0].handoff_id,
        Some(claimed.handoff.id)
    );
}

#[each_database]
async fn a_callback_that_nobody_applies_is_listed_until_it_is(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await;
    scene
        .send_callback(&kitchen, word(order.id, "accepted"))
        .await;
    house.clock.advance(60 * SECOND - SECOND);
    assert_eq!(listed!(scene, CallbackLate), []);
    house.clock.advance(SECOND);
    assert_eq!(listed!(scene, CallbackLate)[0].order_id, Some(order.id));
    let any = crate::callbacks::CallbackFilter::default();
    assert_eq!(
        house.ledger.callbacks(&any, None, 10).await.unwrap()[0].result,
        None
    );
    house.ledger.apply_callbacks(order.id).await.unwrap();
    assert_eq!(listed!(scene, CallbackLate), []);
    let kept = house.ledger.callbacks(&any, None, 10).await.unwrap();
    assert_eq!(
        (kept[0].result, kept[0].order_number),
        (Some(CallbackResult::Applied), Some(1))
    );
}

#[each_database]
async fn announcements_that_wait_for_the_broker_are_one_entry_for_operators(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.order().await;
    scene.order().await;
    house.clock.advance(60 * SECOND);
    let mut stuck = house.ledger.stuck().await.unwrap();
    stuck.retain(|one| one.kind == StuckKind::OutboxLate);
    assert_eq!(stuck.len(), 1, "{stuck:?}");
    assert!(stuck[0].why().contains("announcements wait"));
    assert_eq!(
        house
            .ledger
            .stuck_in_stores(Some(&[scene.store]))
            .await
            .unwrap(),
        []
    );
}
