//! Content of the messages: each tells the change that made it, and how new the order beside it is.

use std::time::Duration;

use each_database::each_database;
use serde_json::{Value, json};

use crate::{
    handoffs::Claimed,
    intake::Placer,
    integrators::IntegratorEdit,
    orders::OrderEdit,
    scene::{Scene, word},
    testing::TestLedger,
};
use OrderStatus::{Accepted, Delivered, Dispatched, Failed, Pending, Preparing, Ready};
use domain::{
    callback::Update,
    event::{Event, EventKind},
    ids::OrderId,
    integrator::{Format, HandoffEvent, Integrator, IntegratorKind},
    order::rfc3339,
    status::{By, OrderStatus},
};

const FORMATS: [Format; 2] = [Format::Order, Format::Delivery];

fn body(claimed: &Claimed) -> Value {
    serde_json::from_slice(&claimed.body).unwrap()
}

/// Creates a push service that hears of every status.
async fn push(scene: &Scene, format: Format) -> Integrator {
    let push = scene.integrator(|new| {
        new.kind = IntegratorKind::Push;
        new.format = format;
        new.required = Some(false);
    });
    push.await
}

/// Returns the order's events that tell a status, oldest first.
async fn moves(scene: &Scene, order: OrderId) -> Vec<Event> {
    let mut events = scene.house.ledger.order_events(order, 0).await.unwrap();
    events.retain(|event| {
        matches!(
            event.kind,
            EventKind::OrderPlaced | EventKind::OrderStatusChanged
        )
    });
    events
}

/// Asserts that the message tells this move, with the number and time of its event.
#[track_caller]
fn assert_tells(message: &Value, from: &str, event: &Event) {
    let order = &event.data["order"];
    let expected = json!({
        "number": event.seq.to_string(),
        "from": from,
        "to": order["status"],
        "reason": order["reason"].as_str().unwrap_or_default(),
        "at": rfc3339(event.at),
    });
    assert_eq!(message["change"], expected);
}

#[each_database]
async fn a_slow_push_service_is_told_each_status_once_and_in_order(house: TestLedger) {
    for (format, in_session) in FORMATS.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let scene = Scene::new(&house).await;
        let push = push(&scene, format).await;
        let session = house.ledger.open_session(scene.store, "Table 1").await;
        let session = in_session.then_some(session.unwrap().id);
        let order = scene.order_with(|order| order.session = session).await.id;
        house.ledger.settle_order(order).await.unwrap();
        for status in [Preparing, Ready, Dispatched, Delivered] {
            house.clock.advance(Duration::from_secs(1));
            // Others of the session take numbers in between.
            scene.order_with(|order| order.session = session).await;
            scene.staff_move(order, status).await;
        }
        let moves = moves(&scene, order).await;
        let newest = moves.last().unwrap().seq.to_string();
        let told = [Accepted, Preparing, Ready, Dispatched, Delivered];
        assert_eq!(moves.len(), 1 + told.len());
        let mut from = Pending;
        for (event, to) in moves[1..].iter().zip(told) {
            let claimed = scene.claim(&push).await;
            let message = body(&claimed);
            assert_eq!(message["event"], "order.status_changed");
            assert_eq!(message["change"]["to"], to.as_str());
            assert_tells(&message, from.as_str(), event);
            assert_eq!(message["order"]["version"], newest.as_str());
            if format == Format::Order {
                assert_eq!(message["order"]["status"], "delivered");
            }
            scene.answers(&claimed, 200).await;
            from = to;
        }
        scene.assert_nothing_due(&push).await;
        scene.assert_audit_clean().await;
    }
}

