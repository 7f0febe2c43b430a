//! Erasures and exports of persons' data, on both databases.

use std::net::IpAddr;

use each_database::each_database;

use super::*;
use crate::{
    actor::{acting, acting_from},
    intake::{Line, Placer},
    records::TrailFilter,
    scene::{Scene, word},
    testing::{
        TestLedger,
        fixtures::{line, new_account},
        refusal,
    },
};
use domain::{
    actor::Actor,
    callback::{DeliveryUpdate, Update},
    erasure::WaitsFor,
    ids::OrderId,
    order::{Customer, Fulfilment, Order},
    status::{By, OrderStatus},
};

/// Every text that is known of the person; none may be left anywhere.
const KNOWN: [&str; 10] = [
    "Zoe",
    "zoe",
    "Quispe",
    "777 1234",
    "zoe.q@",
    "Birkenweg",
    "doorbell",
    "extra hot",
    "TRACK-Z",
    "dev-z",
];

fn zoe() -> Customer {
    Customer {
        id: Some("Zoe-1".to_owned()),
        name: Some("Zoe Quispe".to_owned()),
        phone: Some("+49 30 777 1234".to_owned()),
        email: Some("zoe.q@example.com".to_owned()),
        address: Some("Birkenweg 7".to_owned()),
        lat: Some(52.5),
        lng: Some(13.4),
        device_token: Some("dev-z".to_owned()),
    }
}

fn known(person: Person) -> KnownPerson {
    let mut hash = [0; 32];
    for (place, byte) in person.value.bytes().take(32).enumerate() {
        hash[place] = byte ^ 0x55;
    }
    KnownPerson { person, hash }
}

fn by_phone() -> KnownPerson {
    known(Person::phone("0049 (0)30 7771234").unwrap())
}

fn operator(house: &TestLedger) -> Actor {
    Actor {
        name: Some("olga".to_owned()),
        role: Some(Role::Operator),
        ..Actor::account_id(house.new_account_id())
    }
}

/// Places an order of the person, with notes.
async fn order_of(scene: &Scene, placer: Placer, customer: Customer) -> Order {
    let noted = Line {
        note: Some("extra hot".to_owned()),
        ..line(scene.product, 1)
    };
    let mut wanted = scene.wanted(placer);
    wanted.customer = customer;
    wanted.fulfilment = Fulfilment::Delivery;
    wanted.lines = vec![noted];
    wanted.user_note = Some("The doorbell is broken.".to_owned());
    scene.house.ledger.place_order(wanted).await.unwrap().order
}

