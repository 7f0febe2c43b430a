//! Callbacks of many orders that share a commit, on both databases: each counts as if its order were alone.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use each_database::each_database;
use futures_util::future::join_all;

use super::{MAX_CALLBACKS, Page, apply_in_one_transaction};
use crate::{
    Change,
    orders::lock,
    scene::{LEASE, STOCK, Scene, word},
    testing::{TEST_TIMEOUT, TestLedger},
};
use domain::{ids::OrderId, integrator::Integrator, order::Order, status::OrderStatus};
use store::testing::STATEMENTS;

/// Statements of a batch that accepts orders of sessions, with BEGIN and COMMIT.
const ACCEPTING: u64 = 13;
/// Statements of a batch that changes no handoff.
const MOVING: u64 = 12;
/// Maximum statements of a batch whose orders end: they give stock back, and integrators are told.
const MOST_ENDING: u64 = 20;

/// Creates orders, each of a session, that a kitchen has and will accept by callback.
async fn handed_over(scene: &Scene, orders: usize) -> (Integrator, Vec<Order>) {
    let (house, kitchen) = (&scene.house, scene.slow_kitchen().await);
    let mut placed = Vec::new();
    for n in 0..orders {
        let table = format!("Table {n}");
        let session = house.ledger.open_session(scene.store, &table).await;
        let session = session.unwrap();
        placed.push(house.place_guest_order(&session, scene.product).await);
    }
    let claims = house.ledger.claim_handoffs(kitchen.id, 64, LEASE).await;
    let claimed = claims.unwrap().claimed;
    assert_eq!(claimed.len(), orders);
    join_all(claimed.iter().map(|one| scene.answers(one, 200))).await;
    (kitchen, placed)
}

async fn say(scene: &Scene, kitchen: &Integrator, orders: &[Order], what: &str) {
    for order in orders {
        scene.send_callback(kitchen, word(order.id, what)).await;
    }
}

/// Applies the callbacks of these orders in one transaction; returns its number of statements.
async fn count_batch(scene: &Scene, orders: &[Order]) -> u64 {
    let ids: BTreeSet<OrderId> = orders.iter().map(|order| order.id).collect();
    let before = STATEMENTS.load(Ordering::Relaxed);
    let done = apply_in_one_transaction(&scene.house.ledger.inner, &ids).await;
    let counted = STATEMENTS.load(Ordering::Relaxed) - before;
    let all = Page {
        applied: 1,
        is_last: true,
    };
    let done = done.unwrap();
    assert_eq!(done.len(), orders.len());
    assert!(done.values().all(|page| *page == all), "{done:?}");
    counted
}

/// Awaits what must not wait for the held row.
async fn soon<T>(done: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(TEST_TIMEOUT, done).await;
    done.expect("it waits for nobody")
}

async fn assert_all(scene: &Scene, orders: &[Order], status: OrderStatus) {
    for order in orders {
        assert_eq!(scene.status(order.id).await, status);
    }
}

macro_rules! counts {
    ($($name:ident: $orders:literal;)+) => {$(
        #[each_database]
        async fn $name(house: TestLedger) {
            let scene = Scene::new(&house).await;
            let (kitchen, orders) = handed_over(&scene, $orders).await;
            for (what, status, expected) in [
                ("accepted", OrderStatus::Accepted, ACCEPTING),
                ("preparing", OrderStatus::Preparing, MOVING),
            ] {
                say(&scene, &kitchen, &orders, what).await;
                assert_eq!(count_batch(&scene, &orders).await, expected, "{what}");
                assert_all(&scene, &orders, status).await;
            }
            say(&scene, &kitchen, &orders, "cancelled").await;
            let counted = count_batch(&scene, &orders).await;
            assert!(counted <= MOST_ENDING, "cancelling has {counted} statements");
            assert_all(&scene, &orders, OrderStatus::Cancelled).await;
            assert_eq!(scene.stock().await, STOCK);
            scene.assert_audit_clean().await;
        }
    )+};
}

counts! {
    callbacks_of_one_order_have_a_fixed_number_of_statements: 1;
    callbacks_of_eight_orders_have_as_many_statements: 8;
    callbacks_of_a_full_batch_have_as_many_statements: 64;
}

