//! Orders with an idempotency key that another process is using for the same order at that moment.

use super::{an_order, create_product};
use crate::{
    Change, ChangeError, Failure,
    intake::{Idempotency, PlaceOrder},
    testing::TestLedger,
};
use domain::ids::{AccountId, ProductId, StoreId};
use each_database::each_database;
use store::idempotency::KeyRow;

fn with_a_key(store: StoreId, account: AccountId, product: ProductId) -> PlaceOrder {
    PlaceOrder {
        idempotency: Some(Idempotency {
            owner: account.uuid(),
            key: "k".to_owned(),
            fingerprint: [1; 32],
            other_fingerprints: Vec::new(),
        }),
        ..an_order(store, account, &[(product, 1)])
    }
}

/// Begins the other process's change, which has written the key and not committed. `None` if the database has a single
/// writer, so that no two changes run at the same time.
async fn being_placed<'h>(
    house: &'h TestLedger,
    twin: &PlaceOrder,
    store: Option<StoreId>,
) -> Option<Change<'h>> {
    let mut other = Change::begin(&house.ledger.inner).await.unwrap();
    if matches!(other.tx, store::Tx::Sqlite(..)) {
        other.rollback().await;
        return None;
    }
    if let Some(store) = store {
        let stores = [store];
        store::intake::lock_numbers(&mut other.tx, &stores, true)
            .await
            .unwrap();
    }
    let it = twin.idempotency.as_ref().unwrap();
    let row = KeyRow {
        owner: it.owner,
        key: it.key.clone(),
        fingerprint: it.fingerprint,
        resource_id: uuid::Uuid::nil(),
    };
    let rows = [row];
    let written = store::idempotency::insert(&mut other.tx, &rows, other.now);
    written.await.unwrap();
    Some(other)
}

#[each_database]
async fn an_order_whose_twin_takes_too_long_elsewhere_is_told_so_and_holds_up_no_other(
    house: TestLedger,
) {
    let (store, anna) = (house.create_store().await, house.new_account_id());
    let product = create_product(&house, store, Some(9)).await;
    let twin = with_a_key(store, anna, product);
    let Some(other) = being_placed(&house, &twin, None).await else {
        return;
    };
    let bens = an_order(store, house.new_account_id(), &[(product, 1)]);
    let (told, placed) = tokio::join!(
        house.ledger.place_order(twin.clone()),
        house.ledger.place_order(bens),
    );
    assert!(
        matches!(told, Err(ChangeError::Failed(Failure::KeyInProgress))),
        "{told:?}"
    );
    placed.unwrap();
    other.rollback().await;
    assert!(
        !house
            .ledger
            .place_order(twin.clone())
            .await
            .unwrap()
            .replayed
    );
    assert!(house.ledger.place_order(twin).await.unwrap().replayed);
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn the_same_is_told_where_the_twin_also_holds_what_comes_before_the_key(house: TestLedger) {
    let (store, anna) = (house.create_store().await, house.new_account_id());
    let product = create_product(&house, store, None).await;
    let twin = with_a_key(store, anna, product);
    let Some(other) = being_placed(&house, &twin, Some(store)).await else {
        return;
    };
    let told = house.ledger.place_order(twin).await;
    assert!(
        matches!(told, Err(ChangeError::Failed(Failure::KeyInProgress))),
        "{told:?}"
    );
    other.rollback().await;
}
