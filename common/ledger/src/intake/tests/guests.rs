//! Idempotency keys and references of guests, which are a guest's and not a table's.

use each_database::each_database;
use futures_util::future::join_all;

use crate::{
    intake::{Idempotency, PlaceOrder, PlaceRefused, Placer, guest_scope},
    testing::{TestLedger, fixtures::guest_order, refusal},
};
use domain::{
    ids::{OrderId, ProductId},
    session::Session,
};
use store::idempotency::KeyRow;

const PHONES: [Option<[u8; 32]>; 3] = [Some([1; 32]), Some([2; 32]), None];

async fn a_table(house: &TestLedger) -> (Session, ProductId) {
    let store = house.create_store().await;
    let session = house.ledger.open_session(store, "Table 1").await;
    (session.unwrap(), house.create_product(store).await)
}

/// Builds an order for one piece, with the key `1` and the reference `R`.
fn wanted(table: &(Session, ProductId), key_hash: Option<[u8; 32]>) -> PlaceOrder {
    PlaceOrder {
        placer: Placer::Guest { key_hash },
        reference: Some("R".to_owned()),
        idempotency: Some(Idempotency {
            owner: guest_scope(table.0.id, key_hash),
            key: "1".to_owned(),
            fingerprint: [7; 32],
            other_fingerprints: Vec::new(),
        }),
        ..guest_order(&table.0, table.1)
    }
}

fn without_key(mut order: PlaceOrder) -> PlaceOrder {
    order.idempotency = None;
    order
}

/// Asserts that a guest's repeated request finds this order and no other.
async fn assert_repeats(house: &TestLedger, order: PlaceOrder, existing: OrderId) {
    let again = house.ledger.place_order(order.clone()).await.unwrap();
    assert_eq!((again.order.id, again.replayed), (existing, true));
    let mut other = order.clone();
    other.idempotency.as_mut().unwrap().fingerprint = [8; 32];
    let refused = refusal(house.ledger.place_order(other).await);
    assert_eq!(refused, PlaceRefused::IdempotencyKeyReused);
    let refused = refusal(house.ledger.place_order(without_key(order)).await);
    assert_eq!(refused, PlaceRefused::DuplicateOrder { existing });
}

#[test]
fn every_guest_of_every_session_has_a_scope_of_its_own_which_is_no_id() {
    let session = |n: u128| domain::ids::SessionId::from(uuid::Uuid::from_u128(n));
    let mut scopes: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|n| PHONES.map(|key_hash| guest_scope(session(n), key_hash)))
        .collect();
    assert!(scopes.iter().all(|scope| scope.get_version_num() == 8));
    scopes.sort_unstable();
    scopes.dedup();
    assert_eq!(scopes.len(), 6);
    assert_eq!(guest_scope(session(1), None), guest_scope(session(1), None));
}

#[each_database]
async fn guests_who_send_one_key_and_reference_have_one_order_each(house: TestLedger) {
    let table = a_table(&house).await;
    let all = PHONES.into_iter().cycle().take(30).map(|key_hash| {
        let order = wanted(&table, key_hash);
        async { house.ledger.place_order(order).await.unwrap() }
    });
    let placed = join_all(all).await;
    for (at, key_hash) in PHONES.into_iter().enumerate() {
        let theirs: Vec<_> = placed.iter().skip(at).step_by(PHONES.len()).collect();
        assert_eq!(theirs.iter().filter(|one| !one.replayed).count(), 1);
        let order = &theirs[0].order;
        assert!(theirs.iter().all(|one| one.order.id == order.id));
        let author = order.guest_key_hash.as_deref();
        assert_eq!(author, key_hash.as_ref().map(|hash| &hash[..]));
        assert_repeats(&house, wanted(&table, key_hash), order.id).await;
    }
    let mut orders: Vec<_> = placed.iter().map(|one| one.order.id).collect();
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders.len(), PHONES.len());
    assert_eq!(house.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn an_order_that_an_older_version_placed_is_its_guests_and_nobody_elses(house: TestLedger) {
    for author in PHONES {
        let table = a_table(&house).await;
        let first = house.ledger.place_order(wanted(&table, author)).await;
        let first = first.unwrap().order.id;
        let mut tx = house.db.begin().await.unwrap();
        for as_it_was in [
            "DELETE FROM idempotency_keys WHERE owner NOT IN (SELECT id FROM sessions)",
            "UPDATE orders SET placed_by = session_id WHERE number = 1",
        ] {
            store::testing::run(&mut tx, as_it_was).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_repeats(&house, wanted(&table, author), first).await;
        for other in PHONES.into_iter().filter(|other| *other != author) {
            let placed = house.ledger.place_order(wanted(&table, other)).await;
            let placed = placed.unwrap();
            assert!(!placed.replayed);
            assert_ne!(placed.order.id, first);
            assert_repeats(&house, wanted(&table, other), placed.order.id).await;
        }
        assert_repeats(&house, wanted(&table, author), first).await;
        assert_eq!(house.ledger.audit().await.unwrap(), []);
    }
}

#[each_database]
async fn processes_of_an_older_version_find_the_first_guests_key(house: TestLedger) {
    let table = a_table(&house).await;
    let mut orders = Vec::new();
    for key_hash in PHONES {
        let placed = house.ledger.place_order(wanted(&table, key_hash)).await;
        orders.push(placed.unwrap().order.id.uuid());
    }
    let mut tx = house.db.read().await.unwrap();
    let wanted = [(table.0.id.uuid(), "1")];
    let found = store::idempotency::find(&mut tx, &wanted).await.unwrap();
    let expected = KeyRow {
        owner: table.0.id.uuid(),
        key: "1".to_owned(),
        fingerprint: [7; 32],
        resource_id: orders[0],
    };
    assert_eq!(found, [expected]);
}
