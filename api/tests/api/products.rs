//! Products and their stock over HTTP.

use crate::{
    app::{App, with_app},
    integrator_accounts::sign_in_integrator,
};
use domain::{account::Role, ids::StoreId};
use serde_json::{Value, json};

struct Shop {
    app: App,
    store: StoreId,
    manager: String,
    staff: String,
    customer: String,
}

async fn with_shop(body: impl AsyncFnOnce(Shop)) {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let shop = Shop {
            manager: app.signed_in("manager", Role::Manager, &[store]).await,
            staff: app.signed_in("staff", Role::Staff, &[store]).await,
            customer: app.signed_in("customer", Role::Customer, &[]).await,
            store,
            app,
        };
        body(shop).await;
    })
    .await;
}

impl Shop {
    fn espresso(&self) -> Value {
        json!({"store_id": self.store, "sku": "ESP", "name": "Espresso", "price": {"amount": 250, "currency": "EUR"}})
    }

    async fn sell(&self, product: Value) -> Value {
        let answer = self
            .app
            .post("/api/v1/products", product)
            .by(&self.manager)
            .send()
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(answer.header("location"), path(&answer.json()));
        answer.json()
    }

    /// Returns the `Authorization` of an integrator account of the store.
    async fn integrator(&self, store: StoreId, username: &str) -> String {
        let manager = self
            .app
            .signed_in(&format!("{username}-m"), Role::Manager, &[store])
            .await;
        let new = json!({"store_id": store, "name": "Till", "kind": "pos", "url": "https://till.example/"});
        let created = self
            .app
            .post("/api/v1/integrators", new)
            .by(&manager)
            .send()
            .await
            .ok();
        let id = created["integrator"]["id"].as_str().unwrap();
        sign_in_integrator(&self.app, username, &[id.parse().unwrap()]).await
    }
}

fn path(product: &Value) -> String {
    format!("/api/v1/products/{}", product["id"].as_str().unwrap())
}

fn stock_path(product: &Value) -> String {
    format!("{}/stock", path(product))
}

