//! Handoffs retried by people: one and many, at a pace, by one rule, and on record.

use each_database::each_database;
use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::*;
use crate::{
    ChangeError,
    handoffs::{BulkRetryRequest, BulkRetryResult, HandoffFilter, RetryRefused},
    testing::TestLedger,
};
use domain::{
    ids::{AccountId, HandoffId, OrderId},
    integrator::{Integrator, UnknownPolicy},
    status::OrderStatus,
};

/// Returns a request to retry all failed handoffs of the scene's store.
fn all_failed(scene: &Scene) -> BulkRetryRequest {
    let now = scene.house.clock.now();
    BulkRetryRequest {
        filter: HandoffFilter {
            stores: Some(vec![scene.store]),
            states: vec![Failed],
            with_order: true,
            ..HandoffFilter::default()
        },
        after: None,
        per_s: None,
        limit: 1000,
        dry_run: false,
        by: scene.house.chance.id(now),
    }
}

/// Creates a handoff that was refused for good after staff had accepted its order.
async fn a_failed_one(scene: &Scene, kitchen: &Integrator) -> (OrderId, HandoffId) {
    let order = scene.order().await.id;
    let claimed = scene.claim(kitchen).await;
    scene.staff_move(order, OrderStatus::Accepted).await;
    scene.answers(&claimed, 422).await;
    (order, claimed.handoff.id)
}

async fn retried(scene: &Scene, wanted: &BulkRetryRequest) -> BulkRetryResult {
    let done = scene.house.ledger.retry_handoffs(wanted.clone()).await;
    done.unwrap()
}

