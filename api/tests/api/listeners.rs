//! Listeners over HTTP: who may listen, the claim of a message and its outcome, and the message of a past handoff.

use domain::{
    account::Role,
    ids::{ProductId, StoreId},
    signature::{self, Signed, SigningSecret},
};
use serde_json::{Value, json};
use std::time::Duration;

use crate::{
    app::{App, with_app},
    callbacks::a_kitchen,
    handoffs::a_failed_handoff,
};

const LISTENERS: &str = "/api/v1/listeners";

async fn place(app: &App, by: &str, store: StoreId, product: ProductId) -> String {
    let items = json!([{"product_id": product, "quantity": 1}]);
    let order = json!({"store_id": store, "fulfilment": "pickup", "items": items});
    let placed = app.post("/api/v1/orders", order).by(by).send().await.ok();
    placed["id"].as_str().unwrap().to_owned()
}

fn path(listener: &Value, operation: &str) -> String {
    format!(
        "{LISTENERS}/{}/{operation}",
        listener["id"].as_str().unwrap()
    )
}

fn header<'v>(message: &'v Value, name: &str) -> &'v str {
    let headers = message["headers"].as_array().unwrap();
    let found = headers.iter().find(|header| header["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {message}"))["value"]
        .as_str()
        .unwrap()
}

fn assert_signed(app: &App, message: &Value, secret: &Value) {
    let signed = Signed {
        id: header(message, "webhook-id"),
        timestamp: header(message, "webhook-timestamp"),
        signature: header(message, "webhook-signature"),
    };
    let secret = SigningSecret::parse(secret.as_str().unwrap()).unwrap();
    let (body, now) = (message["body"].as_str().unwrap(), app.house.clock.now());
    let tolerance = Duration::from_secs(1);
    assert_eq!(
        signature::verify(&[secret], signed, body.as_bytes(), now, tolerance),
        Ok(())
    );
}

