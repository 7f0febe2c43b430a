//! Statements that claim and sweep read what they take and not what waits, whatever the statistics say: 50 000 handoffs
//! wait here, and the statistics are fresh, of empty tables, or of tables that looked different.

use super::*;
use crate::testing::on_mysql;
use domain::{
    ids::{HandoffId, IntegratorId, OrderId},
    stuck::StuckLimits,
};
use handoffs::Place;

/// Numbers from 0 to 99 999.
macro_rules! numbered {
    ($insert:literal, $select:literal, $where:literal) => {
        concat!(
            $insert,
            " WITH d (d) AS (SELECT 0 UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 \
             UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9), \
             n (n) AS (SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d FROM d a, d b, d c, d e, d f), \
             t (now) AS (SELECT TIMESTAMP '2026-11-25 12:00:00') SELECT ",
            $select,
            " FROM n, t WHERE ",
            $where
        )
    };
}

const WAITING: u128 = 50_000;
/// Bits that tell orders, handoffs and integrators with the same number apart.
const OF_ORDERS: u128 = 0x0193 << 112;
const OF_HANDOFFS: u128 = 0x0194 << 112;
const OF_INTEGRATORS: u128 = 0x0195 << 112;

/// One integrator has 30 000 waiting handoffs, and twenty others share the rest. Every fifth waits for a retry.
const FILL: &[&str] = &[
    numbered!(
        "INSERT INTO stores (id, name, timezone, currency, auto_accept, accept_within_s, paused, version, created_at)",
        "UNHEX(LPAD(HEX(n), 32, '0')), 'Kiosk', 'UTC', 'EUR', FALSE, 600, FALSE, 1, now",
        "n < 20"
    ),
    numbered!(
        "INSERT INTO integrators (id, store_id, name, kind, format, events, url, required, confirms, unknown_policy, \
         callback_auth, auth_kind, auth_sealed, signing_sealed, callback_sealed, status_map, max_attempts, concurrency, \
         enabled, failures_in_a_row, breaker_state, version, created_at)",
        "UNHEX(CONCAT('0195', LPAD(HEX(n), 28, '0'))), UNHEX(LPAD(HEX(n % 20), 32, '0')), 'Kitchen', 'kitchen', 'order', \
         '[\"order.placed\"]', 'https://kitchen.example/', TRUE, 'acknowledgement', 'resend', 'signature', 'none', x'00', \
         x'00', x'00', '{}', 5, 4, TRUE, 0, 'closed', 1, now",
        "n < 21"
    ),
    numbered!(
        "INSERT INTO orders (id, store_id, number, placed_by, fulfilment, status, version, stock_held, customer, \
         total_amount, currency, accept_by, last_seq, created_at, placed_at, reference)",
        "UNHEX(CONCAT('0193', LPAD(HEX(n), 28, '0'))), UNHEX(LPAD(HEX(n % 20), 32, '0')), n, x'01', 'table', \
         IF(n % 2 = 0, 'pending', 'processing'), 1, FALSE, '{}', 100, 'EUR', now + INTERVAL 600 + n SECOND, 1, now, now, n",
        "n < 50000"
    ),
    numbered!(
        "INSERT INTO handoffs (id, store_id, order_id, integrator_id, position, event, state, required, round, attempts, \
         max_attempts, due_at, fence, deadline, claim_failures, created_at)",
        "UNHEX(CONCAT('0194', LPAD(HEX(n), 28, '0'))), UNHEX(LPAD(HEX(n % 20), 32, '0')), \
         UNHEX(CONCAT('0193', LPAD(HEX(n), 28, '0'))), \
         UNHEX(CONCAT('0195', LPAD(HEX(IF(n < 30000, 0, 1 + n % 20)), 28, '0'))), 1, 'order.placed', \
         IF(n % 5 = 0, 'waiting', 'due'), TRUE, 1, 0, 5, now - INTERVAL 50000 - n SECOND, 0, now + INTERVAL 600 SECOND, 0, now",
        "n < 50000"
    ),
    numbered!(
        "INSERT INTO callbacks (id, integrator_id, webhook_id, order_id, reference, payload, received_at, failures)",
        "UNHEX(CONCAT('0196', LPAD(HEX(n), 28, '0'))), UNHEX(CONCAT('0195', LPAD(HEX(n % 20), 28, '0'))), n, \
         IF(n % 4 = 0, NULL, UNHEX(CONCAT('0193', LPAD(HEX(n), 28, '0')))), CONCAT('r', n), '{}', now, 0",
        "n < 10000"
    ),
    numbered!(
        "INSERT INTO outbox (id, announcement, not_before, failures, parked, created_at)",
        "UNHEX(CONCAT('0197', LPAD(HEX(n), 28, '0'))), '{}', now, 0, FALSE, now",
        "n < 50000"
    ),
];

