//! Menus: their content, and the stamp that changes with every change of it.

mod categories;

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use each_database::each_database;

use crate::{
    ChangeError, Ledger,
    categories::{CategoryEdit, CategoryRefused, NewCategory},
    menus::MenuRead,
    products::{NewProduct, ProductEdit, ProductRefused, StockChange},
    stores::StoreEdit,
    testing::{TestLedger, fixtures::new_product},
};
use domain::{
    ids::{CategoryId, ProductId, StoreId},
    image::{CleanImage, ImageKind},
    menu::{Allergen, Category, Details, Diet, Image, Placement},
    status::{By, OrderStatus},
    translations::{Texts, Translations},
};

fn new_category(store_id: StoreId, name: &str, position: u32) -> NewCategory {
    NewCategory {
        store_id,
        name: name.to_owned(),
        description: None,
        position,
        weight: 1,
        translations: Translations::default(),
    }
}

fn german(name: &str) -> Translations {
    let texts = Texts {
        name: Some(name.to_owned()),
        description: None,
    };
    Translations([("de".parse().unwrap(), texts)].into())
}

fn place(category_id: CategoryId, position: u32) -> Placement {
    Placement {
        category_id,
        position,
    }
}

async fn assert_audit_clean(house: &TestLedger) {
    let findings = house.ledger.audit().await.unwrap();
    assert_eq!(findings, []);
}

async fn read(ledger: &Ledger, store: StoreId) -> MenuRead {
    ledger.menu(store).await.unwrap().unwrap()
}

async fn names(ledger: &Ledger, store: StoreId) -> Vec<String> {
    let read = read(ledger, store).await;
    let products = read.menu.products.into_iter();
    products.map(|one| one.product.name).collect()
}

#[each_database]
async fn a_menu_has_the_details_of_its_products_as_they_were_written(house: TestLedger) {
    let (ledger, store) = (&house.ledger, house.create_store().await);
    let drinks = NewCategory {
        description: Some("hot and cold".to_owned()),
        weight: 3,
        translations: german("Getränke"),
        ..new_category(store, "Drinks", 2)
    };
    let drinks = ledger.create_category(drinks).await.unwrap();
    assert_eq!(
        ledger.category(drinks.id).await.unwrap(),
        Some(drinks.clone())
    );
    let food = ledger
        .create_category(new_category(store, "Food", 1))
        .await
        .unwrap();
    let details = Details {
        categories: vec![place(drinks.id, 7), place(food.id, 8)],
        image: Some(Image::At("https://cafe.example/latte.png".to_owned())),
        allergens: BTreeSet::from([Allergen::Milk, Allergen::Nuts]),
        diets: BTreeSet::from([Diet::Vegetarian]),
        translations: german("Milchkaffee"),
    };
    let latte = NewProduct {
        details: details.clone(),
        ..new_product(store)
    };
    let latte = ledger.create_product(latte, None).await.unwrap();
    let plain = ledger
        .create_product(new_product(store), None)
        .await
        .unwrap();

    let menu = read(ledger, store).await.menu;
    assert_eq!(menu.sections.len(), 2);
    assert_eq!(menu.sections[0].category, food);
    assert_eq!(menu.sections[1].category, drinks);
    assert_eq!(menu.sections[1].products, [latte.id]);
    let shown: Vec<_> = menu
        .products
        .iter()
        .map(|one| (one.product.id, &one.details))
        .collect();
    assert_eq!(
        shown,
        [(latte.id, &details), (plain.id, &Details::default())]
    );
    for one in &menu.products {
        let alone = ledger.menu_product(one.product.id).await.unwrap();
        assert_eq!(alone.as_ref(), Some(one));
    }
    let listed = ledger.menu_products(store, None, None, 10).await.unwrap();
    assert_eq!(listed, menu.products);

    // Edits replace what they name and keep the rest.
    let edit = ProductEdit {
        categories: Some(vec![place(food.id, 1)]),
        image: Some(None),
        allergens: Some(BTreeSet::new()),
        ..ProductEdit::default()
    };
    let edited = ledger.edit_product(latte.id, Some(1), edit).await.unwrap();
    assert_eq!(edited.version, 2);
    let expected = Details {
        categories: vec![place(food.id, 1)],
        image: None,
        allergens: BTreeSet::new(),
        ..details
    };
    let after = ledger.menu_product(latte.id).await.unwrap().unwrap();
    assert_eq!(after.details, expected);
}

