//! 256 concurrent requests, some of which are refused.

use std::collections::{BTreeSet, HashMap};

use e2e::{Integrator, Shop, Verification, one_to, text};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

const BUNS: u32 = 50;
/// Number of orders for one bun each.
const BUN_ORDERS: usize = 90;
const ESPRESSO_ORDERS: usize = 100;
/// Number of keys that are sent twice. Even, so that both requests of a key have the same caller: keys are per caller.
const TWINS: usize = 16;
const UNAVAILABLE: usize = 14;
const UNKNOWN: usize = 10;
const EMPTY: usize = 10;

e2e::each_ground! {
    async fn of_256_orders_at_once_each_gets_its_right_answer_and_a_restart_keeps_them_all(ground: Ground) {
        let launch = ground.launch();
        let integrator = Integrator::start(launch.clock());
        let mut expediter = launch.start().await;
        let shop = Shop::open(&expediter, &integrator, BUNS).await;
        let price = json!({"amount": 650, "currency": "EUR"});
        let soup = json!({"store_id": shop.store_id, "name": "Soup", "price": price, "available": false});
        let soup = expediter.create("/api/v1/products", &soup).await;
        let nobodys = "00000000-0000-7000-8000-000000000000";
        let bodies: Vec<(String, Value)> = [
            bodies(BUN_ORDERS, "bun", &json!([{"product_id": shop.bun}])),
            bodies(ESPRESSO_ORDERS, "espresso", &json!([{"product_id": shop.espresso, "quantity": 2}])),
            bodies(TWINS, "twin", &json!([{"product_id": shop.espresso}])),
            bodies(TWINS, "twin", &json!([{"product_id": shop.espresso}])),
            bodies(UNAVAILABLE, "unavailable", &json!([{"product_id": soup["id"]}])),
            bodies(UNKNOWN, "unknown", &json!([{"product_id": nobodys}])),
            bodies(EMPTY, "empty", &json!([])),
        ]
        .concat();
        assert_eq!(bodies.len(), 256);

        let asked = bodies.iter().enumerate().map(|(n, (key, body))| {
            // Guests of the table and an account alternate.
            let request = if n % 2 == 0 {
                expediter.request(Method::POST, &shop.guests_path()).json(body)
            } else {
                let mut body = body.clone();
                body["session"] = json!(shop.session_code);
                expediter.by_operator(Method::POST, "/api/v1/orders").json(&body)
            };
            expediter.answer(request.header("Idempotency-Key", key.as_str()))
        });
        let answers = join_all(asked).await;
        let answered = |status: u16, reason: Option<&str>| {
            let fits = |(said, body): &&(u16, Value)| *said == status && body["reason"].as_str() == reason;
            answers.iter().filter(fits).count()
        };
        let accepted = BUNS as usize + ESPRESSO_ORDERS + TWINS;
        assert_eq!(answered(409, Some("insufficient_stock")), BUN_ORDERS - BUNS as usize);
        assert_eq!(answered(409, Some("product_unavailable")), UNAVAILABLE, "{:?}", counts(&answers));
        assert_eq!(answered(422, Some("validation_failed")), UNKNOWN + EMPTY);
        assert_eq!(answered(201, None), accepted + TWINS, "{:?}", counts(&answers));
        let ids: BTreeSet<String> = answers.iter().filter(|(status, _)| *status == 201).map(|(_, order)| text(&order["id"])).collect();
        assert_eq!(ids.len(), accepted, "twins get one order");

        let reckoning = Verification { expediter: &expediter, shop: &shop, integrator: &integrator, buns: i64::from(BUNS) };
        let orders = reckoning.until_settled().await;
        assert_all_are_ready(&orders, &ids);
        assert_eq!(shop.buns(&expediter).await, 0);
        reckoning.assert_audit_is_clean().await;

        expediter.sigint().await;
        expediter.restart().await;
        let kept = shop.orders(&expediter).await;
        assert_all_are_ready(&kept.into_iter().map(|order| (text(&order["id"]), order)).collect(), &ids);
        assert_eq!(shop.buns(&expediter).await, 0);
        assert_eq!(integrator.by_webhook_id().len(), accepted, "nothing was sent again");
    }
}

fn bodies(count: usize, series: &str, items: &Value) -> Vec<(String, Value)> {
    (0..count)
        .map(|n| (format!("{series}-{n}"), json!({"items": items})))
        .collect()
}

fn assert_all_are_ready(orders: &HashMap<String, Value>, ids: &BTreeSet<String>) {
    assert_eq!(orders.keys().cloned().collect::<BTreeSet<_>>(), *ids);
    let mut numbers: Vec<i64> = orders
        .values()
        .filter_map(|order| order["number"].as_i64())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, one_to(ids.len()));
    for order in orders.values() {
        assert_eq!(order["status"], "ready", "{order}");
    }
}

/// Counts the responses by status and reason, for assertion messages.
fn counts(answers: &[(u16, Value)]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for (status, body) in answers {
        *counts
            .entry(format!("{status} {}", body["reason"]))
            .or_default() += 1;
    }
    counts
}
