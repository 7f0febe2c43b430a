//! Tests that every list finds its rows by an index, whatever the filter.

use chrono::TimeDelta;
use each_database::each_database;
use serde_json::json;

use super::{Step, assert_no_full_scan, fill_handoffs, in_tests::update_statistics};
use crate::testing::TestDb;
use crate::{
    callbacks::{self, CallbackFilter, NewCallback, list::Walk},
    handoffs::{HandoffFilter, Page, list as handoffs},
    outbox::{self, OutboxRow},
    retries,
    sweep::stuck,
};
use domain::{
    callback::{CallbackResult, Update},
    handoff::HandoffState::{self, Acknowledged, Failed, Held, Parked},
    hint::Announcement,
    ids::{CallbackId, IntegratorId, OrderId},
    integrator::HandoffEvent,
    stuck::{StuckKind, StuckLimits},
};

/// Inserts 1600 callbacks of sixteen integrators, nearly all of them applied.
async fn fill_callbacks(house: &TestDb) -> Vec<IntegratorId> {
    let now = house.clock.now();
    let integrators: Vec<IntegratorId> = (0..16).map(|_| house.chance.id(now)).collect();
    let mut tx = house.db.begin().await.unwrap();
    for n in 0..1600_usize {
        let id: CallbackId = house.chance.id(now);
        let order: OrderId = house.chance.id(now);
        let update: Update =
            serde_json::from_value(json!({"order_id": order, "status": "ready"})).unwrap();
        let new = NewCallback {
            id,
            integrator_id: integrators[n % 16],
            webhook_id: &id.to_string(),
            order_id: Some(order),
            update: &update,
            occurred_at: None,
            received_at: now,
        };
        callbacks::insert(&mut tx, new).await.unwrap();
        let result = match n {
            7 => CallbackResult::Parked,
            8 => CallbackResult::Unmatched,
            _ => CallbackResult::Applied,
        };
        let judged = callbacks::Judged {
            id,
            result,
            detail: None,
        };
        callbacks::record_results(&mut tx, &[judged], now)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    update_statistics(house, "ANALYZE TABLE callbacks")
        .await
        .unwrap();
    integrators
}

#[each_database(store)]
async fn handoffs_are_found_without_reading_them_all(house: TestDb) {
    let (store, integrator, order) = fill_handoffs(&house).await;
    let (stores, integrator, order) = (
        Some(vec![store]),
        Some(IntegratorId::from(integrator)),
        Some(OrderId::from(order)),
    );
    let any = HandoffFilter::default;
    let to_look_at: Vec<HandoffState> = vec![Failed, Held, Parked];
    let lately = Some(house.clock.now() - TimeDelta::hours(1));
    let filters = [
        any(),
        HandoffFilter {
            stores: stores.clone(),
            ..any()
        },
        HandoffFilter {
            stores: stores.clone(),
            states: to_look_at.clone(),
            ..any()
        },
        HandoffFilter {
            stores: stores.clone(),
            states: vec![Acknowledged],
            created_after: lately,
            ..any()
        },
        HandoffFilter {
            stores: stores.clone(),
            integrator,
            states: to_look_at.clone(),
            ..any()
        },
        HandoffFilter {
            stores: stores.clone(),
            order,
            ..any()
        },
        HandoffFilter {
            integrator,
            ..any()
        },
        HandoffFilter {
            integrator,
            states: to_look_at.clone(),
            reason: Some("refused".into()),
            ..any()
        },
        HandoffFilter { order, ..any() },
        HandoffFilter {
            order,
            states: vec![Failed],
            ..any()
        },
        HandoffFilter {
            states: to_look_at.clone(),
            ..any()
        },
        HandoffFilter {
            states: to_look_at,
            event: Some(HandoffEvent::OrderPlaced),
            created_before: lately,
            with_order: true,
            ..any()
        },
    ];
    let mut tx = house.db.read().await.unwrap();
    for filter in &filters {
        for page in [
            Page::NewestFirst { before: None },
            Page::OldestFirst { after: None },
        ] {
            for walk in handoffs::walks(filter) {
                let plan: Vec<Step> = handoffs::run_walk(&mut tx, filter, walk, page, 51)
                    .await
                    .unwrap();
                assert_no_full_scan(&format!("{filter:?} {walk:?} {page:?}"), &plan);
            }
        }
    }
}

#[each_database(store)]
async fn callbacks_are_found_without_reading_them_all(house: TestDb) {
    let now = house.clock.now();
    let integrators = fill_callbacks(&house).await;
    let any = CallbackFilter::default;
    let along = |integrator, result| Walk { integrator, result };
    let (first, parked) = (Some(integrators[0]), Some(Some(CallbackResult::Parked)));
    let walks = [
        (any(), along(None, None)),
        (
            CallbackFilter {
                received_after: Some(now),
                ..any()
            },
            along(None, None),
        ),
        (
            CallbackFilter {
                order: Some(house.chance.id(now)),
                ..any()
            },
            along(None, None),
        ),
        (
            CallbackFilter {
                order: Some(house.chance.id(now)),
                ..any()
            },
            along(None, parked),
        ),
        (
            CallbackFilter {
                stores: Some(vec![house.chance.id(now)]),
                ..any()
            },
            along(first, None),
        ),
    ];
    let mut tx = house.db.read().await.unwrap();
    for (filter, walk) in &walks {
        let plan: Vec<Step> = callbacks::list::run_walk(&mut tx, filter, *walk, None, 51)
            .await
            .unwrap();
        assert_no_full_scan(&format!("{filter:?} {walk:?}"), &plan);
    }
    for (integrator, index) in [
        (None, "callbacks_of_result"),
        (first, "callbacks_of_integrator_by_result"),
    ] {
        for result in [parked, Some(Some(CallbackResult::Illegal)), Some(None)] {
            let plan: Vec<Step> =
                callbacks::list::run_walk(&mut tx, &any(), along(integrator, result), None, 51)
                    .await
                    .unwrap();
            assert_no_full_scan(&format!("{integrator:?} {result:?}"), &plan);
            assert!(
                plan.iter().any(|step| step.uses(index)) && !plan.iter().any(Step::sorts),
                "{index}: {plan:?}"
            );
        }
    }
}

#[each_database(store)]
async fn callbacks_that_came_to_nothing_are_found_however_many_came_to_something(house: TestDb) {
    fill_callbacks(&house).await;
    let queries = stuck::stuck_queries(&StuckLimits::default(), house.clock.now());
    let mut tx = house.db.read().await.unwrap();
    let kinds = [StuckKind::CallbackParked, StuckKind::CallbackUnmatched];
    for query in queries.iter().filter(|query| kinds.contains(&query.kind())) {
        let plan: Vec<Step> = stuck::run_query(&mut tx, query, None, 200).await.unwrap();
        assert!(
            plan.iter().any(|step| step.uses("callbacks_by_result")),
            "{query:?}: {plan:?}"
        );
    }
}

#[each_database(store)]
async fn of_what_waits_for_the_broker_a_bounded_number_is_counted(house: TestDb) {
    let now = house.clock.now();
    let row = |_| OutboxRow {
        id: house.chance.id(now),
        announcement: Announcement::default(),
    };
    let mut rows: Vec<OutboxRow> = (0..outbox::MAX_COUNTED + 5).map(row).collect();
    rows.sort_by_key(|row| row.id);
    let mut tx = house.db.begin().await.unwrap();
    outbox::insert(&mut tx, &rows[1..], now, now).await.unwrap();
    tx.commit().await.unwrap();
    update_statistics(&house, "ANALYZE TABLE outbox")
        .await
        .unwrap();
    let queries = stuck::stuck_queries(&StuckLimits::default(), now);
    let late = queries
        .iter()
        .find(|query| query.kind() == StuckKind::OutboxLate)
        .unwrap();
    let mut tx = house.db.read().await.unwrap();
    let plan: Vec<Step> = stuck::run_query(&mut tx, late, None, 200).await.unwrap();
    assert!(plan.iter().any(|step| step.uses("outbox_due")), "{plan:?}");
    assert!(!plan.iter().any(Step::sorts), "{plan:?}");
    let counted = (outbox::MAX_COUNTED, Some(now));
    assert_eq!(outbox::backlog(&mut tx).await.unwrap(), counted);
    drop(tx);

    // One that was written before all others, and is parked, is the oldest but does not wait.
    let mut tx = house.db.begin().await.unwrap();
    let before = now - TimeDelta::hours(1);
    outbox::insert(&mut tx, &rows[..1], before, before)
        .await
        .unwrap();
    for _ in 0..5 {
        outbox::record_failure(&mut tx, rows[0].id, "damaged")
            .await
            .unwrap();
    }
    assert_eq!(outbox::backlog(&mut tx).await.unwrap(), counted);
    assert_eq!(
        outbox::oldest(&mut tx).await.unwrap(),
        Some((rows[0].id, before))
    );
    let ids: Vec<_> = rows[4..].iter().map(|row| row.id).collect();
    outbox::delete(&mut tx, &ids).await.unwrap();
    assert_eq!(outbox::backlog(&mut tx).await.unwrap(), (3, Some(now)));
    let hour_later = now + TimeDelta::hours(1);
    let queries = stuck::stuck_queries(&StuckLimits::default(), hour_later);
    let listed = stuck::stuck(&mut tx, &queries, None, 200).await.unwrap();
    let late = listed
        .iter()
        .find(|one| one.kind == StuckKind::OutboxLate)
        .unwrap();
    assert_eq!((late.said.as_deref(), late.since), (Some("3"), now));
    outbox::delete(&mut tx, &[rows[1].id, rows[2].id, rows[3].id])
        .await
        .unwrap();
    assert_eq!(outbox::backlog(&mut tx).await.unwrap(), (0, None));
    tx.rollback().await;
}

#[each_database(store)]
async fn what_stands_still_is_found_without_reading_all_there_is(house: TestDb) {
    let (store, ..) = fill_handoffs(&house).await;
    let queries = stuck::stuck_queries(&StuckLimits::default(), house.clock.now());
    let mut tx = house.db.read().await.unwrap();
    // Tables that are empty here are read in the cheapest way, so only handoffs are checked.
    for query in queries.iter().filter(|query| query.is_about_handoffs()) {
        for stores in [None, Some([store].as_slice())] {
            let plan: Vec<Step> = stuck::run_query(&mut tx, query, stores, 200).await.unwrap();
            let plan: Vec<Step> = plan
                .into_iter()
                .filter(|step| step.reads_table("h"))
                .collect();
            assert_no_full_scan(&format!("{query:?}"), &plan);
        }
    }
}

#[each_database(store)]
async fn retries_are_found_without_reading_them_all(house: TestDb) {
    let now = house.clock.now();
    let (store, account) = (house.chance.id(now), house.chance.id(now));
    let mut tx = house.db.begin().await.unwrap();
    for n in 0..500 {
        let new = retries::NewRetry {
            id: house.chance.id(now),
            by: if n % 50 == 0 {
                account
            } else {
                house.chance.id(now)
            },
            store: (n % 40 == 0).then_some(store),
            filter: &json!({}),
            started_at: now,
        };
        retries::insert(&mut tx, new).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = house.db.read().await.unwrap();
    let one = retries::Walk::One(house.chance.id(now));
    for walk in [
        retries::Walk::All,
        one,
        retries::Walk::OfStore(store),
        retries::Walk::By(account),
    ] {
        let plan: Vec<Step> = retries::run_walk(&mut tx, walk, None, 51).await.unwrap();
        assert_no_full_scan(&format!("{walk:?}"), &plan);
    }
}
