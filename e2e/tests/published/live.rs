//! The live channel is as `openapi/live.yaml` says, and the other way round: recorded frames, words, codes and refusals.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    delivery::DeliveryStatus,
    event::EventKind,
    handoff::FailReason,
    integrator::{DisableReason, HandoffEvent},
    order::Fulfilment,
    session::SessionState,
    status::OrderStatus,
};
use e2e::{Channel, Expediter, Ground, Published, PythonTools, each_ground, text};
use notifier::protocol::{ClientMessage, Close, FRAME_VERSION};
use reqwest::Method;
use serde_json::Value;

use super::{
    examples::words,
    recorded::{House, recorded},
};

/// Fields that only some frames have; their descriptions say which.
const OPTIONAL: &[&str] = &[
    "Order/traceparent",
    "OrderFrame/mine",
    "Order/mine",
    "Guest/store",
    "Order/stream",
    "Order/session",
    "Order/reference",
    "Order/user_note",
    "Order/customer",
    "Order/version",
    "Order/next",
    "Session/store_id",
    "Session/stream",
    "Actor/id",
    "Actor/name",
    "Actor/role",
];
/// Schemas of queries, in which everything is optional.
const QUERIES: &[&str] = &["Resume", "ResumeWithTicket", "WithTicket"];

fn document() -> Published {
    Published::read("live.yaml")
}

/// Channels in the document: their name, what Expediter sends, and what it hears.
const CHANNELS: [(&str, &str, &str); 3] = [
    ("session", "tellGuests", "hearGuests"),
    ("order", "tellFollowers", "hearFollowers"),
    ("store", "tellStaff", "hearStaff"),
];

/// Returns the names of an operation's messages on its channel.
fn messages(document: &Published, operation: &str) -> BTreeSet<String> {
    let listed = document.at(&format!("/operations/{operation}/messages"));
    let listed = listed.as_array().expect("a list of references").iter();
    let name = |one: &Value| text(&one["$ref"]).rsplit('/').next().map(str::to_owned);
    listed.filter_map(name).collect()
}

/// Returns a frame's name among its channel's messages.
fn name(frame: &Value) -> String {
    match frame["type"].as_str() {
        Some("hello") if frame["resumed"] == true => "resumed".to_owned(),
        Some(kind) => kind.to_owned(),
        None => panic!("a frame has a type: {frame}"),
    }
}

