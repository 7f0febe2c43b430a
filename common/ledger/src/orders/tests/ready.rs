//! The time at which an order is expected to be ready: who may set it, and who hears of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use each_database::each_database;

use crate::{
    ChangeResult,
    orders::OrderRefused,
    scene::{Scene, word},
    testing::{TestLedger, noon, refusal},
};
use OrderStatus::{Accepted, Delivered, Pending, Preparing, Processing, Ready};
use domain::{
    callback::{CallbackResult, Update},
    event::EventKind,
    handoff::{HandoffState, SendResult},
    ids::OrderId,
    integrator::{Confirms, HandoffEvent, Integrator, IntegratorKind},
    order::{Order, times::ReadyRefused},
    status::{By, OrderStatus},
    timing::StoreTiming,
};

fn in_min(minutes: i64) -> DateTime<Utc> {
    noon() + TimeDelta::minutes(minutes)
}

impl Scene {
    async fn ready_at(&self, order: OrderId) -> Option<DateTime<Utc>> {
        self.now(order).await.timing.ready_at
    }

    async fn set_ready(
        &self,
        order: OrderId,
        at: DateTime<Utc>,
    ) -> ChangeResult<Order, OrderRefused> {
        self.house.ledger.set_ready_at(order, None, at).await
    }

    /// Counts the events that tell another time.
    async fn times_told(&self, order: OrderId) -> usize {
        let told = self.told(order).await.into_iter();
        told.filter(|kind| *kind == EventKind::OrderReadyAtChanged)
            .count()
    }

    /// Creates a push service that hears of nothing else.
    async fn listening(&self) -> Integrator {
        self.integrator(|new| {
            new.kind = IntegratorKind::Push;
            new.required = Some(false);
            new.events = Some(vec![HandoffEvent::OrderReadyAtChanged]);
        })
        .await
    }

    async fn results(&self, order: OrderId) -> Vec<CallbackResult> {
        let mut tx = self.house.db.read().await.unwrap();
        let results = store::callbacks::results_of(&mut tx, order).await;
        results.unwrap().into_iter().flatten().collect()
    }
}

fn at(order: OrderId, ready_at: DateTime<Utc>) -> Update {
    Update {
        status: None,
        ready_at: Some(ready_at),
        ..word(order, "")
    }
}

