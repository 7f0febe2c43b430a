//! Products of stores that the products service knows.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Fake, Place, Reply, enveloped, with_service};
use crate::app::{Answer, App};

fn product(id: u32, name: &str, price: &str) -> Value {
    json!({"product": {"id": id, "name": name, "description": "", "price": price, "location_id": 7}})
}

/// Row of sku, name and price in minor units.
fn sold(menu: &Value) -> Vec<(String, String, i64)> {
    let items = menu["items"].as_array().unwrap().iter();
    let mut sold: Vec<_> = items
        .map(|item| {
            let text = |field: &str| item[field].as_str().unwrap().to_owned();
            let amount = item["price"]["amount"].as_i64().unwrap();
            (text("sku"), text("name"), amount)
        })
        .collect();
    sold.sort();
    sold
}

impl Place<'_> {
    async fn orders(&self, sku: &str) -> Answer {
        let body = json!({"store_id": self.store, "items": [{"sku": sku, "quantity": 3}]});
        let asked = self.app.post("/api/v1/orders", body);
        asked.by(&self.staff).send().await
    }
}

fn row(sku: &str, name: &str, amount: i64) -> (String, String, i64) {
    (sku.to_owned(), name.to_owned(), amount)
}

#[tokio::test]
async fn what_the_service_lists_is_the_menu_and_is_ordered_by_its_id_at_its_exact_price() {
    let fake = Fake::start().await;
    with_service(
        "products",
        &format!("{}/products", fake.url),
        async |app: App| {
            let place = Place::new(&app).await;
            let list = json!([product(17, "Espresso", "1.80"), product(18, "Cake", "8.20")]);
            for answer in [list.clone(), enveloped(&list)] {
                fake.says_json(200, &answer);
                let menu = place.menu().await.ok();
                assert_eq!(
                    sold(&menu),
                    [row("17", "Espresso", 180), row("18", "Cake", 820)]
                );
                assert_eq!(fake.lines(), ["GET /products/find/?location_id=7"]);
                app.house.clock.advance(Duration::from_secs(10));
            }
            let order = place.orders("18").await.ok();
            assert_eq!(order["total"], json!({"amount": 2460, "currency": "EUR"}));

            fake.says_json(200, &json!([product(17, "Doppio", "2.5")]));
            app.house.clock.advance(Duration::from_secs(10));
            place.orders("18").await.problem(409, "product_unavailable");
            assert_eq!(sold(&place.menu().await.ok()), [row("17", "Doppio", 250)]);
        },
    )
    .await;
}

#[tokio::test]
async fn a_crowd_asks_once_and_a_moment_later_nobody_asks() {
    let fake = Fake::start().await;
    with_service("products", &fake.url.clone(), async |app: App| {
        let place = Place::new(&app).await;
        let body = json!({"store_id": place.store, "name": "1"});
        let session = app
            .post("/api/v1/sessions", body)
            .by(&place.staff)
            .send()
            .await
            .ok();
        let menu = format!(
            "/api/v1/sessions/{}/menu",
            session["code"].as_str().unwrap()
        );
        fake.says_json(200, &json!([product(17, "Espresso", "1.80")]));
        for answer in join_all((0..20).map(|_| app.get(&menu).send())).await {
            assert_eq!(answer.ok()["items"][0]["sku"], "17");
        }
        assert_eq!(fake.lines().len(), 1);
        app.house.clock.advance(Duration::from_secs(9));
        place.orders("17").await.ok();
        assert_eq!(fake.lines().len(), 0);
        app.house.clock.advance(Duration::from_secs(1));
        place.orders("17").await.ok();
        assert_eq!(fake.lines().len(), 1);

        // Concurrent requests share one fetch that times out, instead of waiting one after the other.
        app.house.clock.advance(Duration::from_secs(10));
        fake.says(Reply::Nothing);
        let began = tokio::time::Instant::now();
        for answer in join_all((0..20).map(|_| app.get(&menu).send())).await {
            answer.problem(503, "products_service_unavailable");
        }
        assert_eq!(fake.lines().len(), 1);
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
    })
    .await;
}

#[tokio::test]
async fn a_list_of_which_one_line_is_nonsense_changes_nothing() {
    let fake = Fake::start().await;
    with_service("products", &fake.url.clone(), async |app: App| {
        let place = Place::new(&app).await;
        let good = product(17, "Espresso", "1.80");
        fake.says_json(200, &json!([good]));
        place.menu().await.ok();
        let with = |field: &str, value: Value| {
            let mut one = product(18, "Cake", "1.00");
            one["product"][field] = value;
            one
        };
        let mut nonsense = vec![json!({}), json!(1), json!({"product": null}), good.clone()];
        for price in ["1.805", "-1", "1,80", "", "free", "1e3"] {
            nonsense.push(product(18, "Cake", price));
        }
        nonsense.push(with("price", json!(1.8)));
        nonsense.push(with("id", json!("../x")));
        nonsense.push(with("name", json!(" ")));
        nonsense.push(with("name", json!("x".repeat(201))));
        nonsense.push(with("description", json!(7)));
        for one in nonsense {
            app.house.clock.advance(Duration::from_secs(10));
            fake.says_json(200, &json!([good, one]));
            place
                .menu()
                .await
                .problem(503, "products_service_unavailable");
        }
        fake.says_json(200, &json!([good]));
        assert_eq!(sold(&place.menu().await.ok()), [row("17", "Espresso", 180)]);
    })
    .await;
}

