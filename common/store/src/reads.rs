//! Tests that lists, the sweep's queries and the statistics find their rows by an index, and read no more than they
//! need.

mod backlog;
mod lists;

use chrono::TimeDelta;
use each_database::each_database;
use sqlx::Row;
use uuid::Uuid;

use super::{
    explain::{Step, assert_no_full_scan, fill_handoffs},
    orders::{
        NewOrder, OrderFilter,
        list::{Walk, position_of, run_walk, walks},
    },
    *,
};
use crate::testing::TestDb;
use domain::{
    ids::{OrderId, SessionId, StoreId, StreamId},
    money::Money,
    order::{Customer, Fulfilment, Order, OrderSession},
    person::PersonalTexts,
    retention::Kind,
    session::SessionState,
    status::OrderStatus::{self, Accepted, Delivered, Failed, Pending, Processing},
};

/// More orders than one page examines when few of them match.
const ORDERS: usize = 5000;
const STORES: usize = 8;
const PAGE: u32 = 51;
/// Maximum rows read for a page of that length; a full table has some thousand.
const MAX_READS: i64 = 700;

/// Statements that insert one row of each other kind per order: enough to be worth an index.
const FILL_OTHER_TABLES: &[&str] = &[
    "INSERT INTO stores (id, name, timezone, currency, auto_accept, accept_within_s, paused, version, created_at) \
     SELECT id, 'Kiosk', 'UTC', 'EUR', TRUE, 600, FALSE, 1, created_at FROM orders",
    "INSERT INTO store_counters (store_id, last_number, last_seq) SELECT id, 0, 0 FROM orders",
    "INSERT INTO products (id, store_id, name, price_amount, currency, available, version, created_at) \
     SELECT id, store_id, 'Tea', 200, 'EUR', TRUE, 1, created_at FROM orders",
    "INSERT INTO option_groups (id, store_id, name, min_chosen, max_chosen, position, options, version, created_at) \
     SELECT id, store_id, 'Milk', 0, 1, 0, '[]', 1, created_at FROM orders",
    "INSERT INTO sessions (id, store_id, code, name, state, opened_at, last_seq) \
     SELECT id, store_id, reference, 'Table', 'CLOSED', created_at, 0 FROM orders",
    "INSERT INTO accounts (id, username, password_hash, role, disabled, created_at) \
     SELECT id, reference, '-', 'staff', FALSE, created_at FROM orders",
    "INSERT INTO account_stores (account_id, store_id) SELECT id, store_id FROM orders",
    "INSERT INTO integrators (id, store_id, name, kind, format, events, url, required, confirms, unknown_policy, \
     callback_auth, auth_kind, auth_sealed, signing_sealed, callback_sealed, status_map, max_attempts, concurrency, \
     enabled, failures_in_a_row, breaker_state, version, created_at) \
     SELECT id, store_id, 'Kitchen', 'kitchen', 'order', '[\"order.placed\"]', 'https://kitchen.example/', TRUE, \
     'acknowledgement', 'resend', 'signature', 'none', x'00', x'00', x'00', '{}', 5, 4, TRUE, 0, 'closed', 1, \
     created_at FROM orders WHERE number <= 20",
    "INSERT INTO events (stream_id, seq, store_id, order_id, kind, at, data) \
     SELECT id, 1, store_id, id, 'order.placed', created_at, '{}' FROM orders",
    "INSERT INTO callbacks (id, integrator_id, webhook_id, order_id, payload, received_at, applied_at, result, failures) \
     SELECT id, store_id, id, id, '{}', created_at, created_at, 'applied', 0 FROM orders",
    "INSERT INTO idempotency_keys (owner, idempotency_key, fingerprint, resource_id, created_at) \
     SELECT id, id, id, id, created_at FROM orders",
    "INSERT INTO live_tickets (ticket_hash, account_id, subject, subject_id, expires_at) \
     SELECT id, id, 'order', id, created_at FROM orders",
    "INSERT INTO outbox (id, announcement, not_before, failures, parked, created_at) \
     SELECT id, '{}', created_at, 0, FALSE, created_at FROM orders",
];

const TABLES: &[&str] = &[
    "orders",
    "stores",
    "store_counters",
    "products",
    "option_groups",
    "sessions",
    "accounts",
    "account_stores",
    "integrators",
    "events",
    "callbacks",
    "idempotency_keys",
    "live_tickets",
    "outbox",
    "handoffs",
];

