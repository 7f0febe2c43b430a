//! Reading and moving orders, one at a time and in lists.

use domain::account::Role;
use futures_util::future::join_all;
use serde_json::json;

use super::{ORDERS, create_product, wanted};
use crate::app::{App, with_app};

#[tokio::test]
async fn everybody_sees_and_moves_what_is_theirs_and_nothing_else() {
    with_app(async |app: App| {
        let (store, other) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let product = create_product(&app, store, None).await;
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
async fn ten_dispatches_at_once_make_one_delivery_and_all_are_answered_with_it() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, None).await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let courier = json!({"store_id": store, "name": "Courier", "kind": "delivery", "format": "delivery",
            "url": "https://courier.example/deliveries"});
        let made = app.post("/api/v1/integrators", courier).by(&manager);
        made.send().await.ok();
        let order = app.post(ORDERS, wanted(store, product, 1)).by(&manager);
        let order = order.send().await.ok();
        let path = format!("{ORDERS}/{}", order["id"].as_str().unwrap());
        let put = async |status: &str| {
            let put = app.ask("PUT", &format!("{path}/status"));
            put.json(json!({"status": status})).by(&manager).send().await.ok()
        };
        put("accepted").await;
        for answer in join_all((0..10).map(|_| put("dispatched"))).await {
            assert_eq!(answer["status"], "dispatched");
            assert_eq!(answer["delivery"]["status"], "READY_FOR_PICK_UP");
            assert_eq!(answer["delivery"]["history"].as_array().unwrap().len(), 1);
        }
        let handoffs = app.get(&format!("{path}/handoffs")).by(&manager);
        let handoffs = handoffs.send().await.ok();
        let events: Vec<_> = handoffs.as_array().unwrap().iter().map(|one| &one["event"]).collect();
        assert_eq!(events, ["order.dispatched"]);
    })
    .await;
}

#[tokio::test]
async fn a_list_is_read_in_pages_newest_first() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = create_product(&app, store, None).await;
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