#[each_database]
async fn it_is_estimated_by_the_stores_preparation_and_each_change_is_told_once(house: TestLedger) {
    let timing = StoreTiming {
        prepare_min: 7,
        ..StoreTiming::default()
    };
    let scene = Scene::with_store(&house, |store| store.timing = timing).await;
    let push = scene.listening().await;
    let order = scene.order().await;
    assert_eq!(order.timing.ready_at, Some(in_min(7)));
    let changed = scene.set_ready(order.id, in_min(20)).await.unwrap();
    assert_eq!(changed.timing.ready_at, Some(in_min(20)));
    assert_eq!(changed.version, order.version);
    scene.set_ready(order.id, in_min(20)).await.unwrap();
    assert_eq!(scene.times_told(order.id).await, 1);
    let events = house.ledger.order_events(order.id, 0).await.unwrap();
    let told = events.last().unwrap();
    assert_eq!(
        told.data["order"]["ready_at"],
        "2026-11-25T12:20:00.000000Z"
    );
    let claimed = scene.claim(&push).await;
    let message: serde_json::Value = serde_json::from_slice(&claimed.body).unwrap();
    assert_eq!(message["event"], "order.ready_at_changed");
    assert_eq!(message["order"]["ready_at"], "2026-11-25T12:20:00.000000Z");
    assert_eq!(message["change"]["number"], told.seq.to_string());
    assert_eq!(message["change"]["from"], message["change"]["to"]);
    scene.answers(&claimed, 200).await;

    // With the acceptance: one event each, the time first.
    let ledger = &house.ledger;
    let (to, by) = (Accepted, By::Staff);
    let accepted = ledger
        .move_order_if_unchanged(order.id, None, to, by, None, Some(in_min(25)))
        .await
        .unwrap();
    assert_eq!(accepted.timing.ready_at, Some(in_min(25)));
    let told = scene.told(order.id).await;
    assert!(told.ends_with(&[
        EventKind::OrderReadyAtChanged,
        EventKind::OrderStatusChanged
    ]));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_time_that_no_kitchen_means_is_refused_and_so_is_one_for_an_order_that_is_ready(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await.id;
    house.clock.advance(Duration::from_secs(60));
    let (earliest, latest) = (noon(), in_min(1 + 24 * 60));
    let microsecond = TimeDelta::microseconds(1);
    for wrong in [
        earliest - microsecond,
        latest + microsecond,
        DateTime::UNIX_EPOCH,
        DateTime::<Utc>::MAX_UTC,
    ] {
        let refused = refusal(scene.set_ready(order, wrong).await);
        let range = ReadyRefused::OutOfRange { earliest, latest };
        assert_eq!(refused, OrderRefused::Ready(range), "{wrong}");
    }
    for right in [latest, earliest, in_min(5)] {
        scene.set_ready(order, right).await.unwrap();
    }
    assert_eq!(scene.times_told(order).await, 3);
    for status in [Accepted, Preparing] {
        scene.staff_move(order, status).await;
        let minutes = 10 + i64::from(status == Preparing);
        scene.set_ready(order, in_min(minutes)).await.unwrap();
    }
    for status in [Ready, Delivered] {
        scene.staff_move(order, status).await;
        let refused = refusal(scene.set_ready(order, in_min(20)).await);
        let not_expected = ReadyRefused::NotExpected { status };
        assert_eq!(refused, OrderRefused::Ready(not_expected));
    }
    assert_eq!(scene.ready_at(order).await, Some(in_min(11)));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_kitchen_says_when_an_order_is_ready_in_its_answer_and_nonsense_is_ignored(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let kitchen = scene
        .integrator(|new| {
            new.events = Some(vec![
                HandoffEvent::OrderPlaced,
                HandoffEvent::OrderReadyAtChanged,
            ]);
        })
        .await;
    for (answer, expected, told) in [
        (r#"{"ready_at":"2026-11-25T12:40:00Z"}"#, in_min(40), 1),
        (
            r#"{"data":{"ready_at":"2026-11-25T13:41:00+01:00"}}"#,
            in_min(41),
            1,
        ),
        (r#"{"ready_at":"2026-11-25T12:15:00Z"}"#, in_min(15), 0),
        (r#"{"ready_at":"1970-01-01T00:00:00Z"}"#, in_min(15), 0),
        (r#"{"ready_at":"9999-01-01T00:00:00Z"}"#, in_min(15), 0),
        (r#"{"ready_at":1795608000}"#, in_min(15), 0),
        ("ready_at", in_min(15), 0),
    ] {
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        let heard = SendResult::Answer {
            status: 200,
            retry_after: None,
        };
        scene.heard(&claimed, heard, answer.as_bytes()).await;
        assert_eq!(scene.status(order).await, Accepted, "{answer}");
        assert_eq!(scene.ready_at(order).await, Some(expected), "{answer}");
        assert_eq!(scene.times_told(order).await, told, "{answer}");
        // The one that said so is not told.
        scene.assert_nothing_due(&kitchen).await;
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_callback_says_when_an_order_is_ready_alone_or_beside_its_status(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let push = scene.listening().await;
    let order = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    assert_eq!(scene.status(order).await, Processing);
    let with_status = |status: &str, minutes| Update {
        ready_at: Some(in_min(minutes)),
        ..word(order, status)
    };
    scene
        .says(&kitchen, order, with_status("accepted", 30))
        .await;
    assert_eq!(scene.status(order).await, Accepted);
    assert_eq!(scene.ready_at(order).await, Some(in_min(30)));
    scene.says(&kitchen, order, at(order, in_min(35))).await;
    scene.says(&kitchen, order, at(order, in_min(35))).await;
    scene.says(&kitchen, order, at(order, in_min(-35))).await;
    // An order that is ready by now is so, whatever was expected.
    scene.says(&kitchen, order, with_status("ready", 36)).await;
    scene.says(&kitchen, order, at(order, in_min(37))).await;
    assert_eq!(
        scene.results(order).await,
        [
            CallbackResult::Applied,
            CallbackResult::Applied,
            CallbackResult::Unchanged,
            CallbackResult::Illegal,
            CallbackResult::Applied,
            CallbackResult::Illegal,
        ]
    );
    assert_eq!(scene.status(order).await, Ready);
    assert_eq!(scene.ready_at(order).await, Some(in_min(36)));
    assert_eq!(scene.times_told(order).await, 3);
    let events = scene.states(order, &push).await.into_iter();
    assert!(
        events
            .clone()
            .all(|(event, _)| event == HandoffEvent::OrderReadyAtChanged)
    );
    assert_eq!(events.count(), 3);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn whoever_brings_an_order_or_calls_it_off_does_not_say_when_it_is_ready(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene
        .integrator(|new| new.confirms = Confirms::Callback)
        .await;
    let courier = scene.courier().await;
    let order = scene.order().await.id;
    scene.claim(&kitchen).await;
    let rejected = Update {
        ready_at: Some(in_min(50)),
        ..word(order, "rejected")
    };
    scene.says(&kitchen, order, rejected).await;
    assert_eq!(scene.status(order).await, OrderStatus::Rejected);
    assert_eq!(scene.times_told(order).await, 0);

    let order = scene.order().await.id;
    scene.staff_move(order, Accepted).await;
    scene.staff_move(order, OrderStatus::Dispatched).await;
    scene.claim(&courier).await;
    scene.says(&courier, order, at(order, in_min(50))).await;
    assert_eq!(scene.results(order).await, [CallbackResult::Illegal]);
    assert_eq!(scene.times_told(order).await, 0);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_change_before_the_hand_over_is_told_after_it_however_far_that_lies(house: TestLedger) {
    let timing = StoreTiming {
        order_ahead_days: 10,
        ..StoreTiming::default()
    };
    let scene = Scene::with_store(&house, |store| store.timing = timing).await;
    let kitchen = scene
        .integrator(|new| {
            new.events = Some(vec![
                HandoffEvent::OrderPlaced,
                HandoffEvent::OrderReadyAtChanged,
            ]);
        })
        .await;
    let wanted_at = noon() + TimeDelta::days(9);
    let order = scene
        .order_with(|order| order.wanted_at = Some(wanted_at))
        .await;
    let before = wanted_at - TimeDelta::minutes(5);
    scene.set_ready(order.id, before).await.unwrap();
    for days in [2, 8] {
        house.clock.set(noon() + TimeDelta::days(days));
        scene.assert_nothing_due(&kitchen).await;
        assert_eq!(house.ledger.fail_overdue_handoffs(10).await.unwrap(), 0);
    }
    assert_eq!(scene.status(order.id).await, Pending);
    house.clock.set(order.timing.hand_over_at.unwrap());
    for event in [HandoffEvent::OrderPlaced, HandoffEvent::OrderReadyAtChanged] {
        let claimed = scene.claim(&kitchen).await;
        assert_eq!(claimed.handoff.event, event);
        scene.answers(&claimed, 200).await;
    }
    assert!(
        scene
            .states(order.id, &kitchen)
            .await
            .iter()
            .all(|(_, state)| *state == HandoffState::Acknowledged)
    );
    scene.assert_audit_clean().await;
}
