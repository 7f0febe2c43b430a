//! Handoffs listed by filter, and tests sent by people.

use each_database::each_database;
use std::time::Duration;

use super::*;
use crate::{
    ChangeError,
    handoffs::{HandoffFilter, TestRefused},
    testing::TestLedger,
};
use domain::ids::HandoffId;

async fn found(house: &TestLedger, filter: HandoffFilter) -> Vec<HandoffId> {
    let found = house.ledger.handoffs(&filter, None, 100).await.unwrap();
    found.into_iter().map(|one| one.handoff.id).collect()
}

#[each_database]
async fn handoffs_are_found_by_each_thing_that_is_asked_for_newest_first(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, counter) = (
        scene.kitchen().await,
        scene.integrator(|new| new.required = Some(false)).await,
    );
    let first = scene.order().await;
    let sent = scene.claim(&kitchen).await;
    scene.answers(&sent, 200).await;
    let refused = scene.claim(&counter).await;
    scene.answers(&refused, 422).await;
    house.clock.advance(Duration::from_secs(60));
    let second = scene.order().await;
    let any = HandoffFilter::default;

    let all = found(&house, any()).await;
    assert_eq!(all.len(), 4);
    assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
    assert_eq!(
        found(
            &house,
            HandoffFilter {
                stores: Some(vec![scene.store]),
                ..any()
            }
        )
        .await,
        all
    );
    let nobodys = house.create_store().await;
    assert_eq!(
        found(
            &house,
            HandoffFilter {
                stores: Some(vec![nobodys]),
                ..any()
            }
        )
        .await,
        []
    );
    assert_eq!(
        found(
            &house,
            HandoffFilter {
                stores: Some(vec![]),
                ..any()
            }
        )
        .await,
        []
    );
    assert_eq!(
        found(
            &house,
            HandoffFilter {
                stores: Some(vec![nobodys]),
                integrator: Some(kitchen.id),
                ..any()
            }
        )
        .await,
        []
    );
    assert_eq!(
        found(
            &house,
            HandoffFilter {
                integrator: Some(kitchen.id),
                states: vec![Acknowledged],
                ..any()
            }
        )
        .await,
        [sent.handoff.id]
    );
    let closed = HandoffFilter {
        states: vec![Acknowledged, Failed],
        ..any()
    };
    assert_eq!(found(&house, closed).await.len(), 2);
    let of_reason = HandoffFilter {
        reason: Some("refused".into()),
        event: Some(OrderPlaced),
        ..any()
    };
    assert_eq!(found(&house, of_reason).await, [refused.handoff.id]);
    let of_order = HandoffFilter {
        order: Some(first.id),
        ..any()
    };
    assert_eq!(found(&house, of_order.clone()).await, all[2..]);
    assert_eq!(
        found(
            &house,
            HandoffFilter {
                order: Some(second.id),
                states: vec![Failed],
                ..any()
            }
        )
        .await,
        []
    );
    let now = Some(house.clock.now());
    assert_eq!(
        found(
            &house,
            HandoffFilter {
                created_after: now,
                ..any()
            }
        )
        .await,
        all[..2]
    );
    assert_eq!(
        found(
            &house,
            HandoffFilter {
                created_before: now,
                ..any()
            }
        )
        .await,
        all[2..]
    );

    let shown = house.ledger.handoffs(&of_order, None, 1).await.unwrap();
    let next = house
        .ledger
        .handoffs(&of_order, Some(shown[0].handoff.id), 1)
        .await
        .unwrap();
    assert_eq!([shown[0].handoff.id, next[0].handoff.id], all[2..]);
    let of_counter = house
        .ledger
        .handoff_history(refused.handoff.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            of_counter.listed.order_number,
            of_counter.listed.integrator_name.as_str()
        ),
        (Some(1), "Kitchen")
    );
    let last = of_counter.listed.last_attempt.unwrap();
    assert_eq!(
        (
            last.http_status,
            last.response,
            of_counter.listed.attempts_in_all
        ),
        (Some(422), None, 1)
    );
    assert_eq!(of_counter.attempts[0].response.as_deref(), Some("{}"));
}

#[each_database]
async fn a_row_that_cannot_be_read_hides_no_other(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.kitchen().await;
    scene.order().await;
    scene.order().await;
    scene.damage("UPDATE handoffs SET event = 'order.eaten' WHERE order_id IN (SELECT id FROM orders WHERE number = 1)").await;
    assert_eq!(found(&house, HandoffFilter::default()).await.len(), 1);
    scene.order().await;
    scene
        .damage("UPDATE handoffs SET event = 'order.placed'")
        .await;
    let all = found(&house, HandoffFilter::default()).await;
    scene.damage("UPDATE handoffs SET event = 'order.eaten' WHERE order_id IN (SELECT id FROM orders WHERE number = 3)").await;
    let first = house
        .ledger
        .handoffs(&HandoffFilter::default(), None, 1)
        .await
        .unwrap();
    assert_eq!(
        first[0].handoff.id, all[1],
        "the next one takes its place on the page"
    );
}

#[each_database]
async fn a_test_is_one_attempt_that_moves_nothing(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let id = house.ledger.test_integrator(kitchen.id, &[]).await.unwrap();
    let claimed = scene.claim(&kitchen).await;
    assert_eq!((claimed.handoff.id, claimed.handoff.max_attempts), (id, 1));
    let body: serde_json::Value = serde_json::from_slice(&claimed.body).unwrap();
    assert_eq!(
        (&body["event"], &body["store"]["id"]),
        (&"test".into(), &scene.store.to_string().into())
    );
    scene.answers(&claimed, 500).await;
    let tested = scene.handoff(id).await;
    assert_eq!(
        (tested.state, tested.reason.as_deref()),
        (Failed, Some("attempts_used_up"))
    );
    assert_eq!(scene.stuck().await, []);
    assert!(
        house
            .ledger
            .integrator(kitchen.id)
            .await
            .unwrap()
            .unwrap()
            .enabled
    );
    assert_eq!(house.woken.events(), []);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn only_an_integrator_that_is_spoken_to_is_tested(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    scene.disable(kitchen.id).await;
    let refused = house.ledger.test_integrator(kitchen.id, &[]).await;
    assert!(matches!(
        refused,
        Err(ChangeError::Refused(TestRefused::Disabled))
    ));
    let nobody = house.chance.id(house.clock.now());
    let refused = house.ledger.test_integrator(nobody, &[]).await;
    assert!(matches!(
        refused,
        Err(ChangeError::Refused(TestRefused::Unknown))
    ));
    let other = scene.kitchen().await;
    house.ledger.test_integrator(other.id, &[]).await.unwrap();
    let claimed = scene.claim(&other).await;
    scene.answers(&claimed, 410).await;
    assert!(
        !house
            .ledger
            .integrator(other.id)
            .await
            .unwrap()
            .unwrap()
            .enabled
    );
}