#[each_database]
async fn a_product_that_is_off_until_a_time_comes_back_by_itself(house: TestLedger) {
    let (ledger, store) = (&house.ledger, house.create_store().await);
    let session = house.ledger.open_session(store, "Table 1").await.unwrap();
    let product = house.create_product(store).await;
    let gone = house.create_product(store).await;
    let now = house.clock.now();
    let off = |until: Option<TimeDelta>| ProductEdit {
        available: Some(false),
        until: until.map(|until| now + until),
        ..ProductEdit::default()
    };
    for passed in [TimeDelta::zero(), TimeDelta::minutes(-1)] {
        let refused = ledger
            .edit_product(product, None, off(Some(passed)))
            .await
            .unwrap_err();
        assert!(matches!(
            refused,
            ChangeError::Refused(ProductRefused::UntilPassed)
        ));
    }
    ledger
        .edit_product(product, None, off(Some(TimeDelta::hours(1))))
        .await
        .unwrap();
    ledger.edit_product(gone, None, off(None)).await.unwrap();

    // The one that comes back stays on the menu, and nobody can order it.
    let menu = read(ledger, store).await.menu;
    assert_eq!(menu.products.len(), 1);
    assert_eq!(menu.products[0].product.id, product);
    assert!(menu.products[0].product.is_sold_out(now));
    let order = || crate::testing::fixtures::guest_order(&session, product);
    let refused = ledger.place_order(order()).await.unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(crate::intake::PlaceRefused::Unavailable { .. })
    ));
    house.clock.advance(Duration::from_secs(3599));
    assert!(ledger.place_order(order()).await.is_err());
    house.clock.advance(Duration::from_secs(1));
    assert!(!menu.holds_at(house.clock.now()));
    ledger.place_order(order()).await.unwrap();

    // Offering it again by hand forgets the time.
    let on = ProductEdit {
        available: Some(true),
        ..ProductEdit::default()
    };
    let on = ledger.edit_product(product, None, on).await.unwrap();
    assert_eq!((on.available, on.available_from), (true, None));
    assert_audit_clean(&house).await;
}

#[each_database]
async fn every_change_of_a_menu_changes_its_stamp_and_other_stores_keep_theirs(house: TestLedger) {
    let (ledger, store) = (&house.ledger, house.create_store().await);
    let other = house.create_store().await;
    let session = house.ledger.open_session(store, "Table 1").await.unwrap();
    let of_other = read(ledger, other).await.stamp;
    let mut last = read(ledger, store).await.stamp;
    let mut changed = async |what: &str| {
        let now = ledger.menu_stamp(store).await.unwrap().unwrap();
        assert_ne!(now, last, "{what}");
        last = now;
    };

    let category = ledger
        .create_category(new_category(store, "Drinks", 0))
        .await
        .unwrap()
        .id;
    changed("a new category").await;
    let counted = NewProduct {
        stock: Some(5),
        ..new_product(store)
    };
    let product = ledger.create_product(counted, None).await.unwrap().id;
    changed("a new product").await;
    let edit = ProductEdit {
        categories: Some(vec![place(category, 0)]),
        ..ProductEdit::default()
    };
    ledger.edit_product(product, None, edit).await.unwrap();
    changed("a product in a category").await;
    let edit = CategoryEdit {
        position: Some(4),
        ..CategoryEdit::default()
    };
    ledger.edit_category(category, None, edit).await.unwrap();
    changed("a category that moved").await;
    ledger.delete_category(category, None).await.unwrap();
    changed("a category that is gone").await;
    let stock = StockChange {
        delta: 3,
        reason: "counted".to_owned(),
        by: None,
    };
    ledger.change_stock(product, stock).await.unwrap();
    changed("stock by hand").await;
    let order = house.place_guest_order(&session, product).await;
    changed("an order").await;
    ledger
        .move_order(order.id, OrderStatus::Cancelled, By::Staff, Some("wrong"))
        .await
        .unwrap();
    changed("stock that came back").await;
    let pause = StoreEdit {
        paused: Some(true),
        ..StoreEdit::default()
    };
    ledger.edit_store(store, None, pause).await.unwrap();
    changed("a pause").await;
    ledger.archive_product(product, None).await.unwrap();
    changed("an archived product").await;

    assert_eq!(read(ledger, other).await.stamp, of_other);
    assert_eq!(names(ledger, store).await, Vec::<String>::new());
    ledger.archive_store(store, None).await.unwrap();
    assert_eq!(ledger.menu_stamp(store).await.unwrap(), None);
    assert_audit_clean(&house).await;
}

