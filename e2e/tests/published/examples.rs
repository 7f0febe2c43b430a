//! The examples, words and answers of `openapi/integrators.yaml` are those of the code, and the other way round.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use domain::{
    callback::CallbackResult,
    delivery::{Delivery, DeliveryStatus},
    handoff::{AttemptOutcome, Cause, RetryAfter, SendResult, outcome},
    integrator::{Format, HandoffEvent},
    money::Money,
    options::ChosenOption,
    order::{Customer, Fulfilment, Item, Order},
    payload::{Subject, body},
    signature::SigningSecret,
    status::OrderStatus,
    store::{Contact, Store},
    timing::Timing,
};
use e2e::Published;
use serde_json::{Value, json};
use uuid::Uuid;

/// Fields that a message may lack.
const OPTIONAL: &[&str] = &[
    "OrderMessage/change",
    "OrderMessage/delivery",
    "DeliveryMessage/change",
    "DeliveryMessage/delivery",
];
fn document() -> Published {
    Published::read("integrators.yaml")
}

fn id<T: From<Uuid>>(last: u128) -> T {
    Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + last).into()
}

fn at(time: &str) -> DateTime<Utc> {
    let time = format!("2026-11-20T{time}Z");
    time.parse().expect("a time")
}

fn store() -> Store {
    Store {
        id: id(1),
        name: "Café Berta".into(),
        timezone: "Europe/Berlin".into(),
        currency: "EUR".parse().expect("a currency"),
        contact: Contact {
            phone: Some("+49 30 654321".into()),
            email: None,
            address: Some("Hauptstraße 1, Berlin".into()),
            lat: Some(52.52),
            lng: Some(13.405),
        },
        external_location_id: None,
        auto_accept: true,
        accept_within_s: 600,
        deliver_accepted_after_h: None,
        timing: Default::default(),
        paused: false,
        language: domain::language::Language::default(),
        archived_at: None,
        version: 1,
        created_at: at("08:00:00"),
    }
}

fn order(status: OrderStatus) -> Order {
    let eur = |amount| Money::new(amount, "EUR".parse().expect("a currency"));
    Order {
        id: id(3),
        store_id: id(1),
        number: Some(17),
        session: None,
        account_id: None,
        guest_key_hash: None,
        reference: Some("web-4711".into()),
        fulfilment: Fulfilment::Delivery,
        status,
        reason: None,
        version: 1,
        stock_held: true,
        tallied: false,
        customer: Customer {
            name: Some("Ada".into()),
            phone: Some("+49 30 123456".into()),
            address: Some("Seestraße 4, Berlin".into()),
            ..Customer::default()
        },
        items: vec![Item {
            id: id(5),
            product_id: id(2),
            sku: Some("ESP".into()),
            name: "Espresso".into(),
            quantity: 2,
            unit_price: eur(250),
            options: vec![ChosenOption {
                id: id(6),
                group: "Milk".into(),
                name: "Oat milk".into(),
                sku: Some("OAT".into()),
                price: eur(0),
                quantity: 1,
                product_id: None,
                counted: false,
            }],
            note: Some("without sugar".into()),
            counted: false,
        }],
        total: eur(500),
        user_note: Some("The bell is broken.".into()),
        accept_by: None,
        timing: Timing {
            ready_at: Some(at(if status == OrderStatus::Preparing {
                "19:45:00"
            } else {
                "19:35:00"
            })),
            ..Timing::default()
        },
        delivery: None,
        replaces: None,
        trace: None,
        created_at: at("19:20:00"),
        placed_at: Some(at("19:20:00")),
        accepted_at: None,
        ended_at: None,
        updated_at: None,
    }
}

