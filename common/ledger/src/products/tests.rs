//! Products and stock by hand on both databases.

mod stock;

use each_database::each_database;
use futures_util::future::join_all;

use super::*;
use crate::testing::{TestLedger, fixtures::new_product};
use store::testing::noon;

fn espresso(store_id: StoreId) -> NewProduct {
    NewProduct {
        sku: Some("ESP-1".to_owned()),
        ..new_product(store_id)
    }
}

fn by_hand(delta: i64) -> StockChange {
    StockChange {
        delta,
        reason: "counted".to_owned(),
        by: None,
    }
}

async fn create(house: &TestLedger, new: NewProduct) -> Product {
    house.ledger.create_product(new, None).await.unwrap()
}

#[each_database]
async fn a_product_is_read_as_it_was_created(house: TestLedger) {
    let store = house.create_store().await;
    let new = NewProduct {
        stock: Some(7),
        description: Some("kurz".to_owned()),
        ..espresso(store)
    };
    let created = create(&house, new).await;
    assert_eq!(
        (created.stock, created.version, created.created_at),
        (Some(7), 1, noon())
    );
    assert_eq!(
        house.ledger.product(created.id).await.unwrap(),
        Some(created)
    );
    let nothing = house.chance.id(noon());
    assert_eq!(house.ledger.product(nothing).await.unwrap(), None);
}

#[each_database]
async fn twenty_creates_of_one_sku_at_once_leave_one(house: TestLedger) {
    let store = house.create_store().await;
    let creates = (0..20).map(|_| house.ledger.create_product(espresso(store), None));
    let (created, refused): (Vec<_>, Vec<_>) = join_all(creates)
        .await
        .into_iter()
        .partition(|created| created.is_ok());
    assert_eq!(created.len(), 1);
    for refusal in refused {
        let refusal = refusal.unwrap_err();
        assert!(
            matches!(refusal, ChangeError::Refused(ProductRefused::SkuTaken)),
            "{refusal:?}"
        );
    }
    assert_eq!(
        house.ledger.products(store, None, 100).await.unwrap().len(),
        1
    );
}

#[each_database]
async fn skus_are_compared_as_bytes_and_belong_to_one_store(house: TestLedger) {
    let (here, there) = (house.create_store().await, house.create_store().await);
    let upper = create(&house, espresso(here)).await;
    let lower = create(
        &house,
        NewProduct {
            sku: Some("esp-1".to_owned()),
            ..espresso(here)
        },
    )
    .await;
    let other = create(&house, espresso(there)).await;
    let without = create(
        &house,
        NewProduct {
            sku: None,
            ..espresso(here)
        },
    )
    .await;
    create(
        &house,
        NewProduct {
            sku: None,
            ..espresso(here)
        },
    )
    .await;
    let mut tx = house.db.read().await.unwrap();
    let found = store::products::by_skus(&mut tx, here, &["esp-1", "ESP-1", "ESP-2"])
        .await
        .unwrap();
    assert_eq!(found, [upper.clone(), lower]);
    assert_eq!(
        store::products::by_skus(&mut tx, here, &[]).await.unwrap(),
        []
    );
    assert_eq!(
        house.ledger.product_by_sku(there, "ESP-1").await.unwrap(),
        Some(other.clone())
    );
    let many = store::products::many(&mut tx, &[without.id, other.id, upper.id])
        .await
        .unwrap();
    assert_eq!(many, [upper, other, without]);
    assert_eq!(store::products::many(&mut tx, &[]).await.unwrap(), []);
}

#[each_database]
async fn a_price_is_in_the_stores_currency(house: TestLedger) {
    let store = house.create_store().await;
    let dollars = Money::new(250, "USD".parse().unwrap());
    let refused = house
        .ledger
        .create_product(
            NewProduct {
                price: dollars,
                ..espresso(store)
            },
            None,
        )
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ChangeError::Refused(ProductRefused::OtherCurrency { store }) if store.as_str() == "EUR")
    );
    let id = create(&house, espresso(store)).await.id;
    let edit = ProductEdit {
        price: Some(dollars),
        ..ProductEdit::default()
    };
    let refused = house.ledger.edit_product(id, None, edit).await.unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(ProductRefused::OtherCurrency { .. })
    ));
}

#[each_database]
async fn a_product_needs_a_store_that_is_open_for_business(house: TestLedger) {
    let store = house.create_store().await;
    house.ledger.archive_store(store, None).await.unwrap();
    for nowhere in [store, house.chance.id(noon())] {
        let refused = house
            .ledger
            .create_product(espresso(nowhere), None)
            .await
            .unwrap_err();
        assert!(matches!(
            refused,
            ChangeError::Refused(ProductRefused::NoSuchStore)
        ));
    }
}