#[tokio::test]
async fn a_message_is_claimed_with_its_signed_headers_and_concluded_once() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        let manager = app.signed_in("berta", Role::Manager, &[store]).await;
        let wanted = json!({"store_id": store, "events": ["order.placed"]});
        let listener = app
            .post(LISTENERS, wanted.clone())
            .by(&manager)
            .send()
            .await
            .ok();
        assert_eq!(listener["name"], "berta", "the username by default");
        let again = app.post(LISTENERS, wanted).by(&manager).send().await.ok();
        assert_eq!(again["id"], listener["id"]);
        assert_eq!(again["signing_secret"], Value::Null);

        let claim = async || {
            let asked = app.post(&path(&listener, "claims"), json!({"max": 10}));
            asked.by(&manager).send().await.ok()
        };
        assert_eq!(claim().await["messages"], json!([]));
        let order = place(&app, &manager, store, product).await;
        let claimed = claim().await;
        let message = &claimed["messages"][0];
        assert_eq!(claim().await["messages"], json!([]), "it is leased");
        assert_eq!(message["order_id"], order);
        assert_eq!(header(message, "expediter-attempt"), "1/5");
        assert_eq!(header(message, "content-type"), "application/json");
        assert_eq!(header(message, "idempotency-key"), message["handoff_id"]);
        assert_signed(&app, message, &listener["signing_secret"]);
        let body: Value = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["order"]["id"], order);

        let report = async |fields: Value| {
            let mut report = json!({});
            for field in ["handoff_id", "round", "n", "fence"] {
                report[field] = message[field].clone();
            }
            for (field, value) in fields.as_object().unwrap() {
                report[field] = value.clone();
            }
            let asked = app.post(&path(&listener, "outcomes"), report);
            asked.by(&manager).send().await
        };
        assert_eq!(report(json!({})).await.pointers(), ["/status"]);
        let both = json!({"status": 200, "error": "none"});
        assert_eq!(report(both).await.pointers(), ["/status"]);
        let fence = json!({"status": 200, "fence": "x"});
        assert_eq!(report(fence).await.pointers(), ["/fence"]);
        let late = report(json!({"status": 200, "fence": "7"})).await.ok();
        assert_eq!(
            (&late["result"], &late["outcome"]),
            (&json!("too_late"), &Value::Null)
        );
        let busy = json!({"status": 503, "response": "later"});
        let recorded = report(busy.clone()).await.ok();
        assert_eq!(
            (&recorded["result"], &recorded["outcome"]),
            (&json!("recorded"), &json!("retry"))
        );
        let repeated = report(busy).await.ok();
        assert_eq!(repeated["result"], "already_recorded");

        let handoff = message["handoff_id"].as_str().unwrap();
        let shown = app.get(&format!("/api/v1/handoffs/{handoff}"));
        let shown = shown.by(&manager).send().await.ok();
        assert_eq!(shown["next_attempt_at"], recorded["next_attempt_at"]);
        assert_eq!(shown["attempts"][0]["response"], "later");
        let ended = format!("/api/v1/integrators/{}", listener["id"].as_str().unwrap());
        let patched = app.patch(&ended, json!({"required": true})).by(&manager);
        patched.send().await.problem(409, "conflict");
        let removed = app.ask("DELETE", &ended).by(&manager).send().await;
        assert_eq!(removed.status, 204);
        let asked = app.post(&path(&listener, "claims"), json!({"max": 1}));
        asked.by(&manager).send().await.problem(404, "not_found");
        assert_eq!(app.house.ledger.audit().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn only_managers_of_the_store_listen_and_nobody_pulls_a_real_integrators_messages() {
    with_app(async |app: App| {
        let (store, other) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let product = app.house.create_product(store).await;
        let kitchen = a_kitchen(&app, store).await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let stranger = app.signed_in("stranger", Role::Manager, &[other]).await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let customer = app.signed_in("customer", Role::Customer, &[]).await;
        let operator = app.signed_in("operator", Role::Operator, &[]).await;
        let wanted = json!({"store_id": store});
        let listener = app
            .post(LISTENERS, wanted.clone())
            .by(&manager)
            .send()
            .await
            .ok();
        place(&app, &customer, store, product).await;

        let report =
            json!({"handoff_id": listener["id"], "round": 1, "n": 1, "fence": "1", "status": 200});
        let calls = [
            (LISTENERS.to_owned(), wanted),
            (path(&listener, "claims"), json!({"max": 1})),
            (path(&listener, "outcomes"), report.clone()),
        ];
        for (path, body) in &calls {
            let nobody = app.post(path, body.clone()).send().await;
            nobody.problem(401, "incorrect_credentials");
            for by in [&staff, &customer] {
                let refused = app.post(path, body.clone()).by(by).send().await;
                refused.problem(403, "forbidden");
            }
            let refused = app.post(path, body.clone()).by(&stranger).send().await;
            refused.problem(404, "not_found");
        }
        let real = json!({"id": kitchen.id});
        for (operation, body) in [("claims", json!({"max": 1})), ("outcomes", report)] {
            let asked = app.post(&path(&real, operation), body).by(&operator);
            asked.send().await.problem(404, "not_found");
        }
        let test_event = json!({"store_id": store, "events": ["test"]});
        let refused = app.post(LISTENERS, test_event).by(&manager).send().await;
        assert_eq!(refused.pointers(), ["/events"]);
        let claimed = app.post(&path(&listener, "claims"), json!({"max": 1, "wait_s": 10}));
        let claimed = claimed.by(&operator).send().await.ok();
        assert_eq!(claimed["messages"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_message_of_a_past_handoff_is_told_to_managers_signed_and_marked() {
    with_app(async |app: App| {
        let (store, other) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let kitchen = a_kitchen(&app, store).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let failed = a_failed_handoff(&app, store, &kitchen, &anna).await;
        let path = format!("/api/v1/handoffs/{failed}/message");
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let message = app.get(&path).by(&manager).send().await.ok();
        assert_eq!(header(&message, "expediter-replay"), "true");
        assert_eq!(header(&message, "webhook-id"), failed.to_string());
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        app.get(&path)
            .by(&staff)
            .send()
            .await
            .problem(403, "forbidden");
        app.get(&path)
            .by(&anna)
            .send()
            .await
            .problem(403, "forbidden");
        let stranger = app.signed_in("stranger", Role::Manager, &[other]).await;
        app.get(&path)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");

        let test = format!("/api/v1/integrators/{}/test", kitchen.id);
        let sent = app.ask("POST", &test).by(&manager).send().await.ok();
        let unsent = format!("/api/v1/handoffs/{}/message", sent["id"].as_str().unwrap());
        app.get(&unsent)
            .by(&manager)
            .send()
            .await
            .problem(404, "not_found");
    })
    .await;
}
