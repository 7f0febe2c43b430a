//! Integrators are sent what `openapi/integrators.yaml` says: every event in both formats, with these headers.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use domain::{
    integrator::{Format, HandoffEvent},
    order::rfc3339,
};
use e2e::{
    Expediter, Ground, Integrator, Published, PythonTools, Received, Shop, each_ground, text, until,
};
use reqwest::Method;
use serde_json::{Value, json};

/// Headers of every HTTP request, which say nothing about the message.
const OF_HTTP: &[&str] = &["host", "content-type", "content-length"];

each_ground! {
    async fn every_event_is_sent_in_both_formats_as_the_document_says(ground: Ground) {
        let document = Published::read("integrators.yaml");
        let received = one_of_each(&ground).await;
        let mut values = Vec::new();
        for one in &received {
            assert!(one.is_signed, "{one:?}");
            values.extend(documented(&document, one));
        }
        if let Some(tools) = PythonTools::found("messages, against their schemas") {
            document.assert_fits(&tools, "2020-12", &values);
        }
    }
}

/// Makes every event happen in a store with an integrator of each format; returns all messages.
async fn one_of_each(ground: &Ground) -> Vec<Received> {
    let launch = ground
        .launch()
        .set("worker.allow_http", true)
        .set("worker.allow_networks", r#"["127.0.0.0/8"]"#);
    let [kitchen, courier] = [(); 2].map(|()| Integrator::start(launch.clock()));
    let expediter = launch.start().await;
    let mut events: Vec<_> = HandoffEvent::ALL.to_vec();
    events.retain(|event| *event != HandoffEvent::Test);
    let credentials = json!({"type": "bearer", "token": "open sesame"});
    let more = json!({"events": events, "auth": credentials});
    let shop = Shop::open_like(&expediter, &kitchen, 10, more).await;
    let also = json!({
        "store_id": shop.store_id, "name": "Courier", "kind": "delivery", "format": "delivery", "url": courier.url,
        "events": events, "auth": {"type": "basic", "username": "ada", "password": "open sesame"},
    });
    let created = expediter.create("/api/v1/integrators", &also).await;
    courier.set_secrets(&created);
    for integrator in [&kitchen, &courier] {
        integrator.set_callback_statuses([]);
    }

    let delivered = place(&expediter, &shop, "pending").await;
    until_status(&expediter, &delivered, "accepted").await;
    let later = expediter.launch().clock().now() + TimeDelta::minutes(30);
    let preparing = json!({"status": "preparing", "ready_at": rfc3339(later)});
    change(&expediter, &delivered, preparing).await;
    change(&expediter, &delivered, json!({"status": "dispatched"})).await;
    // Nobody is told of it any more once the order is delivered.
    for integrator in [&kitchen, &courier] {
        until_told(integrator, HandoffEvent::OrderDispatched).await;
    }
    let id = text(&created["integrator"]["id"]);
    let callbacks = format!("{}/api/v1/integrators/{id}/callbacks", expediter.url);
    for step in ["AT_ORIGIN", "DELIVERED"] {
        let update = json!({"order_id": delivered, "delivery": {"tracking_number": "JD0003", "status": step}});
        let (status, answer) = courier
            .call(
                &callbacks,
                &format!("cb_{step}"),
                &update,
                e2e::SignedWith::CallbackSecret,
            )
            .await;
        assert_eq!(status, 202, "{answer}");
    }
    until_status(&expediter, &delivered, "delivered").await;

    let cancelled = place(&expediter, &shop, "draft").await;
    change(&expediter, &cancelled, json!({"status": "pending"})).await;
    until_status(&expediter, &cancelled, "accepted").await;
    change(
        &expediter,
        &cancelled,
        json!({"status": "cancelled", "reason": "The oven is broken."}),
    )
    .await;
    for id in [&shop.integrator_id, &id] {
        let test = expediter.by_operator(Method::POST, &format!("/api/v1/integrators/{id}/test"));
        let (status, answer) = expediter.answer(test).await;
        assert!((200..300).contains(&status), "{answer}");
    }
    for integrator in [&kitchen, &courier] {
        for event in HandoffEvent::ALL {
            until_told(integrator, *event).await;
        }
    }
    // The last change of each order is known to both.
    for (order, last) in [(&delivered, "delivered"), (&cancelled, "cancelled")] {
        for integrator in [&kitchen, &courier] {
            until(&format!("{last} to be told"), || async {
                let told = integrator.received_for(order);
                told.iter()
                    .any(|one| body(one)["change"]["to"] == last)
                    .then_some(())
            })
            .await;
        }
    }
    let audit = expediter.audit().await;
    assert_eq!(audit.code, Some(0), "{}{}", audit.stdout, audit.stderr);
    [kitchen.received(), courier.received()].concat()
}

async fn place(expediter: &Expediter, shop: &Shop, status: &str) -> String {
    let order = json!({
        "store_id": shop.store_id, "status": status, "fulfilment": "delivery", "user_note": "sans œuf",
        "items": [{"product_id": shop.espresso, "quantity": 2}, {"product_id": shop.bun, "quantity": 1, "note": "warm"}],
        "customer": {"name": "Ada", "address": "Seestraße 4", "lat": 52.5, "lng": -13.25, "email": "ada@example.com"},
    });
    text(&expediter.create("/api/v1/orders", &order).await["id"])
}

async fn change(expediter: &Expediter, order: &str, to: Value) {
    let path = format!("/api/v1/orders/{order}/status");
    let put = expediter.by_operator(Method::PUT, &path).json(&to);
    let (status, answer) = expediter.answer(put).await;
    assert_eq!(status, 200, "{answer}");
}

async fn until_status(expediter: &Expediter, order: &str, status: &str) {
    until(&format!("the order to be {status}"), || async {
        let order = expediter.read(&format!("/api/v1/orders/{order}")).await;
        (order["status"] == status).then_some(())
    })
    .await;
}

async fn until_told(integrator: &Integrator, event: HandoffEvent) {
    until(&format!("{event} at {}", integrator.url), || async {
        let received = integrator.received();
        received
            .iter()
            .any(|one| one.event == event.as_str())
            .then_some(())
    })
    .await;
}

fn body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).expect("a message is JSON")
}