/// The ids of the stores, and one of the orders.
struct Filled {
    stores: Vec<StoreId>,
    order: Order,
}

async fn fill_tables(house: &TestDb) -> Filled {
    let last = house.clock.now();
    let new_ids = |many: usize| -> Vec<Uuid> { (0..many).map(|_| house.chance.id(last)).collect() };
    let (stores, sessions, accounts) = (new_ids(STORES), new_ids(60), new_ids(60));
    let orders: Vec<Order> = (0..ORDERS)
        .map(|n| {
            let at = last - TimeDelta::minutes((ORDERS - n) as i64);
            let status = match n % 100 {
                1 => Failed,
                _ if n < ORDERS - 40 => Delivered,
                m if m % 2 == 0 => Pending,
                _ => Processing,
            };
            test_order(
                house,
                n,
                at,
                status,
                (stores[n % STORES], sessions[n % 60], accounts[n % 60]),
            )
        })
        .collect();
    let rows: Vec<NewOrder> = orders
        .iter()
        .map(|order| NewOrder {
            order,
            placed_by: order.account_id.expect("it has one").uuid(),
            last_seq: 1,
        })
        .collect();
    let mut tx = house.db.begin().await.unwrap();
    orders::insert(&mut tx, &rows).await.unwrap();
    for statement in FILL_OTHER_TABLES {
        testing::run(&mut tx, statement).await.unwrap();
    }
    tx.commit().await.unwrap();
    fill_handoffs(house).await;
    update_statistics(house).await.unwrap();
    Filled {
        stores: stores.into_iter().map(StoreId::from).collect(),
        order: orders[ORDERS / 2].clone(),
    }
}

fn test_order(
    house: &TestDb,
    n: usize,
    at: chrono::DateTime<chrono::Utc>,
    status: OrderStatus,
    (store, session, account): (Uuid, Uuid, Uuid),
) -> Order {
    Order {
        id: house.chance.id(at),
        store_id: store.into(),
        number: Some((n / STORES + 1) as i64),
        session: Some(OrderSession {
            id: SessionId::from(session),
            name: String::new(),
        }),
        account_id: Some(account.into()),
        guest_key_hash: None,
        reference: Some(format!("R-{n}")),
        fulfilment: if n == 10 {
            Fulfilment::Delivery
        } else {
            Fulfilment::Table
        },
        status,
        reason: None,
        version: 1,
        stock_held: true,
        tallied: false,
        customer: Customer::default(),
        items: Vec::new(),
        total: Money::new(0, "EUR".parse().unwrap()),
        user_note: None,
        accept_by: Some(at + TimeDelta::minutes(10)),
        timing: Default::default(),
        delivery: None,
        replaces: None,
        trace: None,
        created_at: at,
        placed_at: Some(at),
        accepted_at: None,
        ended_at: status.is_final().then_some(at),
        updated_at: Some(at),
    }
}

/// Updates the statistics by which MySQL plans.
async fn update_statistics(house: &TestDb) -> Result<()> {
    let mut tx = house.db.begin().await?;
    if let Tx::MySql(..) = &tx {
        for table in TABLES {
            on!(&mut tx, |conn| {
                let analyze = format!("ANALYZE TABLE {table}");
                sqlx::raw_sql(&analyze).fetch_all(conn).await?;
            });
        }
    }
    tx.commit().await
}

/// Returns how many rows and index entries this connection has read so far, as MySQL counts them; SQLite does not.
async fn rows_read(tx: &mut Tx) -> Result<Option<i64>> {
    // Reads by key are single rows, and left out; SHOW itself reads a few.
    count_handler_calls(tx, &["read_next", "read_prev", "read_rnd_next", "read_rnd"]).await
}

/// Returns how often this connection has called the storage engine in these ways; SQLite does not count it.
async fn count_handler_calls(tx: &mut Tx, kinds: &[&str]) -> Result<Option<i64>> {
    let Tx::MySql(tx, ..) = tx else {
        return Ok(None);
    };
    let rows = sqlx::query("SHOW SESSION STATUS LIKE 'Handler%'").fetch_all(&mut **tx);
    let mut calls = 0;
    for row in rows.await? {
        let name: String = row.try_get_unchecked(0)?;
        let count: String = row.try_get_unchecked(1)?;
        if kinds.iter().any(|kind| name == format!("Handler_{kind}")) {
            calls += count.parse::<i64>().unwrap_or(0);
        }
    }
    Ok(Some(calls))
}

