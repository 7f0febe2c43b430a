//! Tests that a row that somebody holds for long stops nobody else: a console holds it here, or a process that vanished.

use std::time::Duration;

use each_database::each_database;
use store::Tx;

use crate::{
    scene::{LEASE, Scene, word},
    sweep::{Part, Walk},
    testing::{TEST_TIMEOUT, TestLedger, fixtures::guest_order},
};
use domain::{
    handoff::HandoffState,
    ids::{HandoffId, OrderId, ProductId, SessionId, StoreId},
    order::Order,
    status::OrderStatus,
};

/// A row that a console locks.
#[derive(Clone, Copy, Debug)]
enum Row {
    Session(SessionId),
    Counter(StoreId),
    Order(OrderId),
    Handoff(HandoffId),
    Stock(ProductId),
}

/// Locks the rows in a transaction that stays open. SQLite has one writer, so that nobody can hold a row beside others.
async fn hold(house: &TestLedger, rows: &[Row]) -> Tx {
    let mut tx = house.db.begin().await.unwrap();
    assert!(matches!(tx, Tx::MySql(..)));
    for row in rows {
        match *row {
            Row::Session(id) => drop(store::sessions::lock(&mut tx, id).await.unwrap().unwrap()),
            Row::Counter(id) => {
                store::stores::lock_counters(&mut tx, id)
                    .await
                    .unwrap()
                    .unwrap();
            }
            Row::Order(id) => drop(store::orders::lock(&mut tx, id).await.unwrap().unwrap()),
            Row::Handoff(id) => drop(store::handoffs::lock(&mut tx, id).await.unwrap().unwrap()),
            Row::Stock(id) => {
                assert_eq!(store::stock::lock(&mut tx, &[id]).await.unwrap().len(), 1)
            }
        }
    }
    tx
}

/// Awaits what must not wait for the held row.
async fn soon<T>(done: impl Future<Output = T>) -> T {
    tokio::time::timeout(TEST_TIMEOUT, done)
        .await
        .expect("it waits for nobody")
}

async fn orders(scene: &Scene, many: usize) -> Vec<Order> {
    let mut orders = Vec::with_capacity(many);
    for _ in 0..many {
        orders.push(scene.order().await);
    }
    orders
}

#[each_database(mysql)]
async fn whatever_row_of_a_store_is_held_the_orders_of_others_go_on(house: TestLedger) {
    let (scene, other) = (Scene::new(&house).await, Scene::new(&house).await);
    let table = house.ledger.open_session(scene.store, "Table 1").await;
    let table = table.unwrap();
    for row in [
        Row::Session(table.id),
        Row::Counter(scene.store),
        Row::Stock(scene.product),
    ] {
        let holder = hold(&house, &[row]).await;
        let waiting: Vec<_> = (0..6)
            .map(|_| {
                let (ledger, order) = (house.ledger.clone(), guest_order(&table, scene.product));
                tokio::spawn(async move { ledger.place_order(order).await })
            })
            .collect();
        soon(orders(&other, 10)).await;
        assert!(waiting.iter().all(|one| !one.is_finished()), "{row:?}");
        holder.rollback().await;
        for placed in waiting {
            soon(placed).await.unwrap().unwrap();
        }
    }
    other.assert_audit_clean().await;
}

#[each_database(mysql)]
async fn held_stock_of_two_products_stops_no_order_of_a_third(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let counted = || house.create_product_with(scene.store, |new| new.stock = Some(9));
    let held = [counted().await, counted().await];
    let table = house.ledger.open_session(scene.store, "Table 1").await;
    let table = table.unwrap();
    let holder = hold(&house, &held.map(Row::Stock)).await;
    let waiting: Vec<_> = held
        .iter()
        .cycle()
        .take(6)
        .map(|product| {
            let (ledger, order) = (house.ledger.clone(), guest_order(&table, *product));
            tokio::spawn(async move { ledger.place_order(order).await })
        })
        .collect();
    soon(orders(&scene, 10)).await;
    assert!(waiting.iter().all(|one| !one.is_finished()));
    holder.rollback().await;
    for placed in waiting {
        soon(placed).await.unwrap().unwrap();
    }
    scene.assert_audit_clean().await;
}

