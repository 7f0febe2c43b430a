//! Callbacks whose webhook id came before.

use chrono::{TimeDelta, Utc};
use each_database::each_database;

use super::{Applied, Conflict, by_reference, handed_over, last_result, parcel, results};
use crate::{
    callbacks::{CallbackFilter, Received},
    scene::{Scene, numbered, word},
    testing::TestLedger,
};
use domain::{callback::Update, ids::OrderId, status::OrderStatus};

#[each_database]
async fn another_update_with_a_known_webhook_id_is_refused_and_on_record_once(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    let other = scene.order().await.id;
    let strangers: OrderId = house.chance.id(house.clock.now());
    let receive = async |update: Update| {
        let received = house.ledger.receive_callback(&kitchen, "m-1", update);
        received.await.unwrap()
    };
    let first = receive(numbered(order, "accepted", 1)).await;
    assert!(matches!(first, Received::Stored { .. }));
    let with_reason = Update {
        reason: Some("too late".to_owned()),
        ..numbered(order, "accepted", 1)
    };
    let another_updates = [
        (numbered(order, "cancelled", 9), Some(order)),
        (numbered(order, "accepted", 2), Some(order)),
        (with_reason, Some(order)),
        (parcel(order, "DELIVERED", None), Some(order)),
        (numbered(other, "accepted", 1), Some(other)),
        (numbered(strangers, "accepted", 1), None),
        (by_reference("R-1", "accepted"), None),
    ];
    // Before the first one is applied, and after.
    for _ in 0..2 {
        for (update, _) in &another_updates {
            assert_eq!(receive(update.clone()).await, Received::Conflict);
        }
        let again = receive(numbered(order, "accepted", 1)).await;
        assert_eq!(again, Received::Duplicate);
        house.ledger.apply_callbacks(order).await.unwrap();
        assert_eq!(house.ledger.apply_callbacks(other).await.unwrap(), 0);
    }
    assert_eq!(scene.status(order).await, OrderStatus::Accepted);
    assert_eq!(scene.status(other).await, OrderStatus::Pending);

    let filter = CallbackFilter {
        results: vec![Some(Conflict)],
        ..CallbackFilter::default()
    };
    let mut kept = house.ledger.callbacks(&filter, None, 50).await.unwrap();
    kept.reverse();
    assert_eq!(kept.len(), another_updates.len(), "each once");
    for (one, (update, of)) in kept.iter().zip(&another_updates) {
        assert_eq!(one.webhook_id, "m-1");
        assert_eq!(one.order_id, *of);
        assert_eq!(one.payload, serde_json::to_value(update).unwrap());
        let detail = one.detail.as_deref().unwrap();
        assert!(detail.contains("this webhook-id"), "{detail}");
    }
    // The refused sequence 9 makes no later update stale.
    scene
        .says(&kitchen, order, numbered(order, "ready", 2))
        .await;
    assert_eq!(last_result(&scene).await, Applied);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn twins_with_two_bodies_at_one_moment_are_one_update_and_one_conflict(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    for round in 0..10 {
        let id = format!("m-{round}");
        let receive = |status| {
            let update = numbered(order, status, round + 1);
            house.ledger.receive_callback(&kitchen, &id, update)
        };
        let (a, b) = tokio::join!(receive("accepted"), receive("preparing"));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(
            matches!(
                (a, b),
                (Received::Stored { .. }, Received::Conflict)
                    | (Received::Conflict, Received::Stored { .. })
            ),
            "{a:?} {b:?}"
        );
    }
    let results = results(&scene).await;
    let conflicts = results.iter().filter(|one| **one == Some(Conflict));
    assert_eq!((conflicts.count(), results.len()), (10, 20));
    house.ledger.apply_callbacks(order).await.unwrap();
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_update_written_anew_is_a_duplicate_and_ids_belong_to_one_integrator(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    let till = scene.slow_kitchen().await;
    let at = |text: &str| {
        let at = chrono::DateTime::parse_from_rfc3339(text).unwrap();
        Update {
            occurred_at: Some(at.with_timezone(&Utc)),
            ..word(order, "accepted")
        }
    };
    let first = at("2026-11-25T12:00:00.123456789Z");
    let receive = async |update| {
        let received = house.ledger.receive_callback(&kitchen, "m-1", update);
        received.await.unwrap()
    };
    assert!(matches!(
        receive(first.clone()).await,
        Received::Stored { .. }
    ));
    let elsewhere = at("2026-11-25T14:00:00.123456789+02:00");
    assert_eq!(receive(elsewhere).await, Received::Duplicate);
    let later = first.occurred_at.map(|at| at + TimeDelta::nanoseconds(1));
    let later = Update {
        occurred_at: later,
        ..first
    };
    assert_eq!(receive(later).await, Received::Conflict);
    // The till has never sent this id.
    let of_the_till = scene.order().await.id;
    let tills = word(of_the_till, "accepted");
    let received = house.ledger.receive_callback(&till, "m-1", tills).await;
    assert!(matches!(received.unwrap(), Received::Stored { .. }));
    scene.assert_audit_clean().await;
}