/// Returns the change that an example tells of, the order's status at the first attempt, and its newest change.
fn change(event: HandoffEvent) -> Option<(Cause, OrderStatus, i64)> {
    use OrderStatus::{Accepted, Cancelled, Dispatched, Preparing, Processing};
    let (number, from, to, time, status, version) = match event.as_str() {
        "order.placed" => (1, None, "pending", "19:20:00", Processing, 2),
        "order.cancelled" => (4, Some("accepted"), "cancelled", "19:25:00", Cancelled, 4),
        "order.dispatched" => (6, Some("ready"), "dispatched", "19:40:00", Dispatched, 6),
        "order.status_changed" => (3, Some("processing"), "accepted", "19:20:01", Accepted, 3),
        "order.ready_at_changed" => (5, Some("preparing"), "preparing", "19:30:00", Preparing, 5),
        "delivery.moved" => (
            7,
            Some("READY_FOR_PICK_UP"),
            "AT_ORIGIN",
            "19:45:00",
            Dispatched,
            7,
        ),
        "test" => return None,
        new => panic!("make an example of {new} here, and put it into openapi/integrators.yaml"),
    };
    let reason = (status == Cancelled).then_some("The oven is broken.");
    let cause = json!({"number": number, "from": from, "to": to, "reason": reason, "at": at(time)});
    let cause = serde_json::from_value(cause).expect("a change");
    Some((cause, status, version))
}

/// Returns the message that the code makes of the examples' order.
fn made(event: HandoffEvent, format: Format) -> String {
    made_with(event, format, |_| ())
}

fn made_with(event: HandoffEvent, format: Format, edit: fn(&mut Order)) -> String {
    let (store, change) = (store(), change(event));
    let mut order = change.as_ref().map(|(_, status, _)| order(*status));
    order.iter_mut().for_each(edit);
    if let Some(order) = order
        .as_mut()
        .filter(|_| event == HandoffEvent::DeliveryMoved)
    {
        order.delivery = Some(Delivery {
            status: DeliveryStatus::AtOrigin,
            tracking_number: Some("JD0003".into()),
            history: Vec::new(),
        });
    }
    let subject = Subject {
        event,
        callback_url: "https://order.example/api/v1/integrators/01980000-0000-7000-8000-000000000004/callbacks",
        store: &store,
        order: order.as_ref(),
        cause: change.as_ref().map(|(cause, _, _)| cause),
        version: change.as_ref().map(|(_, _, version)| *version),
    };
    String::from_utf8(body(format, subject)).expect("JSON is UTF-8")
}

/// Returns the name of a format's example and of its schema.
pub(super) fn names(event: HandoffEvent, format: Format) -> (&'static str, &'static str) {
    match (event, format) {
        (HandoffEvent::Test, _) => ("test", "TestMessage"),
        (_, Format::Order) => ("order", "OrderMessage"),
        (_, Format::Delivery) => ("delivery", "DeliveryMessage"),
    }
}

fn content(event: HandoffEvent) -> String {
    format!("/webhooks/{event}/post/requestBody/content/application~1json")
}

#[test]
fn every_event_has_a_webhook_whose_examples_are_what_the_code_makes() {
    let document = document();
    let events: BTreeSet<_> = HandoffEvent::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(
        document.names("/webhooks"),
        events,
        "openapi/integrators.yaml describes each event that integrators are sent, and no other"
    );
    for event in HandoffEvent::ALL {
        let mut examples = BTreeSet::new();
        for format in Format::ALL {
            let (name, _) = names(*event, *format);
            let pointer = format!("{}/examples/{name}/value", content(*event));
            // Both are written in the same way: equal values have the same bytes.
            assert_eq!(
                document.at(&pointer).to_string(),
                made(*event, *format),
                "{pointer}"
            );
            examples.insert(name.to_owned());
        }
        let pointer = format!("{}/examples", content(*event));
        assert_eq!(document.names(&pointer), examples, "{pointer}");
    }
}

#[test]
fn the_signatures_of_the_documents_vectors_are_ours() {
    let document = document();
    for name in ["message", "callback"] {
        let vector = document.at(&format!("/x-test-vectors/{name}"));
        let said = |field: &str| vector[field].as_str().expect("a text");
        let secret = SigningSecret::parse(said("secret")).expect("a secret");
        let signed_at = said("webhook-timestamp").parse().expect("Unix time");
        let signature = secret.sign(said("webhook-id"), signed_at, said("body").as_bytes());
        assert_eq!(said("webhook-signature"), signature, "{name}");
        let parameters = match name {
            "message" => ["MessageId", "MessageTimestamp", "MessageSignature"],
            _ => ["CallbackId", "CallbackTimestamp", "CallbackSignature"],
        };
        for parameter in
            parameters.map(|name| document.at(&format!("/components/parameters/{name}")))
        {
            let header = parameter["name"].as_str().expect("a name");
            assert_eq!(parameter["example"], vector[header], "{name}: {header}");
        }
    }
    let message = document.at("/x-test-vectors/message/body");
    // The vector's order was made without options.
    let dispatched = made_with(HandoffEvent::OrderDispatched, Format::Delivery, |order| {
        order.items.iter_mut().for_each(|item| item.options.clear());
    });
    assert_eq!(message.as_str(), Some(dispatched.as_str()));
    let ready = "/paths/~1integrators~1{id}~1callbacks/post/requestBody/content/application~1json/examples/ready/value";
    let callback: Value = serde_json::from_str(
        document
            .at("/x-test-vectors/callback/body")
            .as_str()
            .expect("a text"),
    )
    .expect("JSON");
    assert_eq!(&callback, document.at(ready));
}