#[each_database]
async fn an_edit_changes_what_it_says_and_counts_the_version(house: TestLedger) {
    let store = house.create_store().await;
    let before = create(&house, espresso(store)).await;
    let edit = ProductEdit {
        sku: Some(None),
        description: Some(Some("strong".to_owned())),
        price: Some(Money::new(300, before.price.currency)),
        ..ProductEdit::default()
    };
    let edited = house
        .ledger
        .edit_product(before.id, Some(1), edit.clone())
        .await
        .unwrap();
    let expected = Product {
        sku: None,
        description: Some("strong".to_owned()),
        price: Money::new(300, before.price.currency),
        version: 2,
        ..before
    };
    assert_eq!(edited, expected);
    assert_eq!(
        house.ledger.product(edited.id).await.unwrap(),
        Some(expected)
    );
    let refused = house
        .ledger
        .edit_product(edited.id, Some(1), edit)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(ProductRefused::VersionConflict { current: 2 })
    ));
}

#[each_database]
async fn a_sku_cannot_be_edited_into_anothers(house: TestLedger) {
    let store = house.create_store().await;
    create(&house, espresso(store)).await;
    let other = create(
        &house,
        NewProduct {
            sku: None,
            ..espresso(store)
        },
    )
    .await;
    let edit = ProductEdit {
        sku: Some(Some("ESP-1".to_owned())),
        ..ProductEdit::default()
    };
    let refused = house
        .ledger
        .edit_product(other.id, None, edit)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(ProductRefused::SkuTaken)
    ));
}

#[each_database]
async fn availability_is_told_on_the_stores_stream_when_it_changes(house: TestLedger) {
    let store = house.create_store().await;
    let product = create(&house, espresso(store)).await;
    for available in [true, false, false, true] {
        let edit = ProductEdit {
            available: Some(available),
            ..ProductEdit::default()
        };
        house
            .ledger
            .edit_product(product.id, None, edit)
            .await
            .unwrap();
    }
    let told: Vec<_> = house
        .woken
        .events()
        .into_iter()
        .map(|event| {
            (
                event.stream,
                event.seq,
                event.kind,
                event.data["available"].clone(),
            )
        })
        .collect();
    let kind = EventKind::ProductAvailability;
    assert_eq!(
        told,
        [
            (store.into(), 1, kind, json!(false)),
            (store.into(), 2, kind, json!(true))
        ]
    );
    assert_eq!(
        house.woken.events()[0].data["product_id"],
        json!(product.id)
    );
}

#[each_database]
async fn the_menu_has_what_is_available_and_the_list_all_that_is_not_archived(house: TestLedger) {
    let store = house.create_store().await;
    let on = create(
        &house,
        NewProduct {
            sku: None,
            ..espresso(store)
        },
    )
    .await;
    let off = create(
        &house,
        NewProduct {
            sku: None,
            available: false,
            ..espresso(store)
        },
    )
    .await;
    let gone = create(
        &house,
        NewProduct {
            sku: None,
            ..espresso(store)
        },
    )
    .await;
    house.ledger.archive_product(gone.id, None).await.unwrap();
    let menu = house.ledger.menu(store).await.unwrap().unwrap().menu;
    let shown: Vec<ProductId> = menu.products.iter().map(|one| one.product.id).collect();
    assert_eq!(shown, [on.id]);
    assert_eq!(
        house.ledger.products(store, None, 1).await.unwrap(),
        [on.clone()]
    );
    assert_eq!(
        house.ledger.products(store, Some(on.id), 10).await.unwrap(),
        [off]
    );
}

#[each_database]
async fn an_archived_product_gives_its_sku_free_and_is_told_as_unavailable(house: TestLedger) {
    let store = house.create_store().await;
    let old = create(&house, espresso(store)).await;
    let archived = house.ledger.archive_product(old.id, Some(1)).await.unwrap();
    assert_eq!(
        (archived.archived_at, archived.sku.clone()),
        (Some(noon()), None)
    );
    assert_eq!(
        house.ledger.archive_product(old.id, None).await.unwrap(),
        archived
    );
    let told = house.woken.events();
    assert_eq!((told.len(), &told[0].data["available"]), (1, &json!(false)));
    create(&house, espresso(store)).await;
    let refused = house
        .ledger
        .edit_product(old.id, None, ProductEdit::default())
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(ProductRefused::NotFound)
    ));
    let refused = house
        .ledger
        .change_stock(old.id, by_hand(1))
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(StockRefused::NotFound)
    ));
}
