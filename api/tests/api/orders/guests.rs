//! Orders of guests, whose key is the code of their session.

use domain::{
    account::Role,
    status::{By, OrderStatus},
};
use serde_json::json;

use super::{ORDERS, a_table, create_product, wanted};
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
async fn owners_and_guests_cancel_as_long_as_the_store_let_them_when_they_ordered() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, Some(30)).await;
        let manager = app.signed_in("mia", Role::Manager, &[store]).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let (_, table) = a_table(&app, store).await;
        let path = format!("/api/v1/stores/{store}");
        let shown = app.get(&path).by(&manager).send().await.ok();
        assert_eq!(shown["cancel_until"], "accepted");
        for wrong in [json!("ready"), json!("Accepted"), json!(null), json!(1)] {
            let patch = app.patch(&path, json!({"cancel_until": wrong}));
            assert_eq!(
                patch.by(&manager).send().await.pointers(),
                ["/cancel_until"]
            );
        }
        let steps = [
            OrderStatus::Accepted,
            OrderStatus::Preparing,
            OrderStatus::Ready,
        ];
        for (until, allowed) in [("pending", 0), ("accepted", 1), ("preparing", 2)] {
            for stands in 0..=steps.len() {
                let setting =
                    |word: &str| app.patch(&path, json!({"cancel_until": word})).by(&manager);
                setting(until).send().await.ok();
                let body = json!({"product_id": product});
                let guests = app.post(&table, body).header("expediter-guest", GUEST);
                let guests = guests.send().await.ok()["id"].as_str().unwrap().to_owned();
                let own = app.post(ORDERS, wanted(store, product, 1)).by(&anna);
                let own = own.send().await.ok()["id"].as_str().unwrap().to_owned();
                // A later setting is for later orders.
                setting("pending").send().await.ok();
                for (id, to) in [&guests, &own]
                    .into_iter()
                    .flat_map(|id| steps[..stands].iter().map(move |to| (id, *to)))
                {
                    let ledger = &app.house.ledger;
                    let moved = ledger.move_order(id.parse().unwrap(), to, By::Staff, None);
                    moved.await.unwrap();
                }
                let next = app
                    .get(&format!("{ORDERS}/{own}"))
                    .by(&anna)
                    .send()
                    .await
                    .ok();
                let cancel = app.ask("POST", &format!("{table}/{guests}/cancel"));
                let of_guest = cancel.header("expediter-guest", GUEST).send().await;
                let of_owner = app.ask("DELETE", &format!("{ORDERS}/{own}")).by(&anna);
                let of_owner = of_owner.send().await;
                if stands <= allowed {
                    assert_eq!(next["next"], json!(["cancelled"]), "{until} {stands}");
                    assert_eq!(of_guest.ok()["status"], "cancelled");
                    assert_eq!(of_owner.ok()["status"], "cancelled");
                } else {
                    assert_eq!(next["next"], json!([]), "{until} {stands}");
                    of_guest.problem(409, "invalid_transition");
                    of_owner.problem(409, "invalid_transition");
                }
            }
        }
        let left = app.house.ledger.product(product).await.unwrap().unwrap();
        assert_eq!(left.stock, Some(30 - 2 * (3 + 2 + 1)));
        assert_eq!(app.house.ledger.audit().await.unwrap(), []);
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
