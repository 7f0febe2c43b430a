//! Imports of an outside service's list, and their effects on our own products.

use super::*;
use crate::{
    ChangeError,
    products::NewProduct,
    testing::{
        TestLedger,
        fixtures::{euros, new_product},
    },
};
use each_database::each_database;

fn listed(external_id: &str, name: &str, cents: i64) -> ListedProduct {
    ListedProduct {
        external_id: external_id.to_owned(),
        name: name.to_owned(),
        description: None,
        price: euros(cents),
    }
}

/// Returns sku, name, price and availability of all the store's products.
async fn sold(house: &TestLedger, store: StoreId) -> Vec<(Option<String>, String, i64, bool)> {
    let products = house.ledger.products(store, None, 100).await.unwrap();
    let mut sold: Vec<_> = products
        .into_iter()
        .map(|product| {
            (
                product.sku,
                product.name,
                product.price.amount,
                product.available,
            )
        })
        .collect();
    sold.sort();
    sold
}

fn row(sku: &str, name: &str, cents: i64, available: bool) -> (Option<String>, String, i64, bool) {
    (Some(sku.to_owned()), name.to_owned(), cents, available)
}

#[each_database]
async fn what_is_listed_is_sold_as_listed_and_what_is_not_is_off_sale(house: TestLedger) {
    let store = house.create_store().await;
    let bring =
        async |list: &[ListedProduct]| house.ledger.import_products(store, list).await.unwrap();
    bring(&[listed("2", "Tea", 200), listed("10", "Espresso", 180)]).await;
    assert_eq!(
        sold(&house, store).await,
        [row("10", "Espresso", 180, true), row("2", "Tea", 200, true)]
    );
    bring(&[listed("10", "Doppio", 250)]).await;
    assert_eq!(
        sold(&house, store).await,
        [row("10", "Doppio", 250, true), row("2", "Tea", 200, false)]
    );
    bring(&[listed("2", "Green tea", 210), listed("10", "Doppio", 250)]).await;
    assert_eq!(
        sold(&house, store).await,
        [
            row("10", "Doppio", 250, true),
            row("2", "Green tea", 210, true)
        ]
    );
    let kinds: Vec<_> = house
        .woken
        .events()
        .iter()
        .map(|event| event.data["available"].clone())
        .collect();
    assert_eq!(kinds, [false, true]);
    bring(&[]).await;
    assert!(
        sold(&house, store)
            .await
            .iter()
            .all(|(.., available)| !available)
    );
}

#[each_database]
async fn an_unchanged_list_writes_nothing(house: TestLedger) {
    let store = house.create_store().await;
    let list = [listed("1", "Tea", 200), listed("2", "Espresso", 180)];
    house.ledger.import_products(store, &list).await.unwrap();
    let before = house.ledger.products(store, None, 100).await.unwrap();
    house.ledger.import_products(store, &list).await.unwrap();
    assert_eq!(
        house.ledger.products(store, None, 100).await.unwrap(),
        before
    );
    assert!(before.iter().all(|product| product.version == 1));
}

#[each_database]
async fn what_people_took_off_sale_or_archived_stays_so_while_it_is_listed(house: TestLedger) {
    let store = house.create_store().await;
    let list = [listed("1", "Tea", 200), listed("2", "Espresso", 180)];
    house.ledger.import_products(store, &list).await.unwrap();
    let products = house.ledger.products(store, None, 100).await.unwrap();
    let off = crate::products::ProductEdit {
        available: Some(false),
        ..Default::default()
    };
    house
        .ledger
        .edit_product(products[0].id, None, off)
        .await
        .unwrap();
    house
        .ledger
        .archive_product(products[1].id, None)
        .await
        .unwrap();
    let list = [listed("1", "Black tea", 200), listed("2", "Doppio", 180)];
    house.ledger.import_products(store, &list).await.unwrap();
    house.ledger.import_products(store, &list).await.unwrap();
    assert_eq!(
        sold(&house, store).await,
        [row("1", "Black tea", 200, false)]
    );
}

