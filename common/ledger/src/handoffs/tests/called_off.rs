//! Orders that are called off while they are handed over.

use super::{Acknowledged, Due, OrderCancelled, OrderPlaced, Sending, Withdrawn};
use crate::{
    handoffs::Concluded,
    scene::{STOCK, Scene},
    testing::TestLedger,
};
use domain::{
    handoff::AttemptOutcome,
    hint::Hint,
    status::{By, OrderStatus},
};
use each_database::each_database;

#[each_database]
async fn an_order_cancelled_before_any_attempt_reaches_nobody(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    scene.staff_move(order.id, OrderStatus::Cancelled).await;
    scene.assert_nothing_due(&kitchen).await;
    assert_eq!(
        scene.states(order.id, &kitchen).await,
        [(OrderPlaced, Withdrawn)]
    );
    assert_eq!(scene.stock().await, STOCK);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_cancelled_while_it_is_sent_is_called_off_after_the_outcome(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let placed = scene.claim(&kitchen).await;
    scene.staff_move(order.id, OrderStatus::Cancelled).await;
    assert_eq!(
        scene.states(order.id, &kitchen).await,
        [(OrderPlaced, Sending), (OrderCancelled, Due)]
    );
    // Handoffs to one integrator are strictly serial.
    scene.assert_nothing_due(&kitchen).await;
    assert_eq!(
        house
            .ledger
            .integrators_with_due_work(None, 10)
            .await
            .unwrap()
            .integrators,
        []
    );
    drop(house.woken.take());
    scene.answers(&placed, 200).await;
    assert_eq!(
        house.woken.hints(),
        [Hint::Handoffs {
            integrator: kitchen.id
        }]
    );
    assert_eq!(scene.status(order.id).await, OrderStatus::Cancelled);
    assert_eq!(scene.stock().await, STOCK);
    let cancelled = scene.claim(&kitchen).await;
    assert_eq!(cancelled.handoff.event, OrderCancelled);
    scene.answers(&cancelled, 200).await;
    assert_eq!(
        scene.states(order.id, &kitchen).await,
        [(OrderPlaced, Acknowledged), (OrderCancelled, Acknowledged)]
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_cancelled_while_it_is_sent_is_not_tried_again(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let placed = scene.claim(&kitchen).await;
    scene.staff_move(order.id, OrderStatus::Cancelled).await;
    assert_eq!(
        scene.is_lost(&placed).await,
        Concluded::CalledOff {
            outcome: AttemptOutcome::Unknown
        }
    );
    assert_eq!(
        scene.states(order.id, &kitchen).await,
        [(OrderPlaced, Withdrawn), (OrderCancelled, Due)]
    );
    assert_eq!(scene.claim(&kitchen).await.handoff.event, OrderCancelled);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_cancelled_while_it_is_deferred_is_withdrawn(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let placed = scene.claim(&kitchen).await;
    scene.staff_move(order.id, OrderStatus::Cancelled).await;
    house
        .ledger
        .defer_attempt(&placed, house.clock.now(), "shutdown")
        .await
        .unwrap();
    assert_eq!(scene.handoff(placed.handoff.id).await.state, Withdrawn);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_cancelled_between_two_attempts_is_called_off_where_it_may_have_arrived(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await;
    let placed = scene.claim(&kitchen).await;
    scene.is_lost(&placed).await;
    scene.staff_move(order.id, OrderStatus::Cancelled).await;
    assert_eq!(
        scene.states(order.id, &kitchen).await,
        [(OrderPlaced, Withdrawn), (OrderCancelled, Due)]
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn cancelling_and_claiming_at_one_moment_end_in_one_of_the_two_ways(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    for _ in 0..10 {
        let order = scene.order().await;
        let (claims, ()) = tokio::join!(
            scene.claims(&kitchen),
            scene.staff_move(order.id, OrderStatus::Cancelled)
        );
        let states = scene.states(order.id, &kitchen).await;
        match claims.claimed.first() {
            Some(claimed) => {
                assert_eq!(states, [(OrderPlaced, Sending), (OrderCancelled, Due)]);
                scene.answers(claimed, 200).await;
                let cancelled = scene.claim(&kitchen).await;
                scene.answers(&cancelled, 200).await;
            }
            None => assert_eq!(states, [(OrderPlaced, Withdrawn)]),
        }
        assert_eq!(scene.stock().await, STOCK);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn cancelling_and_an_outcome_at_one_moment_leave_one_end(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    for status in [200, 500, 422].into_iter().cycle().take(12) {
        let order = scene.order().await;
        let claimed = scene.claim(&kitchen).await;
        tokio::join!(scene.answers(&claimed, status), async {
            // A refusal may already have ended the order.
            let _ = house
                .ledger
                .move_order(order.id, OrderStatus::Cancelled, By::Staff, Some("why not"))
                .await;
        });
        let ended = scene.status(order.id).await;
        assert!(ended.is_unsuccessful(), "{ended}");
        assert_eq!(scene.stock().await, STOCK);
        for cancelled in scene.claims(&kitchen).await.claimed {
            assert_eq!(cancelled.handoff.event, OrderCancelled);
            scene.answers(&cancelled, 200).await;
        }
    }
    scene.assert_audit_clean().await;
}