#[tokio::test]
async fn a_location_that_the_service_does_not_know_has_no_menu_and_a_store_that_is_none_has_its_own()
 {
    let fake = Fake::start().await;
    with_service("products", &fake.url.clone(), async |app: App| {
        let place = Place::new(&app).await;
        for (status, body) in [(404, ""), (200, r#"{"success": false}"#)] {
            fake.says(Reply::Answer(status, body.to_owned()));
            place.menu().await.problem(404, "not_found");
        }
        fake.heard();
        let store = app.house.create_store().await;
        let own = app.house.create_product(store).await;
        let role = domain::account::Role::Staff;
        let staff = app.signed_in("kim", role, &[store]).await;
        let menu = app
            .get(&format!("/api/v1/stores/{store}/menu"))
            .by(&staff)
            .send()
            .await
            .ok();
        assert_eq!(menu["items"][0]["id"], json!(own));
        assert_eq!(fake.lines(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn drafts_and_edits_are_at_the_services_price_of_their_moment() {
    let fake = Fake::start().await;
    with_service("products", &fake.url.clone(), async |app: App| {
        let place = Place::new(&app).await;
        let costs = |price: &str| {
            app.house.clock.advance(Duration::from_secs(10));
            fake.says_json(200, &json!([product(17, "Espresso", price)]));
        };
        let total = |answer: &Answer| answer.ok()["total"]["amount"].clone();
        // No request has fetched the menu before.
        costs("1.80");
        let body = json!({"store_id": place.store, "status": "draft", "items": [{"sku": "17"}]});
        let draft = app
            .post("/api/v1/orders", body)
            .by(&place.staff)
            .send()
            .await;
        assert_eq!(total(&draft), 180);
        let path = draft.header("location");
        let edit = |items: Value| {
            app.patch(path, json!({"items": items}))
                .by(&place.staff)
                .send()
        };
        costs("1.90");
        assert_eq!(
            total(&edit(json!([{"sku": "17"}, {"sku": "17"}])).await),
            380
        );
        costs("2.00");
        let added = app.post(&format!("{path}/items"), json!({"sku": "17"}));
        assert_eq!(total(&added.by(&place.staff).send().await), 580);
        let place_it = || {
            let asked = app.ask("PUT", &format!("{path}/status"));
            asked.json(json!({"status": "pending"})).by(&place.staff)
        };
        costs("0.50");
        fake.says(Reply::Answer(500, String::new()));
        let unavailable = place_it().send().await;
        unavailable.problem(503, "products_service_unavailable");
        costs("2.50");
        assert_eq!(total(&place_it().send().await), 750);
        // The order is already placed, so the service is not asked.
        fake.heard();
        costs("9.00");
        place_it().send().await.ok();
        assert_eq!(fake.lines(), Vec::<String>::new());
        costs("3.00");
        assert_eq!(total(&edit(json!([{"sku": "17"}])).await), 300);
    })
    .await;
}

#[tokio::test]
async fn an_empty_draft_and_an_edit_of_no_items_need_no_service() {
    let fake = Fake::start().await;
    with_service("products", &fake.url.clone(), async |app: App| {
        let place = Place::new(&app).await;
        fake.says(Reply::Answer(500, String::new()));
        let body = json!({"store_id": place.store, "status": "draft"});
        let draft = app
            .post("/api/v1/orders", body)
            .by(&place.staff)
            .send()
            .await;
        let edit = app.patch(draft.header("location"), json!({"user_note": "hot"}));
        edit.by(&place.staff).send().await.ok();
        assert_eq!(fake.lines(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn an_order_that_was_taken_is_told_of_while_the_service_is_away() {
    let fake = Fake::start().await;
    with_service("products", &fake.url.clone(), async |app: App| {
        let place = Place::new(&app).await;
        fake.says_json(200, &json!([product(17, "Espresso", "1.80")]));
        let ask = |key: &'static str, status: &str| {
            let body = json!({"store_id": place.store, "status": status, "items": [{"sku": "17"}]});
            let asked = app.post("/api/v1/orders", body).by(&place.staff);
            asked.header("idempotency-key", key).send()
        };
        let (order, draft) = (ask("order", "pending").await, ask("draft", "draft").await);
        let add = || {
            let items = format!("{}/items", draft.header("location"));
            let asked = app.post(&items, json!({"sku": "17"})).by(&place.staff);
            asked.header("idempotency-key", "add").send()
        };
        let added = add().await.ok();
        fake.says(Reply::Answer(500, String::new()));
        app.house.clock.advance(Duration::from_secs(10));
        for (again, first) in [
            (ask("order", "pending").await, order.ok()),
            (ask("draft", "draft").await, added.clone()),
            (add().await, added),
        ] {
            assert_eq!(
                again.header("idempotency-replayed"),
                "true",
                "{}",
                again.text
            );
            assert_eq!(again.ok(), first);
        }
        let other = ask("other", "pending").await;
        other.problem(503, "products_service_unavailable");
    })
    .await;
}