#[each_database]
async fn the_stores_own_product_of_that_sku_becomes_the_listed_one(house: TestLedger) {
    let store = house.create_store().await;
    let other = house.create_product(store).await;
    let new = NewProduct {
        sku: Some("7".to_owned()),
        stock: Some(4),
        ..new_product(store)
    };
    let own = house.ledger.create_product(new, None).await.unwrap();
    house
        .ledger
        .import_products(store, &[listed("7", "Carrot cake", 320)])
        .await
        .unwrap();
    let became = house.ledger.product(own.id).await.unwrap().unwrap();
    assert_eq!(
        (became.name.as_str(), became.stock),
        ("Carrot cake", Some(4))
    );
    // A product that was never listed stays on sale.
    assert!(
        house
            .ledger
            .product(other)
            .await
            .unwrap()
            .unwrap()
            .available
    );
}

#[each_database]
async fn a_product_that_people_make_while_it_is_brought_in_becomes_the_listed_one(
    house: TestLedger,
) {
    let store = house.create_store().await;
    for round in 0..8 {
        let sku = round.to_string();
        let made = (0..4).map(|_| {
            let new = NewProduct {
                sku: Some(sku.clone()),
                ..new_product(store)
            };
            let ledger = house.ledger.clone();
            tokio::spawn(async move { ledger.create_product(new, None).await })
        });
        let made: Vec<_> = made.collect();
        let list = [listed(&sku, "Carrot cake", 320)];
        house.ledger.import_products(store, &list).await.unwrap();
        for one in made {
            let made = one.await.unwrap();
            assert!(
                matches!(
                    made,
                    Ok(_) | Err(ChangeError::Refused(ProductRefused::SkuTaken))
                ),
                "{made:?}"
            );
        }
        let cake = house
            .ledger
            .product_by_sku(store, &sku)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (cake.name.as_str(), cake.price.amount),
            ("Carrot cake", 320)
        );
    }
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn whoever_meets_a_sku_that_was_free_a_moment_ago_looks_again(house: TestLedger) {
    let store = house.create_store().await;
    let tea = listed("1", "Tea", 200);
    house
        .ledger
        .import_products(store, std::slice::from_ref(&tea))
        .await
        .unwrap();
    let mut change = Change::begin(&house.ledger.inner).await.unwrap();
    let made = create_listed(&mut change, store, Some(&tea.external_id), &tea).await;
    change.rollback().await;
    assert!(
        made.as_ref().is_err_and(StoreError::is_lock_lost),
        "{made:?}"
    );
}

#[each_database]
async fn a_sku_that_people_gave_to_another_listed_product_stays_with_it(house: TestLedger) {
    let store = house.create_store().await;
    house
        .ledger
        .import_products(store, &[listed("1", "Tea", 200)])
        .await
        .unwrap();
    let tea = house
        .ledger
        .products(store, None, 100)
        .await
        .unwrap()
        .remove(0);
    let edit = crate::products::ProductEdit {
        sku: Some(Some("2".to_owned())),
        ..Default::default()
    };
    house.ledger.edit_product(tea.id, None, edit).await.unwrap();
    let list = [listed("1", "Tea", 200), listed("2", "Espresso", 180)];
    for _ in 0..2 {
        house.ledger.import_products(store, &list).await.unwrap();
        let espresso = (None, "Espresso".to_owned(), 180, true);
        assert_eq!(
            sold(&house, store).await,
            [espresso, row("2", "Tea", 200, true)]
        );
    }
}

#[each_database]
async fn ten_who_bring_in_the_same_make_it_once(house: TestLedger) {
    let store = house.create_store().await;
    let list: Vec<_> = (0..40)
        .map(|n| listed(&n.to_string(), "Thing", 100 + n))
        .collect();
    let brought = (0..10).map(|_| {
        let (ledger, list) = (house.ledger.clone(), list.clone());
        tokio::spawn(async move { ledger.import_products(store, &list).await.unwrap() })
    });
    for done in futures_util::future::join_all(brought).await {
        done.unwrap();
    }
    assert_eq!(sold(&house, store).await.len(), 40);
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn prices_in_another_currency_are_refused(house: TestLedger) {
    let store = house.create_store().await;
    let list = [ListedProduct {
        price: Money::new(1, "USD".parse().unwrap()),
        ..listed("1", "Tea", 1)
    }];
    let refused = house.ledger.import_products(store, &list).await;
    assert!(
        matches!(
            refused,
            Err(ChangeError::Refused(ProductRefused::OtherCurrency { .. }))
        ),
        "{refused:?}"
    );
}