/// Runs each query and, on MySQL, reports those that read more than `MAX_READS` rows.
macro_rules! report_many_reads {
    ($tx:ident, $too_much:ident, $($look:expr;)+) => {$(
        let before = rows_read(&mut $tx).await.unwrap();
        $look.await.unwrap();
        let after = rows_read(&mut $tx).await.unwrap();
        if let (Some(before), Some(after)) = (before, after) {
            let read = after - before;
            if read > MAX_READS {
                $too_much.push(format!("{} reads {read} rows", stringify!($look)));
            }
        }
    )+};
}

#[each_database(store)]
async fn old_drafts_are_found_however_many_are_young(house: TestDb) {
    fill_tables(&house).await;
    let mut tx = house.db.begin().await.unwrap();
    testing::run(&mut tx, "UPDATE orders SET status = 'draft'")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    update_statistics(&house).await.unwrap();
    let (now, long_ago) = (house.clock.now(), house.clock.now() - TimeDelta::days(9));
    let mut too_much: Vec<String> = Vec::new();
    let mut tx = house.db.read().await.unwrap();
    report_many_reads! { tx, too_much,
        orders::old_drafts(&mut tx, long_ago, PAGE);
        orders::old_drafts(&mut tx, now, PAGE);
    }
    assert_eq!(too_much, Vec::<String>::new());
    assert_eq!(
        orders::old_drafts(&mut tx, long_ago, PAGE).await.unwrap(),
        []
    );
    assert_eq!(
        orders::old_drafts(&mut tx, now, PAGE).await.unwrap().len(),
        PAGE as usize
    );
}

#[each_database(store)]
async fn no_list_and_no_look_of_the_sweep_reads_a_table(house: TestDb) {
    let Filled { stores, order } = fill_tables(&house).await;
    let (now, long_ago) = (house.clock.now(), house.clock.now() - TimeDelta::days(9));
    let (store, some) = (stores[0], &stores[..3]);
    let session = order.session.as_ref().unwrap().id;
    let stream: StreamId = order.id.into();
    let mut too_much: Vec<String> = Vec::new();
    let mut tx = house.db.read().await.unwrap();
    report_many_reads! { tx, too_much,
        super::stores::list(&mut tx, None, None, PAGE);
        super::stores::list(&mut tx, Some(some), None, PAGE);
        products::list(&mut tx, store, None, PAGE);
        option_groups::list(&mut tx, store, None, PAGE);
        sessions::list(&mut tx, store, SessionState::Closed, None, PAGE);
        sessions::list(&mut tx, store, SessionState::Open, None, PAGE);
        integrators::list(&mut tx, store, None, PAGE);
        accounts::page(&mut tx, None, None, PAGE);
        events::after(&mut tx, stream, 0, PAGE);
        events::of_order(&mut tx, order.id, 0, PAGE);
        orders::of_session(&mut tx, session, None, PAGE);
        orders::unfinished_of_session(&mut tx, session, PAGE);
        intake::count_unfinished(&mut tx, &[session]);
        events::newest_of_orders(&mut tx, &[order.id]);
        orders::old_drafts(&mut tx, now, PAGE);
        orders::many(&mut tx, &[order.id]);
        orders::guests_of(&mut tx, &[order.id]);
        orders::list::list(&mut tx, &OrderFilter { statuses: vec![Failed], stores: Some(some.to_vec()), ..OrderFilter::default() }, None, PAGE);
        orders::list::list(&mut tx, &OrderFilter { statuses: vec![Accepted], ..OrderFilter::default() }, None, PAGE);
        stats::all_tallies(&mut tx, None, PAGE);
        stats::tallied(&mut tx, some);
        stats::count_rest(&mut tx, &[(store, 600), (stores[1], 610)]);
        stats::untallied(&mut tx, store, 200, PAGE);
        sweep::expired_leases(&mut tx, now, PAGE);
        sweep::overdue_handoffs(&mut tx, long_ago, PAGE);
        sweep::handoffs_of_archived(&mut tx, now, PAGE);
        sweep::overdue_orders(&mut tx, now, PAGE);
        sweep::unsettled_orders(&mut tx, house.clock.now(), None, PAGE);
        sweep::integrators_with_due_work(&mut tx, now, None, PAGE);
        sweep::orders_with_unapplied_callbacks(&mut tx, PAGE);
        sweep::unmatched(&mut tx, None, PAGE);
        sweep::count_callbacks_left(&mut tx);
    }
    drop(tx);
    let mut tx = house.db.begin().await.unwrap();
    report_many_reads! { tx, too_much,
        sweep::give_up_unmatched(&mut tx, now, now, PAGE);
        sweep::prune(&mut tx, long_ago, long_ago, 100);
    }
    assert!(too_much.is_empty(), "{too_much:#?}");
}

