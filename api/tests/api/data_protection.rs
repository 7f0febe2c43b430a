//! The audit trail, and the data of customers: exported and erased.

use domain::account::Role;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, TRUST_TEST_PROXY, with_app, with_app_configured};

const AUDIT: &str = "/api/v1/audit";
const ERASE: &str = "/api/v1/customers/erase";
const EXPORT: &str = "/api/v1/customers/export";
const HERE: &str = "203.0.113.7";

async fn with_proxy<F: Future<Output = ()>>(body: impl FnOnce(App) -> F) {
    let settings = [TRUST_TEST_PROXY, ("accounts.open_registration", "true")];
    with_app_configured(&settings, |routes| routes, body).await;
}

/// Returns subject, action, name of the actor and address of all entries, oldest first.
async fn trail(app: &App, operator: &str, query: &str) -> Vec<(String, String, String, String)> {
    let listed = app
        .get(&format!("{AUDIT}{query}"))
        .by(operator)
        .send()
        .await
        .ok();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let entries = listed["items"].as_array().unwrap().iter().rev();
    let told = entries.map(|one| {
        (
            text(&one["subject"]),
            text(&one["action"]),
            text(&one["actor"]["name"]),
            text(&one["address"]),
        )
    });
    told.collect()
}

fn entry(
    subject: &str,
    action: &str,
    name: &str,
    address: &str,
) -> (String, String, String, String) {
    (
        subject.to_owned(),
        action.to_owned(),
        name.to_owned(),
        address.to_owned(),
    )
}

#[tokio::test]
async fn the_trail_says_who_did_what_from_where_to_operators_only() {
    with_proxy(async |app: App| {
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        let manager = app.account("max", Role::Manager, &[store]).await;
        let by = app.bearer(&manager);
        let operator = app.signed_in("olga", Role::Operator, &[]).await;
        let stock = json!({"delta": 5, "reason": "delivered"});
        let path = format!("/api/v1/products/{product}/stock");
        app.post(&path, stock).by(&by).from(HERE).send().await.ok();
        let busy = json!({"adds_minutes": 15, "paused_until": null});
        let path = format!("/api/v1/stores/{store}/busy");
        app.ask("PUT", &path)
            .json(busy)
            .by(&by)
            .from(HERE)
            .send()
            .await
            .ok();
        let ada = json!({"username": "ada", "password": "open sesame please", "role": "customer"});
        app.post("/api/v1/users", ada)
            .from("203.0.113.8")
            .send()
            .await
            .ok();

        let expected = [
            entry("product", "stock_changed", "max", HERE),
            entry("store", "edited", "max", HERE),
            entry("account", "created", "ada", "203.0.113.8"),
        ];
        assert_eq!(trail(&app, &operator, "").await, expected);
        let of_max = format!("?actor_id={}", manager.id);
        assert_eq!(trail(&app, &operator, &of_max).await, expected[..2]);
        let of_stock =
            format!("?subject=product&action=stock_changed&subject_id={product}&store_id={store}");
        assert_eq!(trail(&app, &operator, &of_stock).await, expected[..1]);
        let now = app.house.clock.now();
        let later = now + chrono::TimeDelta::seconds(1);
        let later = domain::order::rfc3339(later);
        assert_eq!(trail(&app, &operator, &format!("?from={later}")).await, []);
        assert_eq!(
            trail(&app, &operator, &format!("?to={later}")).await,
            expected
        );

        let first = app
            .get(&format!("{AUDIT}?limit=2"))
            .by(&operator)
            .send()
            .await
            .ok();
        assert_eq!(first["items"].as_array().unwrap().len(), 2);
        let next = first["next_cursor"].as_str().unwrap();
        let rest = app
            .get(&format!("{AUDIT}?limit=2&cursor={next}"))
            .by(&operator)
            .send()
            .await
            .ok();
        assert_eq!(rest["items"][0]["action"], "stock_changed");
        assert_eq!(rest["next_cursor"], Value::Null);
        app.get(AUDIT)
            .by(&by)
            .send()
            .await
            .problem(403, "forbidden");
        app.get(&format!("{AUDIT}?subject=cat"))
            .by(&operator)
            .send()
            .await
            .problem(422, "validation_failed");
        // Managers see the same changes without addresses.
        let told = app.get("/api/v1/changes").by(&by).send().await;
        assert!(
            told.text.contains("stock_changed") && !told.text.contains(HERE),
            "{}",
            told.text
        );
    })
    .await;
}

