//! Dispatch: one delivery for each order, whatever becomes of the courier, until it is delivered once.

use std::sync::Arc;

use each_database::each_database;
use futures_util::future::join_all;

use super::*;
use crate::{NoWake, integrators::NewIntegrator, scene::word, testing::TestLedger};
use domain::{
    answers::Answers,
    callback::{DeliveryUpdate, Update},
    delivery::DeliveryStatus,
    event::EventKind,
    handoff::SendResult,
    ids::{AccountId, OrderId},
    integrator::Integrator,
    order::Order,
    status::{By, OrderStatus},
};

use DeliveryStatus::{AtOrigin, Delivered, EnRoute, HandoffFailed, NotDelivered, ReadyForPickUp};
use HandoffEvent::{DeliveryMoved, OrderDispatched, OrderStatusChanged};

const CREATED: SendResult = SendResult::Answer {
    status: 201,
    retry_after: None,
};

fn away() -> SendResult {
    SendResult::NotConnected {
        error: "connection refused".to_owned(),
    }
}

async fn accepted(scene: &Scene) -> OrderId {
    let order = scene.order().await.id;
    scene.house.ledger.settle_order(order).await.unwrap();
    order
}

async fn dispatched(scene: &Scene) -> OrderId {
    let order = accepted(scene).await;
    scene.staff_move(order, OrderStatus::Dispatched).await;
    order
}

/// Makes the courier report steps, one after the other.
async fn steps(scene: &Scene, courier: &Integrator, order: OrderId, to: &[DeliveryStatus]) {
    for step in to {
        let update = Update {
            status: None,
            delivery: Some(DeliveryUpdate {
                tracking_number: None,
                status: Some(step.as_str().to_owned()),
            }),
            ..word(order, "")
        };
        scene.says(courier, order, update).await;
    }
}

fn history(order: &Order) -> Vec<DeliveryStatus> {
    let delivery = order.delivery.as_ref().unwrap();
    delivery.history.iter().map(|step| step.status).collect()
}

fn number(order: &Order) -> Option<&str> {
    order.delivery.as_ref()?.tracking_number.as_deref()
}

/// Returns how often the order became delivered.
async fn times_delivered(scene: &Scene, order: OrderId) -> usize {
    let events = scene.house.ledger.order_events(order, 0).await.unwrap();
    let delivered = events.iter().filter(|event| {
        event.kind == EventKind::OrderStatusChanged && event.data["order"]["status"] == "delivered"
    });
    delivered.count()
}