#[each_database]
async fn callbacks_of_one_order_stay_in_order_and_who_asks_twice_has_applied_none(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let (kitchen, orders) = handed_over(&scene, 4).await;
    for what in ["accepted", "preparing", "ready", "burnt"] {
        say(&scene, &kitchen, &orders, what).await;
    }
    say(&scene, &kitchen, &orders[..1], "delivered").await;
    say(&scene, &kitchen, &orders[1..2], "cancelled").await;
    let asked = orders.iter().chain(&orders);
    let applied = join_all(asked.map(|order| house.ledger.apply_callbacks(order.id))).await;
    let applied: Vec<u32> = applied.into_iter().map(Result::unwrap).collect();
    assert_eq!(applied, [5, 5, 4, 4, 0, 0, 0, 0]);
    let (delivered, cancelled) = (OrderStatus::Delivered, OrderStatus::Cancelled);
    assert_all(&scene, &orders[..1], delivered).await;
    assert_all(&scene, &orders[1..2], cancelled).await;
    assert_all(&scene, &orders[2..], OrderStatus::Ready).await;
    for order in &orders {
        let events = house.ledger.events_after(order.stream(), 0, 100).await;
        let events = events.unwrap();
        let of_order = events.iter().filter(|event| event.order_id.is_some());
        let told: Vec<&str> = of_order
            .filter_map(|event| event.data["order"]["status"].as_str())
            .collect();
        let way = ["pending", "processing", "accepted", "preparing", "ready"];
        assert_eq!(told[..5], way);
    }
    assert_eq!(scene.stock().await, STOCK - 3);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_that_somebody_holds_is_left_out_and_gets_its_turn_alone(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, orders) = handed_over(&scene, 3).await;
    say(&scene, &kitchen, &orders, "accepted").await;
    let mut elsewhere = Change::begin(&house.ledger.inner).await.unwrap();
    lock(&mut elsewhere, orders[1].id).await.unwrap();
    // SQLite has a single writer, for which everybody waits.
    if elsewhere.tx.pick("mysql", "sqlite") == "mysql" {
        let ids: BTreeSet<OrderId> = orders.iter().map(|order| order.id).collect();
        let done = apply_in_one_transaction(&house.ledger.inner, &ids).await;
        let done: Vec<OrderId> = done.unwrap().into_keys().collect();
        let mut free = [orders[0].id, orders[2].id];
        free.sort_unstable();
        assert_eq!(done, free);
    }
    let applying = scene.apply_callbacks(orders[1].id);
    let (applied, ()) = tokio::join!(applying, elsewhere.rollback());
    assert_eq!(applied, 1);
    for order in &orders {
        scene.apply_callbacks(order.id).await;
    }
    assert_all(&scene, &orders, OrderStatus::Accepted).await;
    scene.assert_audit_clean().await;
}

#[each_database(mysql)]
async fn a_handoff_or_stock_that_somebody_holds_delays_only_its_own_order(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, orders) = handed_over(&scene, 3).await;
    let handoff = scene.handoffs(orders[1].id).await[0].id;
    let mut elsewhere = house.db.begin().await.unwrap();
    store::handoffs::lock(&mut elsewhere, handoff)
        .await
        .unwrap()
        .unwrap();
    say(&scene, &kitchen, &orders, "accepted").await;
    let apply = |order: OrderId| {
        let ledger = house.ledger.clone();
        tokio::spawn(async move { ledger.apply_callbacks(order).await })
    };
    let mut applying: Vec<_> = orders.iter().map(|order| apply(order.id)).collect();
    let held = applying.remove(1);
    for one in applying {
        assert_eq!(soon(one).await.unwrap().unwrap(), 1);
    }
    elsewhere.rollback().await;
    let _ = soon(held).await;
    scene.apply_callbacks(orders[1].id).await;
    assert_all(&scene, &orders, OrderStatus::Accepted).await;

    let mut elsewhere = house.db.begin().await.unwrap();
    let held = store::stock::lock(&mut elsewhere, &[scene.product]).await;
    assert_eq!(held.unwrap().len(), 1);
    say(&scene, &kitchen, &orders[..1], "cancelled").await;
    say(&scene, &kitchen, &orders[1..], "preparing").await;
    let applying: Vec<_> = orders.iter().map(|order| apply(order.id)).collect();
    let mut applying = applying.into_iter();
    let cancelled = applying.next().unwrap();
    for one in applying {
        assert_eq!(soon(one).await.unwrap().unwrap(), 1);
    }
    elsewhere.rollback().await;
    let _ = soon(cancelled).await;
    scene.apply_callbacks(orders[0].id).await;
    assert_all(&scene, &orders[..1], OrderStatus::Cancelled).await;
    assert_all(&scene, &orders[1..], OrderStatus::Preparing).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_that_cannot_be_read_fails_only_its_own_callbacks(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, orders) = handed_over(&scene, 3).await;
    say(&scene, &kitchen, &orders, "accepted").await;
    assert_eq!(orders[0].number, Some(1));
    scene
        .damage("UPDATE orders SET fulfilment = 'by owl' WHERE number = 1")
        .await;
    let ids = orders.iter().map(|order| order.id);
    let applied = join_all(ids.map(|id| house.ledger.apply_callbacks(id))).await;
    assert!(applied[0].is_err(), "{applied:?}");
    assert!(applied[1..].iter().all(|one| matches!(one, Ok(1))));
    scene
        .damage("UPDATE orders SET fulfilment = 'pickup' WHERE number = 1")
        .await;
    assert_eq!(scene.apply_callbacks(orders[0].id).await, 1);
    assert_all(&scene, &orders, OrderStatus::Accepted).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_with_more_callbacks_than_a_batch_reads_goes_on_alone(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (kitchen, orders) = handed_over(&scene, 2).await;
    for _ in 0..MAX_CALLBACKS {
        say(&scene, &kitchen, &orders[..1], "accepted").await;
    }
    say(&scene, &kitchen, &orders, "preparing").await;
    let ids = orders.iter().map(|order| order.id);
    let applied = join_all(ids.map(|id| house.ledger.apply_callbacks(id))).await;
    let applied: Vec<u32> = applied.into_iter().map(Result::unwrap).collect();
    let of_first = u32::try_from(MAX_CALLBACKS).unwrap() + 1;
    assert_eq!(applied, [of_first, 1]);
    assert_all(&scene, &orders, OrderStatus::Preparing).await;
    assert_eq!(scene.stock().await, STOCK - 2);
    scene.assert_audit_clean().await;
}