pub(super) fn words<T: ToString>(all: &[T]) -> BTreeSet<String> {
    all.iter().map(ToString::to_string).collect()
}

#[test]
fn every_word_stands_in_the_document_and_no_other_does() {
    let document = document();
    let schemas = "/components/schemas";
    let mut events = words(HandoffEvent::ALL);
    events.remove("test");
    assert_eq!(document.words(&format!("{schemas}/OrderEvent")), events);
    let mut statuses = words(OrderStatus::ALL);
    let mut before = statuses.clone();
    before.insert(String::new());
    before.extend(words(DeliveryStatus::ALL));
    let moved = document.words(&format!("{schemas}/DeliveryStatus"));
    assert_eq!(moved, words(DeliveryStatus::ALL));
    let from = format!("{schemas}/Change/properties/from");
    assert_eq!(document.words(&from), before);
    // Nobody is told of a draft.
    statuses.remove("draft");
    assert_eq!(document.words(&format!("{schemas}/OrderStatus")), statuses);
    let fulfilment = format!("{schemas}/OrderMessage/properties/order/properties/fulfilment");
    assert_eq!(document.words(&fulfilment), words(Fulfilment::ALL));
    let results = document.names("/components/responses/Stored/x-results");
    assert_eq!(results, words(CallbackResult::ALL));
    let delivery =
        &document.at(&format!("{schemas}/CallbackDelivery/properties/status"))["description"];
    let mut steps = words(DeliveryStatus::ALL);
    // Only Expediter reports this one.
    steps.remove("HANDOFF_FAILED");
    let quoted = delivery
        .as_str()
        .expect("a description")
        .split('`')
        .skip(1)
        .step_by(2);
    assert_eq!(quoted.map(str::to_owned).collect::<BTreeSet<_>>(), steps);
}

#[test]
fn every_answer_to_a_message_has_the_outcome_that_the_document_says() {
    let document = document();
    for event in HandoffEvent::ALL {
        let responses = format!("/webhooks/{event}/post/responses");
        let documented = document.names(&responses);
        let mut used = BTreeSet::new();
        for status in 200..600_u16 {
            let exact = status.to_string();
            let name = if documented.contains(&exact) {
                exact
            } else {
                format!("{}XX", status / 100)
            };
            let response = document.at(&format!("{responses}/{name}"));
            let answer = |retry_after| SendResult::Answer {
                status,
                retry_after,
            };
            let became = outcome(&answer(None), false);
            assert_eq!(response["x-outcome"], became.as_str(), "{status}");
            let counts = response["x-counted"] != false;
            assert_eq!(counts, !answer(None).asks_to_slow_down(), "{status}");
            let later = answer(Some(RetryAfter::After(Duration::from_secs(7))));
            let says_so = !counts || response["description"].to_string().contains("same as 429");
            assert_eq!(says_so, later.asks_to_slow_down(), "{status}");
            let takes_hint = response["headers"].get("Retry-After").is_some();
            assert_eq!(takes_hint, became == AttemptOutcome::Retry, "{status}");
            used.insert(name);
        }
        assert_eq!(documented, used, "{event}");
    }
}

#[test]
fn the_schemas_of_messages_name_every_field() {
    let document = document();
    for name in [
        "OrderMessage",
        "DeliveryMessage",
        "TestMessage",
        "Change",
        "MovedDelivery",
        "Party",
    ] {
        document.assert_exact(name, OPTIONAL);
    }
}
