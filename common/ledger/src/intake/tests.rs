//! Intake on both databases: what is placed, what is refused, and what hundreds at once leave behind.

mod behind;
mod bounds;
mod guests;
mod hours;
mod running;
mod slots;
mod unanswered;
mod vanished;

use each_database::each_database;
use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::{Idempotency, PlaceOrder, PlaceRefused, Placer, Shortage};
use crate::{
    Ledger, NoWake,
    scene::Scene,
    testing::{
        TestLedger,
        fixtures::{euros, line, new_order},
        refusal,
    },
};
use domain::{
    event::EventKind,
    hint::Hint,
    ids::{AccountId, OrderId, ProductId, StoreId},
    status::OrderStatus,
};

async fn create_product(house: &TestLedger, store_id: StoreId, stock: Option<u32>) -> ProductId {
    house
        .create_product_with(store_id, |new| new.stock = stock)
        .await
}

fn an_order(store_id: StoreId, account: AccountId, lines: &[(ProductId, u32)]) -> PlaceOrder {
    let lines = lines
        .iter()
        .map(|(product, quantity)| line(*product, *quantity));
    new_order(store_id, Placer::Account(account), lines.collect())
}

async fn stock_of(ledger: &Ledger, product: ProductId) -> Option<i64> {
    ledger.product(product).await.unwrap().unwrap().stock
}

#[each_database]
async fn an_order_that_nobody_outside_must_confirm_is_accepted_at_once_and_no_other(
    house: TestLedger,
) {
    let accepts = async |scene: &Scene| {
        drop(house.woken.take());
        let order = scene.order().await.id;
        house.woken.hints().contains(&Hint::Accept { order })
    };
    let scene = Scene::new(&house).await;
    assert!(accepts(&scene).await, "there is no integrator");
    scene.integrator(|new| new.required = Some(false)).await;
    scene.courier().await;
    assert!(
        accepts(&scene).await,
        "one is optional, and the other is told later"
    );
    scene.kitchen().await;
    assert!(!accepts(&scene).await, "the kitchen must accept");
    let by_hand = Scene::with_store(&house, |store| store.auto_accept = false).await;
    assert!(!accepts(&by_hand).await, "staff must accept");
}

#[each_database]
async fn a_placed_order_is_kept_numbered_and_told_of(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, Some(10)).await;
    let placed = house
        .ledger
        .place_order(an_order(store, house.new_account_id(), &[(product, 2)]))
        .await
        .unwrap();

    assert!(!placed.replayed);
    let kept = house.ledger.order(placed.order.id).await.unwrap().unwrap();
    assert_eq!(kept, placed.order);
    assert_eq!(
        (kept.number, kept.status, kept.total),
        (Some(1), OrderStatus::Pending, euros(500))
    );
    assert_eq!(stock_of(&house.ledger, product).await, Some(8));
    let told: Vec<_> = house
        .woken
        .events()
        .into_iter()
        .filter(|event| event.kind == EventKind::OrderPlaced)
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].stream, told[0].seq), (kept.id.into(), 1));
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn a_commit_of_orders_is_timed_and_they_are_counted_but_a_refusal_is_not(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, Some(3)).await;
    for pieces in [1, 3, 2] {
        let _ = house
            .ledger
            .place_order(an_order(
                store,
                house.new_account_id(),
                &[(product, pieces)],
            ))
            .await;
    }
    let metrics = house.ledger.metrics();
    let batches = &metrics.intake_batch_orders;
    assert_eq!(
        (batches.get_sample_count(), batches.get_sample_sum()),
        (2, 2.0)
    );
    assert_eq!(metrics.intake_commit_seconds.get_sample_count(), 2);
}

#[each_database]
async fn a_price_change_leaves_totals_alone(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, None).await;
    let placed = house
        .ledger
        .place_order(an_order(store, house.new_account_id(), &[(product, 1)]))
        .await
        .unwrap();
    let edit = crate::products::ProductEdit {
        price: Some(euros(999)),
        ..Default::default()
    };
    house
        .ledger
        .edit_product(product, None, edit)
        .await
        .unwrap();
    assert_eq!(
        house
            .ledger
            .order(placed.order.id)
            .await
            .unwrap()
            .unwrap()
            .total,
        euros(250)
    );
}