#[each_database]
async fn a_message_that_was_not_tried_yet_is_shown_as_it_will_be_sent(house: TestLedger) {
    for format in FORMATS {
        let scene = Scene::new(&house).await;
        let kitchen = scene.integrator(|new| new.format = format).await;
        let order = scene.order().await.id;
        let handoff = scene.handoffs(order).await[0].id;
        let shown = async || {
            let shown = house.ledger.handoff_body(handoff).await.unwrap();
            shown.map(|shown| serde_json::from_slice::<Value>(&shown).unwrap())
        };
        let mut before = shown().await.unwrap();
        let claimed = scene.claim(&kitchen).await;
        let mut sent = body(&claimed);
        assert_eq!(shown().await.unwrap(), sent, "as it was sent");
        // The number of the move to `processing` is given by the claim.
        for one in [&mut before, &mut sent] {
            one["order"]["version"].take();
        }
        assert_eq!(before, sent);
        scene.answers(&claimed, 200).await;
    }
    let scene = Scene::new(&house).await;
    scene.kitchen().await;
    let order = scene.order().await.id;
    let handoff = scene.handoffs(order).await[0].id;
    scene.staff_move(order, OrderStatus::Cancelled).await;
    assert_eq!(house.ledger.handoff_body(handoff).await.unwrap(), None);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn every_event_tells_its_change_in_every_format(house: TestLedger) {
    for format in FORMATS {
        let scene = Scene::new(&house).await;
        let kitchen = scene.integrator(|new| new.format = format).await;
        let courier = scene.courier_with(|new| new.format = format).await;
        let order = scene.order().await.id;

        let placed = scene.claim(&kitchen).await;
        let events = moves(&scene, order).await;
        assert_tells(&body(&placed), "", &events[0]);
        // The claim itself has moved the order on.
        assert_eq!(body(&placed)["order"]["version"], events[1].seq.to_string());
        scene.answers(&placed, 200).await;

        scene.staff_move(order, Dispatched).await;
        let dispatched = scene.claim(&courier).await;
        let events = moves(&scene, order).await;
        assert_eq!(dispatched.handoff.event, HandoffEvent::OrderDispatched);
        assert_tells(&body(&dispatched), "accepted", &events[3]);
        assert_eq!(
            body(&dispatched)["order"]["version"],
            events[3].seq.to_string()
        );
        scene.answers(&dispatched, 201).await;

        let (by, why) = (By::Staff, Some("lost"));
        let lost = house.ledger.move_order(order, Failed, by, why).await;
        assert_eq!(lost.unwrap().status, Failed);
        let events = moves(&scene, order).await;
        for told in [&kitchen, &courier] {
            let cancelled = scene.claim(told).await;
            assert_eq!(cancelled.handoff.event, HandoffEvent::OrderCancelled);
            let message = body(&cancelled);
            assert_tells(&message, "dispatched", &events[4]);
            assert_eq!(message["change"]["reason"], "lost");
            scene.answers(&cancelled, 200).await;
        }

        house.ledger.test_integrator(kitchen.id, &[]).await.unwrap();
        let test = scene.claim(&kitchen).await;
        assert_eq!(body(&test).get("change"), None, "no change made it");
        scene.answers(&test, 200).await;
        scene.assert_audit_clean().await;
    }
}

#[each_database]
async fn an_order_that_was_edited_before_it_was_sent_is_newer_than_the_change(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.integrator(|new| new.required = Some(false)).await;
    let draft = scene.wanted(Placer::Account(house.new_account_id()));
    let draft = house.ledger.draft_order(&draft).await.unwrap().id;
    house
        .ledger
        .place_draft(draft, By::Owner, None)
        .await
        .unwrap();
    let edit = OrderEdit {
        user_note: Some(Some("no sugar".to_owned())),
        ..OrderEdit::default()
    };
    house.ledger.edit_order(draft, None, &edit).await.unwrap();
    house.ledger.settle_order(draft).await.unwrap();
    let claimed = scene.claim(&kitchen).await;
    let message = body(&claimed);
    let placed = &moves(&scene, draft).await[0];
    assert_tells(&message, "draft", placed);
    assert_eq!(message["order"]["user_note"], "no sugar");
    assert_eq!(message["order"]["status"], "accepted");
    let newest: i64 = message["order"]["version"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(newest, placed.seq + 2, "edited, accepted");
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_message_that_is_sent_again_is_as_new_as_its_first_attempt(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let push = push(&scene, Format::Order).await;
    let order = scene.order().await.id;
    house.ledger.settle_order(order).await.unwrap();
    let first = scene.claim(&push).await;
    assert_eq!(body(&first)["order"]["status"], "accepted");
    scene.answers(&first, 503).await;
    scene.staff_move(order, Preparing).await;
    scene.advance_until_due(first.handoff.id).await;
    let again = scene.claim(&push).await;
    assert_eq!((again.n, &again.body), (2, &first.body));
    scene.answers(&again, 200).await;
    assert_eq!(body(&scene.claim(&push).await)["change"]["to"], "preparing");
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_handoff_that_an_older_version_made_is_sent_without_its_change(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let push = push(&scene, Format::Order).await;
    let order = scene.order().await.id;
    house.ledger.settle_order(order).await.unwrap();
    scene.staff_move(order, Preparing).await;
    scene
        .damage("UPDATE handoffs SET cause = NULL WHERE position = 1")
        .await;
    let old = scene.claim(&push).await;
    assert_eq!(body(&old).get("change"), None);
    assert_eq!(body(&old)["order"]["status"], "preparing");
    scene.answers(&old, 200).await;
    let new = scene.claim(&push).await;
    assert_eq!(body(&new)["change"]["from"], "accepted");
    scene.assert_audit_clean().await;
}

/// Makes a courier say where the parcel is.
async fn says(
    scene: &Scene,
    courier: &Integrator,
    order: OrderId,
    step: &str,
    reason: Option<&str>,
) {
    let update = Update {
        reason: reason.map(str::to_owned),
        ..word(order, step)
    };
    scene.says(courier, order, update).await;
}

#[each_database]
async fn each_step_of_a_delivery_is_told_once_and_in_order(house: TestLedger) {
    for (format, in_session) in FORMATS.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let scene = Scene::new(&house).await;
        let courier = scene.courier().await;
        let shop = scene.integrator(|new| {
            new.kind = IntegratorKind::Push;
            new.format = format;
            new.required = Some(false);
            new.events = Some(vec![HandoffEvent::DeliveryMoved]);
        });
        let shop = shop.await;
        let session = house.ledger.open_session(scene.store, "Table 1").await;
        let session = in_session.then_some(session.unwrap().id);
        let order = scene.order_with(|order| order.session = session).await.id;
        house.ledger.settle_order(order).await.unwrap();
        scene.staff_move(order, Dispatched).await;
        scene.assert_nothing_due(&shop).await;
        let claimed = scene.claim(&courier).await;
        scene.answers(&claimed, 422).await;
        says(&scene, &courier, order, "at_origin", None).await;
        says(&scene, &courier, order, "EN_ROUTE_OF_DELIVERY", None).await;
        says(
            &scene,
            &courier,
            order,
            "NOT_DELIVERED",
            Some(" nobody there "),
        )
        .await;
        // Told before, and an earlier step: neither is a change.
        says(&scene, &courier, order, "NOT_DELIVERED", Some("again")).await;
        says(&scene, &courier, order, "AT_ORIGIN", None).await;
        says(&scene, &courier, order, "EN_ROUTE_OF_DELIVERY", None).await;
        says(&scene, &courier, order, "delivered", None).await;

        let mut events = house.ledger.order_events(order, 0).await.unwrap();
        let newest = events.last().unwrap().seq.to_string();
        events.retain(|event| event.kind == EventKind::DeliveryMoved);
        let mut from = "READY_FOR_PICK_UP";
        let told = [
            ("HANDOFF_FAILED", "refused"),
            ("AT_ORIGIN", ""),
            ("EN_ROUTE_OF_DELIVERY", ""),
            ("NOT_DELIVERED", "nobody there"),
            ("EN_ROUTE_OF_DELIVERY", ""),
            ("DELIVERED", ""),
        ];
        assert_eq!(events.len(), told.len());
        for (event, (to, reason)) in events.iter().zip(told) {
            let claimed = scene.claim(&shop).await;
            let message = body(&claimed);
            assert_eq!(message["event"], "delivery.moved");
            assert_eq!(event.data["order"]["delivery"]["status"], to);
            let number = event.seq.to_string();
            let at = rfc3339(event.at);
            let change =
                json!({"number": number, "from": from, "to": to, "reason": reason, "at": at});
            assert_eq!(message["change"], change);
            assert_eq!(message["order"]["version"], newest.as_str());
            assert_eq!(message["delivery"]["status"], "DELIVERED");
            scene.answers(&claimed, 200).await;
            from = to;
        }
        scene.assert_nothing_due(&shop).await;
        scene.assert_nothing_due(&courier).await;
        scene.assert_audit_clean().await;
    }
}

#[each_database]
async fn a_courier_is_told_of_its_own_steps_only_if_it_listens_and_a_disabled_one_is_not(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let listens = scene.courier_with(|new| {
        let events = [HandoffEvent::OrderDispatched, HandoffEvent::DeliveryMoved];
        new.events = Some(events.to_vec());
    });
    let (listens, off) = (listens.await, push(&scene, Format::Order).await);
    let edit = IntegratorEdit {
        events: Some(vec![HandoffEvent::DeliveryMoved]),
        enabled: Some(false),
        ..IntegratorEdit::default()
    };
    house
        .ledger
        .edit_integrator(off.id, None, edit)
        .await
        .unwrap();
    let order = scene.order().await.id;
    house.ledger.settle_order(order).await.unwrap();
    scene.staff_move(order, Dispatched).await;
    let dispatched = scene.claim(&listens).await;
    scene.answers(&dispatched, 201).await;
    says(&scene, &listens, order, "AT_ORIGIN", None).await;
    let moved = scene.claim(&listens).await;
    assert_eq!(moved.handoff.event, HandoffEvent::DeliveryMoved);
    assert_eq!(body(&moved)["change"]["to"], "AT_ORIGIN");
    says(&scene, &listens, order, "DELIVERED", None).await;
    assert_eq!(scene.status(order).await, Delivered);
    // One after the other, as all messages about one order.
    scene.assert_nothing_due(&listens).await;
    scene.answers(&moved, 200).await;
    // The order has ended, and its last step is told all the same.
    let last = scene.claim(&listens).await;
    assert_eq!(body(&last)["change"]["to"], "DELIVERED");
    scene.answers(&last, 200).await;
    assert_eq!(scene.states(order, &off).await, []);
    scene.assert_audit_clean().await;
}
