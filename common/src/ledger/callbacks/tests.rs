//! Callbacks on both databases: what counts, once, and what is only recorded.

use std::time::Duration;

use super::*;
use crate::{
    domain::{
        callback::{CallbackResult, DeliveryUpdate},
        delivery::DeliveryStatus,
        event::EventKind,
        handoff::{AttemptOutcome, HandoffState, Heard, Verdict},
        ids::OrderId,
        integrator::HandoffEvent,
        status::OrderStatus,
    },
    ledger::{
        handoffs::Concluded,
        scene::{LEASE, STOCK, Scene, numbered, word},
    },
    store,
    testing::{House, each_database},
};

use CallbackResult::{Applied, Illegal, Parked, Stale, Unchanged, Unmapped, Unmatched};

/// What became of all callbacks, in order of receipt.
async fn results(scene: &Scene) -> Vec<Option<CallbackResult>> {
    let mut tx = scene.house.db.read().await.unwrap();
    let all = store::callbacks::results(&mut tx).await.unwrap();
    all.into_iter()
        .map(|word| word.map(|word| word.parse().unwrap()))
        .collect()
}

async fn last_result(scene: &Scene) -> CallbackResult {
    results(scene).await.pop().unwrap().unwrap()
}

fn parcel(order: OrderId, status: &str, tracking_number: Option<&str>) -> Update {
    Update {
        status: None,
        delivery: Some(DeliveryUpdate {
            tracking_number: tracking_number.map(str::to_owned),
            status: Some(status.to_owned()),
        }),
        ..word(order, "")
    }
}

fn by_reference(reference: &str, status: &str) -> Update {
    Update {
        order_id: None,
        reference: Some(reference.to_owned()),
        status: Some(status.to_owned()),
        reason: None,
        sequence: None,
        occurred_at: None,
        delivery: None,
    }
}

/// A kitchen that accepts by callback, with an order that it has.
async fn handed_over(scene: &Scene) -> (Integrator, OrderId) {
    let kitchen = scene.slow_kitchen().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    assert_eq!(scene.status(order.id).await, OrderStatus::Processing);
    (kitchen, order.id)
}

/// An order on its way, with a courier that has it.
async fn dispatched(scene: &Scene) -> (Integrator, OrderId) {
    let courier = scene.courier().await;
    let order = scene.order().await;
    scene.house.ledger.settle_order(order.id).await.unwrap();
    scene.staff_move(order.id, OrderStatus::Dispatched).await;
    let claimed = scene.claim(&courier).await;
    scene.answers(&claimed, 201).await;
    (courier, order.id)
}