/// Says that every row that waits to be announced is.
async fn announce(scene: &Scene) {
    let mut tx = scene.house.db.begin().await.unwrap();
    store::testing::run(&mut tx, "DELETE FROM outbox")
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Sweeps until the erasure is done or waits.
async fn sweep(scene: &Scene, erasure: &Erasure) -> Erasure {
    announce(scene).await;
    let ledger = &scene.house.ledger;
    let now = ledger.erasure(erasure.id).await.unwrap().unwrap();
    if now.next_at > scene.house.clock.now() {
        scene.house.clock.set(now.next_at);
    }
    ledger.continue_erasures().await.unwrap();
    ledger.erasure(erasure.id).await.unwrap().unwrap()
}

/// Asserts that none of the texts is in any column of the database.
async fn assert_nothing_known(scene: &Scene) {
    let mut tx = scene.house.db.read().await.unwrap();
    let found = store::testing::columns_with(&mut tx, &KNOWN).await.unwrap();
    assert!(found.is_empty(), "the person is still in {found:?}");
}

#[each_database]
async fn everything_that_is_known_of_a_person_is_gone_and_orders_of_others_stay(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let ledger = &house.ledger;
    let kitchen = scene.kitchen().await;
    let courier = scene.courier().await;
    let olga = operator(&house);
    let anna = new_account("zoe.q@example.com", Role::Customer);
    let anna = acting(olga.clone(), ledger.create_account(&anna))
        .await
        .unwrap();
    let linked = ledger.link_external_identity(anna.id, "Zoe-ext");
    acting(Actor::account(&anna), linked).await.unwrap();

    // One was delivered by a courier, with a number of its parcel and the person's name in a reason.
    let placer = Placer::Account(anna.id);
    let order = acting(Actor::account(&anna), order_of(&scene, placer, zoe())).await;
    let claimed = scene.claim(&kitchen).await;
    let heard = domain::handoff::SendResult::Answer {
        status: 200,
        retry_after: None,
    };
    scene
        .heard(&claimed, heard, b"{\"note\":\"cooking for Zoe\"}")
        .await;
    for to in [
        OrderStatus::Preparing,
        OrderStatus::Ready,
        OrderStatus::Dispatched,
    ] {
        scene.staff_move(order.id, to).await;
    }
    scene.answers(&scene.claim(&courier).await, 200).await;
    let update = Update {
        reason: Some("handed to Zoe".to_owned()),
        delivery: Some(DeliveryUpdate {
            tracking_number: Some("TRACK-Z".to_owned()),
            status: Some("DELIVERED".to_owned()),
        }),
        ..word(order.id, "delivered")
    };
    scene.says(&courier, order.id, update).await;
    assert_eq!(scene.status(order.id).await, OrderStatus::Delivered);
    // Another was cancelled at a table that bears the name; and one is somebody else's.
    let table = ledger.open_session(scene.store, "Birthday of Zoe");
    let table = acting(olga.clone(), table).await.unwrap();
    let mut wanted = crate::testing::fixtures::guest_order(&table, scene.product);
    wanted.customer = zoe();
    let at_table = ledger.place_order(wanted).await.unwrap().order;
    let reason = Some("Zoe went home");
    ledger
        .move_order(at_table.id, OrderStatus::Cancelled, By::Staff, reason)
        .await
        .unwrap();
    let other = Customer {
        name: Some("Ben".to_owned()),
        phone: Some("+49 30 999 1234".to_owned()),
        ..Customer::default()
    };
    let mut wanted = scene.wanted(Placer::Account(house.new_account_id()));
    wanted.customer = other;
    let bens = ledger.place_order(wanted).await.unwrap().order;
    let found = ledger.export_person(&by_phone(), None).await.unwrap();
    let orders: Vec<OrderId> = found.orders.iter().map(|one| one.order.id).collect();
    assert_eq!(orders, [order.id, at_table.id]);
    assert_eq!(found.orders[0].recipients.len(), 2);

    let by_email = known(Person::email("ZOE.q@example.com").unwrap());
    let requested = acting(olga.clone(), ledger.request_erasure(&by_email)).await;
    let requested = requested.unwrap();
    assert_eq!(requested.account_id, Some(anna.id));
    let disabled = ledger.credentials_of(anna.id).await.unwrap().unwrap();
    assert!(disabled.account.disabled, "no new order comes");
    // The table is still open.
    let waits = sweep(&scene, &requested).await;
    assert_eq!(waits.done_at, None);
    assert_eq!(waits.progress.erased, 1);
    let waiting: Vec<_> = waits
        .progress
        .waiting
        .iter()
        .map(|one| (one.order_id, one.waits_for))
        .collect();
    assert_eq!(waiting, [(at_table.id, WaitsFor::SessionEnd)]);
    acting(olga.clone(), ledger.close_session(table.id))
        .await
        .unwrap();
    let done = sweep(&scene, &requested).await;
    assert!(done.done_at.is_some(), "{done:?}");
    assert_eq!(done.progress.erased, 2);
    assert_eq!(done.progress.recipients.len(), 2);

    assert_nothing_known(&scene).await;
    let left = scene.now(order.id).await;
    assert_eq!(left.status, OrderStatus::Delivered);
    assert_eq!((left.total, left.number), (order.total, order.number));
    assert_eq!(left.customer, Customer::default());
    assert_eq!(left.updated_at, Some(waits.progress.walked_at.unwrap()));
    let kept = scene.now(bens.id).await;
    assert_eq!(kept.customer, bens.customer);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn open_orders_are_not_touched_and_are_erased_once_they_have_ended(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let ledger = &house.ledger;
    let kitchen = scene.kitchen().await;
    let placer = Placer::Account(house.new_account_id());
    let order = order_of(&scene, placer.clone(), zoe()).await;
    let requested = ledger.request_erasure(&by_phone()).await.unwrap();
    let again = ledger.request_erasure(&by_phone()).await.unwrap();
    assert_eq!(again.id, requested.id, "one request a person");
    assert_eq!(
        ledger.continue_erasures().await.unwrap(),
        0,
        "it begins later"
    );
    let waits = |erasure: &Erasure| erasure.progress.waiting.first().map(|one| one.waits_for);

    let swept = sweep(&scene, &requested).await;
    assert_eq!(waits(&swept), Some(WaitsFor::OrderEnd));
    assert_eq!(scene.now(order.id).await.customer, zoe());
    let claimed = scene.claim(&kitchen).await;
    let to = OrderStatus::Cancelled;
    ledger
        .move_order(order.id, to, By::Staff, None)
        .await
        .unwrap();
    let swept = sweep(&scene, &requested).await;
    assert_eq!(waits(&swept), Some(WaitsFor::Message), "it is on its way");
    scene.answers(&claimed, 200).await;
    // The kitchen is told that it is cancelled.
    let swept = sweep(&scene, &requested).await;
    assert_eq!(waits(&swept), Some(WaitsFor::Message));
    scene.answers(&scene.claim(&kitchen).await, 200).await;
    let done = sweep(&scene, &requested).await;
    assert!(done.done_at.is_some(), "{done:?}");
    assert_eq!((done.progress.erased, done.progress.examined), (1, 1));
    assert_eq!(scene.now(order.id).await.customer, Customer::default());
    // A later order of the same person is another matter, and so is a later request.
    let later = order_of(&scene, placer, zoe()).await;
    ledger.continue_erasures().await.unwrap();
    assert_eq!(scene.now(later.id).await.customer, zoe());
    let next = ledger.request_erasure(&by_phone()).await.unwrap();
    assert_ne!(next.id, requested.id);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_waits_until_its_events_are_announced(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let ledger = &house.ledger;
    let placer = Placer::Account(house.new_account_id());
    let order = order_of(&scene, placer, zoe()).await;
    let requested = ledger.request_erasure(&by_phone()).await.unwrap();
    house.clock.set(requested.next_at);
    let to = OrderStatus::Cancelled;
    ledger
        .move_order(order.id, to, By::Staff, None)
        .await
        .unwrap();
    ledger.continue_erasures().await.unwrap();
    let swept = ledger.erasure(requested.id).await.unwrap().unwrap();
    let waits = swept.progress.waiting.first().map(|one| one.waits_for);
    assert_eq!(waits, Some(WaitsFor::Announcement));
    assert!(sweep(&scene, &requested).await.done_at.is_some());
}

#[each_database]
async fn both_are_on_record_without_the_person(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let ledger = &house.ledger;
    let olga = operator(&house);
    let address = IpAddr::from([192, 0, 2, 7]);
    acting_from(olga.clone(), address, async {
        ledger.export_person(&by_phone(), None).await.unwrap();
        let requested = ledger.request_erasure(&by_phone()).await.unwrap();
        let swept = sweep(&scene, &requested).await;
        assert!(swept.done_at.is_some(), "there is nothing to erase");
    })
    .await;
    let of_olga = TrailFilter {
        actor: olga.id,
        subject: Some(Subject::Customer),
        ..TrailFilter::default()
    };
    let page = ledger.audit_trail(&of_olga, None, 10).await.unwrap();
    let done: Vec<Action> = page.records.iter().map(|one| one.action).collect();
    assert_eq!(
        done,
        [Action::Erased, Action::ErasureRequested, Action::Exported]
    );
    let people: Vec<_> = page
        .records
        .iter()
        .map(|one| one.fields["person"].clone())
        .collect();
    assert!(
        people.iter().all(|person| *person == people[0]),
        "{people:?}"
    );
    assert_eq!(page.records[2].address.as_deref(), Some("192.0.2.7"));
    assert!(!format!("{page:?}").contains("7771234"), "{page:?}");
    assert_nothing_known(&scene).await;
}

#[each_database]
async fn only_customers_accounts_are_erased(house: TestLedger) {
    let ledger = &house.ledger;
    let boss = new_account("zoe.q@example.com", Role::Operator);
    let boss = ledger.create_account(&boss).await.unwrap();
    let by_account = ledger
        .request_erasure(&known(Person::account(boss.id)))
        .await;
    assert_eq!(refusal(by_account), PersonRefused::NotACustomer);
    let nobody = known(Person::account(house.new_account_id()));
    let refused = refusal(ledger.request_erasure(&nobody).await);
    assert_eq!(refused, PersonRefused::NoSuchAccount);
    // By the address, the orders are erased, and the account of a person who works here stays.
    let by_email = known(Person::email("zoe.q@example.com").unwrap());
    let requested = ledger.request_erasure(&by_email).await.unwrap();
    assert_eq!(requested.account_id, None);
}

#[each_database]
async fn the_orders_of_an_account_are_found_whatever_they_say_and_page_by_page(house: TestLedger) {
    let scene = Scene::with_store(&house, |_| {}).await;
    let ledger = &house.ledger;
    let anna = new_account("anna", Role::Customer);
    let anna = ledger.create_account(&anna).await.unwrap();
    let mut placed = Vec::new();
    for n in 0..60_u32 {
        let customer = if n % 2 == 0 {
            zoe()
        } else {
            Customer::default()
        };
        let mut wanted = scene.wanted(Placer::Account(anna.id));
        wanted.lines = vec![line(scene.product, 1)];
        wanted.customer = customer;
        placed.push(ledger.place_order(wanted).await.unwrap().order.id);
    }
    let person = known(Person::account(anna.id));
    let first = ledger.export_person(&person, None).await.unwrap();
    assert_eq!(first.account.map(|account| account.id), Some(anna.id));
    let second = ledger.export_person(&person, first.next).await.unwrap();
    assert_eq!(second.next, None);
    let pages = first.orders.into_iter().chain(second.orders);
    let found: Vec<OrderId> = pages.map(|one| one.order.id).collect();
    placed.sort_unstable();
    assert_eq!(found, placed);
}
