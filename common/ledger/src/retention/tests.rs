//! Retention: what has ended goes, what is open stays, and everything still adds up.

mod archived;
mod streams;
mod stripped;

use std::time::Duration;

use each_database::each_database;

use super::*;
use crate::{
    scene::{Scene, numbered},
    testing::TestLedger,
};
use domain::{
    order::Customer,
    retention::Limits,
    status::OrderStatus::{Cancelled, Delivered, Failed, Pending, Ready, Rejected},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Limits of so many days for orders, with small batches.
fn orders_after(days: i64) -> Limits {
    Limits {
        orders: Some(TimeDelta::days(days)),
        batch: 2,
        ..Limits::default()
    }
}

/// Orders that have ended in different ways, and others that are open.
struct Past {
    scene: Scene,
    ended: Vec<OrderId>,
    open: Vec<OrderId>,
}

impl Past {
    async fn new(house: &TestLedger) -> Self {
        let scene = Scene::new(house).await;
        let kitchen = scene.kitchen().await;
        let delivered = order_with_contact(&scene).await;
        let claimed = scene.claim(&kitchen).await;
        scene.answers(&claimed, 503).await;
        scene.advance_until_due(claimed.handoff.id).await;
        let again = scene.claim(&kitchen).await;
        scene.answers(&again, 200).await;
        let says = |word: &str, sequence| numbered(delivered, word, sequence);
        scene.says(&kitchen, delivered, says("preparing", 1)).await;
        scene.says(&kitchen, delivered, says("ready", 2)).await;
        scene.staff_move(delivered, Delivered).await;

        let failed = order_with_contact(&scene).await;
        let claimed = scene.claim(&kitchen).await;
        scene.answers(&claimed, 422).await;
        assert_eq!(scene.status(failed).await, Failed);

        let cancelled = order_with_contact(&scene).await;
        let claimed = scene.claim(&kitchen).await;
        scene.answers(&claimed, 200).await;
        scene.staff_move(cancelled, Cancelled).await;
        let told = scene.claim(&kitchen).await;
        scene.answers(&told, 200).await;

        let accepted = order_with_contact(&scene).await;
        let claimed = scene.claim(&kitchen).await;
        scene.answers(&claimed, 200).await;
        // The kitchen is never told that this one was cancelled.
        let untold = order_with_contact(&scene).await;
        let claimed = scene.claim(&kitchen).await;
        scene.answers(&claimed, 200).await;
        scene.staff_move(untold, Cancelled).await;
        let pending = order_with_contact(&scene).await;
        assert_eq!(scene.status(pending).await, Pending);
        let past = Self {
            scene,
            ended: vec![delivered, failed, cancelled],
            open: vec![accepted, untold, pending],
        };
        past.tally().await;
        past
    }

    fn ledger(&self, limits: Limits) -> Ledger {
        self.scene.house.ledger_with_retention(limits)
    }

    fn pass(&self, days: u32) {
        self.scene.house.clock.advance(DAY * days);
    }

    /// Adds old orders to the sums, as each sweep does before retention.
    async fn tally(&self) {
        let later = self.scene.house.clock.now() + TimeDelta::hours(2);
        self.scene.house.clock.set(later);
        let tallied = self.scene.house.ledger.tally_orders(None, 10).await;
        assert!(tallied.unwrap().orders > 0);
    }

    async fn exists(&self, order: OrderId) -> bool {
        let order = self.scene.house.ledger.order(order).await.unwrap();
        order.is_some()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let mut tx = self.scene.house.db.read().await.unwrap();
        store::testing::count(&mut tx, sql).await.unwrap()
    }
}

async fn order_with_contact(scene: &Scene) -> OrderId {
    // Its id is after that of the last one.
    scene.house.clock.advance(Duration::from_secs(1));
    let order = scene.order_with(|order| {
        order.customer = Customer {
            name: Some("Ada Lovelace".into()),
            phone: Some("+44 20 7946 0000".into()),
            address: Some("12 St James's Square".into()),
            ..Customer::default()
        };
        order.user_note = Some("ring twice, Ada sleeps".into());
        order.lines[0].note = Some("for Ada".into());
    });
    order.await.id
}

/// Removes batch after batch, each of them with a clean audit, until nothing more is to be removed.
async fn retain_all(past: &Past, ledger: &Ledger) -> Retained {
    let mut all = Retained::default();
    for _ in 0..50 {
        let batch = ledger.retain().await.unwrap();
        past.scene.assert_audit_clean().await;
        assert!(batch.orders <= 2, "{batch:?}");
        all.add(&batch);
        if !batch.is_behind {
            all.is_behind = false;
            return all;
        }
    }
    panic!("it never ends: {all:?}");
}

#[each_database]
async fn what_has_ended_goes_in_batches_with_all_of_it_and_the_sums_stay(house: TestLedger) {
    let past = Past::new(&house).await;
    let scene = &past.scene;
    let ledger = past.ledger(orders_after(30));
    past.pass(29);
    assert_eq!(retain_all(&past, &ledger).await, Retained::default());
    past.pass(3);
    let (stats, stock) = (house.ledger.stats(None).await.unwrap(), scene.stock().await);
    let gone = retain_all(&past, &ledger).await;
    assert_eq!(gone.orders, 3, "{gone:?}");
    assert!(gone.events >= 9, "{gone:?}");
    for order in &past.ended {
        assert!(!past.exists(*order).await);
        assert!(scene.handoffs(*order).await.is_empty());
        let events = house.ledger.order_events(*order, 0).await.unwrap();
        assert!(events.is_empty());
    }
    for order in &past.open {
        assert!(
            past.exists(*order).await,
            "{order} is open, or its kitchen is not told"
        );
        assert!(!scene.handoffs(*order).await.is_empty());
    }
    for (table, rows) in [
        ("SELECT COUNT(*) FROM orders", 3),
        ("SELECT COUNT(*) FROM order_items", 3),
        ("SELECT COUNT(*) FROM callbacks", 0),
        ("SELECT COUNT(*) FROM attempts", 2),
    ] {
        assert_eq!(past.count(table).await, rows, "{table}");
    }
    assert_eq!(house.ledger.stats(None).await.unwrap(), stats);
    assert_eq!(scene.stock().await, stock);
    let next = scene.order().await;
    assert_eq!(next.number, Some(7), "numbers go on");
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_that_ends_long_after_the_walk_has_passed_it_goes_too(house: TestLedger) {
    let past = Past::new(&house).await;
    let ledger = past.ledger(orders_after(30));
    past.pass(32);
    assert_eq!(retain_all(&past, &ledger).await.orders, 3);
    let [accepted, untold, pending] = past.open[..] else {
        panic!("there are three");
    };
    past.scene.staff_move(accepted, Ready).await;
    past.scene.staff_move(accepted, Delivered).await;
    past.pass(29);
    assert_eq!(retain_all(&past, &ledger).await, Retained::default());
    assert!(past.exists(accepted).await);
    past.pass(2);
    assert_eq!(retain_all(&past, &ledger).await.orders, 1);
    assert!(!past.exists(accepted).await);
    // The last open message is given up, and the order has nothing open any more.
    let failed = house.ledger.fail_overdue_handoffs(10).await.unwrap();
    assert!(failed > 0);
    past.pass(2);
    retain_all(&past, &ledger).await;
    assert!(!past.exists(untold).await);
    assert!(past.exists(pending).await, "it ended two days ago");
}

#[each_database]
async fn an_order_that_is_in_no_sum_yet_stays_until_it_is(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let order = scene.order().await.id;
    scene.staff_move(order, Rejected).await;
    let past = Past {
        scene,
        ended: vec![order],
        open: Vec::new(),
    };
    let ledger = past.ledger(orders_after(1));
    past.pass(5);
    let stats = house.ledger.stats(None).await.unwrap();
    assert_eq!(retain_all(&past, &ledger).await.orders, 0);
    past.tally().await;
    past.pass(1);
    assert_eq!(retain_all(&past, &ledger).await.orders, 1);
    assert_eq!(house.ledger.stats(None).await.unwrap(), stats);
}

#[each_database]
async fn a_process_that_dies_in_a_batch_has_changed_nothing(house: TestLedger) {
    let past = Past::new(&house).await;
    past.pass(32);
    let mut tx = house.db.begin().await.unwrap();
    let now = house.clock.now();
    let walk = store::retention::take_walk(&mut tx, Kind::Orders, now).await;
    assert!(walk.unwrap().is_some());
    store::retention::delete_orders(&mut tx, &past.ended)
        .await
        .unwrap();
    tx.rollback().await;
    past.scene.assert_audit_clean().await;
    assert!(past.exists(past.ended[0]).await);
    let ledger = past.ledger(orders_after(30));
    assert_eq!(retain_all(&past, &ledger).await.orders, 3);
}

#[each_database]
async fn two_processes_at_once_delete_each_order_once(house: TestLedger) {
    let past = Past::new(&house).await;
    past.pass(32);
    let (one, other) = (past.ledger(orders_after(30)), past.ledger(orders_after(30)));
    let mut gone = 0;
    for _ in 0..20 {
        let (here, there) = tokio::join!(one.retain(), other.retain());
        gone += here.unwrap().orders + there.unwrap().orders;
    }
    assert_eq!(gone, 3);
    past.scene.assert_audit_clean().await;
}

#[each_database]
async fn without_limits_everything_stays(house: TestLedger) {
    let past = Past::new(&house).await;
    past.pass(4000);
    let limits = Limits {
        batch: 64,
        ..Limits::default()
    };
    let retained = past.ledger(limits).retain().await.unwrap();
    assert_eq!(retained, Retained::default());
    assert_eq!(past.count("SELECT COUNT(*) FROM orders").await, 6);
}
