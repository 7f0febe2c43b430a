//! Changes of stock by people.

use super::*;

#[each_database]
async fn the_first_change_of_stock_makes_a_product_counted(house: TestLedger) {
    let store = house.create_store().await;
    let product = create(&house, espresso(store)).await;
    assert_eq!(product.stock, None);
    let refused = house
        .ledger
        .change_stock(product.id, by_hand(-1))
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(StockRefused::WouldBeNegative { quantity: 0 })
    ));
    assert_eq!(
        house
            .ledger
            .product(product.id)
            .await
            .unwrap()
            .unwrap()
            .stock,
        None
    );
    let counted = house
        .ledger
        .change_stock(product.id, by_hand(0))
        .await
        .unwrap();
    assert_eq!((counted.stock, counted.version), (Some(0), 1));
    let counted = house
        .ledger
        .change_stock(product.id, by_hand(5))
        .await
        .unwrap();
    assert_eq!(counted.stock, Some(5));
}

#[each_database]
async fn stock_never_goes_below_nothing_and_every_change_is_on_record(house: TestLedger) {
    let store = house.create_store().await;
    let by: AccountId = house.chance.id(noon());
    let new = NewProduct {
        stock: Some(3),
        ..espresso(store)
    };
    let product = house.ledger.create_product(new, Some(by)).await.unwrap();
    let broken = StockChange {
        delta: -2,
        reason: "broken".to_owned(),
        by: Some(by),
    };
    assert_eq!(
        house
            .ledger
            .change_stock(product.id, broken)
            .await
            .unwrap()
            .stock,
        Some(1)
    );
    let refused = house
        .ledger
        .change_stock(product.id, by_hand(-2))
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ChangeError::Refused(StockRefused::WouldBeNegative { quantity: 1 })
    ));
    assert_eq!(
        house
            .ledger
            .product(product.id)
            .await
            .unwrap()
            .unwrap()
            .stock,
        Some(1)
    );
    let mut tx = house.db.read().await.unwrap();
    let movements = store::stock_movements::of_product(&mut tx, product.id, 10)
        .await
        .unwrap();
    let seen: Vec<_> = movements
        .iter()
        .map(|m| (m.delta, m.reason.as_str(), m.by))
        .collect();
    assert_eq!(seen, [(-2, "broken", Some(by)), (3, FIRST_COUNT, Some(by))]);
    assert_eq!(movements[0].at, noon());
}

#[each_database]
async fn twenty_first_counts_at_once_add_up(house: TestLedger) {
    let store = house.create_store().await;
    let id = create(&house, espresso(store)).await.id;
    for changed in join_all((0..20).map(|_| house.ledger.change_stock(id, by_hand(1)))).await {
        changed.unwrap();
    }
    assert_eq!(
        house.ledger.product(id).await.unwrap().unwrap().stock,
        Some(20)
    );
}
