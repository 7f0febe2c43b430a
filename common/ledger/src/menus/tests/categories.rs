//! Categories, and the products in them.

use super::*;

#[each_database]
async fn a_product_goes_only_into_categories_of_its_store(house: TestLedger) {
    let ledger = &house.ledger;
    let (store, other) = (house.create_store().await, house.create_store().await);
    let own = ledger
        .create_category(new_category(store, "Own", 0))
        .await
        .unwrap();
    let foreign = ledger
        .create_category(new_category(other, "Foreign", 0))
        .await
        .unwrap();
    let nothing: CategoryId = house.chance.id(house.clock.now());
    let product = house.create_product(store).await;
    let edit = ProductEdit {
        categories: Some(vec![
            place(foreign.id, 0),
            place(own.id, 0),
            place(nothing, 0),
        ]),
        ..ProductEdit::default()
    };
    let refused = ledger
        .edit_product(product, None, edit.clone())
        .await
        .unwrap_err();
    let ChangeError::Refused(ProductRefused::UnknownCategories { indexes }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(indexes, [0, 2]);
    let new = NewProduct {
        details: Details {
            categories: edit.categories.unwrap(),
            ..Details::default()
        },
        ..new_product(store)
    };
    let refused = ledger.create_product(new, None).await.unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(ProductRefused::UnknownCategories { .. })
    ));
    let after = ledger.menu_product(product).await.unwrap().unwrap();
    assert_eq!(
        (after.product.version, after.details.categories.len()),
        (1, 0)
    );
}

#[each_database]
async fn a_deleted_category_leaves_its_products_and_an_old_version_is_refused(house: TestLedger) {
    let (ledger, store) = (&house.ledger, house.create_store().await);
    let category = ledger
        .create_category(new_category(store, "Drinks", 0))
        .await
        .unwrap();
    let product = house.create_product(store).await;
    let edit = ProductEdit {
        categories: Some(vec![place(category.id, 0)]),
        ..ProductEdit::default()
    };
    ledger.edit_product(product, None, edit).await.unwrap();
    let rename = CategoryEdit {
        name: Some("Coffee".to_owned()),
        ..CategoryEdit::default()
    };
    let renamed = ledger
        .edit_category(category.id, Some(1), rename.clone())
        .await
        .unwrap();
    let expected = Category {
        name: "Coffee".to_owned(),
        version: 2,
        ..category.clone()
    };
    assert_eq!(renamed, expected);
    for refused in [
        ledger
            .edit_category(category.id, Some(1), rename)
            .await
            .unwrap_err(),
        ledger
            .delete_category(category.id, Some(1))
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(
            refused,
            ChangeError::Refused(CategoryRefused::VersionConflict { current: 2 })
        ));
    }
    ledger.delete_category(category.id, Some(2)).await.unwrap();
    let menu = read(ledger, store).await.menu;
    assert!(menu.sections.is_empty() && menu.products[0].details.categories.is_empty());
    let again = ledger.delete_category(category.id, None).await.unwrap_err();
    assert!(matches!(
        again,
        ChangeError::Refused(CategoryRefused::NotFound)
    ));
}

#[each_database]
async fn a_category_that_is_deleted_while_products_go_into_it_keeps_none(house: TestLedger) {
    let (ledger, store) = (&house.ledger, house.create_store().await);
    let mut products = Vec::new();
    for _ in 0..6 {
        products.push(house.create_product(store).await);
    }
    let category = ledger
        .create_category(new_category(store, "Drinks", 0))
        .await
        .unwrap();
    let edits = products.iter().map(|product| {
        let edit = ProductEdit {
            categories: Some(vec![place(category.id, 0)]),
            ..ProductEdit::default()
        };
        ledger.edit_product(*product, None, edit)
    });
    let (edited, deleted) = tokio::join!(
        futures_util::future::join_all(edits),
        ledger.delete_category(category.id, None)
    );
    deleted.unwrap();
    for refused in edited.into_iter().filter_map(Result::err) {
        assert!(
            matches!(
                refused,
                ChangeError::Refused(ProductRefused::UnknownCategories { .. })
            ),
            "{refused:?}"
        );
    }
    for one in read(ledger, store).await.menu.products {
        assert!(one.details.categories.is_empty(), "{one:?}");
    }
}
