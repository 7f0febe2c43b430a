//! Actors of events and changes by people, shown to those who may know.

use domain::account::Role;
use ledger::testing::fixtures::new_integrator;
use serde_json::{Value, json};

use crate::app::{App, with_app};

const CHANGES: &str = "/api/v1/changes";

/// Returns an actor of whom only the kind is told.
fn only(kind: &str) -> Value {
    json!({"kind": kind, "id": null, "name": null, "role": null})
}

/// Returns the actors of a list of events.
fn actors(events: &Value) -> Vec<Value> {
    let events = events.as_array().unwrap().iter();
    events.map(|event| event["actor"].clone()).collect()
}

#[tokio::test]
async fn who_cancelled_an_order_is_told_to_staff_and_only_the_kind_to_others() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        let staff = app.account("sam", Role::Staff, &[store]).await;
        let by_staff = app.bearer(&staff);
        let anna = app.account("anna", Role::Customer, &[]).await;
        let by_anna = app.bearer(&anna);
        let order = json!({"store_id": store, "fulfilment": "pickup", "items": [{"product_id": product, "quantity": 1}]});
        let order = app.post("/api/v1/orders", order).by(&by_anna).send().await.ok();
        let path = format!("/api/v1/orders/{}", order["id"].as_str().unwrap());
        let cancel = app.ask("DELETE", &format!("{path}?reason=gone")).by(&by_staff);
        cancel.send().await.ok();
        let whole = |id: Value, name: &str, role: &str| json!({"kind": "account", "id": id, "name": name, "role": role});
        let (placed, cancelled) = (
            whole(json!(anna.id), "anna", "customer"),
            whole(json!(staff.id), "sam", "staff"),
        );
        let events = format!("{path}/events");
        let told = app.get(&events).by(&by_staff).send().await.ok();
        assert_eq!(actors(&told), [placed.clone(), cancelled]);
        let told = app.get(&events).by(&by_anna).send().await.ok();
        assert_eq!(actors(&told), [placed, only("account")]);
    })
    .await;
}

#[tokio::test]
async fn a_tables_guests_are_told_kinds_and_managers_who_closed_it() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        let by_staff = app.signed_in("sam", Role::Staff, &[store]).await;
        let manager = app.signed_in("max", Role::Manager, &[store]).await;
        let opened = json!({"store_id": store, "name": "Table 1"});
        let session = app
            .post("/api/v1/sessions", opened)
            .by(&by_staff)
            .send()
            .await
            .ok();
        let path = format!("/api/v1/sessions/{}", session["code"].as_str().unwrap());
        let order = json!({"items": [{"product_id": product}]});
        app.post(&format!("{path}/orders"), order).send().await.ok();
        app.ask("POST", &format!("{path}/close"))
            .by(&by_staff)
            .send()
            .await
            .ok();
        let told = app.get(&format!("{path}/events")).send().await.ok();
        let kinds = ["account", "guest", "account"].map(only);
        assert_eq!(actors(&told["items"]), kinds);
        let list = format!("{CHANGES}?store_id={store}");
        let told = app.get(&list).by(&manager).send().await.ok();
        let last = &told["items"][0];
        assert_eq!(
            (&last["subject"], &last["action"], &last["actor"]["name"]),
            (&json!("session"), &json!("closed"), &json!("sam"))
        );
        assert_eq!(last["fields"]["name"]["to"], "Table 1");
        app.get(&list)
            .by(&by_staff)
            .send()
            .await
            .problem(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn who_changed_a_price_an_integrator_or_an_account_is_told_to_the_stores_managers() {
    with_app(async |app: App| {
        let (store, other) = (app.house.create_store().await, app.house.create_store().await);
        let product = app.house.create_product(store).await;
        let (integrator, _) = app.house.ledger.create_integrator(new_integrator(store)).await.unwrap();
        let manager = app.account("max", Role::Manager, &[store]).await;
        let by = app.bearer(&manager);
        let stranger = app.signed_in("eve", Role::Manager, &[other]).await;
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let dearer = json!({"price": {"amount": 999, "currency": "EUR"}});
        let edit = |path: String, body: Value| app.patch(&path, body).by(&by).send();
        edit(format!("/api/v1/products/{product}"), dearer).await.ok();
        let auth = json!({"auth": {"type": "bearer", "token": "swordfish-swordfish"}});
        edit(format!("/api/v1/integrators/{}", integrator.id), auth).await.ok();
        let new = json!({"username": "new", "password": "a password of nobody", "role": "staff", "stores": [store]});
        let new = app.post("/api/v1/users", new).by(&by).send().await.ok();
        let user = format!("/api/v1/users/{}", new["id"].as_str().unwrap());
        edit(user, json!({"disabled": true, "password": "another password"})).await.ok();

        let answer = app.get(CHANGES).by(&by).send().await;
        for secret in ["swordfish", "a password", "another password"] {
            assert!(!answer.text.contains(secret), "{secret}");
        }
        let listed = answer.ok();
        let done: Vec<_> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                assert_eq!(one["actor"]["id"], json!(manager.id));
                let fields: Vec<_> = one["fields"].as_object().unwrap().keys().cloned().collect();
                (one["subject"].as_str().unwrap(), one["action"].as_str().unwrap(), fields.join(" "))
            })
            .collect();
        assert_eq!(done[0], ("account", "edited", "disabled password".to_owned()));
        assert_eq!((done[1].0, done[1].1), ("account", "created"));
        assert_eq!((done[2].0, done[2].1), ("integrator", "edited"));
        assert!(done[2].2.contains("auth"), "{done:?}");
        assert_eq!(done[3], ("product", "edited", "price".to_owned()));
        let price = &listed["items"][3]["fields"]["price"];
        assert_eq!(price["to"], json!({"amount": 999, "currency": "EUR"}));

        let first = app.get(&format!("{CHANGES}?limit=1&subject_id={product}")).by(&operator);
        let first = first.send().await.ok();
        assert_eq!(first["items"][0]["action"], "edited");
        let list = format!("{CHANGES}?store_id={store}");
        app.get(&list).by(&stranger).send().await.problem(404, "not_found");
        for query in ["", &format!("?subject_id={product}")] {
            let none = app.get(&format!("{CHANGES}{query}")).by(&stranger).send().await.ok();
            assert_eq!(none["items"], json!([]), "{query}");
        }
    })
    .await;
}
