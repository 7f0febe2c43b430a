//! The audit on both databases: it finds nothing in the ledger's own data, and each rule finds a violation of it.

use crate::{
    scene::{Scene, numbered},
    testing::TestLedger,
};
use domain::status::OrderStatus;
use each_database::each_database;

/// Rules, each with a statement that breaks it.
const DAMAGES: &[(&str, &str)] = &[
    (
        "a stream's numbers begin at 1 and have no gaps",
        "DELETE FROM events WHERE seq = 2",
    ),
    (
        "a session's counter is the number of its events",
        "INSERT INTO sessions (id, store_id, code, name, state, opened_at, last_seq) \
         SELECT id, store_id, x'63', 'n', 'OPEN', created_at, 7 FROM products",
    ),
    (
        "an order's counter is the number of its own stream's events",
        "UPDATE orders SET last_seq = last_seq + 1 WHERE number = 1",
    ),
    (
        "a store's counter is the number of its own stream's events",
        "UPDATE store_counters SET last_seq = last_seq + 1",
    ),
    (
        "stock equals what was put in minus what orders hold",
        "UPDATE stock SET quantity = quantity + 1",
    ),
    (
        "an order holds its stock from placement until it is called off",
        "UPDATE orders SET stock_held = FALSE WHERE status = 'ready'",
    ),
    (
        "an order holds its stock from placement until it is called off",
        "UPDATE orders SET stock_held = TRUE WHERE status = 'cancelled'",
    ),
    (
        "a slot is held by placed orders, and by none that was called off before its time",
        "INSERT INTO slot_holds (store_id, ready_at, order_id, fulfilment, items, weight) \
         SELECT store_id, '2100-01-01 00:00:00', id, fulfilment, 3, 3 FROM orders WHERE status = 'cancelled'",
    ),
    (
        "an order holds as much of its store's capacity as it has items",
        "INSERT INTO slot_holds (store_id, ready_at, order_id, fulfilment, items, weight) \
         SELECT store_id, '2100-01-01 00:00:00', id, fulfilment, 4, 3 FROM orders WHERE status = 'ready'",
    ),
    (
        "an order's total is the sum of its items",
        "UPDATE order_items SET quantity = quantity + 1",
    ),
    (
        "a store's order numbers begin at 1 and have no gaps",
        "UPDATE orders SET number = 9 WHERE number = 2",
    ),
    (
        "a store's order numbers begin at 1 and have no gaps",
        "UPDATE store_counters SET last_number = 9",
    ),
    (
        "a placed order has a number, and an order that waits for acceptance has an accept_by",
        "UPDATE orders SET accept_by = NULL WHERE status = 'processing'",
    ),
    (
        "an order is marked as tallied if and only if its store's tally covers it",
        "UPDATE orders SET tallied = TRUE WHERE number = 1",
    ),
    (
        "a store's tally is the count of its marked orders",
        "INSERT INTO order_tallies SELECT store_id, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM store_counters",
    ),
    (
        "a draft has no number, handoffs or events",
        "UPDATE orders SET status = 'draft' WHERE status = 'ready'",
    ),
    (
        "what retention deleted left nothing behind",
        "UPDATE callbacks SET order_id = id",
    ),
    (
        "every item belongs to an order",
        "DELETE FROM orders WHERE status = 'ready'",
    ),
    (
        "an order has an end time if and only if its status is final",
        "UPDATE orders SET ended_at = NULL WHERE status = 'failed'",
    ),
    (
        "an order has an end time if and only if its status is final",
        "UPDATE orders SET ended_at = created_at WHERE status = 'ready'",
    ),
    (
        "an ended order has no order.placed or order.dispatched left to send",
        "UPDATE handoffs SET state = 'due', closed_at = NULL WHERE event = 'order.placed' AND state = 'failed'",
    ),
    (
        "integrators that may have received a called-off order are told so",
        "DELETE FROM handoffs WHERE event = 'order.cancelled'",
    ),
    (
        "a handoff has a closing time if and only if its state is closed",
        "UPDATE handoffs SET closed_at = NULL WHERE state = 'acknowledged'",
    ),
    (
        "a round has at most max_attempts counted attempts, numbered from 1 without gaps",
        "UPDATE handoffs SET max_attempts = 1",
    ),
    (
        "a round has at most max_attempts counted attempts, numbered from 1 without gaps",
        "UPDATE attempts SET n = 3 WHERE n = 2",
    ),
    (
        "a handoff counts the attempts of its round",
        "UPDATE handoffs SET attempts = attempts + 1 WHERE state = 'acknowledged'",
    ),
    (
        "a handoff counts the attempts of its round",
        "UPDATE handoffs SET uncounted = 1 WHERE state = 'acknowledged'",
    ),
    (
        "an attempt that does not count was answered with a 429 or a 503",
        "UPDATE attempts SET counted = FALSE WHERE outcome = 'acknowledged'",
    ),
    (
        "a further attempt follows only one that may not have arrived",
        "UPDATE attempts SET outcome = 'acknowledged' WHERE n = 1 AND outcome = 'retry'",
    ),
    (
        "a further attempt follows only one that may not have arrived",
        "UPDATE attempts SET outcome = 'refused' WHERE n = 1 AND outcome = 'retry'",
    ),
    (
        "an attempt without an outcome is covered by its handoff's lease",
        "UPDATE attempts SET outcome = NULL WHERE outcome = 'acknowledged'",
    ),
    (
        "a handoff being sent has a lease, a body and an open attempt",
        "UPDATE handoffs SET leased_until = NULL WHERE state = 'sending'",
    ),
    (
        "a handoff being sent has a lease, a body and an open attempt",
        "UPDATE handoffs SET body = NULL WHERE state = 'sending'",
    ),
    (
        "no order for later is handed over before its time",
        "UPDATE orders SET hand_over_at = (SELECT MAX(deadline) FROM handoffs)",
    ),
    (
        "an acknowledged handoff was acknowledged by a response or a callback",
        "UPDATE handoffs SET state = 'acknowledged' WHERE state = 'failed'",
    ),
    (
        "the handoffs of one order to one integrator are sent one after the other",
        "UPDATE handoffs SET state = 'held' WHERE event = 'order.placed' AND state = 'acknowledged'",
    ),
    (
        "a callback has a result if and only if it was applied",
        "UPDATE callbacks SET result = NULL WHERE result = 'applied'",
    ),
    (
        "a callback that counted concerns an order that its integrator was handed",
        "UPDATE callbacks SET integrator_id = id",
    ),
    (
        "callbacks that counted have ascending sequences",
        "UPDATE callbacks SET sequence = 5, result = 'applied'",
    ),
];