#[tokio::test]
async fn so_many_wrong_passwords_that_an_account_is_limited_are_in_the_trail_once() {
    with_proxy(async |app: App| {
        let anna = app.account("anna", Role::Customer, &[]).await;
        let operator = app.signed_in("olga", Role::Operator, &[]).await;
        for last in 1..=12 {
            let guess = json!({"username": "anna", "password": "wrong password"});
            let guess = app
                .post("/api/v1/token", guess)
                .from(&format!("192.0.2.{last}"));
            let status = guess.send().await.status.as_u16();
            assert_eq!(status, if last <= 10 { 401 } else { 429 }, "{last}");
            let unknown = json!({"username": "nobody", "password": PASSWORD});
            app.post("/api/v1/token", unknown)
                .from(&format!("192.0.2.{last}"))
                .send()
                .await;
        }
        let limited = format!("?action=sign_ins_limited&subject_id={}", anna.id);
        // It is recorded beside the answer.
        let recorded = async {
            loop {
                let found = trail(&app, &operator, &limited).await;
                if !found.is_empty() {
                    break found;
                }
                tokio::task::yield_now().await;
            }
        };
        let recorded = tokio::time::timeout(store::testing::TEST_TIMEOUT, recorded)
            .await
            .unwrap();
        assert_eq!(
            recorded,
            [entry(
                "account",
                "sign_ins_limited",
                "sign-in",
                "192.0.2.10"
            )]
        );
        assert_eq!(
            trail(&app, &operator, "?action=sign_ins_limited")
                .await
                .len(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn a_person_is_exported_and_erased_by_operators_and_nobody_reads_who_it_was() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        let operator = app.signed_in("olga", Role::Operator, &[]).await;
        let manager = app.signed_in("max", Role::Manager, &[store]).await;
        let order = json!({
            "store_id": store, "fulfilment": "pickup", "items": [{"product_id": product, "note": "for Zoe"}],
            "customer": {"name": "Zoe", "phone": "+49 30 7771234"}, "user_note": "Zoe's birthday",
        });
        let order = app.post("/api/v1/orders", order).by(&manager).send().await.ok();
        let path = format!("/api/v1/orders/{}", order["id"].as_str().unwrap());
        let zoe = json!({"phone": "0049 30 7771234"});
        for path in [EXPORT, ERASE] {
            app.post(path, zoe.clone()).by(&manager).send().await.problem(403, "forbidden");
            for wrong in [
                json!({}),
                json!({"phone": "+49 30 7771234", "email": "a@b.example"}),
                json!({"phone": "call me"}),
                json!({"email": "nobody"}),
            ] {
                let refused = app.post(path, wrong.clone()).by(&operator).send().await;
                refused.problem(422, "validation_failed");
                assert!(!refused.text.contains("7771234"), "{}", refused.text);
            }
        }
        let exported = app.post(EXPORT, zoe.clone()).by(&operator).send().await.ok();
        assert_eq!(exported["orders"][0]["order"]["customer"]["name"], "Zoe");
        assert_eq!(exported["next_cursor"], Value::Null);

        let erase = || app.post(ERASE, zoe.clone()).by(&operator).header("idempotency-key", "k");
        let started = erase().send().await;
        assert_eq!(started.status.as_u16(), 202);
        let again = erase().send().await;
        assert_eq!(again.json()["id"], started.json()["id"]);
        assert_eq!(again.header("idempotency-replayed"), "true");
        let progress = started.header("location").to_owned();
        let sweep = async || {
            let mut tx = app.house.db.begin().await.unwrap();
            store::testing::run(&mut tx, "DELETE FROM outbox").await.unwrap();
            tx.commit().await.unwrap();
            app.house.clock.advance(std::time::Duration::from_secs(300));
            app.house.ledger.continue_erasures().await.unwrap();
            let operator = app.bearer(&app.state.ledger.credentials("olga").await.unwrap().unwrap().account);
            app.get(&progress).by(&operator).send().await.ok()
        };
        let waits = sweep().await;
        assert_eq!(waits["state"], "waiting");
        assert_eq!(waits["waiting"], json!([{"order_id": order["id"], "waits_for": "order_end"}]));
        let manager = app.bearer(&app.state.ledger.credentials("max").await.unwrap().unwrap().account);
        app.ask("DELETE", &format!("{path}?reason=gone")).by(&manager).send().await.ok();
        let done = sweep().await;
        assert_eq!((&done["state"], &done["erased"]), (&json!("done"), &json!(1)));
        // The tokens have ended meanwhile.
        let manager = app.bearer(&app.state.ledger.credentials("max").await.unwrap().unwrap().account);
        let left = app.get(&path).by(&manager).send().await;
        assert!(!left.text.contains("Zoe") && !left.text.contains("777"), "{}", left.text);
        let left = left.ok();
        assert_eq!((&left["status"], &left["total"]), (&json!("cancelled"), &order["total"]));

        let operator = app.bearer(&app.state.ledger.credentials("olga").await.unwrap().unwrap().account);
        let audit = app.get(&format!("{AUDIT}?subject=customer")).by(&operator).send().await;
        assert!(!audit.text.contains("7771234"), "{}", audit.text);
        let actions: Vec<Value> = audit.ok()["items"].as_array().unwrap().iter().map(|one| one["action"].clone()).collect();
        assert_eq!(actions, ["erased", "erasure_requested", "exported"]);
        let list = app.get("/api/v1/customers/erasures").by(&operator).send().await.ok();
        assert_eq!(list["items"][0], done);
    })
    .await;
}
