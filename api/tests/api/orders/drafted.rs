//! Drafts, removals and replacements over HTTP.

use domain::account::Role;
use serde_json::{Value, json};

use super::{ORDERS, a_table, create_product, wanted};
use crate::app::{App, with_app};

fn path(order: &Value) -> String {
    format!("{ORDERS}/{}", order["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_draft_is_begun_empty_filled_and_placed_by_its_owner_or_by_staff() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        create_product(&app, store, Some(5)).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let staff = app.signed_in("sam", Role::Staff, &[store]).await;
        let body = json!({"store_id": store, "status": "draft", "fulfilment": "delivery"});
        let answer = app.post(ORDERS, body).by(&anna).send().await;
        assert_eq!(answer.status.as_u16(), 201);
        let draft = answer.json();
        assert_eq!(
            (&draft["status"], &draft["number"], &draft["next"]),
            (&json!("draft"), &Value::Null, &json!(["pending"]))
        );
        let path = answer.header("location");
        let place = |body: Value| app.ask("PUT", &format!("{path}/status")).json(body);
        let pointers = place(json!({"status": "pending"}))
            .by(&anna)
            .send()
            .await
            .pointers();
        assert_eq!(pointers, ["/items"]);
        let item = json!({"sku": "ESP", "quantity": 2});
        let added = app
            .post(&format!("{path}/items"), item)
            .by(&anna)
            .send()
            .await;
        assert_eq!(
            (added.status.as_u16(), &added.json()["total"]["amount"]),
            (201, &json!(500))
        );
        let pointers = place(json!({"status": "pending"}))
            .by(&anna)
            .send()
            .await
            .pointers();
        assert_eq!(pointers, ["/customer/address"]);
        app.patch(path, json!({"customer": {"address": "Dock 1"}}))
            .by(&anna)
            .send()
            .await
            .ok();
        let expected =
            json!({"status": "pending", "expected_total": {"amount": 1, "currency": "EUR"}});
        place(expected)
            .by(&anna)
            .send()
            .await
            .problem(422, "total_mismatch");
        let placed = place(json!({"status": "pending"}))
            .by(&staff)
            .send()
            .await
            .ok();
        assert_eq!(
            (&placed["status"], &placed["number"]),
            (&json!("pending"), &json!(1))
        );
    })
    .await;
}

#[tokio::test]
async fn guests_have_no_drafts_and_an_order_that_is_placed_needs_an_item() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, None).await;
        let (_, orders) = a_table(&app, store).await;
        let body = json!({"product_id": product, "status": "draft"});
        assert_eq!(app.post(&orders, body).send().await.pointers(), ["/status"]);
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        for body in [
            json!({"store_id": store}),
            json!({"store_id": store, "items": [], "status": "pending"}),
        ] {
            assert_eq!(
                app.post(ORDERS, body).by(&anna).send().await.pointers(),
                ["/items"]
            );
        }
        let body = json!({"store_id": store, "status": "accepted"});
        assert_eq!(
            app.post(ORDERS, body).by(&anna).send().await.pointers(),
            ["/status"]
        );
    })
    .await;
}

#[tokio::test]
async fn removing_takes_a_draft_away_and_cancels_what_was_placed() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, Some(5)).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let other = app.signed_in("otto", Role::Customer, &[]).await;
        let mut body = wanted(store, product, 2);
        let placed = app.post(ORDERS, body.clone()).by(&anna).send().await.ok();
        body["status"] = json!("draft");
        let draft = app.post(ORDERS, body).by(&anna).send().await.ok();
        let remove = |order: &Value, by: &str| app.ask("DELETE", &path(order)).by(by);
        remove(&draft, &other)
            .send()
            .await
            .problem(404, "not_found");
        assert_eq!(remove(&draft, &anna).send().await.status.as_u16(), 204);
        app.get(&path(&draft))
            .by(&anna)
            .send()
            .await
            .problem(404, "not_found");
        let cancelled = remove(&placed, &anna).send().await;
        assert_eq!(
            (cancelled.status.as_u16(), &cancelled.json()["status"]),
            (200, &json!("cancelled"))
        );
        assert_eq!(
            app.get(&path(&placed)).by(&anna).send().await.ok(),
            cancelled.json()
        );
    })
    .await;
}

#[tokio::test]
async fn an_order_that_was_called_off_is_placed_anew_once() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, Some(5)).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let staff = app.signed_in("sam", Role::Staff, &[store]).await;
        let mut body = wanted(store, product, 2);
        body["user_note"] = json!("hot");
        let order = app.post(ORDERS, body).by(&anna).send().await.ok();
        let replace = format!("{}/replace", path(&order));
        app.post(&replace, json!({}))
            .by(&anna)
            .send()
            .await
            .problem(409, "conflict");
        app.ask("DELETE", &path(&order)).by(&anna).send().await.ok();

        let ask = || {
            app.post(&replace, json!({}))
                .by(&staff)
                .header("idempotency-key", "again")
        };
        let first = ask().send().await;
        assert_eq!(first.status.as_u16(), 201);
        let anew = first.json();
        assert_eq!(
            (&anew["replaces"], &anew["user_note"]),
            (&order["id"], &json!("hot"))
        );
        assert_eq!(anew["items"][0]["quantity"], 2);
        let replayed = ask().send().await;
        assert_eq!(
            (replayed.header("idempotency-replayed"), replayed.json()),
            ("true", anew.clone())
        );
        let refused = app.post(&replace, json!({})).by(&anna).send().await;
        assert_eq!(
            refused.problem(409, "duplicate_order")["order_id"],
            anew["id"]
        );
        assert_eq!(refused.header("location"), path(&anew));
        // The new order is Anna's, whoever placed it.
        assert_eq!(
            app.get(&path(&anew)).by(&anna).send().await.ok()["id"],
            anew["id"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_draft_is_listed_for_whoever_began_it_and_for_operators_until_it_is_placed() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, None).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let staff = app.signed_in("sam", Role::Staff, &[store]).await;
        let manager = app.signed_in("mia", Role::Manager, &[store]).await;
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let mut body = wanted(store, product, 1);
        body["status"] = json!("draft");
        let annas = app.post(ORDERS, body.clone()).by(&anna).send().await.ok();
        let sams = app.post(ORDERS, body).by(&staff).send().await.ok();
        let (annas, sams) = (&annas["id"], &sams["id"]);
        let seen = async |by: &str, which: &str| {
            let page = app
                .get(&format!("{ORDERS}{which}"))
                .by(by)
                .send()
                .await
                .ok();
            let orders = page["items"].as_array().unwrap().iter();
            orders.map(|order| order["id"].clone()).collect::<Vec<_>>()
        };
        for which in ["", "?status=draft"] {
            assert_eq!(seen(&anna, which).await, [annas.clone()]);
            assert_eq!(seen(&staff, which).await, [sams.clone()]);
            assert!(seen(&manager, which).await.is_empty());
            assert_eq!(seen(&operator, which).await, [sams.clone(), annas.clone()]);
        }
        let table = app.get("/api/v1/orders.csv").by(&manager).send().await;
        assert_eq!(table.text.lines().count(), 1, "{}", table.text);
        let status = format!("{ORDERS}/{}/status", annas.as_str().unwrap());
        let place = app.ask("PUT", &status).json(json!({"status": "pending"}));
        place.by(&anna).send().await.ok();
        assert_eq!(seen(&manager, "").await, [annas.clone()]);
    })
    .await;
}