each_ground! {
    async fn every_recorded_frame_is_as_the_document_says(ground: Ground) {
        let document = document();
        let mut values = Vec::new();
        for (channel, frames) in recorded(&ground).await {
            let (_, told, _) = CHANNELS.iter().find(|one| one.0 == channel).expect("a channel");
            let listed = document.at(&format!("/channels/{channel}/messages"));
            let names: BTreeSet<_> = frames.iter().map(name).collect();
            assert_eq!(names, messages(&document, told), "frames on the channel of a {channel}");
            for frame in frames {
                let shown = text(&listed[name(&frame)]["$ref"]);
                values.push((format!("{}/payload", shown.trim_start_matches('#')), frame));
            }
        }
        if let Some(tools) = PythonTools::found("frames, against their schemas") {
            document.assert_fits(&tools, "7", &values);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_documented_refusal_of_a_channel_is_the_one_that_is_given() {
    let ground = Ground::embedded();
    let few = |launch: e2e::Launch| launch.set("notifier.max_sockets_per_address", 1);
    let mut expediter = few(ground.launch()).start().await;
    let house = House::open(&expediter).await;
    let table = format!("/ws/sessions/{}", house.code);
    let mut refused = BTreeSet::new();
    for (path, origin, status) in [
        (table.as_str(), Some("https://elsewhere.example"), 403),
        ("/ws/orders/none", None, 404),
        ("/ws/nowhere", None, 404),
        (&format!("{table}?since=1"), None, 422),
    ] {
        assert_eq!(opening(&expediter, path, origin).await, status, "{path}");
        refused.insert(status);
    }
    let plain = expediter.request(Method::GET, &table).send().await;
    let plain = plain.expect("an answer").status().as_u16();
    assert_eq!(plain, 400);
    refused.insert(plain);
    for (setting, status) in [("max_sockets_per_address", 429), ("max_sockets", 503)] {
        let live = expediter.url.replacen("http", "ws", 1);
        let channel = Channel::open(&format!("{live}{table}")).await;
        assert_eq!(opening(&expediter, &table, None).await, status, "{setting}");
        refused.insert(status);
        channel.close().await;
        expediter
            .restart_with(|launch| {
                let launch = launch.set("notifier.max_sockets_per_address", 100);
                launch.set("notifier.max_sockets", 1)
            })
            .await;
    }
    let refused: BTreeSet<_> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(document().names("/x-refusals"), refused);
}

/// Asks for a channel; returns the status of the answer.
async fn opening(expediter: &Expediter, path: &str, origin: Option<&str>) -> u16 {
    let mut request = expediter
        .request(Method::GET, path)
        .header("Connection", "upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    if let Some(origin) = origin {
        request = request.header("Origin", origin);
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[test]
fn every_event_and_word_stands_in_the_document_of_the_live_channel_and_no_other_does() {
    let document = document();
    assert_eq!(
        messages(&document, "tellStaff"),
        words(EventKind::ALL)
            .into_iter()
            .chain(["hello", "pong"].map(str::to_owned))
            .collect(),
        "openapi/live.yaml shows each event on a store's channel"
    );
    for told in ["tellGuests", "tellFollowers"] {
        for name in messages(&document, told) {
            let Ok(kind) = name.parse::<EventKind>() else {
                continue;
            };
            let is_for_staff = kind == EventKind::HandoffFailed && told == "tellFollowers";
            assert!(kind.is_for_guests() || is_for_staff, "{told}: {name}");
        }
    }
    let mut statuses = words(OrderStatus::ALL);
    // Nobody is told of a draft.
    statuses.remove("draft");
    let mut events = words(HandoffEvent::ALL);
    // A test belongs to no order.
    events.remove("test");
    for (schema, words) in [
        ("OrderStatus", statuses),
        ("DeliveryStatus", words(DeliveryStatus::ALL)),
        ("SessionState", words(SessionState::ALL)),
        ("HandoffEvent", events),
        ("FailReason", words(FailReason::ALL)),
        ("DisableReason", words(DisableReason::ALL)),
        ("Order/properties/fulfilment", words(Fulfilment::ALL)),
    ] {
        let documented = document.words(&format!("/components/schemas/{schema}"));
        assert_eq!(documented, words, "{schema}");
    }
    assert_eq!(
        document.at("/components/schemas/FrameVersion/const"),
        FRAME_VERSION
    );
}

#[test]
fn every_frame_of_the_document_names_its_fields_and_has_an_example_that_fits() {
    let document = document();
    for schema in document.names("/components/schemas") {
        if !QUERIES.contains(&schema.as_str()) {
            document.assert_exact(&schema, OPTIONAL);
        }
    }
    let mut examples = Vec::new();
    for message in document.names("/components/messages") {
        let message = format!("/components/messages/{message}");
        let example = document.at(&format!("{message}/examples/0/payload"));
        examples.push((format!("{message}/payload"), example.clone()));
    }
    if let Some(tools) = PythonTools::found("examples of frames, against their schemas") {
        document.assert_fits(&tools, "7", &examples);
    }
}

#[test]
fn every_close_code_stands_in_the_document_with_its_reason_and_no_other_does() {
    let document = document();
    let codes = |close: &Close| (close.code().to_string(), close.reason().to_owned());
    let expected: BTreeMap<_, _> = Close::ALL.iter().map(codes).collect();
    let documented = document.names("/x-close-codes").into_iter().map(|code| {
        let said = document.at(&format!("/x-close-codes/{code}"));
        assert!(
            said["meaning"].is_string() && said["client"].is_string(),
            "{code}"
        );
        (code, text(&said["reason"]))
    });
    assert_eq!(documented.collect::<BTreeMap<_, _>>(), expected);
}

#[test]
fn clients_may_say_what_the_document_says_and_nothing_else() {
    let document = document();
    let mut heard = BTreeSet::new();
    for (channel, _, operation) in CHANNELS {
        for name in messages(&document, operation) {
            let example = format!("/channels/{channel}/messages/{name}/examples/0/payload");
            let example = document.at(&example).clone();
            let read = serde_json::from_value::<ClientMessage>(example.clone());
            assert!(read.is_ok(), "{example}: {read:?}");
            heard.insert(name);
        }
    }
    let unknown = serde_json::from_str::<ClientMessage>(r#"{"type":"?"}"#);
    let error = unknown.expect_err("no such message").to_string();
    let (_, known) = error
        .split_once("expected")
        .expect("serde lists what it knows");
    let known = known.split('`').skip(1).step_by(2).map(str::to_owned);
    assert_eq!(heard, known.collect());
}