#[each_database]
async fn stocks_are_those_of_counted_products(house: TestLedger) {
    let (ledger, store) = (&house.ledger, house.create_store().await);
    house.create_product(store).await;
    let mut expected: Vec<(ProductId, i64)> = Vec::new();
    for stock in [4, 0] {
        let new = NewProduct {
            stock: Some(stock),
            ..new_product(store)
        };
        let product = ledger.create_product(new, None).await.unwrap();
        expected.push((product.id, stock.into()));
    }
    let read = read(ledger, store).await;
    assert_eq!(read.stocks, expected);
    assert_eq!(ledger.menu_stocks(store).await.unwrap(), expected);
    let sold_out: Vec<bool> = read
        .menu
        .products
        .iter()
        .map(|one| one.product.is_sold_out(read.menu.at))
        .collect();
    assert_eq!(sold_out, [false, false, true]);
}

#[each_database]
async fn a_product_has_one_image_and_a_replaced_one_is_gone(house: TestLedger) {
    let (ledger, store) = (&house.ledger, house.create_store().await);
    let product = house.create_product(store).await;
    let image_of = async |product: ProductId| {
        let read = ledger.menu_product(product).await.unwrap().unwrap();
        read.details.image
    };
    let mut bytes = vec![0_u8, 0xff, b'\'', 0x80];
    bytes.resize(domain::image::MAX_BYTES, 7);
    let mut seen = Vec::new();
    for kind in ImageKind::ALL {
        let clean = CleanImage {
            kind,
            bytes: bytes.clone(),
        };
        let before = ledger.menu_stamp(store).await.unwrap();
        ledger.set_image(product, None, &clean).await.unwrap();
        assert_ne!(ledger.menu_stamp(store).await.unwrap(), before);
        let Some(Image::Uploaded(id)) = image_of(product).await else {
            panic!("no image");
        };
        let stored = ledger.image(id).await.unwrap().unwrap();
        assert_eq!(stored.content_type, kind.content_type());
        assert_eq!(stored.bytes, bytes);
        seen.push(id);
    }
    for old in &seen[..2] {
        assert_eq!(ledger.image(*old).await.unwrap(), None);
    }
    // The product may be given the image that it has, but not one that is gone, and not another product's.
    let with = |image: Option<Image>| ProductEdit {
        image: Some(image),
        ..ProductEdit::default()
    };
    let own = with(Some(Image::Uploaded(seen[2])));
    ledger
        .edit_product(product, None, own.clone())
        .await
        .unwrap();
    assert!(ledger.image(seen[2]).await.unwrap().is_some());
    let other = house.create_product(store).await;
    let gone = with(Some(Image::Uploaded(seen[0])));
    for refused in [
        ledger.edit_product(product, None, gone).await.unwrap_err(),
        ledger.edit_product(other, None, own).await.unwrap_err(),
    ] {
        assert!(matches!(
            refused,
            ChangeError::Refused(ProductRefused::UnknownImage)
        ));
    }
    ledger
        .edit_product(product, None, with(None))
        .await
        .unwrap();
    assert_eq!(ledger.image(seen[2]).await.unwrap(), None);
    assert_eq!(image_of(product).await, None);
}
