//! Callbacks that come before, during or instead of the response to our request.

use each_database::each_database;
use std::time::Duration;

use crate::{
    callbacks::apply::MAX_BATCH,
    handoffs::Concluded,
    scene::{LEASE, STOCK, Scene, numbered, word},
    testing::TestLedger,
};
use domain::{
    event::EventKind,
    handoff::{AttemptOutcome, HandoffState, Verdict},
    integrator::HandoffEvent,
    status::{By, OrderStatus},
    stuck::StuckKind,
};

#[each_database]
async fn a_callback_acknowledges_a_handoff_whose_answer_was_lost(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.is_lost(&claimed).await;
    scene.says(&kitchen, order, word(order, "preparing")).await;
    let placed = (HandoffEvent::OrderPlaced, HandoffState::Acknowledged);
    assert_eq!(scene.states(order, &kitchen).await, [placed]);
    assert_eq!(scene.status(order).await, OrderStatus::Preparing);
    house.clock.advance(Duration::from_secs(60));
    scene.assert_nothing_due(&kitchen).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_callback_acknowledges_a_handoff_that_was_retried_by_hand_and_not_sent_since(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.staff_move(order, OrderStatus::Accepted).await;
    scene.answers(&claimed, 422).await;
    house
        .ledger
        .retry_handoff(claimed.handoff.id, house.chance.id(house.clock.now()))
        .await
        .unwrap();
    let placed = |state| (HandoffEvent::OrderPlaced, state);
    assert_eq!(
        scene.states(order, &kitchen).await,
        [placed(HandoffState::Due)]
    );
    scene.says(&kitchen, order, word(order, "preparing")).await;
    assert_eq!(
        scene.states(order, &kitchen).await,
        [placed(HandoffState::Acknowledged)]
    );
    scene.assert_nothing_due(&kitchen).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_word_that_nobody_knows_tells_that_the_order_arrived_and_no_more(house: TestLedger) {
    for (accepts_by_callback, status) in [
        (false, OrderStatus::Accepted),
        (true, OrderStatus::Processing),
    ] {
        let scene = Scene::new(&house).await;
        let kitchen = if accepts_by_callback {
            scene.slow_kitchen().await
        } else {
            scene.kitchen().await
        };
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.is_lost(&claimed).await;
        scene
            .says(&kitchen, order, word(order, "in the oven"))
            .await;
        let placed = (HandoffEvent::OrderPlaced, HandoffState::Acknowledged);
        assert_eq!(scene.states(order, &kitchen).await, [placed]);
        assert_eq!(scene.status(order).await, status);
        scene.assert_audit_clean().await;
    }
}

#[each_database]
async fn a_callback_during_the_request_stands_whatever_the_answer(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let placed = (HandoffEvent::OrderPlaced, HandoffState::Acknowledged);
    for status in [200, 500, 422] {
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.says(&kitchen, order, word(order, "accepted")).await;
        assert_eq!(scene.states(order, &kitchen).await, [placed]);
        scene.assert_audit_clean().await;
        let concluded = scene.answers(&claimed, status).await;
        assert!(matches!(
            concluded,
            Concluded::Recorded {
                verdict: Verdict::Acknowledged,
                ..
            }
        ));
        assert_eq!(scene.states(order, &kitchen).await, [placed]);
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        scene.assert_audit_clean().await;
    }
}

#[each_database]
async fn an_attempt_that_a_callback_overtook_is_closed_by_its_lease_if_its_worker_is_gone(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.says(&kitchen, order, word(order, "accepted")).await;
    house.clock.advance(LEASE);
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 1);
    assert_eq!(scene.answers(&claimed, 200).await, Concluded::Fenced);
    let mut tx = house.db.read().await.unwrap();
    let attempts = store::attempts::of_handoff(&mut tx, claimed.handoff.id)
        .await
        .unwrap();
    drop(tx);
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Unknown));
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_callback_acknowledges_no_cancellation_that_was_not_sent(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    scene.staff_move(order, OrderStatus::Cancelled).await;
    scene.says(&kitchen, order, word(order, "preparing")).await;
    let cancelled = scene.claim(&kitchen).await;
    assert_eq!(cancelled.handoff.event, HandoffEvent::OrderCancelled);
    scene.is_lost(&cancelled).await;
    scene.says(&kitchen, order, word(order, "ready")).await;
    scene.advance_until_due(cancelled.handoff.id).await;
    assert_eq!(scene.claim(&kitchen).await.handoff.id, cancelled.handoff.id);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn what_was_accepted_by_callback_does_not_fail_by_the_fifth_attempt(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.integrator(|new| new.max_attempts = 1).await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.send_callback(&kitchen, word(order, "accepted")).await;
    scene.is_lost(&claimed).await;
    assert_eq!(scene.status(order).await, OrderStatus::Processing);
    house.ledger.apply_callbacks(order).await.unwrap();
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_failed_handoff_fails_the_order_once_callbacks_that_say_nothing_are_applied(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.integrator(|new| new.max_attempts = 1).await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.send_callback(&kitchen, word(order, "burnt")).await;
    scene.answers(&claimed, 500).await;
    assert_eq!(scene.status(order).await, OrderStatus::Processing);
    house.ledger.apply_callbacks(order).await.unwrap();
    assert_eq!(scene.status(order).await, OrderStatus::Failed);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_callback_kept_before_our_own_outcome_counts_whatever_the_outcome(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    for status in [200, 500, 422] {
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.send_callback(&kitchen, word(order, "accepted")).await;
        scene.answers(&claimed, status).await;
        assert_eq!(
            scene.status(order).await,
            OrderStatus::Processing,
            "{status}"
        );
        assert_eq!(house.ledger.apply_callbacks(order).await.unwrap(), 1);
        assert_eq!(scene.status(order).await, OrderStatus::Accepted, "{status}");
        house.clock.advance(Duration::from_secs(60));
        scene.assert_nothing_due(&kitchen).await;
        scene.assert_audit_clean().await;
    }
}

#[each_database]
async fn two_callbacks_of_one_order_at_one_moment_are_both_kept_and_each_counts_once(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let (kitchen, till) = (scene.slow_kitchen().await, scene.slow_kitchen().await);
    for _ in 0..10 {
        let order = scene
            .order_with(|order| order.lines[0].quantity = 1)
            .await
            .id;
        for integrator in [&kitchen, &till] {
            let claimed = scene.claim(integrator).await;
            scene.answers(&claimed, 200).await;
        }
        drop(house.woken.take());
        let applied = async |integrator| {
            scene
                .send_callback(integrator, word(order, "accepted"))
                .await;
            scene.apply_callbacks(order).await
        };
        let (first, second) = tokio::join!(applied(&kitchen), applied(&till));
        assert_eq!(first + second, 2);
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        let moves = house
            .woken
            .events()
            .into_iter()
            .filter(|event| event.kind == EventKind::OrderStatusChanged)
            .count();
        assert_eq!(moves, 1);

        let of_one = async |status, sequence| {
            scene
                .send_callback(&kitchen, numbered(order, status, sequence))
                .await;
            scene.apply_callbacks(order).await
        };
        let (first, second) = tokio::join!(of_one("ready", 3), of_one("preparing", 2));
        assert_eq!(first + second, 2);
        assert_eq!(scene.status(order).await, OrderStatus::Ready);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_callback_and_the_answer_at_one_moment_leave_one_acceptance(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    for _ in 0..10 {
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.send_callback(&kitchen, word(order, "accepted")).await;
        drop(house.woken.take());
        let (_, applied) = tokio::join!(scene.answers(&claimed, 200), scene.apply_callbacks(order));
        assert_eq!(applied, 1);
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        let moves = house
            .woken
            .events()
            .into_iter()
            .filter(|event| event.kind == EventKind::OrderStatusChanged)
            .count();
        assert_eq!(moves, 1);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn cancelling_and_a_callback_at_one_moment_leave_one_end(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    for said in ["accepted", "rejected"].into_iter().cycle().take(10) {
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.answers(&claimed, 200).await;
        scene.send_callback(&kitchen, word(order, said)).await;
        tokio::join!(
            async {
                scene.apply_callbacks(order).await;
            },
            async {
                let by = By::Staff;
                // A rejection may already have ended the order.
                let _ = house
                    .ledger
                    .move_order(order, OrderStatus::Cancelled, by, Some("why not"))
                    .await;
            }
        );
        assert!(scene.status(order).await.is_unsuccessful());
        assert_eq!(scene.stock().await, STOCK);
        for cancelled in scene.claims(&kitchen).await.claimed {
            scene.answers(&cancelled, 200).await;
        }
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn however_many_wait_an_order_is_settled_when_all_are_heard(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    for _ in 0..MAX_BATCH {
        scene.send_callback(&kitchen, word(order, "burnt")).await;
    }
    house.clock.advance(Duration::from_secs(1));
    scene.send_callback(&kitchen, word(order, "accepted")).await;
    scene.answers(&claimed, 422).await;
    assert_eq!(scene.status(order).await, OrderStatus::Processing);
    let mut tx = house.db.begin().await.unwrap();
    let together = store::callbacks::lock_unapplied(&mut tx, order, MAX_BATCH)
        .await
        .unwrap();
    assert_eq!(together.len(), MAX_BATCH, "fewer than there are");
    tx.rollback().await;
    let applied = house.ledger.apply_callbacks(order).await.unwrap();
    assert_eq!(
        (applied as usize, scene.status(order).await),
        (MAX_BATCH + 1, OrderStatus::Accepted)
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn callbacks_of_an_order_that_cannot_be_read_are_parked_at_the_fifth_failure(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await.id;
    scene.send_callback(&kitchen, word(order, "accepted")).await;
    scene.send_callback(&kitchen, word(order, "ready")).await;
    scene
        .damage("UPDATE orders SET fulfilment = 'by owl'")
        .await;
    for _ in 0..5 {
        assert_eq!(
            house
                .ledger
                .orders_with_unapplied_callbacks(10)
                .await
                .unwrap(),
            [order]
        );
        assert!(house.ledger.apply_callbacks(order).await.is_err());
    }
    assert_eq!(
        house
            .ledger
            .orders_with_unapplied_callbacks(10)
            .await
            .unwrap(),
        []
    );
    let stuck = scene.stuck().await;
    assert_eq!(
        stuck
            .iter()
            .filter(|one| one.kind == StuckKind::CallbackParked)
            .count(),
        2,
        "{stuck:?}"
    );
}