#[tokio::test]
async fn a_product_is_shown_with_its_stock_to_whoever_may_order_it() {
    with_shop(async |shop| {
        let mut new = shop.espresso();
        new["stock"] = json!(3);
        let product = shop.sell(new).await;
        assert_eq!(
            (&product["stock"], &product["available"]),
            (&json!(3), &json!(true))
        );
        assert_eq!(product["price"], json!({"amount": 250, "currency": "EUR"}));
        for who in [&shop.customer, &shop.staff, &shop.manager] {
            assert_eq!(
                shop.app.get(&path(&product)).by(who).send().await.ok(),
                product
            );
            let list = format!("/api/v1/products?store_id={}", shop.store);
            assert_eq!(
                shop.app.get(&list).by(who).send().await.ok()["items"],
                json!([product])
            );
            let menu = format!("/api/v1/stores/{}/menu", shop.store);
            assert_eq!(
                shop.app.get(&menu).by(who).send().await.ok()["items"],
                json!([product])
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_sku_is_taken_once_in_a_store() {
    with_shop(async |shop| {
        shop.sell(shop.espresso()).await;
        let twin = shop
            .app
            .post("/api/v1/products", shop.espresso())
            .by(&shop.manager)
            .send()
            .await;
        twin.problem(409, "duplicate_product");
        let mut other = shop.espresso();
        other["sku"] = json!("esp");
        let other = shop.sell(other).await;
        let find = format!("/api/v1/products?store_id={}&sku=esp", shop.store);
        let found = shop.app.get(&find).by(&shop.customer).send().await.ok();
        assert_eq!(found, json!({"items": [other], "next_cursor": null}));
    })
    .await;
}

#[tokio::test]
async fn only_managers_of_the_store_decide_what_it_sells() {
    with_shop(async |shop| {
        let product = shop.sell(shop.espresso()).await;
        let elsewhere = shop.app.house.create_store().await;
        let stranger = shop
            .app
            .signed_in("stranger", Role::Manager, &[elsewhere])
            .await;
        for (who, status, reason) in [
            (&shop.staff, 403, "forbidden"),
            (&shop.customer, 403, "forbidden"),
            (&stranger, 404, "not_found"),
        ] {
            let tries = [
                shop.app.post("/api/v1/products", shop.espresso()),
                shop.app.patch(&path(&product), json!({"name": "Mine"})),
                shop.app.ask("DELETE", &path(&product)),
                shop.app
                    .post(&stock_path(&product), json!({"delta": 1, "reason": "x"})),
            ];
            for one in tries {
                one.by(who).send().await.problem(status, reason);
            }
        }
        let list = format!("/api/v1/products?store_id={}", shop.store);
        shop.app
            .get(&list)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");
        shop.app
            .get(&path(&product))
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");
        assert_eq!(
            shop.app
                .get(&path(&product))
                .by(&shop.manager)
                .send()
                .await
                .ok(),
            product
        );
    })
    .await;
}

#[tokio::test]
async fn staff_and_the_stores_integrators_say_what_is_available() {
    with_shop(async |shop| {
        let product = shop.sell(shop.espresso()).await;
        let till = shop.integrator(shop.store, "till").await;
        let elsewhere = shop.app.house.create_store().await;
        let other_till = shop.integrator(elsewhere, "other").await;
        let say = |available: bool| {
            shop.app
                .patch(&path(&product), json!({"available": available}))
        };
        assert_eq!(
            say(false).by(&shop.staff).send().await.ok()["available"],
            false
        );
        let menu = format!("/api/v1/stores/{}/menu", shop.store);
        assert_eq!(
            shop.app.get(&menu).by(&shop.customer).send().await.ok()["items"],
            json!([])
        );
        assert_eq!(say(true).by(&till).send().await.ok()["available"], true);
        let by_a_customer = say(false).by(&shop.customer).send().await;
        by_a_customer.problem(403, "forbidden");
        let by_another = say(false).by(&other_till).send().await;
        by_another.problem(404, "not_found");
        let rename = shop
            .app
            .patch(&path(&product), json!({"available": false, "name": "x"}));
        rename.by(&till).send().await.problem(403, "forbidden");
        let recount = |who| {
            shop.app
                .post(&stock_path(&product), json!({"delta": 4, "reason": "till"}))
                .by(who)
        };
        assert_eq!(recount(&till).send().await.ok()["stock"], 4);
        recount(&other_till).send().await.problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn stock_changes_by_deltas_with_a_reason_and_never_below_nothing() {
    with_shop(async |shop| {
        let product = shop.sell(shop.espresso()).await;
        assert_eq!(product["stock"], Value::Null);
        let change = async |delta: i64| {
            let body = json!({"delta": delta, "reason": "counted"});
            shop.app
                .post(&stock_path(&product), body)
                .by(&shop.manager)
                .send()
                .await
        };
        change(-1).await.problem(409, "insufficient_stock");
        assert_eq!(change(5).await.ok()["stock"], 5);
        assert_eq!(change(-2).await.ok()["stock"], 3);
        assert_eq!(
            change(-4).await.problem(409, "insufficient_stock")["quantity"],
            3
        );
        let nameless = shop
            .app
            .post(&stock_path(&product), json!({"delta": 1}))
            .by(&shop.manager)
            .send()
            .await;
        assert_eq!(nameless.pointers(), ["/reason"]);
    })
    .await;
}

#[tokio::test]
async fn a_price_is_in_the_stores_currency_and_not_negative() {
    with_shop(async |shop| {
        let sell = async |price: Value| {
            let mut new = shop.espresso();
            new["price"] = price;
            shop.app
                .post("/api/v1/products", new)
                .by(&shop.manager)
                .send()
                .await
                .pointers()
        };
        assert_eq!(
            sell(json!({"amount": 250, "currency": "USD"})).await,
            ["/price/currency"]
        );
        assert_eq!(
            sell(json!({"amount": -1, "currency": "EUR"})).await,
            ["/price/amount"]
        );
        assert_eq!(
            sell(json!({"amount": 2.5, "currency": "EUR"})).await,
            ["/price/amount"]
        );
        assert_eq!(sell(json!("2.50")).await, ["/price"]);
    })
    .await;
}

#[tokio::test]
async fn an_edit_names_the_version_that_it_was_made_from() {
    with_shop(async |shop| {
        let product = shop.sell(shop.espresso()).await;
        let tag = shop
            .app
            .get(&path(&product))
            .by(&shop.manager)
            .send()
            .await
            .header("etag")
            .to_owned();
        let edit = |patch| {
            shop.app
                .patch(&path(&product), patch)
                .by(&shop.manager)
                .header("if-match", &tag)
        };
        let edited = edit(json!({"sku": null, "description": "strong"}))
            .send()
            .await
            .ok();
        assert_eq!(
            (&edited["sku"], &edited["description"]),
            (&Value::Null, &json!("strong"))
        );
        assert_eq!(
            (&edited["name"], &edited["version"]),
            (&json!("Espresso"), &json!(2))
        );
        let late = edit(json!({"name": "late"})).send().await;
        assert_eq!(late.problem(412, "version_conflict")["current_version"], 2);
    })
    .await;
}

#[tokio::test]
async fn an_archived_product_is_gone_for_customers_and_its_sku_free() {
    with_shop(async |shop| {
        let product = shop.sell(shop.espresso()).await;
        for _ in 0..2 {
            let archived = shop
                .app
                .ask("DELETE", &path(&product))
                .by(&shop.manager)
                .send()
                .await;
            assert_eq!(archived.status, 204);
        }
        shop.app
            .get(&path(&product))
            .by(&shop.customer)
            .send()
            .await
            .problem(404, "not_found");
        assert!(
            shop.app
                .get(&path(&product))
                .by(&shop.staff)
                .send()
                .await
                .ok()["archived_at"]
                .is_string()
        );
        shop.sell(shop.espresso()).await;
    })
    .await;
}

#[tokio::test]
async fn products_come_in_pages() {
    with_shop(async |shop| {
        let mut sold = Vec::new();
        for sku in ["a", "b", "c"] {
            let mut new = shop.espresso();
            new["sku"] = json!(sku);
            sold.push(shop.sell(new).await);
        }
        let list = format!("/api/v1/products?store_id={}&limit=2", shop.store);
        let first = shop.app.get(&list).by(&shop.customer).send().await.ok();
        assert_eq!(first["items"], json!(sold[..2]));
        let next = format!("{list}&cursor={}", first["next_cursor"].as_str().unwrap());
        let second = shop.app.get(&next).by(&shop.customer).send().await.ok();
        assert_eq!(second, json!({"items": sold[2..], "next_cursor": null}));
    })
    .await;
}

#[tokio::test]
async fn what_a_product_always_has_is_not_emptied() {
    with_shop(async |shop| {
        let product = shop.sell(shop.espresso()).await;
        let nothing = json!({"name": null, "price": null, "available": null});
        let asked = shop.app.patch(&path(&product), nothing).by(&shop.manager);
        assert_eq!(
            asked.send().await.pointers(),
            ["/name", "/price", "/available"]
        );
        let now = shop.app.get(&path(&product)).by(&shop.manager);
        assert_eq!(now.send().await.ok(), product);
    })
    .await;
}

#[tokio::test]
async fn without_a_store_the_products_that_the_caller_may_see_are_listed() {
    with_app(async |app: App| {
        let mut stores = Vec::new();
        for _ in 0..3 {
            stores.push(app.house.create_store().await);
        }
        let mut ids = Vec::new();
        for store in [0, 1, 2, 1, 0] {
            let product = app.house.create_product(stores[store]).await;
            ids.push(product.to_string());
        }
        let staff = app.signed_in("sam", Role::Staff, &stores[..2]).await;
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let customer = app.signed_in("anna", Role::Customer, &[]).await;
        let listed = async |by: &str| {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("/api/v1/products?limit=2{cursor}");
                let page = app.get(&path).by(by).send().await.ok();
                let items = page["items"].as_array().unwrap();
                let known = |id: &str| ids.iter().position(|one| one == id).unwrap();
                found.extend(items.iter().map(|one| known(one["id"].as_str().unwrap())));
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => return found,
                }
            }
        };
        assert_eq!(listed(&staff).await, [0, 1, 3, 4]);
        assert_eq!(listed(&operator).await, [0, 1, 2, 3, 4]);
        assert_eq!(listed(&customer).await, [0, 1, 2, 3, 4]);
        app.house
            .ledger
            .archive_store(stores[1], None)
            .await
            .unwrap();
        assert_eq!(listed(&customer).await, [0, 2, 4]);
        assert_eq!(listed(&staff).await, [0, 4]);
        let by_sku = app
            .get("/api/v1/products?sku=ESP")
            .by(&customer)
            .send()
            .await;
        assert_eq!(by_sku.pointers(), ["sku"]);
        app.get("/api/v1/products")
            .send()
            .await
            .problem(401, "incorrect_credentials");
    })
    .await;
}