#[each_database]
async fn all_that_fit_are_retried_at_a_pace_and_a_dry_run_says_so_before(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let mut failed = Vec::new();
    for _ in 0..4 {
        failed.push(a_failed_one(&scene, &kitchen).await.1);
    }
    let (ended, _) = a_failed_one(&scene, &kitchen).await;
    scene.staff_move(ended, OrderStatus::Cancelled).await;
    // The next message about its second order overtakes the failed one.
    let news = scene
        .integrator(|new| new.events = Some(vec![OrderPlaced, HandoffEvent::OrderStatusChanged]))
        .await;
    let (overtaken, _) = a_failed_one(&scene, &news).await;
    scene.claim(&news).await;

    let wanted = BulkRetryRequest {
        per_s: Some(2.0),
        ..all_failed(&scene)
    };
    let dry = retried(
        &scene,
        &BulkRetryRequest {
            dry_run: true,
            ..wanted.clone()
        },
    )
    .await;
    assert_eq!((dry.id, dry.matched, dry.retried), (None, 6, 4));
    assert_eq!(
        dry.refused,
        BTreeMap::from([("order_ended", 1), ("overtaken", 1)])
    );
    assert!(failed.iter().all(|id| {
        dry.examples
            .iter()
            .any(|example| example.handoff.id == *id && example.outcome.is_ok())
    }));
    let why = dry
        .examples
        .iter()
        .find(|example| example.handoff.order_id == Some(overtaken))
        .unwrap();
    assert_eq!(why.outcome, Err(RetryRefused::Overtaken));
    assert_eq!(
        scene.handoff(failed[0]).await.state,
        Failed,
        "a dry run changes nothing"
    );
    assert_eq!(house.ledger.retries(None, None, 10).await.unwrap(), []);

    drop(house.woken.take());
    let done = retried(&scene, &wanted).await;
    assert_eq!(
        BulkRetryResult {
            id: None,
            ..done.clone()
        },
        dry
    );
    assert_eq!(
        house.woken.hints(),
        [domain::hint::Hint::Handoffs {
            integrator: kitchen.id
        }]
    );
    for (place, id) in failed.iter().enumerate() {
        let handoff = scene.handoff(*id).await;
        let due_at =
            house.clock.now() + TimeDelta::milliseconds(500 * i64::try_from(place).unwrap());
        assert_eq!(
            (handoff.state, handoff.round, handoff.next_attempt_at),
            (Due, 2, Some(due_at))
        );
        let history = house.ledger.handoff_history(*id).await.unwrap().unwrap();
        let round = &history.rounds[0];
        assert_eq!(
            (round.round, round.by, round.opened_at, round.due_at),
            (2, wanted.by, house.clock.now(), due_at)
        );
        assert_eq!(Some(round.retry_id), done.id);
    }
    let trail = house.ledger.retries(None, None, 10).await.unwrap();
    assert_eq!(
        (
            trail.len(),
            Some(trail[0].id),
            trail[0].by,
            trail[0].store_id
        ),
        (1, done.id, wanted.by, Some(scene.store))
    );
    assert_eq!(
        (trail[0].matched, trail[0].retried, trail[0].finished_at),
        (6, 4, Some(house.clock.now()))
    );
    assert_eq!(trail[0].filter["states"], serde_json::json!(["failed"]));
    assert_eq!(trail[0].refused["overtaken"], 1);

    // A second click has nothing left to do.
    let again = retried(&scene, &wanted).await;
    assert_eq!((again.matched, again.retried), (2, 0));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_call_that_hits_its_limit_says_where_to_go_on(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let mut failed = Vec::new();
    for _ in 0..5 {
        failed.push(a_failed_one(&scene, &kitchen).await.1);
    }
    let mut wanted = BulkRetryRequest {
        limit: 2,
        ..all_failed(&scene)
    };
    for (retried_now, stopped_after) in [(2, Some(failed[1])), (2, Some(failed[3])), (1, None)] {
        let done = retried(&scene, &wanted).await;
        assert_eq!(
            (done.retried, done.stopped_after),
            (retried_now, stopped_after)
        );
        wanted.after = done.stopped_after;
    }
    assert_eq!(retried(&scene, &all_failed(&scene)).await.matched, 0);
}

#[each_database]
async fn what_comes_after_its_order_would_have_ended_is_refused(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene
        .integrator(|new| new.unknown_policy = UnknownPolicy::Hold)
        .await;
    for _ in 0..2 {
        scene.order().await;
        let claimed = scene.claim(&kitchen).await;
        scene.is_lost(&claimed).await;
    }
    let mut wanted = BulkRetryRequest {
        per_s: Some(0.001),
        ..all_failed(&scene)
    };
    wanted.filter.states = vec![Held];
    let done = retried(&scene, &wanted).await;
    assert_eq!(
        (done.retried, done.refused),
        (1, BTreeMap::from([("too_late", 1)]))
    );
}

#[each_database]
async fn two_who_retry_the_same_at_once_open_one_round_of_each(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let mut failed = Vec::new();
    for _ in 0..6 {
        failed.push(a_failed_one(&scene, &kitchen).await.1);
    }
    let (one, other) = (all_failed(&scene), all_failed(&scene));
    let (a, b) = tokio::join!(retried(&scene, &one), retried(&scene, &other));
    assert_eq!(a.retried + b.retried, 6);
    for id in failed {
        assert_eq!(scene.handoff(id).await.round, 2);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_single_retry_is_on_record_too_and_whose_store_it_was_sees_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let (_, id) = a_failed_one(&scene, &kitchen).await;
    let (person, stranger): (AccountId, AccountId) = (
        house.chance.id(house.clock.now()),
        house.chance.id(house.clock.now()),
    );
    house.ledger.retry_handoff(id, person).await.unwrap();
    let refused = house.ledger.retry_handoff(id, person).await;
    assert!(matches!(
        refused,
        Err(ChangeError::Refused(RetryRefused::NotRetryable {
            state: Due
        }))
    ));
    let trail = house
        .ledger
        .retries(Some((&[scene.store], stranger)), None, 10)
        .await
        .unwrap();
    assert_eq!((trail.len(), trail[0].by, trail[0].retried), (1, person, 1));
    assert_eq!(trail[0].filter["handoff"], serde_json::json!(id));
    assert_eq!(
        house
            .ledger
            .retries(Some((&[], person)), None, 10)
            .await
            .unwrap(),
        trail
    );
    assert_eq!(
        house
            .ledger
            .retries(Some((&[], stranger)), None, 10)
            .await
            .unwrap(),
        []
    );
}

#[each_database]
async fn what_failed_at_an_integrator_that_is_archived_is_not_retried_alone_nor_among_many(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let (gone, kitchen) = (
        scene.kitchen().await,
        scene.integrator(|new| new.required = Some(false)).await,
    );
    let (_, failed) = a_failed_one(&scene, &gone).await;
    let there = scene.claim(&kitchen).await;
    scene.answers(&there, 422).await;
    house
        .ledger
        .archive_integrator(gone.id, None)
        .await
        .unwrap();

    let shown = house.ledger.handoff_history(failed).await.unwrap().unwrap();
    assert_eq!(
        shown.listed.retry_refused,
        Some(RetryRefused::IntegratorArchived)
    );
    let wanted = all_failed(&scene);
    let dry = retried(
        &scene,
        &BulkRetryRequest {
            dry_run: true,
            ..wanted.clone()
        },
    )
    .await;
    assert_eq!((dry.matched, dry.retried), (2, 1));
    assert_eq!(dry.refused, BTreeMap::from([("integrator_archived", 1)]));
    let done = retried(&scene, &wanted).await;
    assert_eq!(BulkRetryResult { id: None, ..done }, dry);
    // A caller that looked before the archiving is refused under the lock.
    let person: AccountId = house.chance.id(house.clock.now());
    let refused = house.ledger.retry_handoff(failed, person).await;
    assert!(
        matches!(
            refused,
            Err(ChangeError::Refused(RetryRefused::IntegratorArchived))
        ),
        "{refused:?}"
    );
    assert_eq!(
        (
            scene.handoff(failed).await.state,
            scene.handoff(failed).await.round
        ),
        (Failed, 1)
    );
    assert_eq!(scene.handoff(there.handoff.id).await.state, Due);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn what_was_overtaken_by_something_that_is_retried_itself_stays_overtaken(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene
        .integrator(|new| {
            new.events = Some(vec![OrderPlaced, HandoffEvent::OrderStatusChanged]);
        })
        .await;
    let (order, placed) = a_failed_one(&scene, &kitchen).await;
    let moved = scene.claim(&kitchen).await;
    assert_eq!(moved.handoff.event, HandoffEvent::OrderStatusChanged);
    scene.answers(&moved, 422).await;
    let person: AccountId = house.chance.id(house.clock.now());
    house
        .ledger
        .retry_handoff(moved.handoff.id, person)
        .await
        .unwrap();
    let refused = house.ledger.retry_handoff(placed, person).await;
    assert!(
        matches!(refused, Err(ChangeError::Refused(RetryRefused::Overtaken))),
        "{refused:?}"
    );
    let shown = house.ledger.handoff_histories(order).await.unwrap();
    assert_eq!(shown[0].listed.retry_refused, Some(RetryRefused::Overtaken));
}
