//! Placing, reading and moving orders, as accounts and as guests.

use common::{
    domain::{
        account::Role,
        ids::{ProductId, StoreId},
        money::Money,
        session::Session,
    },
    ledger::products::NewProduct,
};
use serde_json::{Value, json};

use crate::app::{App, with_app};

const ORDERS: &str = "/api/v1/orders";
const GUEST: &str = "a guest's own random key";

async fn a_product(app: &App, store_id: StoreId, stock: Option<u32>) -> ProductId {
    let new = NewProduct {
        store_id,
        sku: Some("ESP".into()),
        name: "Espresso".into(),
        description: None,
        price: Money::new(250, "EUR".parse().unwrap()),
        available: true,
        stock,
    };
    app.house.ledger.create_product(new, None).await.unwrap().id
}

async fn a_table(app: &App, store: StoreId) -> (Session, String) {
    let session = app
        .house
        .ledger
        .open_session(store, "Table 1")
        .await
        .unwrap();
    let orders = format!("/api/v1/sessions/{}/orders", session.code);
    (session, orders)
}

fn wanted(store: StoreId, product: ProductId, quantity: u32) -> Value {
    json!({"store_id": store, "items": [{"product_id": product, "quantity": quantity}]})
}

#[tokio::test]
async fn an_order_is_answered_as_it_is_kept() {
    with_app(async |app: App| {
        let store = app.house.a_store().await;
        let product = a_product(&app, store, Some(5)).await;
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
        let store = app.house.a_store().await;
        let product = a_product(&app, store, None).await;
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
        let store = app.house.a_store().await;
        let product = a_product(&app, store, Some(5)).await;
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
        let store = app.house.a_store().await;
        let product = a_product(&app, store, Some(5)).await;
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
async fn everybody_sees_and_moves_what_is_theirs_and_nothing_else() {
    with_app(async |app: App| {
        let (store, other) = (app.house.a_store().await, app.house.a_store().await);
        let product = a_product(&app, store, None).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let ben = app.signed_in("ben", Role::Customer, &[]).await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let elsewhere = app.signed_in("elsewhere", Role::Staff, &[other]).await;
        let operator = app.signed_in("operator", Role::Operator, &[]).await;
        let order = app
            .post(ORDERS, wanted(store, product, 1))
            .by(&anna)
            .send()
            .await
            .ok();
        let path = format!("{ORDERS}/{}", order["id"].as_str().unwrap());
        let status = format!("{path}/status");

        for stranger in [&ben, &elsewhere] {
            app.get(&path)
                .by(stranger)
                .send()
                .await
                .problem(404, "not_found");
            app.ask("PUT", &status)
                .json(json!({"status": "cancelled"}))
                .by(stranger)
                .send()
                .await
                .problem(404, "not_found");
            assert_eq!(
                app.get(ORDERS).by(stranger).send().await.ok()["items"],
                json!([])
            );
        }
        for insider in [&anna, &staff, &operator] {
            assert_eq!(
                app.get(ORDERS).by(insider).send().await.ok()["items"][0]["id"],
                order["id"]
            );
        }
        app.get(&format!("{path}/handoffs"))
            .by(&anna)
            .send()
            .await
            .problem(403, "forbidden");
        assert_eq!(
            app.get(&format!("{path}/handoffs"))
                .by(&staff)
                .send()
                .await
                .ok(),
            json!([])
        );

        let problem = app
            .ask("PUT", &status)
            .json(json!({"status": "accepted"}))
            .by(&anna)
            .send()
            .await;
        assert_eq!(
            problem.problem(409, "invalid_transition")["next"],
            json!(["cancelled"])
        );
        let answer = app
            .ask("PUT", &status)
            .json(json!({"status": "rejected"}))
            .by(&staff)
            .send()
            .await;
        assert_eq!(answer.pointers(), ["/reason"]);
        let moved = app
            .ask("PUT", &status)
            .json(json!({"status": "accepted"}))
            .by(&staff)
            .send()
            .await
            .ok();
        assert_eq!(
            (&moved["status"], moved["accepted_at"].is_string()),
            (&json!("accepted"), true)
        );
        let again = app
            .ask("PUT", &status)
            .json(json!({"status": "accepted"}))
            .by(&staff)
            .send()
            .await
            .ok();
        assert_eq!(again, moved, "asked again, nothing changes");
        let events = app
            .get(&format!("{path}/events"))
            .by(&anna)
            .send()
            .await
            .ok();
        let kinds: Vec<&str> = events
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["order.placed", "order.status_changed"]);
    })
    .await;
}

#[tokio::test]
async fn a_list_is_read_in_pages_newest_first() {
    with_app(async |app: App| {
        let store = app.house.a_store().await;
        let product = a_product(&app, store, None).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        for _ in 0..5 {
            app.post(ORDERS, wanted(store, product, 1))
                .by(&anna)
                .send()
                .await
                .ok();
        }
        let (mut seen, mut path) = (Vec::new(), format!("{ORDERS}?limit=2"));
        loop {
            let page = app.get(&path).by(&anna).send().await.ok();
            seen.extend(
                page["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|order| order["number"].as_i64().unwrap()),
            );
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("{ORDERS}?limit=2&cursor={cursor}");
        }
        assert_eq!(seen, [5, 4, 3, 2, 1]);
        app.get(&format!("{ORDERS}?limit=101"))
            .by(&anna)
            .send()
            .await
            .problem(422, "validation_failed");
        app.get(&format!("{ORDERS}?cursor=nonsense"))
            .by(&anna)
            .send()
            .await
            .problem(422, "validation_failed");
        assert_eq!(
            app.get(&format!("{ORDERS}?status=accepted"))
                .by(&anna)
                .send()
                .await
                .ok()["items"],
            json!([])
        );
        app.get(&format!("{ORDERS}?status=eaten"))
            .by(&anna)
            .send()
            .await
            .problem(422, "validation_failed");
    })
    .await;
}

#[tokio::test]
async fn a_guest_orders_with_the_sessions_code_and_cancels_with_their_own_key() {
    with_app(async |app: App| {
        let store = app.house.a_store().await;
        let product = a_product(&app, store, Some(3)).await;
        let (_, orders) = a_table(&app, store).await;
        let answer = app
            .post(&orders, json!({"product_id": product}))
            .header("expediter-guest", GUEST)
            .send()
            .await;
        let order = answer.ok();
        assert_eq!(
            (&order["mine"], &order["next"]),
            (&json!(true), &json!(["cancelled"]))
        );
        assert!(order.get("customer").is_none() && order.get("store_id").is_none());

        let cancel = format!("{orders}/{}/cancel", order["id"].as_str().unwrap());
        app.ask("POST", &cancel)
            .send()
            .await
            .problem(403, "forbidden");
        app.ask("POST", &cancel)
            .header("expediter-guest", "another guest's key")
            .send()
            .await
            .problem(403, "forbidden");
        let cancelled = app
            .ask("POST", &cancel)
            .header("expediter-guest", GUEST)
            .send()
            .await
            .ok();
        assert_eq!(
            (&cancelled["status"], &cancelled["next"]),
            (&json!("cancelled"), &json!([]))
        );
        assert_eq!(
            app.house
                .ledger
                .product(product)
                .await
                .unwrap()
                .unwrap()
                .stock,
            Some(3)
        );
        app.ask("POST", &cancel)
            .header("expediter-guest", "short")
            .send()
            .await
            .problem(422, "validation_failed");
    })
    .await;
}

#[tokio::test]
async fn only_an_open_session_takes_orders_and_only_by_its_code() {
    with_app(async |app: App| {
        let store = app.house.a_store().await;
        let product = a_product(&app, store, None).await;
        let (session, orders) = a_table(&app, store).await;
        let unknown = format!("/api/v1/sessions/{}/orders", "0".repeat(40));
        app.post(&unknown, json!({"product_id": product}))
            .send()
            .await
            .problem(404, "session_not_found");
        app.post("/api/v1/sessions/x/orders", json!({"product_id": product}))
            .send()
            .await
            .problem(404, "session_not_found");
        assert_eq!(
            app.post(&orders, json!({})).send().await.pointers(),
            ["/items"]
        );
        app.house.ledger.close_session(session.id).await.unwrap();
        app.post(&orders, json!({"product_id": product}))
            .send()
            .await
            .problem(409, "session_closed");
        app.house
            .clock
            .advance(std::time::Duration::from_secs(24 * 3600));
        app.post(&orders, json!({"product_id": product}))
            .send()
            .await
            .problem(410, "session_ended");
    })
    .await;
}

#[tokio::test]
async fn a_paused_store_takes_no_orders() {
    with_app(async |app: App| {
        let store = app.house.a_store_like(|store| store.paused = true).await;
        let product = a_product(&app, store, None).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        app.post(ORDERS, wanted(store, product, 1))
            .by(&anna)
            .send()
            .await
            .problem(409, "store_paused");
    })
    .await;
}