/// Rows that make the statistics wrong: everything is closed, every handoff has an integrator of its own, and all have
/// one order.
const FILL_DIFFERENTLY: &[&str] = &[
    numbered!(
        "INSERT INTO orders (id, store_id, number, placed_by, fulfilment, status, version, stock_held, customer, \
         total_amount, currency, accept_by, last_seq, created_at, placed_at, reference)",
        "UNHEX(CONCAT('0193', LPAD(HEX(n), 28, '0'))), x'01', n, x'01', 'table', 'delivered', 1, FALSE, '{}', 100, 'EUR', \
         now, 1, now, now, n",
        "n < 2000"
    ),
    numbered!(
        "INSERT INTO handoffs (id, store_id, order_id, integrator_id, position, event, state, required, round, attempts, \
         max_attempts, due_at, fence, deadline, claim_failures, created_at)",
        "UNHEX(CONCAT('0194', LPAD(HEX(n), 28, '0'))), x'01', x'01', UNHEX(CONCAT('0195', LPAD(HEX(n), 28, '0'))), 1, \
         'order.placed', 'acknowledged', TRUE, 1, 1, 5, now, 0, now, 0, now",
        "n < 2000"
    ),
    numbered!(
        "INSERT INTO callbacks (id, integrator_id, webhook_id, order_id, payload, received_at, applied_at, result, failures)",
        "UNHEX(CONCAT('0196', LPAD(HEX(n), 28, '0'))), UNHEX(CONCAT('0195', LPAD(HEX(n), 28, '0'))), n, x'01', '{}', now, \
         now, 'applied', 0",
        "n < 2000"
    ),
];
const EMPTY: &[&str] = &[
    "DELETE FROM orders",
    "DELETE FROM handoffs",
    "DELETE FROM callbacks",
];
const KEEP_STATISTICS: &[&str] = &[
    "ALTER TABLE orders STATS_PERSISTENT = 1, STATS_AUTO_RECALC = 0",
    "ALTER TABLE handoffs STATS_PERSISTENT = 1, STATS_AUTO_RECALC = 0",
    "ALTER TABLE callbacks STATS_PERSISTENT = 1, STATS_AUTO_RECALC = 0",
    "ALTER TABLE outbox STATS_PERSISTENT = 1, STATS_AUTO_RECALC = 0",
    "ALTER TABLE integrators STATS_PERSISTENT = 1, STATS_AUTO_RECALC = 0",
];