/// Checks the names of a message's headers; returns its body and its headers, each with the schema that it must fit.
fn documented(document: &Published, received: &Received) -> Vec<(String, Value)> {
    let event: HandoffEvent = received.event.parse().expect("an event");
    let webhook = format!("/webhooks/{event}/post");
    let content = format!("{webhook}/requestBody/content/application~1json/schema");
    let body = body(received);
    let format = match body["origin"].is_null() {
        true => Format::Order,
        false => Format::Delivery,
    };
    let (_, schema) = super::examples::names(event, format);
    let schema = format!("/components/schemas/{schema}");
    let mut values = vec![(schema, body.clone()), (content, body)];

    let parameters = document.at(&format!("{webhook}/parameters")).as_array();
    let references = parameters.expect("a list").iter().map(|one| &one["$ref"]);
    let mut unknown: BTreeSet<&str> = received.headers.keys().map(String::as_str).collect();
    for name in OF_HTTP {
        assert!(unknown.remove(name), "{name} is missing: {received:?}");
    }
    for reference in references {
        let pointer = text(reference).trim_start_matches('#').to_owned();
        let parameter = document.at(&pointer);
        let name = text(&parameter["name"]).to_lowercase();
        let sent = received.headers.get(&name);
        assert!(
            sent.is_some() || parameter["required"] == false,
            "{event}: {name} is missing"
        );
        unknown.remove(name.as_str());
        values.extend(sent.map(|value| (format!("{pointer}/schema"), value.clone().into())));
    }
    assert!(
        unknown.is_empty(),
        "{event}: the document does not name the headers {unknown:?}"
    );
    values
}