#[each_database(mysql)]
async fn a_claim_goes_past_the_handoffs_that_others_hold(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let table = house.ledger.open_session(scene.store, "Table 1").await;
    let table = table.unwrap();
    for _ in 0..4 {
        house.place_guest_order(&table, scene.product).await;
    }
    let placed = orders(&scene, 8).await;
    let handoff = scene.handoffs(placed[1].id).await[0].id;
    let held = [
        Row::Session(table.id),
        Row::Order(placed[0].id),
        Row::Handoff(handoff),
    ];
    let holder = hold(&house, &held).await;
    for due_first in [&placed[2..4], &placed[4..6]] {
        let claims = soon(house.ledger.claim_handoffs(kitchen.id, 2, LEASE)).await;
        let claims = claims.unwrap();
        let claimed: Vec<_> = claims
            .claimed
            .iter()
            .map(|one| one.handoff.order_id)
            .collect();
        let expected: Vec<_> = due_first.iter().map(|order| Some(order.id)).collect();
        assert_eq!(claimed, expected);
        assert!(claims.retry_soon);
    }
    // The probe of an open breaker is a free one too.
    scene
        .damage(
            "UPDATE integrators SET breaker_state = 'open', breaker_until = created_at, breaker_openings = 1, \
             failures_in_a_row = 5, failing_since = created_at",
        )
        .await;
    let probe = soon(scene.claim(&kitchen)).await;
    assert_eq!(probe.handoff.order_id, Some(placed[6].id));
    holder.rollback().await;
    scene.answers(&probe, 202).await;
    assert_eq!(scene.claims(&kitchen).await.claimed.len(), 7);
    scene.assert_audit_clean().await;
}

#[each_database(mysql)]
async fn the_outcomes_of_a_held_session_use_up_no_connections(house: TestLedger) {
    let (scene, other) = (Scene::new(&house).await, Scene::new(&house).await);
    let kitchen = scene.slow_kitchen().await;
    let table = house.ledger.open_session(scene.store, "Table 1").await;
    let table = table.unwrap();
    // More than there are connections.
    for _ in 0..12 {
        house.place_guest_order(&table, scene.product).await;
    }
    let claims = house.ledger.claim_handoffs(kitchen.id, 12, LEASE).await;
    let claimed = claims.unwrap().claimed;
    assert_eq!(claimed.len(), 12);
    let holder = hold(&house, &[Row::Session(table.id)]).await;
    let concluding: Vec<_> = claimed
        .into_iter()
        .map(|one| {
            let ledger = house.ledger.clone();
            tokio::spawn(async move {
                let heard = domain::handoff::SendResult::Answer {
                    status: 202,
                    retry_after: None,
                };
                ledger.conclude_attempt(&one, &heard, None, false).await
            })
        })
        .collect();
    soon(orders(&other, 10)).await;
    assert!(concluding.iter().all(|one| !one.is_finished()));
    holder.rollback().await;
    for concluded in concluding {
        soon(concluded).await.unwrap().unwrap();
    }
    other.assert_audit_clean().await;
}

#[each_database(mysql)]
async fn a_sweep_goes_past_the_orders_that_others_hold(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.slow_kitchen().await;
    let table = house.ledger.open_session(scene.store, "Table 1").await;
    let table = table.unwrap();
    for _ in 0..3 {
        house.place_guest_order(&table, scene.product).await;
    }
    let placed = orders(&scene, 9).await;
    house.clock.advance(Duration::from_secs(601));
    let held = [
        Row::Session(table.id),
        Row::Order(placed[0].id),
        Row::Order(placed[1].id),
    ];
    let holder = hold(&house, &held).await;
    // More are held than one page has.
    assert_eq!(soon(house.ledger.end_overdue_orders(4)).await.unwrap(), 4);
    assert_eq!(soon(house.ledger.end_overdue_orders(4)).await.unwrap(), 3);
    assert_eq!(soon(house.ledger.end_overdue_orders(4)).await.unwrap(), 0);
    for order in &placed[2..] {
        assert!(scene.status(order.id).await.is_final());
    }
    holder.rollback().await;
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 5);
    scene.assert_audit_clean().await;
}

