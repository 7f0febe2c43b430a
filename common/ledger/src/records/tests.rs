//! Actors of events and of changes by people, on both databases.

use each_database::each_database;
use serde_json::json;

use super::*;
use crate::{
    accounts::{NewAccount, NewApiKey},
    actor::acting,
    categories::{CategoryEdit, NewCategory},
    integrators::{IntegratorEdit, SecretKind},
    listeners::ListenRequest,
    option_groups::{NewOptionGroup, OptionGroupEdit},
    products::{ProductEdit, StockChange},
    scene::Scene,
    stores::StoreEdit,
    testing::{
        TestLedger,
        fixtures::{euros, new_account},
    },
};
use domain::{
    account::Role,
    actor::Actor,
    api_key::KeyAction,
    event::EventKind,
    ids::OrderId,
    integrator::{Format, HandoffEvent},
    status::{By, OrderStatus},
    translations::Translations,
};

fn person(house: &TestLedger, name: &str) -> Actor {
    Actor {
        name: Some(name.to_owned()),
        role: Some(Role::Manager),
        ..Actor::account_id(house.new_account_id())
    }
}

/// Returns what happened to an order, and who caused it.
async fn told(scene: &Scene, order: OrderId) -> Vec<(EventKind, Actor)> {
    let events = scene.house.ledger.order_events(order, 0).await.unwrap();
    let events = events.into_iter();
    events
        .map(|event| (event.kind, event.actor.unwrap()))
        .collect()
}

#[each_database]
async fn every_event_of_an_order_says_who_caused_it(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let kitchen = scene.kitchen().await;
    let sam = person(&house, "sam");
    let session = house
        .ledger
        .open_session(scene.store, "Table 1")
        .await
        .unwrap();
    let order = house.place_guest_order(&session, scene.product).await;
    scene.answers(&scene.claim(&kitchen).await, 200).await;
    let (id, to) = (order.id, OrderStatus::Cancelled);
    let cancelled = house.ledger.move_order(id, to, By::Staff, Some("gone"));
    acting(sam.clone(), cancelled).await.unwrap();
    let changed = EventKind::OrderStatusChanged;
    assert_eq!(
        told(&scene, id).await,
        [
            (EventKind::OrderPlaced, Actor::GUEST),
            (changed, Actor::SYSTEM),
            (changed, Actor::integrator(&kitchen)),
            (changed, sam.clone()),
        ]
    );
    // Published events say the same as what is stored.
    let published = house.woken.events();
    let last = published
        .iter()
        .rfind(|event| event.order_id == Some(id))
        .unwrap();
    assert_eq!(last.actor, Some(sam));
}

#[each_database]
async fn orders_of_one_batch_have_each_their_own_placer(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let place = async |n: u8| {
        let account = house.new_account_id();
        let actor = Actor {
            name: Some(format!("customer {n}")),
            ..Actor::account_id(account)
        };
        let wanted = scene.wanted(crate::intake::Placer::Account(account));
        let placed = acting(actor.clone(), house.ledger.place_order(wanted)).await;
        (placed.unwrap().order.id, actor)
    };
    for (order, actor) in futures_util::future::join_all((0..20).map(place)).await {
        assert_eq!(told(&scene, order).await, [(EventKind::OrderPlaced, actor)]);
    }
    // Without a request the placer is known by the id.
    let account = house.new_account_id();
    let wanted = scene.wanted(crate::intake::Placer::Account(account));
    let order = house.ledger.place_order(wanted).await.unwrap().order.id;
    let by_id = Actor::account_id(account);
    assert_eq!(told(&scene, order).await, [(EventKind::OrderPlaced, by_id)]);
}

