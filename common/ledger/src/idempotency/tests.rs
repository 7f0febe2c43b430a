//! Idempotency keys on both databases: a key is stored with the resource that it made.

use each_database::each_database;
use futures_util::future::join_all;
use uuid::Uuid;

use super::{Idempotency, Once};
use crate::{
    Change, ChangeError, ChangeResult, CrashPoints, Failure,
    products::{NewProduct, ProductRefused},
    testing::{TestLedger, fixtures::new_product},
};
use domain::{ids::StoreId, money::Money, store::Product};
use store::idempotency::KeyRow;

fn a_key(owner: StoreId, fingerprint: u8) -> Option<Idempotency> {
    Some(Idempotency {
        owner: owner.uuid(),
        key: "k".to_owned(),
        fingerprint: [fingerprint; 32],
        other_fingerprints: Vec::new(),
    })
}

/// Returns a product with a fixed sku, so that two of them can't exist.
fn espresso(store_id: StoreId) -> NewProduct {
    NewProduct {
        sku: Some("ESP".to_owned()),
        stock: Some(5),
        ..new_product(store_id)
    }
}

async fn create(
    house: &TestLedger,
    key: Option<Idempotency>,
    new: NewProduct,
) -> ChangeResult<Once<Product>, ProductRefused> {
    let ledger = &house.ledger;
    ledger
        .once(key, async move |ledger| {
            ledger.create_product(new, None).await
        })
        .await
}

#[each_database]
async fn twins_at_once_make_one_thing_and_all_of_them_hear_which(house: TestLedger) {
    let store = house.create_store().await;
    let twins = (0..12).map(|_| create(&house, a_key(store, 1), espresso(store)));
    let answers = join_all(twins).await;
    let (mut made, mut told): (Vec<Uuid>, Vec<Uuid>) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer.unwrap() {
            Once::Done(product) => made.push(product.id.uuid()),
            Once::AlreadyDone(resource) => told.push(resource),
        }
    }
    assert_eq!((made.len(), told.len()), (1, 11));
    assert!(told.iter().all(|resource| *resource == made[0]));
    assert_eq!(
        house.ledger.products(store, None, 10).await.unwrap().len(),
        1
    );
}

#[each_database]
async fn a_refused_request_leaves_its_key_free(house: TestLedger) {
    let store = house.create_store().await;
    let wrong = NewProduct {
        price: Money::new(250, "USD".parse().unwrap()),
        ..espresso(store)
    };
    let refused = create(&house, a_key(store, 1), wrong).await;
    assert!(matches!(
        refused,
        Err(ChangeError::Refused(ProductRefused::OtherCurrency { .. }))
    ));
    assert!(matches!(
        create(&house, a_key(store, 2), espresso(store)).await,
        Ok(Once::Done(_))
    ));
}

#[each_database]
async fn a_key_names_one_request_of_its_owner(house: TestLedger) {
    let (store, other) = (house.create_store().await, house.create_store().await);
    assert!(matches!(
        create(&house, a_key(store, 1), espresso(store)).await,
        Ok(Once::Done(_))
    ));
    let reused = create(&house, a_key(store, 2), espresso(store)).await;
    assert!(matches!(
        reused,
        Err(ChangeError::Failed(Failure::KeyReused))
    ));
    assert!(matches!(
        create(&house, a_key(other, 2), espresso(other)).await,
        Ok(Once::Done(_))
    ));
    let without = create(&house, None, espresso(store)).await;
    assert!(matches!(
        without,
        Err(ChangeError::Refused(ProductRefused::SkuTaken))
    ));
}

#[each_database]
async fn a_twin_of_a_request_that_takes_too_long_is_told_that_it_still_runs(house: TestLedger) {
    let store = house.create_store().await;
    let key = a_key(store, 1).unwrap();
    let mut first = Change::begin(&house.ledger.inner).await.unwrap();
    if matches!(first.tx, store::Tx::Sqlite(..)) {
        // SQLite has a single writer: no two changes run at the same time.
        return first.rollback().await;
    }
    let row = KeyRow {
        owner: key.owner,
        key: key.key.clone(),
        fingerprint: key.fingerprint,
        resource_id: Uuid::nil(),
    };
    store::idempotency::insert(&mut first.tx, &[row], first.now)
        .await
        .unwrap();
    let twin = create(&house, Some(key.clone()), espresso(store)).await;
    assert!(
        matches!(twin, Err(ChangeError::Failed(Failure::KeyInProgress))),
        "{twin:?}"
    );
    first.rollback().await;
    assert!(matches!(
        create(&house, Some(key), espresso(store)).await,
        Ok(Once::Done(_))
    ));
}

#[each_database]
async fn a_change_that_does_not_say_what_it_made_keeps_no_key(house: TestLedger) {
    let store = house.create_store().await;
    let done = house
        .ledger
        .once(a_key(store, 1), async |ledger| {
            crate::in_one_transaction!(&ledger.inner, CrashPoints::NONE, |change| {
                let _ = change;
                Ok::<_, Failure>(())
            })
        })
        .await;
    assert!(
        matches!(done, Err(Failure::Store(store::StoreError::Corrupt { .. }))),
        "{done:?}"
    );
}