#[each_database]
async fn ten_dispatches_at_once_make_one_delivery(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let courier = scene.courier().await;
    for _ in 0..5 {
        let order = accepted(&scene).await;
        let people: Vec<_> = (0..10)
            .map(|_| house.ledger_with_wake(Arc::new(NoWake)))
            .collect();
        let asked = people
            .iter()
            .map(|one| one.move_order(order, OrderStatus::Dispatched, By::Staff, None));
        for moved in join_all(asked).await {
            let moved = moved.unwrap();
            assert_eq!(moved.status, OrderStatus::Dispatched);
            assert_eq!(history(&moved), [ReadyForPickUp]);
        }
        assert_eq!(
            scene.states(order, &courier).await,
            [(OrderDispatched, Due)]
        );
        let events = house.ledger.order_events(order, 0).await.unwrap();
        assert_eq!(events.len(), 3, "placed, accepted, dispatched");
        scene.answers(&scene.claim(&courier).await, 201).await;
        scene.assert_nothing_due(&courier).await;
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_courier_that_is_down_at_dispatch_gets_the_same_delivery_once_it_is_back(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let courier = scene.courier().await;
    let order = dispatched(&scene).await;
    let first = scene.claim(&courier).await;
    scene.heard(&first, away(), b"").await;
    // It comes back, takes the delivery, and is gone again before it has answered.
    scene.advance_until_due(first.handoff.id).await;
    let second = scene.claim(&courier).await;
    scene.is_lost(&second).await;
    scene.advance_until_due(first.handoff.id).await;
    let third = scene.claim(&courier).await;
    assert_eq!(
        (third.handoff.id, third.n, &third.body),
        (first.handoff.id, 3, &first.body)
    );
    let answer = br#"{"code":"created","message":"","data":{"tracking_number":41}}"#;
    scene.heard(&third, CREATED, answer).await;
    let now = scene.now(order).await;
    assert_eq!(
        (number(&now), history(&now)),
        (Some("41"), vec![ReadyForPickUp])
    );
    assert_eq!(
        scene.handoff(first.handoff.id).await.reference.as_deref(),
        Some("41")
    );

    let way = [
        AtOrigin,
        EnRoute,
        NotDelivered,
        EnRoute,
        Delivered,
        Delivered,
    ];
    steps(&scene, &courier, order, &way).await;
    let now = scene.now(order).await;
    assert_eq!(
        history(&now),
        [
            ReadyForPickUp,
            AtOrigin,
            EnRoute,
            NotDelivered,
            EnRoute,
            Delivered
        ]
    );
    assert_eq!(
        (now.status, number(&now)),
        (OrderStatus::Delivered, Some("41"))
    );
    assert_eq!(times_delivered(&scene, order).await, 1);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_delivery_that_no_courier_took_is_retried_and_delivered(house: TestLedger) {
    let every_event = |new: &mut NewIntegrator| {
        new.events = Some(vec![
            OrderDispatched,
            OrderCancelled,
            OrderStatusChanged,
            DeliveryMoved,
        ]);
    };
    for hears_news in [false, true] {
        let scene = Scene::new(&house).await;
        let order = if hears_news {
            // It is enabled after the acceptance, which is news too.
            let order = accepted(&scene).await;
            scene.courier_with(every_event).await;
            scene.staff_move(order, OrderStatus::Dispatched).await;
            order
        } else {
            scene.courier().await;
            dispatched(&scene).await
        };
        let couriers = house.ledger.integrators(scene.store, None, 10).await;
        let courier = couriers.unwrap().remove(0);
        let first = scene.claim(&courier).await;
        assert_eq!(first.handoff.event, OrderDispatched);
        scene.heard(&first, away(), b"").await;
        for _ in 1..5 {
            scene.advance_until_due(first.handoff.id).await;
            let again = scene.claim(&courier).await;
            scene.heard(&again, away(), b"").await;
        }
        let failed = scene.now(order).await;
        assert_eq!(failed.status, OrderStatus::Dispatched);
        assert_eq!(history(&failed), [ReadyForPickUp, HandoffFailed]);
        let stuck = scene.stuck().await;
        assert_eq!(
            (stuck.len(), stuck[0].handoff_id),
            (1, Some(first.handoff.id))
        );

        // News that it was sent meanwhile don't make the dispatch pointless.
        house.clock.advance(std::time::Duration::from_secs(60));
        let news = if hears_news { 2 } else { 0 };
        for _ in 0..news {
            let news = scene.claim(&courier).await;
            assert_ne!(news.handoff.event, OrderDispatched);
            scene.answers(&news, 200).await;
        }
        scene.assert_nothing_due(&courier).await;
        let shown = house.ledger.handoff_histories(order).await.unwrap();
        assert_eq!(shown[0].listed.retry_refused, None);
        let person: AccountId = house.chance.id(house.clock.now());
        let retried = house.ledger.retry_handoff(first.handoff.id, person).await;
        retried.unwrap();
        assert_eq!(history(&scene.now(order).await).len(), 2, "not yet");
        let again = scene.claim(&courier).await;
        assert_eq!((again.handoff.round, &again.body), (2, &first.body));
        scene
            .heard(&again, CREATED, br#"{"tracking_number":"T-1"}"#)
            .await;
        assert_eq!(scene.stuck().await, []);

        steps(&scene, &courier, order, &[EnRoute, Delivered]).await;
        let now = scene.now(order).await;
        assert_eq!(
            history(&now),
            [
                ReadyForPickUp,
                HandoffFailed,
                ReadyForPickUp,
                EnRoute,
                Delivered
            ]
        );
        assert_eq!(
            (now.status, number(&now)),
            (OrderStatus::Delivered, Some("T-1"))
        );
        assert_eq!(times_delivered(&scene, order).await, 1);
        scene.assert_audit_clean().await;
    }
}

#[each_database]
async fn a_retry_that_fails_too_is_shown_once(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let courier = scene.courier().await;
    let order = dispatched(&scene).await;
    let first = scene.claim(&courier).await;
    scene.answers(&first, 400).await;
    let person: AccountId = house.chance.id(house.clock.now());
    let retried = house.ledger.retry_handoff(first.handoff.id, person).await;
    retried.unwrap();
    scene.answers(&scene.claim(&courier).await, 400).await;
    assert_eq!(
        history(&scene.now(order).await),
        [ReadyForPickUp, HandoffFailed]
    );
    assert_eq!(scene.stuck().await.len(), 1);
    // The courier has it all the same.
    steps(&scene, &courier, order, &[Delivered]).await;
    assert_eq!(scene.status(order).await, OrderStatus::Delivered);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_number_that_comes_after_the_courier_called_back_is_kept(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let courier = scene.courier().await;
    for way in [&[AtOrigin] as &[_], &[AtOrigin, Delivered]] {
        let order = dispatched(&scene).await;
        let claimed = scene.claim(&courier).await;
        steps(&scene, &courier, order, way).await;
        assert_eq!(number(&scene.now(order).await), None);
        scene
            .heard(&claimed, CREATED, br#"{"tracking_number":41}"#)
            .await;
        let now = scene.now(order).await;
        assert_eq!(number(&now), Some("41"));
        assert_eq!(now.delivery.unwrap().status, way[way.len() - 1]);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_number_and_a_reference_are_found_where_the_settings_say(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let set = |reference: Option<&str>| Answers {
        token: None,
        reference: reference.map(|at| at.parse().unwrap()),
    };
    let answer = br#"{"id":7,"tracking_number":41,"parcels":[{"no/":"P-1"}]}"#;
    for (at, expected) in [
        (None, (Some("41"), Some("41"))),
        (Some("/parcels/0/no~1"), (Some("P-1"), Some("P-1"))),
        (Some("/id"), (Some("7"), Some("7"))),
        (Some("/parcels/1/no~1"), (None, None)),
    ] {
        let courier = scene.courier_with(|new| new.answers = set(at)).await;
        let order = dispatched(&scene).await;
        let claimed = scene.claim(&courier).await;
        scene.heard(&claimed, CREATED, answer).await;
        let reference = scene.handoff(claimed.handoff.id).await.reference;
        let now = scene.now(order).await;
        assert_eq!((number(&now), reference.as_deref()), expected, "{at:?}");
        scene.disable(courier.id).await;
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn of_two_couriers_one_that_has_the_order_is_enough(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (one, other) = (scene.courier().await, scene.courier().await);
    for (answers, expected) in [
        ([201, 400], ReadyForPickUp),
        ([400, 201], ReadyForPickUp),
        ([400, 400], HandoffFailed),
    ] {
        let order = dispatched(&scene).await;
        for (courier, status) in [&one, &other].into_iter().zip(answers) {
            scene.answers(&scene.claim(courier).await, status).await;
        }
        let delivery = scene.now(order).await.delivery.unwrap();
        assert_eq!(delivery.status, expected, "{answers:?}");
    }
    scene.assert_audit_clean().await;
}
