//! A machine that loses its power or its network in the middle of an order, and the orders of everybody else.

use std::time::Duration;

use super::{an_order, create_product};
use crate::testing::TestLedger;
use store::{
    Db, DbOptions,
    testing::{TEST_TIMEOUT, fresh_mysql},
};
use test_line::{Line, Traffic};

/// Places orders while another machine, which has closed nothing and says nothing, holds locks of the same store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_vanished_in_mid_order_holds_up_its_store_no_longer_than_a_session_may_be_silent()
 {
    let Some(fresh) = fresh_mysql().await else {
        return;
    };
    let house = TestLedger::new(fresh.db.clone());
    let store = house.create_store().await;
    let product = create_product(&house, store, Some(9)).await;
    let anna = house.new_account_id();
    let line = Line::before(&fresh.url()).await;
    let options = DbOptions {
        session_timeout: Duration::from_secs(1),
        allow_weak_durability: true,
        ..DbOptions::new(line.through(&fresh.url()))
    };
    let lost = Db::connect(&options).await.unwrap();
    let mut taken = Vec::new();
    for lock in [
        "UPDATE store_counters SET last_number = last_number + 1",
        "UPDATE stock SET quantity = quantity - 1",
    ] {
        let mut tx = lost.begin().await.unwrap();
        assert_eq!(store::testing::run(&mut tx, lock).await.unwrap(), 1);
        taken.push(tx);
    }
    line.set(Traffic::Frozen);
    let placed = house
        .ledger
        .place_order(an_order(store, anna, &[(product, 1)]));
    let placed = tokio::time::timeout(TEST_TIMEOUT, placed).await;
    let placed = placed.expect("the locks are free soon").unwrap();
    assert_eq!(placed.order.number, Some(1));

    // It comes back and commits, too late.
    line.set(Traffic::Open);
    for tx in taken {
        tx.commit().await.unwrap_err();
    }
    let next = house
        .ledger
        .place_order(an_order(store, anna, &[(product, 1)]));
    assert_eq!(next.await.unwrap().order.number, Some(2));
    assert_eq!(house.ledger.audit().await.unwrap(), []);
    fresh.end().await;
}