async fn run_all(house: &TestDb, statements: &[&'static str]) {
    let mut tx = house.db.begin().await.unwrap();
    let Tx::MySql(on_mysql, ..) = &mut tx else {
        unreachable!("this runs on MySQL only");
    };
    for statement in statements {
        // Not under the timeout of statements: some of these insert 50 000 rows.
        sqlx::raw_sql(statement)
            .execute(&mut **on_mysql)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

fn ids<T: From<Uuid>>(of: u128, many: u128) -> Vec<T> {
    (0..many)
        .map(|n| Uuid::from_u128(of + n * (WAITING / many)).into())
        .collect()
}

/// Runs each statement and reports those that read more than their bound.
macro_rules! report_more_reads {
    ($tx:ident, $too_much:ident, $($most:tt: $look:expr;)+) => {$(
        let before = calls(&mut $tx).await;
        let _ = $look.await.unwrap();
        let read = calls(&mut $tx).await - before;
        if read > $most {
            $too_much.push(format!("{} reads {read} rows", stringify!($look)));
        }
    )+};
}

async fn calls(tx: &mut Tx) -> i64 {
    const ALL: &[&str] = &[
        "read_first",
        "read_key",
        "read_last",
        "read_next",
        "read_prev",
        "read_rnd",
        "read_rnd_next",
        "icp_attempts",
    ];
    let calls = count_handler_calls(tx, ALL).await.unwrap();
    calls.expect("MySQL counts them")
}

/// Returns a change of each of these handoffs.
async fn outcomes(
    tx: &mut Tx,
    of: &[HandoffId],
    now: chrono::DateTime<chrono::Utc>,
) -> (
    Vec<handoffs::Moved>,
    Vec<handoffs::NewClaim>,
    Vec<attempts::Ended>,
) {
    let (mut moved, mut claims, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for id in of {
        let handoff = handoffs::get(tx, *id).await.unwrap().unwrap();
        moved.push(handoffs::Moved {
            handoff,
            due_at: None,
        });
        claims.push(handoffs::NewClaim {
            id: *id,
            attempts: 1,
            fence: 1,
            leased_until: now + TimeDelta::hours(1),
            body: Some(b"{}".to_vec()),
        });
        ended.push(attempts::Ended {
            handoff_id: *id,
            round: 1,
            n: 1,
            outcome: domain::handoff::AttemptOutcome::Retry,
            counted: true,
            http_status: Some(503),
            error: None,
            answer: None,
            at: now,
        });
    }
    (moved, claims, ended)
}

async fn assert_reads_are_few(house: &TestDb) {
    let now = house.clock.now();
    let (big, small): (IntegratorId, IntegratorId) = (
        Uuid::from_u128(OF_INTEGRATORS).into(),
        Uuid::from_u128(OF_INTEGRATORS + 7).into(),
    );
    let some: Vec<HandoffId> = ids(OF_HANDOFFS, 32);
    let (many, orders): (Vec<HandoffId>, Vec<OrderId>) =
        (ids(OF_HANDOFFS, 256), ids(OF_ORDERS, 32));
    let mut too_much: Vec<String> = Vec::new();
    let mut tx = house.db.begin().await.unwrap();
    let next = handoffs::candidates(&mut tx, big, now, Place::START, 32)
        .await
        .unwrap();
    assert_eq!(next.candidates.len(), 32);
    let further = next.next.unwrap();
    let handoff = handoffs::get(&mut tx, many[3]).await.unwrap().unwrap();
    let (moved, claims, ended) = outcomes(&mut tx, &some, now).await;
    let changed = orders::many(&mut tx, &orders).await.unwrap();
    let changed: Vec<orders::Changed> = changed
        .into_iter()
        .map(|order| orders::Changed {
            order,
            last_seq: Some(7),
        })
        .collect();
    let references: Vec<(IntegratorId, String)> =
        (0..32).map(|n| (small, format!("unknown-{n}"))).collect();
    report_more_reads! { tx, too_much,
        800: handoffs::candidates(&mut tx, big, now, Place::START, 32);
        800: handoffs::candidates(&mut tx, big, now, further, 32);
        800: handoffs::candidates(&mut tx, small, now, Place::START, 32);
        800: handoffs::blocked(&mut tx, &some);
        800: handoffs::lock_available(&mut tx, &some);
        1500: handoffs::lock_available(&mut tx, &many);
        800: orders::lock_available(&mut tx, &orders);
        1200: orders::lock_available_with_sessions(&mut tx, &orders);
        100: handoffs::next_due_at(&mut tx, big, now);
        100: handoffs::of_order(&mut tx, orders[1]);
        100: handoffs::lock_of_order(&mut tx, orders[1]);
        100: handoffs::last_positions(&mut tx, orders[1]);
        100: handoffs::has_open_after(&mut tx, &handoff);
        100: handoffs::is_overtaken(&mut tx, &handoff);
        2000: integrators::last_response_at(&mut tx, big);
        100: callbacks::lock_unapplied(&mut tx, orders[1], 64);
        100: callbacks::newest_marks(&mut tx, orders[1]);
        800: callbacks::of_orders(&mut tx, &orders, 64);
        100: callbacks::has_unapplied(&mut tx, orders[1], now);
        800: handoffs::of_orders(&mut tx, &orders);
        100: callbacks::with_unapplied(&mut tx, &orders, now);
        800: orders::integrators_reached(&mut tx, &orders);
        200: callbacks::lock_waiting(&mut tx, &references);
        800: handoffs::write_moved(&mut tx, &moved);
        800: handoffs::claim(&mut tx, &claims);
        800: attempts::end(&mut tx, &ended);
        800: orders::write_changed(&mut tx, &changed);
        100: callbacks::status_if_handed(&mut tx, big, orders[1]);
        100: callbacks::order_of_reference(&mut tx, big, "17");
        100: callbacks::attach(&mut tx, big, "unknown", orders[1]);
        100: sweep::expired_leases(&mut tx, now, 512);
        100: sweep::overdue_handoffs(&mut tx, now, 512);
        200: sweep::handoffs_of_archived(&mut tx, now, 512);
        100: sweep::overdue_orders(&mut tx, now, 512);
        // Both statuses.
        14_000: sweep::unsettled_orders(&mut tx, now, None, 512);
        8000: sweep::newest_unsettled(&mut tx, now, 256);
        800: sweep::integrators_with_due_work(&mut tx, now, None, 512);
        3000: sweep::orders_with_unapplied_callbacks(&mut tx, 512);
        30_000: sweep::unmatched(&mut tx, None, 2048);
        30_000: sweep::give_up_unmatched(&mut tx, now - TimeDelta::hours(1), now, 512);
        100: integrators::given_up(&mut tx, 512);
        3000: outbox::claim(&mut tx, now, now, 64);
        // They are counted along an index, and in a temporary table, up to a number.
        22_000: outbox::backlog(&mut tx);
        100: outbox::oldest(&mut tx);
        800: sweep::prune(&mut tx, now, now, 100);
    }
    let since = now + TimeDelta::hours(10);
    for query in sweep::stuck::stuck_queries(&StuckLimits::default(), since) {
        use domain::stuck::StuckKind::{OrderOverdue, OutboxLate};
        // All of these are listed.
        if query.kind() == OrderOverdue {
            continue;
        }
        // These are counted up to a number.
        let most = if query.kind() == OutboxLate {
            25_000
        } else {
            3000
        };
        let mut of_kind: Vec<String> = Vec::new();
        report_more_reads! { tx, of_kind,
            most: sweep::stuck::stuck(&mut tx, &[query], None, 200);
        }
        let named = |what| format!("{:?}: {what}", query.kind());
        too_much.extend(of_kind.into_iter().map(named));
    }
    tx.rollback().await;
    assert!(too_much.is_empty(), "{too_much:#?}");
}

#[tokio::test]
async fn a_backlog_is_not_read_with_fresh_statistics() {
    on_mysql(|house| async move {
        run_all(&house, FILL).await;
        update_statistics(&house).await.unwrap();
        assert_reads_are_few(&house).await;
    })
    .await;
}

#[tokio::test]
async fn a_backlog_is_not_read_with_statistics_of_empty_tables() {
    on_mysql(|house| async move {
        run_all(&house, KEEP_STATISTICS).await;
        update_statistics(&house).await.unwrap();
        run_all(&house, FILL).await;
        assert_reads_are_few(&house).await;
    })
    .await;
}

#[tokio::test]
async fn a_backlog_is_not_read_with_statistics_of_tables_that_looked_different() {
    on_mysql(|house| async move {
        run_all(&house, KEEP_STATISTICS).await;
        run_all(&house, FILL_DIFFERENTLY).await;
        update_statistics(&house).await.unwrap();
        run_all(&house, EMPTY).await;
        run_all(&house, FILL).await;
        assert_reads_are_few(&house).await;
    })
    .await;
}

#[tokio::test]
async fn orders_that_are_too_young_to_stand_still_are_not_read() {
    on_mysql(|house| async move {
        run_all(&house, FILL).await;
        let moved = [
            "UPDATE orders SET status = 'accepted', accepted_at = created_at WHERE number % 2 = 0",
            "UPDATE orders SET status = 'preparing', accepted_at = created_at WHERE number % 2 = 1",
        ];
        run_all(&house, &moved).await;
        update_statistics(&house).await.unwrap();
        let mut too_much: Vec<String> = Vec::new();
        let mut tx = house.db.begin().await.unwrap();
        // The ids of these orders are of October 2024.
        let since = "2024-10-01T12:00:00Z".parse().unwrap();
        let mut queries = sweep::stuck::stuck_queries(&StuckLimits::default(), since);
        queries.retain(|query| query.kind() == domain::stuck::StuckKind::OrderIdle);
        assert_eq!(queries.len(), 4);
        report_more_reads! { tx, too_much,
            100: sweep::stuck::stuck(&mut tx, &queries, None, 200);
        }
        tx.rollback().await;
        assert!(too_much.is_empty(), "{too_much:#?}");
    })
    .await;
}