#[each_database(store)]
async fn retention_reads_no_more_than_its_batch(house: TestDb) {
    let Filled { stores, .. } = fill_tables(&house).await;
    let (now, nobody) = (house.clock.now(), Uuid::nil());
    // Ids never go back, so those of the older orders are of today too.
    let later = now + TimeDelta::days(1);
    let mut too_much: Vec<String> = Vec::new();
    let mut tx = house.db.begin().await.unwrap();
    // Orders in the middle, as for a walk that has passed some.
    let passed = retention::next_orders(&mut tx, nobody, later, 1000).await;
    let passed = *passed.unwrap().last().unwrap();
    let next = retention::next_orders(&mut tx, passed, later, PAGE).await;
    let next = next.unwrap();
    assert_eq!(next.len(), PAGE as usize);
    let orders: Vec<OrderId> = next.iter().copied().map(OrderId::from).collect();
    let first = vec![orders[0]];
    let store = stores[0].uuid();
    let mut locked = orders::lock_available(&mut tx, &first).await.unwrap();
    let (stripped, _) = locked.remove(0);
    let texts = PersonalTexts::of(&stripped);
    report_many_reads! { tx, too_much,
        retention::take_walk(&mut tx, Kind::Orders, now);
        retention::next_orders(&mut tx, passed, later, PAGE);
        retention::next_sessions(&mut tx, passed, later, PAGE);
        retention::next_stores(&mut tx, nobody, PAGE);
        retention::leftovers(&mut tx, Kind::Orders, now, PAGE);
        retention::left_among(&mut tx, Kind::Orders, &next);
        retention::existing_among(&mut tx, &next);
        retention::busy_among(&mut tx, &orders);
        orders::lock_available(&mut tx, &orders);
        retention::handoffs_of(&mut tx, &orders);
        retention::callbacks_of(&mut tx, &orders);
        events::of_orders(&mut tx, &orders);
        retention::ended_sessions(&mut tx, &next, now);
        retention::delete_store_events(&mut tx, store, now, PAGE);
        retention::delete_callbacks_without_order(&mut tx, now, PAGE);
        retention::strip_messages(&mut tx, &orders);
        erasures::strip_order(&mut tx, &stripped, &texts, Some(now));
        retention::delete_events_of_orders(&mut tx, &first);
        retention::delete_orders(&mut tx, &orders);
        retention::delete_sessions(&mut tx, &next);
    }
    assert!(too_much.is_empty(), "{too_much:#?}");
    let left = testing::count(&mut tx, "SELECT COUNT(*) FROM orders").await;
    assert_eq!(left.unwrap(), (ORDERS - PAGE as usize) as i64);
}

#[each_database(store)]
async fn a_stores_newest_open_orders_are_found_however_many_there_are(house: TestDb) {
    let Filled { stores, .. } = fill_tables(&house).await;
    let mut tx = house.db.begin().await.unwrap();
    testing::run(&mut tx, "UPDATE orders SET status = 'accepted'")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    update_statistics(&house).await.unwrap();
    let mut tx = house.db.read().await.unwrap();
    let all = store_snapshot::open_orders(&mut tx, stores[0], house.clock.now(), 10_000).await;
    let all = all.unwrap();
    assert_eq!(all.len(), ORDERS / STORES);
    assert!(all.iter().rev().is_sorted());
    let mut too_much: Vec<String> = Vec::new();
    report_many_reads! { tx, too_much,
        store_snapshot::open_orders(&mut tx, stores[0], house.clock.now(), PAGE);
        sweep::delivered::stores(&mut tx, None, PAGE);
        sweep::delivered::orders(&mut tx, stores[0], house.clock.now(), PAGE);
    }
    assert!(too_much.is_empty(), "{too_much:#?}");
    let newest = store_snapshot::open_orders(&mut tx, stores[0], house.clock.now(), PAGE).await;
    assert_eq!(newest.unwrap(), all[..PAGE as usize]);
}

/// Asserts that the plan does not sort: a sort reads all matching rows, however short the page.
#[track_caller]
fn assert_is_in_order(what: &str, plan: &[Step]) {
    assert!(!plan.iter().any(Step::sorts), "{what} sorts: {plan:#?}");
}
