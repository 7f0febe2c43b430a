//! A store's screen and commits that arrive late: the screen opened while they were under way.

use chrono::TimeDelta;
use ledger::{
    intake::Idempotency,
    testing::{noon, on_mysql},
};
use platform::clock::Clock;
use store::testing::{TEST_TIMEOUT, run};

use super::*;

/// More than any margin for clocks: the COMMIT was held that long.
const HELD: Duration = Duration::from_secs(600);

/// Ledger of a process whose commits happen now but were begun before [`HELD`], as their ids and times say.
fn begun_before(pass: &Pass) -> TestLedger {
    let held = TimeDelta::from_std(HELD).unwrap();
    let late = TestLedger::with_clock(pass.house.db.clone(), Clock::manual(noon() - held));
    TestLedger {
        ledger: late.ledger_with_wake(pass.line.feed.clone()),
        ..late
    }
}

/// Commits a table with an order, an order without a table, and a move of it; returns what a screen must see.
async fn commit_late(pass: &Pass, late: &TestLedger) -> Vec<(String, i64)> {
    let product = pass.house.create_product(pass.store).await;
    let table = late.ledger.open_session(pass.store, "late").await.unwrap();
    late.place_guest_order(&table, product).await;
    let order = late
        .place_guest_order_with(&table, product, |order| {
            order.session = None;
            order.placer = Placer::Account(pass.staff.id);
            order.fulfilment = Fulfilment::Pickup;
        })
        .await;
    late.ledger
        .move_order(order.id, OrderStatus::Accepted, By::Staff, None)
        .await
        .unwrap();
    let (table, order) = (table.id.to_string(), order.id.to_string());
    let mut expected = vec![
        (table.clone(), 1),
        (table, 2),
        (order.clone(), 1),
        (order, 2),
    ];
    expected.sort();
    expected
}

over_both! {
    async fn what_is_committed_late_reaches_a_screen_that_was_opened_meanwhile(house: TestLedger) {
        let pass = Pass::new(house).await;
        let late = begun_before(&pass);
        let mut client = pass.open_store().await;
        let hello = client.frame().await;
        let expected = commit_late(&pass, &late).await;
        let mut seen = chains(&hello, &frames(&mut client, 4).await);
        seen.sort();
        assert_eq!(seen, expected);
    }

    async fn what_is_committed_late_and_lost_by_the_feed_comes_with_the_next_check(house: TestLedger) {
        let check_interval = Duration::from_millis(20);
        let pass = Pass::with(
            house,
            NotifierSettings {
                check_interval,
                ..settings()
            },
        )
        .await;
        let late = begun_before(&pass);
        let mut client = pass.open_store().await;
        let hello = client.frame().await;
        pass.line.loses(true);
        let expected = commit_late(&pass, &late).await;
        let mut seen = chains(&hello, &frames(&mut client, 4).await);
        seen.sort();
        assert_eq!(seen, expected);
    }

    async fn of_a_table_that_is_opened_late_and_ends_at_once_its_orders_are_told(house: TestLedger) {
        let pass = Pass::new(house).await;
        let late = begun_before(&pass);
        let product = pass.house.create_product(pass.store).await;
        let mut client = pass.open_store().await;
        let hello = client.frame().await;
        pass.line.loses(true);
        let table = late.ledger.open_session(pass.store, "late").await.unwrap();
        late.place_guest_order(&table, product).await;
        pass.line.loses(false);
        late.ledger.finish_session(table.id).await.unwrap();
        let head = pass.ledger().stream_head(table.id.into()).await.unwrap();
        let head = head.unwrap();
        let seen = chains(&hello, &frames(&mut client, head as usize).await);
        let expected: Vec<_> = (1..=head).map(|seq| (table.id.to_string(), seq)).collect();
        assert_eq!(seen, expected);
    }
}

/// The order takes its time and its ids when it begins, and then waits for a twin that writes the same idempotency key
/// until the screen has its snapshot.
#[tokio::test]
async fn an_order_that_waits_in_its_transaction_reaches_a_screen_that_was_opened_meanwhile() {
    on_mysql(|house| async move {
        let pass = Pass::new(house).await;
        let product = pass.house.create_product(pass.store).await;
        let table = pass.table("1").await;
        let mut holder = pass.house.db.begin().await.unwrap();
        let twin = "INSERT INTO idempotency_keys (owner, idempotency_key, fingerprint, resource_id, created_at) \
                    SELECT id, 'k', REPEAT('f', 32), id, UTC_TIMESTAMP(6) FROM accounts";
        run(&mut holder, twin).await.unwrap();
        let placing = tokio::spawn({
            let (house, table, staff) = (pass.house.clone(), table.clone(), pass.staff.id);
            async move {
                house
                    .place_guest_order_with(&table, product, |order| {
                        order.session = None;
                        order.placer = Placer::Account(staff);
                        order.fulfilment = Fulfilment::Pickup;
                        order.idempotency = Some(Idempotency {
                            owner: staff.uuid(),
                            key: "k".to_owned(),
                            fingerprint: [1; 32],
                            other_fingerprints: Vec::new(),
                        });
                    })
                    .await
            }
        });
        let waits = async {
            while !is_waited_for(&pass.house).await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, waits).await.unwrap();
        pass.house.clock.advance(HELD);
        let mut client = pass.open_store().await;
        let hello = client.frame().await;
        assert_eq!(hello["orders"], json!([]));
        holder.rollback().await;
        let order = placing.await.unwrap();
        assert!(order.created_at < noon() + TimeDelta::seconds(1));
        let seen = chains(&hello, &frames(&mut client, 1).await);
        assert_eq!(seen, [(order.id.to_string(), 1)]);
    })
    .await;
}

/// Returns true if the store's counter cannot be locked, which an order locks before it writes its key.
async fn is_waited_for(house: &TestLedger) -> bool {
    let mut tx = house.db.begin().await.unwrap();
    let locked = run(
        &mut tx,
        "SELECT last_number FROM store_counters FOR UPDATE NOWAIT",
    )
    .await;
    tx.rollback().await;
    locked.is_err()
}