each_database! {
    async fn an_order_waits_for_the_callback_where_that_is_what_confirms(house: House) {
        let scene = Scene::new(&house).await;
        let (kitchen, order) = handed_over(&scene).await;
        drop(house.woken.take());
        scene.calls_back(&kitchen, word(order, "accepted")).await;
        assert_eq!(house.woken.hints(), [Hint::Callbacks { order }]);
        assert_eq!(house.ledger.orders_with_callbacks_left(10).await.unwrap(), [order]);
        assert_eq!(house.ledger.callbacks_left().await.unwrap(), 1);
        assert_eq!(house.ledger.apply_callbacks(order).await.unwrap(), 1);
        assert_eq!(house.ledger.apply_callbacks(order).await.unwrap(), 0);
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        assert_eq!(last_result(&scene).await, Applied);
        scene.says(&kitchen, order, word(order, "Preparing")).await;
        scene.says(&kitchen, order, word(order, "ready")).await;
        assert_eq!(scene.status(order).await, OrderStatus::Ready);
        scene.audit_finds_nothing().await;
    }

    async fn its_own_words_are_mapped_and_unknown_ones_are_recorded(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.integrator(|new| { new.status_map.insert("COOKED".into(), OrderStatus::Ready); }).await;
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.answers(&claimed, 200).await;
        scene.says(&kitchen, order, word(order, "burnt")).await;
        assert_eq!(last_result(&scene).await, Unmapped);
        scene.says(&kitchen, order, word(order, "COOKED")).await;
        assert_eq!(scene.status(order).await, OrderStatus::Ready);
        scene.audit_finds_nothing().await;
    }

    async fn a_replayed_callback_counts_once(house: House) {
        let scene = Scene::new(&house).await;
        let (kitchen, order) = handed_over(&scene).await;
        let first = house.ledger.receive_callback(&kitchen, "msg_A", word(order, "accepted")).await.unwrap();
        assert!(matches!(first, Received::Stored { .. }));
        // Word by word the same key: another one is another callback.
        assert!(matches!(house.ledger.receive_callback(&kitchen, "msg_a", word(order, "accepted")).await.unwrap(), Received::Stored { .. }));
        house.ledger.apply_callbacks(order).await.unwrap();
        let moves = house.woken.events().len();
        for _ in 0..3 {
            let again = house.ledger.receive_callback(&kitchen, "msg_A", word(order, "accepted")).await.unwrap();
            assert_eq!(again, Received::Duplicate);
            house.ledger.apply_callbacks(order).await.unwrap();
        }
        assert_eq!(house.woken.events().len(), moves);
        assert_eq!(results(&scene).await, [Some(Applied), Some(Unchanged)]);
        scene.audit_finds_nothing().await;
    }

    async fn in_whatever_order_updates_come_the_newest_stands_at_the_end(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.slow_kitchen().await;
        let updates = [("accepted", 1), ("preparing", 2), ("ready", 3)];
        for permutation in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for one_by_one in [true, false] {
                let order = scene.order().await.id;
                let claimed = scene.claim(&kitchen).await;
                scene.answers(&claimed, 200).await;
                for at in permutation {
                    let (status, sequence) = updates[at];
                    scene.calls_back(&kitchen, numbered(order, status, sequence)).await;
                    if one_by_one {
                        house.ledger.apply_callbacks(order).await.unwrap();
                    }
                }
                house.ledger.apply_callbacks(order).await.unwrap();
                assert_eq!(scene.status(order).await, OrderStatus::Ready, "{permutation:?}");
            }
        }
        let stale = results(&scene).await.into_iter().filter(|result| *result == Some(Stale)).count();
        assert_eq!(stale, 2 * (1 + 1 + 1 + 2 + 2));
        scene.audit_finds_nothing().await;
    }

    async fn without_numbers_only_forward_moves_count(house: House) {
        let scene = Scene::new(&house).await;
        let (kitchen, order) = handed_over(&scene).await;
        scene.says(&kitchen, order, word(order, "ready")).await;
        assert_eq!(scene.status(order).await, OrderStatus::Ready);
        scene.says(&kitchen, order, word(order, "preparing")).await;
        assert_eq!(last_result(&scene).await, Stale);
        scene.says(&kitchen, order, word(order, "ready")).await;
        assert_eq!(last_result(&scene).await, Unchanged);
        scene.says(&kitchen, order, word(order, "rejected")).await;
        assert_eq!(last_result(&scene).await, Illegal);
        assert_eq!(scene.status(order).await, OrderStatus::Ready);
        scene.audit_finds_nothing().await;
    }

    async fn a_later_time_wins_where_there_are_no_sequences(house: House) {
        let scene = Scene::new(&house).await;
        let (kitchen, order) = handed_over(&scene).await;
        let at = |seconds| Some(house.clock.now() + Duration::from_secs(seconds));
        scene.says(&kitchen, order, Update { occurred_at: at(20), ..word(order, "preparing") }).await;
        scene.says(&kitchen, order, Update { occurred_at: at(10), ..word(order, "ready") }).await;
        assert_eq!(last_result(&scene).await, Stale);
        assert_eq!(scene.status(order).await, OrderStatus::Preparing);
        scene.audit_finds_nothing().await;
    }

    async fn a_late_callback_never_reopens_an_ended_order(house: House) {
        let scene = Scene::new(&house).await;
        let (kitchen, order) = handed_over(&scene).await;
        scene.staff_move(order, OrderStatus::Cancelled).await;
        for status in ["accepted", "ready", "delivered"] {
            scene.says(&kitchen, order, word(order, status)).await;
            assert_eq!(last_result(&scene).await, Illegal);
        }
        assert_eq!(scene.status(order).await, OrderStatus::Cancelled);
        assert_eq!(scene.stock().await, STOCK);
        scene.audit_finds_nothing().await;
    }

    async fn a_callback_acknowledges_a_handoff_whose_answer_was_lost(house: House) {
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
        scene.nothing_is_due(&kitchen).await;
        scene.audit_finds_nothing().await;
    }

    async fn a_callback_during_the_request_stands_whatever_the_answer(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.slow_kitchen().await;
        let placed = (HandoffEvent::OrderPlaced, HandoffState::Acknowledged);
        for status in [200, 500, 422] {
            let order = scene.order().await.id;
            let claimed = scene.claim(&kitchen).await;
            scene.says(&kitchen, order, word(order, "accepted")).await;
            assert_eq!(scene.states(order, &kitchen).await, [placed]);
            scene.audit_finds_nothing().await;
            let concluded = scene.answers(&claimed, status).await;
            assert!(matches!(concluded, Concluded::Recorded { verdict: Verdict::Acknowledged, .. }));
            assert_eq!(scene.states(order, &kitchen).await, [placed]);
            assert_eq!(scene.status(order).await, OrderStatus::Accepted);
            scene.audit_finds_nothing().await;
        }
    }

    async fn an_attempt_that_a_callback_overtook_is_closed_by_its_lease_if_its_worker_is_gone(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.slow_kitchen().await;
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.says(&kitchen, order, word(order, "accepted")).await;
        house.clock.advance(LEASE);
        assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 1);
        assert_eq!(scene.answers(&claimed, 200).await, Concluded::Fenced);
        let mut tx = house.db.read().await.unwrap();
        let attempts = store::attempts::of_handoff(&mut tx, claimed.handoff.id).await.unwrap();
        drop(tx);
        assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Unknown));
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        scene.audit_finds_nothing().await;
    }

    async fn a_callback_acknowledges_no_cancellation_that_was_not_sent(house: House) {
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
        scene.until_due(cancelled.handoff.id).await;
        assert_eq!(scene.claim(&kitchen).await.handoff.id, cancelled.handoff.id);
        scene.audit_finds_nothing().await;
    }

    async fn a_rejection_gives_the_stock_back_and_is_told_to_the_others_only(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.kitchen().await;
        let till = scene.kitchen().await;
        let order = scene.order().await.id;
        let claimed = scene.claim(&till).await;
        scene.answers(&claimed, 200).await;
        let sending = scene.claim(&kitchen).await;
        scene.says(&kitchen, order, Update { reason: Some("no fish".into()), ..word(order, "rejected") }).await;
        let now = scene.now(order).await;
        assert_eq!((now.status, now.reason.as_deref()), (OrderStatus::Rejected, Some("no fish")));
        assert_eq!(scene.stock().await, STOCK);
        assert_eq!(scene.states(order, &kitchen).await, [(HandoffEvent::OrderPlaced, HandoffState::Acknowledged)]);
        assert_eq!(scene.states(order, &till).await.last().unwrap().0, HandoffEvent::OrderCancelled);
        scene.answers(&sending, 200).await;
        assert_eq!(scene.status(order).await, OrderStatus::Rejected);
        scene.audit_finds_nothing().await;
    }

    async fn a_rejection_without_a_reason_is_a_rejection(house: House) {
        let scene = Scene::new(&house).await;
        let (kitchen, order) = handed_over(&scene).await;
        scene.says(&kitchen, order, word(order, "rejected")).await;
        assert_eq!(scene.status(order).await, OrderStatus::Rejected);
        scene.audit_finds_nothing().await;
    }

    async fn one_of_two_required_integrators_does_not_accept_for_the_other(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.slow_kitchen().await;
        let till = scene.slow_kitchen().await;
        let order = scene.order().await.id;
        for integrator in [&kitchen, &till] {
            let claimed = scene.claim(integrator).await;
            scene.answers(&claimed, 200).await;
        }
        scene.says(&kitchen, order, word(order, "accepted")).await;
        assert_eq!((scene.status(order).await, last_result(&scene).await), (OrderStatus::Processing, Applied));
        scene.says(&kitchen, order, word(order, "accepted")).await;
        assert_eq!(last_result(&scene).await, Unchanged);
        scene.says(&kitchen, order, word(order, "ready")).await;
        assert_eq!((scene.status(order).await, last_result(&scene).await), (OrderStatus::Processing, Illegal));
        scene.says(&till, order, word(order, "accepted")).await;
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        scene.audit_finds_nothing().await;
    }

    async fn an_optional_integrator_does_not_accept_for_a_required_one(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.kitchen().await;
        let loyalty = scene.integrator(|new| new.required = Some(false)).await;
        let order = scene.order().await.id;
        let claimed = scene.claim(&loyalty).await;
        scene.answers(&claimed, 200).await;
        scene.says(&loyalty, order, word(order, "accepted")).await;
        assert_eq!((scene.status(order).await, last_result(&scene).await), (OrderStatus::Processing, Illegal));
        let claimed = scene.claim(&kitchen).await;
        scene.answers(&claimed, 200).await;
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        scene.audit_finds_nothing().await;
    }

    async fn what_was_accepted_by_callback_does_not_fail_by_the_fifth_attempt(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.integrator(|new| new.max_attempts = 1).await;
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.calls_back(&kitchen, word(order, "accepted")).await;
        scene.is_lost(&claimed).await;
        assert_eq!(scene.status(order).await, OrderStatus::Processing);
        house.ledger.apply_callbacks(order).await.unwrap();
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        scene.audit_finds_nothing().await;
    }

    async fn a_failed_handoff_fails_the_order_once_callbacks_that_say_nothing_are_applied(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.integrator(|new| new.max_attempts = 1).await;
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.calls_back(&kitchen, word(order, "burnt")).await;
        scene.answers(&claimed, 500).await;
        assert_eq!(scene.status(order).await, OrderStatus::Processing);
        house.ledger.apply_callbacks(order).await.unwrap();
        assert_eq!(scene.status(order).await, OrderStatus::Failed);
        scene.audit_finds_nothing().await;
    }

    async fn an_integrator_touches_only_orders_that_it_was_handed(house: House) {
        let scene = Scene::new(&house).await;
        let order = scene.order().await.id;
        let kitchen = scene.kitchen().await;
        let refused = house.ledger.receive_callback(&kitchen, "msg", word(order, "accepted")).await;
        assert!(matches!(refused, Err(LedgerError::Refused(CallbackRefused::UnknownOrder(id))) if id == order));
        assert_eq!(results(&scene).await, []);
    }

    async fn a_reference_is_the_integrators_own_or_the_orders(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.slow_kitchen().await;
        let order = scene.order_like(|order| order.reference = Some("web-9".into())).await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.heard(&claimed, Heard::Answer { status: 200, retry_after: None }, br#"{"id":77}"#).await;
        scene.says(&kitchen, order, by_reference("77", "accepted")).await;
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        scene.says(&kitchen, order, by_reference("web-9", "ready")).await;
        assert_eq!(scene.status(order).await, OrderStatus::Ready);
        scene.audit_finds_nothing().await;
    }

    async fn a_reference_that_is_not_known_yet_is_applied_when_it_appears(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.slow_kitchen().await;
        let order = scene.order().await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.calls_back(&kitchen, by_reference("K-1", "accepted")).await;
        assert_eq!(house.ledger.apply_callbacks(order).await.unwrap(), 0);
        drop(house.woken.take());
        scene.heard(&claimed, Heard::Answer { status: 200, retry_after: None }, br#"{"reference":"K-1"}"#).await;
        assert_eq!(house.woken.hints(), [Hint::Callbacks { order }]);
        house.ledger.apply_callbacks(order).await.unwrap();
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        scene.audit_finds_nothing().await;
    }

    async fn the_sweep_matches_references_and_gives_up_after_ten_minutes(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.slow_kitchen().await;
        scene.calls_back(&kitchen, by_reference("web-1", "accepted")).await;
        scene.calls_back(&kitchen, by_reference("nobody's", "accepted")).await;
        let order = scene.order_like(|order| order.reference = Some("web-1".into())).await.id;
        let claimed = scene.claim(&kitchen).await;
        scene.answers(&claimed, 200).await;
        assert_eq!(house.ledger.match_references(1).await.unwrap(), 1);
        house.ledger.apply_callbacks(order).await.unwrap();
        assert_eq!(scene.status(order).await, OrderStatus::Accepted);
        house.clock.advance(Duration::from_secs(599));
        assert_eq!(house.ledger.match_references(1).await.unwrap(), 0);
        assert_eq!(results(&scene).await, [Some(Applied), None]);
        house.clock.advance(Duration::from_secs(1));
        house.ledger.match_references(1).await.unwrap();
        assert_eq!(results(&scene).await, [Some(Applied), Some(Unmatched)]);
        assert_eq!(house.ledger.stuck().await.unwrap().len(), 1);
        scene.audit_finds_nothing().await;
    }

    async fn a_courier_tells_where_the_parcel_is_and_delivers_the_order(house: House) {
        let scene = Scene::new(&house).await;
        let (courier, order) = dispatched(&scene).await;
        scene.says(&courier, order, parcel(order, "AT_ORIGIN", Some("T-5"))).await;
        scene.says(&courier, order, parcel(order, "EN_ROUTE_OF_DELIVERY", None)).await;
        scene.says(&courier, order, parcel(order, "NOT_DELIVERED", None)).await;
        scene.says(&courier, order, parcel(order, "AT_ORIGIN", None)).await;
        assert_eq!(last_result(&scene).await, Stale);
        scene.says(&courier, order, parcel(order, "EN_ROUTE_OF_DELIVERY", None)).await;
        scene.says(&courier, order, parcel(order, "EN_ROUTE_OF_DELIVERY", None)).await;
        assert_eq!(last_result(&scene).await, Unchanged);
        scene.says(&courier, order, parcel(order, "DELIVERED", None)).await;
        let now = scene.now(order).await;
        assert_eq!(now.status, OrderStatus::Delivered);
        let delivery = now.delivery.unwrap();
        assert_eq!((delivery.status, delivery.tracking_number.as_deref()), (DeliveryStatus::Delivered, Some("T-5")));
        assert_eq!(delivery.history.len(), 6);
        let told = house.woken.events().into_iter().filter(|event| event.kind == EventKind::DeliveryMoved).count();
        assert_eq!(told, 5);
        scene.says(&courier, order, parcel(order, "DELIVERED", None)).await;
        assert_eq!(last_result(&scene).await, Unchanged);
        scene.says(&courier, order, parcel(order, "LOST_IN_SPACE", None)).await;
        assert_eq!(last_result(&scene).await, Unmapped);
        scene.audit_finds_nothing().await;
    }

    async fn seed_004s_courier_says_it_all_in_one_word(house: House) {
        let scene = Scene::new(&house).await;
        let (courier, order) = dispatched(&scene).await;
        scene.says(&courier, order, word(order, "EN_ROUTE_OF_DELIVERY")).await;
        assert_eq!(scene.now(order).await.delivery.unwrap().status, DeliveryStatus::EnRoute);
        scene.says(&courier, order, word(order, "DELIVERED")).await;
        let now = scene.now(order).await;
        assert_eq!((now.status, now.delivery.unwrap().status), (OrderStatus::Delivered, DeliveryStatus::Delivered));
        scene.audit_finds_nothing().await;
    }

    async fn only_the_courier_moves_the_parcel(house: House) {
        let scene = Scene::new(&house).await;
        let (kitchen, order) = handed_over(&scene).await;
        scene.says(&kitchen, order, parcel(order, "DELIVERED", None)).await;
        assert_eq!(last_result(&scene).await, Illegal);
        assert_eq!(scene.now(order).await.delivery, None);
        scene.audit_finds_nothing().await;
    }

    async fn a_callback_that_cannot_be_read_is_parked_at_the_fifth_failure_and_stops_no_other(house: House) {
        let scene = Scene::new(&house).await;
        let (kitchen, order) = handed_over(&scene).await;
        scene.calls_back(&kitchen, word(order, "accepted")).await;
        scene.damage("UPDATE callbacks SET payload = '\"nonsense\"'").await;
        scene.calls_back(&kitchen, word(order, "ready")).await;
        assert_eq!(house.ledger.apply_callbacks(order).await.unwrap(), 1);
        assert_eq!(scene.status(order).await, OrderStatus::Ready);
        for _ in 1..5 {
            assert_eq!(results(&scene).await, [None, Some(Applied)]);
            house.ledger.apply_callbacks(order).await.unwrap();
        }
        assert_eq!(results(&scene).await, [Some(Parked), Some(Applied)]);
        assert_eq!(house.ledger.orders_with_callbacks_left(10).await.unwrap(), []);
        let stuck = house.ledger.stuck().await.unwrap();
        assert_eq!((stuck.len(), stuck[0].order_id), (1, Some(order)));
        scene.audit_finds_nothing().await;
    }

    async fn a_callback_and_the_answer_at_one_moment_leave_one_acceptance(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.kitchen().await;
        for _ in 0..10 {
            let order = scene.order().await.id;
            let claimed = scene.claim(&kitchen).await;
            scene.calls_back(&kitchen, word(order, "accepted")).await;
            drop(house.woken.take());
            let (_, applied) = tokio::join!(scene.answers(&claimed, 200), house.ledger.apply_callbacks(order));
            assert_eq!(applied.unwrap(), 1);
            assert_eq!(scene.status(order).await, OrderStatus::Accepted);
            let moves = house.woken.events().into_iter().filter(|event| event.kind == EventKind::OrderStatusChanged).count();
            assert_eq!(moves, 1);
        }
        scene.audit_finds_nothing().await;
    }

    async fn cancelling_and_a_callback_at_one_moment_leave_one_end(house: House) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.slow_kitchen().await;
        for said in ["accepted", "rejected"].into_iter().cycle().take(10) {
            let order = scene.order().await.id;
            let claimed = scene.claim(&kitchen).await;
            scene.answers(&claimed, 200).await;
            scene.calls_back(&kitchen, word(order, said)).await;
            tokio::join!(
                async { house.ledger.apply_callbacks(order).await.unwrap(); },
                async {
                    let by = crate::domain::status::By::Staff;
                    // A rejection may have ended it before.
                    let _ = house.ledger.move_order(order, OrderStatus::Cancelled, by, Some("why not")).await;
                }
            );
            assert!(scene.status(order).await.is_called_off());
            assert_eq!(scene.stock().await, STOCK);
            for cancelled in scene.claims(&kitchen).await.claimed {
                scene.answers(&cancelled, 200).await;
            }
        }
        scene.audit_finds_nothing().await;
    }
}