#[each_database]
async fn two_lines_of_one_product_are_summed_before_the_check(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, Some(5)).await;
    let wanted = an_order(store, house.new_account_id(), &[(product, 3), (product, 3)]);
    let short = Shortage {
        product_id: product,
        name: "Espresso".into(),
        wanted: 6,
        left: 5,
    };
    assert_eq!(
        refusal(house.ledger.place_order(wanted).await),
        PlaceRefused::InsufficientStock { short: vec![short] }
    );
    assert_eq!(stock_of(&house.ledger, product).await, Some(5));
}

#[each_database]
async fn the_last_piece_can_be_bought(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, Some(1)).await;
    house
        .ledger
        .place_order(an_order(store, house.new_account_id(), &[(product, 1)]))
        .await
        .unwrap();
    assert_eq!(stock_of(&house.ledger, product).await, Some(0));
}

#[each_database]
async fn two_hundred_buyers_of_fifty_pieces_leave_fifty_orders_and_none_left(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, Some(50)).await;
    // Two processes with one database, each with its own writers.
    let ledgers = [
        house.ledger.clone(),
        house.ledger_with_wake(std::sync::Arc::new(NoWake)),
    ];
    let buyers = (0..200).map(|buyer| {
        let (ledger, account) = (ledgers[buyer % 2].clone(), house.new_account_id());
        async move {
            ledger
                .place_order(an_order(store, account, &[(product, 1)]))
                .await
        }
    });
    let (placed, refused): (Vec<_>, Vec<_>) = join_all(buyers)
        .await
        .into_iter()
        .partition(std::result::Result::is_ok);

    assert_eq!((placed.len(), refused.len()), (50, 150));
    for result in refused {
        assert!(matches!(
            refusal(result),
            PlaceRefused::InsufficientStock { .. }
        ));
    }
    let numbers: BTreeSet<i64> = placed
        .into_iter()
        .map(|placed| placed.unwrap().order.number.unwrap())
        .collect();
    assert_eq!(numbers, (1..=50).collect());
    assert_eq!(stock_of(&house.ledger, product).await, Some(0));
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn fifty_identical_requests_with_one_key_are_one_order(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, Some(50)).await;
    let account = house.new_account_id();
    let ledgers = [
        house.ledger.clone(),
        house.ledger_with_wake(std::sync::Arc::new(NoWake)),
    ];
    let twins = (0..50).map(|twin| {
        let ledger = ledgers[twin % 2].clone();
        let mut wanted = an_order(store, account, &[(product, 1)]);
        wanted.idempotency = Some(Idempotency {
            owner: account.uuid(),
            key: "once".into(),
            fingerprint: [7; 32],
            other_fingerprints: Vec::new(),
        });
        async move { ledger.place_order(wanted).await.unwrap() }
    });
    let placed = join_all(twins).await;

    let ids: BTreeSet<_> = placed.iter().map(|placed| placed.order.id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(placed.iter().filter(|placed| !placed.replayed).count(), 1);
    assert_eq!(stock_of(&house.ledger, product).await, Some(49));
}

#[each_database]
async fn a_key_that_was_used_for_something_else_is_refused(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, None).await;
    let account = house.new_account_id();
    let mut wanted = an_order(store, account, &[(product, 1)]);
    let key = |fingerprint| {
        Some(Idempotency {
            owner: account.uuid(),
            key: "k".into(),
            fingerprint,
            other_fingerprints: Vec::new(),
        })
    };
    wanted.idempotency = key([1; 32]);
    house.ledger.place_order(wanted.clone()).await.unwrap();
    wanted.idempotency = key([2; 32]);
    assert_eq!(
        refusal(house.ledger.place_order(wanted).await),
        PlaceRefused::IdempotencyKeyReused
    );
}