/// Creates orders in many states: accepted by a retry, failed, cancelled after receipt, on the wire, moved by
/// callbacks.
async fn a_day(house: &TestLedger) -> Scene {
    let scene = Scene::new(house).await;
    let kitchen = scene.kitchen().await;
    let ready = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 503).await;
    scene.advance_until_due(claimed.handoff.id).await;
    let again = scene.claim(&kitchen).await;
    scene.answers(&again, 200).await;
    scene
        .says(&kitchen, ready, numbered(ready, "preparing", 1))
        .await;
    scene
        .says(&kitchen, ready, numbered(ready, "ready", 2))
        .await;
    assert_eq!(scene.status(ready).await, OrderStatus::Ready);

    let refused = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 422).await;
    assert_eq!(scene.status(refused).await, OrderStatus::Failed);

    let cancelled = scene.order().await.id;
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    scene.staff_move(cancelled, OrderStatus::Cancelled).await;
    let told = scene.claim(&kitchen).await;
    scene.answers(&told, 200).await;

    scene.order().await;
    scene.claim(&kitchen).await;
    scene
}

#[each_database]
async fn nothing_is_found_in_what_the_ledger_wrote(house: TestLedger) {
    a_day(&house).await.assert_audit_clean().await;
}

#[each_database]
async fn each_rule_finds_what_breaks_it(house: TestLedger) {
    let scene = a_day(&house).await;
    for (rule, damage) in DAMAGES {
        let mut tx = scene.house.db.begin().await.unwrap();
        assert!(
            store::testing::run(&mut tx, damage).await.unwrap() > 0,
            "{damage} hits nothing"
        );
        let broken = store::audit::rules().find(|one| one.name == *rule).unwrap();
        let found = broken.findings(&mut tx).await.unwrap();
        tx.rollback().await;
        assert!(!found.is_empty(), "{rule}: nothing after {damage}");
    }
    scene.assert_audit_clean().await;
}

#[test]
fn every_rule_has_a_damage_that_breaks_it() {
    for rule in store::audit::rules() {
        let is_broken = DAMAGES.iter().any(|(broken, _)| *broken == rule.name);
        assert!(is_broken, "{}", rule.name);
    }
}
