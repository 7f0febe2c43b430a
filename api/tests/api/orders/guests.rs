//! Orders of guests, whose key is the code of their session.

use serde_json::json;

use super::{a_table, create_product};
use crate::app::{App, with_app};

const GUEST: &str = "a guest's own random key";

#[tokio::test]
async fn a_guest_orders_with_the_sessions_code_and_cancels_with_their_own_key() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, Some(3)).await;
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
async fn two_phones_with_one_key_and_the_same_drink_get_one_order_each() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, Some(9)).await;
        let (_, orders) = a_table(&app, store).await;
        let order = async |guest: Option<&str>, reference: &str| {
            let body = json!({"product_id": product, "reference": reference});
            let mut ask = app.post(&orders, body).header("idempotency-key", "1");
            if let Some(guest) = guest {
                ask = ask.header("expediter-guest", guest);
            }
            ask.send().await
        };
        let mut ids = Vec::new();
        for guest in [Some(GUEST), Some("another guest's key"), None] {
            let placed = order(guest, "R").await;
            assert_eq!(placed.header("idempotency-replayed"), "");
            let again = order(guest, "R").await;
            assert_eq!(again.header("idempotency-replayed"), "true");
            let placed = placed.ok();
            assert_eq!(again.ok(), placed);
            assert_eq!(placed["mine"], guest.is_some());
            order(guest, "R-2")
                .await
                .problem(422, "idempotency_key_reused");
            ids.push(placed["id"].to_string());
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        // A reference is its guest's as well.
        let body = json!({"product_id": product, "reference": "R"});
        let ask = app.post(&orders, body).header("expediter-guest", GUEST);
        ask.send().await.problem(409, "duplicate_order");
        assert_eq!(app.house.ledger.audit().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn only_an_open_session_takes_orders_and_only_by_its_code() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, None).await;
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