#[each_database]
async fn a_reference_names_one_order_of_its_account_and_is_compared_as_bytes(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, None).await;
    let account = house.new_account_id();
    let with = |account, reference: &str| {
        let mut wanted = an_order(store, account, &[(product, 1)]);
        wanted.reference = Some(reference.into());
        house.ledger.place_order(wanted)
    };
    let first = with(account, "R-1").await.unwrap();
    assert_eq!(
        refusal(with(account, "R-1").await),
        PlaceRefused::DuplicateOrder {
            existing: first.order.id
        }
    );
    with(account, "r-1").await.unwrap();
    with(account, "R-1 ").await.unwrap();
    with(house.new_account_id(), "R-1").await.unwrap();
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn a_batch_with_refusals_among_it_keeps_the_rest(house: TestLedger) {
    let store = house.create_store().await;
    let (plenty, few) = (
        create_product(&house, store, None).await,
        create_product(&house, store, Some(3)).await,
    );
    let missing: ProductId = house.chance.id(house.clock.now());
    let account = house.new_account_id();
    let all = (0..256).map(|n| {
        let mut wanted = match n % 4 {
            0 => an_order(store, account, &[(plenty, 1)]),
            1 => an_order(store, account, &[(few, 1), (plenty, 1)]),
            2 => an_order(store, account, &[(plenty, 1), (missing, 1)]),
            _ => an_order(store, account, &[(plenty, 2)]),
        };
        if n % 4 == 3 {
            wanted.expected_total = Some(euros(1));
        }
        let ledger = house.ledger.clone();
        async move { (n % 4, ledger.place_order(wanted).await) }
    });
    let mut placed = [0; 4];
    for (kind, result) in join_all(all).await {
        match (kind, result) {
            (0 | 1, Ok(_)) => placed[kind] += 1,
            (1, result) => assert!(matches!(
                refusal(result),
                PlaceRefused::InsufficientStock { .. }
            )),
            (2, result) => assert_eq!(
                refusal(result),
                PlaceRefused::UnknownProducts { lines: vec![1] }
            ),
            (_, result) => {
                assert_eq!(
                    refusal(result),
                    PlaceRefused::TotalMismatch {
                        expected: euros(1),
                        actual: euros(500)
                    }
                );
            }
        }
    }
    assert_eq!(placed, [64, 3, 0, 0]);
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn a_closed_session_takes_no_order(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, None).await;
    let session = house.ledger.open_session(store, "Table 1").await.unwrap();
    let mut wanted = an_order(store, house.new_account_id(), &[(product, 1)]);
    wanted.session = Some(session.id);
    wanted.placer = Placer::Guest { key_hash: None };
    let placed = house.ledger.place_order(wanted.clone()).await.unwrap();
    assert_eq!(
        placed
            .order
            .session
            .as_ref()
            .map(|session| session.name.as_str()),
        Some("Table 1")
    );
    house.ledger.close_session(session.id).await.unwrap();
    assert_eq!(
        refusal(house.ledger.place_order(wanted).await),
        PlaceRefused::SessionClosed
    );
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn a_session_that_does_not_exist_is_told_from_one_that_is_busy(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, None).await;
    let mut wanted = an_order(store, house.new_account_id(), &[(product, 1)]);
    wanted.session = Some(house.chance.id(house.clock.now()));
    assert_eq!(
        refusal(house.ledger.place_order(wanted).await),
        PlaceRefused::UnknownSession
    );
}

#[each_database]
async fn cancelling_ten_times_at_once_gives_stock_back_once(house: TestLedger) {
    let store = house.create_store().await;
    let product = create_product(&house, store, Some(5)).await;
    let placed = house
        .ledger
        .place_order(an_order(store, house.new_account_id(), &[(product, 2)]))
        .await
        .unwrap();
    let cancels = (0..10).map(|_| {
        let ledger = house.ledger.clone();
        let by = domain::status::By::Staff;
        async move {
            ledger
                .move_order(placed.order.id, OrderStatus::Cancelled, by, Some("mistake"))
                .await
        }
    });
    for result in join_all(cancels).await {
        assert_eq!(result.unwrap().status, OrderStatus::Cancelled);
    }
    assert_eq!(stock_of(&house.ledger, product).await, Some(5));
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}
