//! The order that a callback is about, and who may report what.

use each_database::each_database;
use std::time::Duration;

use super::{
    Applied, Illegal, Unchanged, Unmatched, by_reference, handed_over, last_result, results,
};
use crate::{
    ChangeError,
    callbacks::CallbackRefused,
    scene::{STOCK, Scene, word},
    sweep::Part,
    testing::TestLedger,
};
use domain::{
    callback::Update,
    handoff::{HandoffState, SendResult},
    hint::Hint,
    integrator::HandoffEvent,
    status::OrderStatus,
};

#[each_database]
async fn a_rejection_gives_the_stock_back_and_is_told_to_the_others_only(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let till = scene.kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&till).await;
    scene.answers(&claimed, 200).await;
    let sending = scene.claim(&kitchen).await;
    scene
        .says(
            &kitchen,
            order,
            Update {
                reason: Some("no fish".into()),
                ..word(order, "rejected")
            },
        )
        .await;
    let now = scene.now(order).await;
    assert_eq!(
        (now.status, now.reason.as_deref()),
        (OrderStatus::Rejected, Some("no fish"))
    );
    assert_eq!(scene.stock().await, STOCK);
    assert_eq!(
        scene.states(order, &kitchen).await,
        [(HandoffEvent::OrderPlaced, HandoffState::Acknowledged)]
    );
    assert_eq!(
        scene.states(order, &till).await.last().unwrap().0,
        HandoffEvent::OrderCancelled
    );
    scene.answers(&sending, 200).await;
    assert_eq!(scene.status(order).await, OrderStatus::Rejected);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_rejection_without_a_reason_is_a_rejection(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    scene.says(&kitchen, order, word(order, "rejected")).await;
    assert_eq!(scene.status(order).await, OrderStatus::Rejected);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn one_of_two_required_integrators_does_not_accept_for_the_other(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let till = scene.slow_kitchen().await;
    let order = scene.order().await.id;
    for integrator in [&kitchen, &till] {
        let claimed = scene.claim(integrator).await;
        scene.answers(&claimed, 200).await;
    }
    scene.says(&kitchen, order, word(order, "accepted")).await;
    assert_eq!(
        (scene.status(order).await, last_result(&scene).await),
        (OrderStatus::Processing, Applied)
    );
    scene.says(&kitchen, order, word(order, "accepted")).await;
    assert_eq!(last_result(&scene).await, Unchanged);
    scene.says(&kitchen, order, word(order, "ready")).await;
    assert_eq!(
        (scene.status(order).await, last_result(&scene).await),
        (OrderStatus::Processing, Illegal)
    );
    scene.says(&till, order, word(order, "accepted")).await;
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_optional_integrator_does_not_accept_for_a_required_one(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let loyalty = scene.integrator(|new| new.required = Some(false)).await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&loyalty).await;
    scene.answers(&claimed, 200).await;
    scene.says(&loyalty, order, word(order, "accepted")).await;
    assert_eq!(
        (scene.status(order).await, last_result(&scene).await),
        (OrderStatus::Processing, Illegal)
    );
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_integrator_touches_only_orders_that_it_was_handed(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await.id;
    let kitchen = scene.kitchen().await;
    let refused = house
        .ledger
        .receive_callback(&kitchen, "msg", word(order, "accepted"))
        .await;
    assert!(
        matches!(refused, Err(ChangeError::Refused(CallbackRefused::UnknownOrder(id))) if id == order)
    );
    assert_eq!(results(&scene).await, []);
}

#[each_database]
async fn a_reference_is_the_integrators_own_or_the_orders(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene
        .order_with(|order| order.reference = Some("web-9".into()))
        .await
        .id;
    let claimed = scene.claim(&kitchen).await;
    scene
        .heard(
            &claimed,
            SendResult::Answer {
                status: 200,
                retry_after: None,
            },
            br#"{"id":77}"#,
        )
        .await;
    scene
        .says(&kitchen, order, by_reference("77", "accepted"))
        .await;
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    scene
        .says(&kitchen, order, by_reference("web-9", "ready"))
        .await;
    assert_eq!(scene.status(order).await, OrderStatus::Ready);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_reference_that_is_not_known_yet_is_applied_when_it_appears(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene
        .send_callback(&kitchen, by_reference("K-1", "accepted"))
        .await;
    assert_eq!(house.ledger.apply_callbacks(order).await.unwrap(), 0);
    drop(house.woken.take());
    scene
        .heard(
            &claimed,
            SendResult::Answer {
                status: 200,
                retry_after: None,
            },
            br#"{"reference":"K-1"}"#,
        )
        .await;
    assert_eq!(house.woken.hints(), [Hint::Callbacks { order }]);
    house.ledger.apply_callbacks(order).await.unwrap();
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn the_sweep_matches_references_and_gives_up_after_ten_minutes(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    scene
        .send_callback(&kitchen, by_reference("web-1", "accepted"))
        .await;
    scene
        .send_callback(&kitchen, by_reference("nobody's", "accepted"))
        .await;
    let order = scene
        .order_with(|order| order.reference = Some("web-1".into()))
        .await
        .id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    assert_eq!(
        house
            .ledger
            .match_references(None, 2048, Part::WHOLE)
            .await
            .unwrap()
            .0,
        1
    );
    house.ledger.apply_callbacks(order).await.unwrap();
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    house.clock.advance(Duration::from_secs(599));
    assert_eq!(
        house
            .ledger
            .match_references(None, 2048, Part::WHOLE)
            .await
            .unwrap()
            .0,
        0
    );
    assert_eq!(results(&scene).await, [Some(Applied), None]);
    house.clock.advance(Duration::from_secs(1));
    house
        .ledger
        .match_references(None, 2048, Part::WHOLE)
        .await
        .unwrap();
    assert_eq!(results(&scene).await, [Some(Applied), Some(Unmatched)]);
    assert_eq!(scene.stuck().await.len(), 1);
    scene.assert_audit_clean().await;
}