#[each_database]
async fn what_people_change_is_recorded_with_both_values_and_what_the_system_does_is_not(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let ledger = &house.ledger;
    let kitchen = scene.kitchen().await;
    let (sam, product, store) = (person(&house, "sam"), scene.product, scene.store);
    acting(sam.clone(), async {
        let paused = StoreEdit {
            paused: Some(true),
            ..StoreEdit::default()
        };
        ledger
            .edit_store(store, None, paused.clone())
            .await
            .unwrap();
        // Nothing changes, so nothing is recorded.
        ledger.edit_store(store, None, paused).await.unwrap();
        let dearer = ProductEdit {
            price: Some(euros(280)),
            ..ProductEdit::default()
        };
        ledger.edit_product(product, None, dearer).await.unwrap();
        let more = StockChange {
            delta: 5,
            reason: "delivery".to_owned(),
            by: None,
        };
        ledger.change_stock(product, more).await.unwrap();
        let off = IntegratorEdit {
            enabled: Some(false),
            ..IntegratorEdit::default()
        };
        ledger.edit_integrator(kitchen.id, None, off).await.unwrap();
        let (_, secret) = ledger
            .rotate_secret(kitchen.id, SecretKind::Signing)
            .await
            .unwrap();
        drop(secret);
        let session = ledger.open_session(store, "Table 1").await.unwrap();
        ledger.close_session(session.id).await.unwrap();
        ledger.close_session(session.id).await.unwrap();
    })
    .await;
    // The system: the sweep, an import, a test.
    let cheaper = ProductEdit {
        price: Some(euros(250)),
        ..ProductEdit::default()
    };
    ledger.edit_product(product, None, cheaper).await.unwrap();

    let of_store = RecordFilter {
        stores: Some(vec![store]),
        subject: None,
    };
    let records = ledger.records(&of_store, None, 100).await.unwrap();
    assert!(
        records.iter().all(|record| record.actor == sam),
        "{records:?}"
    );
    let mut done: Vec<_> = records
        .iter()
        .map(|one| (one.subject.as_str(), one.action.as_str()))
        .collect();
    done.reverse();
    assert_eq!(
        done,
        [
            ("store", "edited"),
            ("product", "edited"),
            ("product", "stock_changed"),
            ("integrator", "edited"),
            ("integrator", "secret_rotated"),
            ("session", "created"),
            ("session", "closed"),
        ]
    );
    let fields = |n: usize| Value::Object(records[records.len() - 1 - n].fields.clone());
    assert_eq!(fields(0), json!({"paused": {"from": false, "to": true}}));
    assert_eq!(fields(1)["price"]["to"]["amount"], 280);
    assert_eq!(fields(2)["stock"]["delta"], 5);
    assert_eq!(fields(4), json!({"signing_secret": null}));

    let of_product = RecordFilter {
        stores: None,
        subject: Some(product.uuid()),
    };
    let page = ledger.records(&of_product, None, 1).await.unwrap();
    assert_eq!(page[0].action, Action::StockChanged);
    let rest = ledger
        .records(&of_product, Some(page[0].id), 9)
        .await
        .unwrap();
    assert_eq!(rest.len(), 1);
    let elsewhere = RecordFilter {
        stores: Some(vec![house.create_store().await]),
        ..of_product
    };
    assert_eq!(ledger.records(&elsewhere, None, 9).await.unwrap(), []);
}

#[each_database]
async fn edits_of_menus_keys_listeners_and_linked_accounts_are_recorded_too(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (ledger, store) = (&house.ledger, scene.store);
    let boss = NewAccount {
        stores: vec![store],
        ..new_account("boss", Role::Manager)
    };
    let boss = ledger.create_account(&boss).await.unwrap();
    let sam = person(&house, "sam");
    let category = NewCategory {
        store_id: store,
        name: "Pizza".to_owned(),
        description: None,
        position: 1,
        weight: 1,
        translations: Translations::default(),
    };
    let group = NewOptionGroup {
        store_id: store,
        name: "Size".to_owned(),
        min: 0,
        max: 1,
        position: 0,
        options: Vec::new(),
        translations: Translations::default(),
    };
    let key = NewApiKey {
        name: "till".to_owned(),
        stores: vec![store],
        actions: vec![KeyAction::MenuRead],
        expires_at: None,
        made_by: boss.id,
    };
    let listen = ListenRequest {
        store_id: store,
        name: "laptop".to_owned(),
        format: Format::Order,
        events: vec![HandoffEvent::OrderPlaced],
    };
    let secret = acting(sam.clone(), async {
        let category = ledger.create_category(category).await.unwrap();
        let renamed = CategoryEdit {
            name: Some("Pizze".to_owned()),
            ..CategoryEdit::default()
        };
        let edited = ledger.edit_category(category.id, None, renamed).await;
        edited.unwrap();
        ledger.delete_category(category.id, None).await.unwrap();
        let group = ledger.create_option_group(group).await.unwrap();
        let wider = OptionGroupEdit {
            max: Some(2),
            ..OptionGroupEdit::default()
        };
        let edited = ledger.edit_option_group(group.id, None, wider).await;
        edited.unwrap();
        ledger.delete_option_group(group.id, None).await.unwrap();
        let (key, secret) = ledger.create_api_key(&key).await.unwrap();
        ledger.end_api_key(key.id).await.unwrap();
        ledger.end_api_key(key.id).await.unwrap();
        ledger.listen(&listen).await.unwrap();
        ledger.link_external_identity(boss.id, "u1").await.unwrap();
        ledger.unlink_external_identity(boss.id).await.unwrap();
        ledger.unlink_external_identity(boss.id).await.unwrap();
        secret
    })
    .await;
    let of_store = RecordFilter {
        stores: Some(vec![store]),
        subject: None,
    };
    let mut records = ledger.records(&of_store, None, 100).await.unwrap();
    records.reverse();
    records.retain(|record| record.actor == sam);
    let done: Vec<_> = records
        .iter()
        .map(|one| (one.subject.as_str(), one.action.as_str()))
        .collect();
    assert_eq!(
        done,
        [
            ("category", "created"),
            ("category", "edited"),
            ("category", "deleted"),
            ("option_group", "created"),
            ("option_group", "edited"),
            ("option_group", "deleted"),
            ("api_key", "created"),
            ("api_key", "ended"),
            ("integrator", "created"),
            ("account", "edited"),
            ("account", "edited"),
        ]
    );
    let fields = |n: usize| Value::Object(records[n].fields.clone());
    assert_eq!(fields(1), json!({"name": {"from": "Pizza", "to": "Pizze"}}));
    assert_eq!(fields(4), json!({"max": {"from": 1, "to": 2}}));
    assert_eq!(
        fields(9),
        json!({"external_user": {"from": null, "to": "u1"}})
    );
    let all = format!("{records:?}");
    assert!(!all.contains(&secret), "{all}");
}

