//! docs/events.md is true: every event happens here once and is compared with its description there.

use chrono::TimeDelta;
use each_database::each_database;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    orders::OrderEdit,
    products::ProductEdit,
    scene::Scene,
    stores::{RulesEdit, StoreEdit},
    testing::TestLedger,
};
use domain::{
    capacity::Busy,
    event::{Event, EventKind},
    opening::ByHand,
    status::OrderStatus,
};

const PAGE: &str = include_str!("../../../../docs/events.md");

/// Makes every kind of event happen, and returns the first of each kind.
async fn one_of_each(scene: &Scene) -> BTreeMap<&'static str, Event> {
    let house = &scene.house;
    let ledger = &house.ledger;
    let (kitchen, courier) = (scene.kitchen().await, scene.courier().await);
    let gone = scene.integrator(|new| new.required = Some(false)).await;
    let order = scene.order().await;
    let noted = OrderEdit {
        user_note: Some(Some("no sugar".to_owned())),
        ..OrderEdit::default()
    };
    ledger.edit_order(order.id, None, &noted).await.unwrap();
    let later = house.clock.now() + TimeDelta::minutes(25);
    ledger.set_ready_at(order.id, None, later).await.unwrap();
    scene.answers(&scene.claim(&kitchen).await, 200).await;
    scene.answers(&scene.claim(&gone).await, 410).await;
    scene.staff_move(order.id, OrderStatus::Dispatched).await;
    scene.answers(&scene.claim(&courier).await, 400).await;

    let session = ledger.open_session(scene.store, "Table 1").await.unwrap();
    let renewed = ledger.renew_session_code(session.id, &session.code).await;
    ledger.close_session(renewed.unwrap().id).await.unwrap();

    let off_sale = ProductEdit {
        available: Some(false),
        ..ProductEdit::default()
    };
    let edited = ledger.edit_product(scene.product, None, off_sale).await;
    edited.unwrap();
    let paused = StoreEdit {
        paused: Some(true),
        ..StoreEdit::default()
    };
    ledger.edit_store(scene.store, None, paused).await.unwrap();
    let busy = Busy {
        adds_minutes: 15,
        paused_until: Some(house.clock.now()),
    };
    for edit in [
        RulesEdit::ByHand(Some(ByHand {
            open: false,
            until: Some(house.clock.now()),
        })),
        RulesEdit::Busy(busy),
    ] {
        let edited = ledger.edit_store_rules(scene.store, edit).await;
        edited.unwrap();
    }

    let mut first = BTreeMap::new();
    for event in house.woken.events() {
        first.entry(event.kind.as_str()).or_insert(event);
    }
    first
}

/// Returns the cells of the table's rows, by event type.
fn rows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let rows = PAGE.lines().filter_map(|line| {
        let kind = line.strip_prefix("| [`")?.split('`').next()?;
        Some((
            kind,
            line.trim_matches('|').split('|').map(str::trim).collect(),
        ))
    });
    rows.collect()
}

/// Returns the `data` that the page shows for this kind.
fn example(kind: &str) -> Value {
    let (_, section) = PAGE
        .split_once(&format!("\n### `{kind}`\n"))
        .unwrap_or_else(|| panic!("{kind} has no section"));
    let section = section.split("\n### ").next().unwrap();
    let (_, rest) = section.split_once("```json\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("the example's end");
    serde_json::from_str(example).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// Returns every field's path; a list has those of its first element.
fn fields(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, inner)| {
                let deeper = fields(inner).into_iter();
                let deeper = deeper.map(move |path| format!("{name}.{path}"));
                deeper.chain([name.clone()])
            })
            .collect(),
        Value::Array(elements) => elements.first().map(fields).unwrap_or_default(),
        _ => BTreeSet::new(),
    }
}

#[each_database]
async fn every_event_is_on_the_page_with_its_stream_its_readers_and_its_fields(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let happened = one_of_each(&scene).await;
    let all: BTreeSet<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(happened.keys().copied().collect::<BTreeSet<_>>(), all);
    let rows = rows();
    assert_eq!(rows.keys().copied().collect::<BTreeSet<_>>(), all);
    for (kind, event) in &happened {
        let stream = match event.order_id {
            Some(_) => "order",
            None if event.stream == scene.store.into() => "store",
            None => "session",
        };
        let for_guests = match (stream, event.kind.is_for_guests()) {
            ("store", _) => "–",
            (_, true) => "yes",
            (_, false) => "no",
        };
        assert_eq!(
            (rows[kind][1], rows[kind][3]),
            (stream, for_guests),
            "{kind}"
        );
        assert_eq!(
            fields(&event.data),
            fields(&example(kind)),
            "{kind}: {}",
            event.data
        );
    }
    scene.assert_audit_clean().await;
}
