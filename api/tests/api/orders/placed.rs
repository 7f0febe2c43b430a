//! Placing orders with an account.

use domain::account::Role;
use serde_json::{Value, json};

use super::{ORDERS, create_product, wanted};
use crate::app::{App, with_app};

#[tokio::test]
async fn an_order_is_answered_as_it_is_kept() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, Some(5)).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let mut body = wanted(store, product, 2);
        body["reference"] = json!("R-1");
        body["customer"] = json!({"name": "Anna", "phone": "+49 40 1"});
        let answer = app.post(ORDERS, body).by(&anna).send().await;

        assert_eq!(answer.status.as_u16(), 201);
        let order = answer.json();
        assert_eq!(
            answer.header("location"),
            format!("{ORDERS}/{}", order["id"].as_str().unwrap())
        );
        assert_eq!(
            (&order["number"], &order["status"]),
            (&json!(1), &json!("pending"))
        );
        assert_eq!(order["total"], json!({"amount": 500, "currency": "EUR"}));
        assert_eq!(order["items"][0]["sku"], "ESP");
        assert_eq!(order["customer"]["name"], "Anna");
        assert_eq!(order["next"], json!(["cancelled"]));
        assert_eq!(
            (&order["session"], &order["ended_at"]),
            (&Value::Null, &Value::Null)
        );
        let read = app
            .get(answer.header("location"))
            .by(&anna)
            .send()
            .await
            .ok();
        assert_eq!(read, order);
    })
    .await;
}

#[tokio::test]
async fn all_that_is_wrong_with_an_order_is_told_at_once() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, None).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let body = json!({
            "store_id": "nonsense",
            "items": [{"product_id": product, "quantity": 0}, {"quantity": -5}, {"product_id": product, "price": 1}],
            "fulfilment": "drone",
            "expected_total": {"amount": 1.5, "currency": "eur"},
        });
        let answer = app.post(ORDERS, body).by(&anna).send().await;
        let pointers = answer.pointers();
        for pointer in [
            "/store_id",
            "/items/0/quantity",
            "/items/1/quantity",
            "/items/2/price",
            "/fulfilment",
            "/expected_total/amount",
            "/expected_total/currency",
        ] {
            assert!(pointers.iter().any(|told| told == pointer), "{pointer} is not among {pointers:?}");
        }
        let body = json!({"store_id": store, "items": [{"quantity": 1}], "fulfilment": "delivery"});
        let pointers = app.post(ORDERS, body).by(&anna).send().await.pointers();
        assert_eq!(pointers, ["/customer/address", "/items/0"]);
    })
    .await;
}

#[tokio::test]
async fn refusals_name_what_stands_in_the_way() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, Some(5)).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let place = |body: Value| app.post(ORDERS, body).by(&anna).send();

        let problem = place(wanted(store, product, 50))
            .await
            .problem(409, "insufficient_stock");
        assert_eq!(
            (&problem["short"][0]["wanted"], &problem["short"][0]["left"]),
            (&json!(50), &json!(5))
        );

        let mut body = wanted(store, product, 1);
        body["expected_total"] = json!({"amount": 1, "currency": "EUR"});
        assert_eq!(
            place(body).await.problem(422, "total_mismatch")["actual"]["amount"],
            250
        );

        let unknown = json!({"store_id": store, "items": [{"sku": "ESP"}, {"sku": "esp"}]});
        assert_eq!(place(unknown).await.pointers(), ["/items/1"]);

        let mut body = wanted(store, product, 1);
        body["reference"] = json!("R-1");
        let first = place(body.clone()).await.ok();
        let twin = place(body).await;
        assert_eq!(
            twin.problem(409, "duplicate_order")["order_id"],
            first["id"]
        );
        assert_eq!(
            twin.header("location"),
            format!("{ORDERS}/{}", first["id"].as_str().unwrap())
        );
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_with_one_key_is_one_order_and_says_so() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, Some(5)).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let place = |body: Value| {
            app.post(ORDERS, body)
                .by(&anna)
                .header("idempotency-key", "k-1")
                .send()
        };
        let first = place(wanted(store, product, 1)).await;
        let again = place(wanted(store, product, 1)).await;
        assert_eq!(first.ok()["id"], again.ok()["id"]);
        assert_eq!(
            (
                first.header("idempotency-replayed"),
                again.header("idempotency-replayed")
            ),
            ("", "true")
        );
        place(wanted(store, product, 2))
            .await
            .problem(422, "idempotency_key_reused");
        let too_long = "k".repeat(201);
        let answer = app
            .post(ORDERS, wanted(store, product, 1))
            .by(&anna)
            .header("idempotency-key", &too_long)
            .send()
            .await;
        assert_eq!(answer.pointers(), ["Idempotency-Key"]);
    })
    .await;
}

#[tokio::test]
async fn a_paused_store_takes_no_orders() {
    with_app(async |app: App| {
        let store = app
            .house
            .create_store_with(|store| store.paused = true)
            .await;
        let product = create_product(&app, store, None).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        app.post(ORDERS, wanted(store, product, 1))
            .by(&anna)
            .send()
            .await
            .problem(409, "store_paused");
    })
    .await;
}