#[each_database]
async fn what_people_have_sent_again_or_tested_is_recorded_and_an_integrators_further_stores_too(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let (ledger, sam) = (&house.ledger, person(&house, "sam"));
    let kitchen = scene.kitchen().await;
    let other = house.create_store().await;
    let order = scene.order().await;
    let claimed = scene.claim(&kitchen).await;
    scene.staff_move(order.id, OrderStatus::Accepted).await;
    scene.answers(&claimed, 422).await;
    let handoff = claimed.handoff.id;
    let address = std::net::IpAddr::from([192, 0, 2, 7]);
    let by = sam.id.map(domain::ids::AccountId::from).unwrap();
    let edit = IntegratorEdit {
        stores: Some(vec![scene.store, other]),
        ..IntegratorEdit::default()
    };
    let bulk = crate::handoffs::BulkRetryRequest {
        filter: store::handoffs::HandoffFilter {
            stores: Some(vec![scene.store]),
            ..Default::default()
        },
        after: None,
        per_s: None,
        limit: 1,
        dry_run: false,
        by,
    };
    crate::actor::acting_from(sam.clone(), address, async {
        ledger.retry_handoff(handoff, by).await.unwrap();
        ledger.retry_handoffs(bulk).await.unwrap();
        ledger
            .test_integrator(kitchen.id, &[scene.store])
            .await
            .unwrap();
        ledger
            .edit_integrator(kitchen.id, None, edit)
            .await
            .unwrap();
    })
    .await;
    let all = TrailFilter::default();
    let mut found = ledger.audit_trail(&all, None, 10).await.unwrap().records;
    found.reverse();
    let done: Vec<_> = found
        .iter()
        .map(|one| (one.subject.as_str(), one.action.as_str()))
        .collect();
    assert_eq!(
        done,
        [
            ("handoff", "retried"),
            ("retry", "retried"),
            ("integrator", "tested"),
            ("integrator", "edited"),
        ]
    );
    assert!(
        found
            .iter()
            .all(|one| one.address.as_deref() == Some("192.0.2.7") && one.actor == sam)
    );
    assert_eq!(found[0].fields["round"], 2);
    assert_eq!(found[3].fields["further_stores"]["to"], json!([other]));
}

#[each_database]
async fn records_are_kept_as_long_as_the_setting_says(house: TestLedger) {
    let (ledger, sam) = (&house.ledger, person(&house, "sam"));
    let store = house.create_store().await;
    let session = async |name: &str| {
        let opened = ledger.open_session(store, name);
        acting(sam.clone(), opened).await.unwrap();
    };
    session("Table 1").await;
    house
        .clock
        .advance(std::time::Duration::from_secs(200 * 86_400));
    session("Table 2").await;
    ledger.prune().await.unwrap();
    let all = TrailFilter::default();
    let kept = ledger.audit_trail(&all, None, 10).await.unwrap().records;
    assert_eq!(kept.len(), 2);
    house
        .clock
        .advance(std::time::Duration::from_secs(166 * 86_400));
    assert!(ledger.prune().await.unwrap() > 0);
    let kept = ledger.audit_trail(&all, None, 10).await.unwrap().records;
    let names: Vec<_> = kept.iter().map(|one| &one.fields["name"]["to"]).collect();
    assert_eq!(names, ["Table 2"]);
}