#[each_database(mysql)]
async fn a_sweep_goes_past_the_handoffs_that_others_hold(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    orders(&scene, 5).await;
    let claimed = scene.claims(&kitchen).await.claimed;
    house.clock.advance(LEASE + Duration::from_secs(1));
    let order = claimed[1].handoff.order_id.unwrap();
    let held = [Row::Order(order), Row::Handoff(claimed[0].handoff.id)];
    let holder = hold(&house, &held).await;
    assert_eq!(soon(house.ledger.free_expired_leases(10)).await.unwrap(), 3);
    holder.rollback().await;
    assert_eq!(house.ledger.free_expired_leases(10).await.unwrap(), 2);

    // Nobody claims them any more, and their deadline passes.
    scene.disable(kitchen.id).await;
    house.clock.advance(Duration::from_secs(601));
    let holder = hold(&house, &held).await;
    assert_eq!(
        soon(house.ledger.fail_overdue_handoffs(10)).await.unwrap(),
        3
    );
    holder.rollback().await;
    assert_eq!(house.ledger.fail_overdue_handoffs(10).await.unwrap(), 2);
    scene.assert_audit_clean().await;
}

#[each_database(mysql)]
async fn callbacks_are_applied_past_the_orders_that_others_hold(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let placed = orders(&scene, 4).await;
    for claimed in scene.claims(&kitchen).await.claimed {
        scene.answers(&claimed, 202).await;
    }
    for order in &placed {
        scene
            .send_callback(&kitchen, word(order.id, "accepted"))
            .await;
    }
    let held = [Row::Order(placed[0].id)];
    let holder = hold(&house, &held).await;
    assert!(
        soon(house.ledger.try_apply_callbacks(placed[0].id))
            .await
            .unwrap_err()
            .is_held()
    );
    let applied = soon(house.ledger.apply_leftover_callbacks(10)).await;
    assert_eq!(applied.unwrap(), 3);
    holder.rollback().await;
    assert_eq!(house.ledger.apply_leftover_callbacks(10).await.unwrap(), 1);
    for order in &placed {
        assert_eq!(scene.status(order.id).await, OrderStatus::Accepted);
    }
    scene.assert_audit_clean().await;
}

#[each_database(mysql)]
async fn integrators_are_disabled_past_the_stores_that_others_hold(house: TestLedger) {
    let (scene, other) = (Scene::new(&house).await, Scene::new(&house).await);
    let (kitchen, others) = (scene.kitchen().await, other.kitchen().await);
    scene
        .damage("UPDATE integrators SET given_up_because = 'failing'")
        .await;
    let holder = hold(&house, &[Row::Counter(scene.store)]).await;
    let disabled = soon(house.ledger.disable_failing_integrators(10)).await;
    assert_eq!(disabled.unwrap(), 1);
    let read = |id| house.ledger.integrator(id);
    assert!(!read(others.id).await.unwrap().unwrap().enabled);
    assert!(read(kitchen.id).await.unwrap().unwrap().enabled);
    holder.rollback().await;
    let disabled = house.ledger.disable_failing_integrators(10).await;
    assert_eq!(disabled.unwrap(), 1);
}

#[each_database(mysql)]
async fn handoffs_are_withdrawn_past_those_that_others_hold(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.slow_kitchen().await;
    let placed = orders(&scene, 4).await;
    let archived = house.ledger.archive_integrator(kitchen.id, None);
    archived.await.unwrap();
    let holder = hold(&house, &[Row::Order(placed[0].id)]).await;
    let withdrawn = soon(house.ledger.withdraw_from_archived(2)).await;
    assert_eq!(withdrawn.unwrap(), 2);
    let withdrawn = soon(house.ledger.withdraw_from_archived(2)).await;
    assert_eq!(withdrawn.unwrap(), 1);
    holder.rollback().await;
    assert_eq!(house.ledger.withdraw_from_archived(2).await.unwrap(), 1);
    assert_eq!(
        scene.handoffs(placed[0].id).await[0].state,
        HandoffState::Withdrawn
    );
}

#[each_database]
async fn workers_share_what_is_to_be_swept_and_nothing_is_left(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.slow_kitchen().await;
    let placed = orders(&scene, 24).await;
    house.clock.advance(Duration::from_secs(601));
    let mut ended = Vec::new();
    for rank in 0..3 {
        let part = Part { rank, of: 3 };
        let walk = Walk { part, limit: 5 };
        let mine = placed.iter().filter(|order| part.has(order.id.uuid()));
        let mine = u32::try_from(mine.count()).unwrap();
        let mut of_this_one = 0;
        // Past what is not its own, and no more at a time than its limit.
        loop {
            let more = house.ledger.end_overdue_orders(walk).await.unwrap();
            assert!(more <= 5);
            of_this_one += more;
            if more == 0 {
                break;
            }
        }
        assert_eq!(of_this_one, mine);
        ended.push(of_this_one);
    }
    assert_eq!(ended.iter().sum::<u32>(), 24);
    scene.assert_audit_clean().await;
}
