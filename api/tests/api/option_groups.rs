//! Options over HTTP: groups, what items are ordered with, and what everybody is shown.

use domain::{account::Role, ids::StoreId};
use serde_json::{Value, json};

use crate::app::{App, with_app};

struct Cafe {
    app: App,
    store: StoreId,
    manager: String,
    staff: String,
    customer: String,
    coffee: String,
    milk: Value,
}

async fn with_cafe(body: impl AsyncFnOnce(Cafe)) {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let new = json!({"store_id": store, "name": "Milk", "min": 1, "max": 2, "options": [
            {"name": "Oat", "sku": "OAT", "price": {"amount": 50, "currency": "EUR"}},
            {"name": "None", "price": {"amount": -20, "currency": "EUR"}},
        ]});
        let created = app
            .post("/api/v1/option-groups", new)
            .by(&manager)
            .send()
            .await;
        assert_eq!(created.status, 201, "{}", created.text);
        let milk = created.json();
        let coffee = app.house.create_product(store).await.to_string();
        let offers = json!({"option_group_ids": [milk["id"]]});
        let path = format!("/api/v1/products/{coffee}");
        let offered = app.patch(&path, offers).by(&manager).send().await.ok();
        assert_eq!(offered["option_group_ids"], json!([milk["id"]]));
        let cafe = Cafe {
            staff: app.signed_in("staff", Role::Staff, &[store]).await,
            customer: app.signed_in("customer", Role::Customer, &[]).await,
            store,
            manager,
            coffee,
            milk,
            app,
        };
        body(cafe).await;
    })
    .await;
}

impl Cafe {
    fn group_path(&self) -> String {
        format!(
            "/api/v1/option-groups/{}",
            self.milk["id"].as_str().unwrap()
        )
    }

    fn option(&self, at: usize) -> &Value {
        &self.milk["options"][at]["id"]
    }

    fn order(&self, options: Value) -> Value {
        json!({"store_id": self.store, "items": [{"product_id": self.coffee, "quantity": 2, "options": options}]})
    }
}

#[tokio::test]
async fn an_item_is_shown_with_its_options_to_customers_guests_and_in_tables() {
    with_cafe(async |cafe| {
        let mut order = cafe.order(json!([{"option_id": cafe.option(0), "quantity": 2}]));
        order["expected_total"] = json!({"amount": 500, "currency": "EUR"});
        let refused = cafe.app.post("/api/v1/orders", order.clone()).by(&cafe.customer);
        let refused = refused.send().await.problem(422, "total_mismatch");
        assert_eq!(refused["actual"]["amount"], 700);
        order["expected_total"] = refused["actual"].clone();
        let placed = cafe.app.post("/api/v1/orders", order).by(&cafe.customer).send().await;
        assert_eq!(placed.status, 201, "{}", placed.text);
        let item = placed.json()["items"][0].clone();
        assert_eq!(item["unit_price"]["amount"], 350);
        assert_eq!(
            item["options"],
            json!([{"option_id": cafe.option(0), "group": "Milk", "name": "Oat", "sku": "OAT",
                    "price": {"amount": 50, "currency": "EUR"}, "quantity": 2}])
        );

        let session = json!({"store_id": cafe.store, "name": "Table 1"});
        let session = cafe.app.post("/api/v1/sessions", session).by(&cafe.staff).send().await;
        let code = session.json()["code"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/sessions/{code}/orders");
        let wanted = json!({"items": [{"product_id": cafe.coffee, "options": [{"option_id": cafe.option(1)}]}]});
        let placed = cafe.app.post(&path, wanted).send().await;
        assert_eq!(placed.status, 201, "{}", placed.text);
        assert_eq!(
            placed.json()["items"][0]["options"],
            json!([{"option_id": cafe.option(1), "group": "Milk", "name": "None",
                    "price": {"amount": -20, "currency": "EUR"}, "quantity": 1}]),
            "a guest sees no sku"
        );
        let events = format!("/api/v1/sessions/{code}/events");
        let events = cafe.app.get(&events).send().await.ok();
        let mut told = events["items"].as_array().into_iter().flatten();
        let told = told.find(|event| event["type"] == "order.placed").expect("it is told");
        assert_eq!(told["data"]["order"]["items"], placed.json()["items"]);
        let table = format!("/api/v1/orders.csv?store_id={}", cafe.store);
        let table = cafe.app.get(&table).by(&cafe.staff).send().await.text;
        assert!(table.contains("2 x Espresso (2 x Oat)"), "{table}");
        assert!(table.contains("1 x Espresso (None)"), "{table}");
    })
    .await;
}

#[tokio::test]
async fn options_that_do_not_fit_are_named_by_pointers() {
    with_cafe(async |cafe| {
        let place = async |options: Value| {
            let order = cafe.app.post("/api/v1/orders", cafe.order(options));
            order.by(&cafe.customer).send().await
        };
        let errors = async |options: Value| {
            place(options).await.problem(422, "validation_failed")["errors"].clone()
        };
        assert_eq!(
            errors(json!([])).await,
            json!([{"pointer": "/items/0/options", "detail": "Milk: choose at least 1"}])
        );
        let foreign =
            json!([{"option_id": cafe.coffee}, {"option_id": cafe.option(0), "quantity": 3}]);
        let pointers: Vec<Value> = errors(foreign)
            .await
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["pointer"].clone())
            .collect();
        assert_eq!(
            pointers,
            ["/items/0/options/0/option_id", "/items/0/options"]
        );
        assert_eq!(
            errors(json!([{"option_id": cafe.option(0), "quantity": 101}])).await[0]["pointer"],
            "/items/0/options/0/quantity"
        );

        let order = place(json!([{"option_id": cafe.option(0)}])).await;
        let (id, item) = (
            order.json()["id"].clone(),
            order.json()["items"][0]["id"].clone(),
        );
        let path = format!(
            "/api/v1/orders/{}/items/{}",
            id.as_str().unwrap(),
            item.as_str().unwrap()
        );
        let edit = async |options: Value| {
            let edit = cafe.app.patch(&path, json!({"options": options}));
            edit.by(&cafe.customer).send().await
        };
        let refused = edit(json!([{"option_id": cafe.coffee}])).await;
        let refused = refused.problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], "/options/0/option_id");
        let edited = edit(json!([{"option_id": cafe.option(1)}])).await.ok();
        assert_eq!(edited["total"]["amount"], 460);

        let mut options = cafe.milk["options"].clone();
        options[0]["available"] = json!(false);
        let sold_out = cafe
            .app
            .patch(&cafe.group_path(), json!({"options": options}));
        sold_out.by(&cafe.staff).send().await.ok();
        let refused = place(json!([{"option_id": cafe.option(0)}])).await;
        let refused = refused.problem(409, "option_unavailable");
        assert_eq!(
            (&refused["items"], &refused["options"]),
            (&json!([0]), &json!([cafe.option(0)]))
        );
    })
    .await;
}

#[tokio::test]
async fn managers_decide_on_options_staff_only_if_they_are_available() {
    with_cafe(async |cafe| {
        let elsewhere = cafe.app.house.create_store().await;
        let stranger = cafe
            .app
            .signed_in("stranger", Role::Manager, &[elsewhere])
            .await;
        let path = cafe.group_path();
        let list = format!("/api/v1/option-groups?store_id={}", cafe.store);
        for who in [&cafe.customer, &cafe.staff, &cafe.manager] {
            assert_eq!(cafe.app.get(&path).by(who).send().await.ok(), cafe.milk);
            assert_eq!(
                cafe.app.get(&list).by(who).send().await.ok()["items"],
                json!([cafe.milk])
            );
        }
        cafe.app
            .get(&path)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");
        for who in [&cafe.staff, &cafe.customer] {
            let renamed = cafe.app.patch(&path, json!({"name": "Mine"})).by(who);
            renamed.send().await.problem(403, "forbidden");
            let deleted = cafe.app.ask("DELETE", &path).by(who);
            deleted.send().await.problem(403, "forbidden");
        }
        let dollars =
            json!({"options": [{"name": "A", "price": {"amount": 1, "currency": "USD"}}]});
        let refused = cafe
            .app
            .patch(&path, dollars)
            .by(&cafe.manager)
            .send()
            .await;
        let refused = refused.problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], "/options/0/price/currency");
        let renamed = cafe.app.patch(&path, json!({"name": "Milks", "min": 0}));
        let renamed = renamed.by(&cafe.manager).send().await.ok();
        assert_eq!(
            (&renamed["name"], &renamed["version"]),
            (&json!("Milks"), &json!(2))
        );
        let deleted = cafe.app.ask("DELETE", &path).by(&cafe.manager).send().await;
        assert_eq!(deleted.status, 204, "{}", deleted.text);
        let product = format!("/api/v1/products/{}", cafe.coffee);
        let product = cafe.app.get(&product).by(&cafe.customer).send().await.ok();
        assert_eq!(product["option_group_ids"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_menu_lists_the_groups_and_an_edit_of_one_makes_a_copy_of_it_old() {
    with_cafe(async |cafe| {
        let menu = format!("/api/v1/stores/{}/menu", cafe.store);
        let read = cafe.app.get(&menu).by(&cafe.customer).send().await;
        assert_eq!(read.ok()["option_groups"], json!([cafe.milk]));
        assert_eq!(
            read.ok()["items"][0]["option_group_ids"],
            json!([cafe.milk["id"]])
        );
        let known = read.header("etag").to_owned();
        let again = async || {
            let read = cafe.app.get(&menu).by(&cafe.customer);
            read.header("if-none-match", &known).send().await
        };
        assert_eq!(again().await.status, 304);
        let renamed = cafe.app.patch(&cafe.group_path(), json!({"name": "Milks"}));
        renamed.by(&cafe.manager).send().await.ok();
        assert_eq!(again().await.ok()["option_groups"][0]["name"], "Milks");
        let deleted = cafe.app.ask("DELETE", &cafe.group_path());
        assert_eq!(deleted.by(&cafe.manager).send().await.status, 204);
        assert_eq!(again().await.ok()["option_groups"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn groups_and_options_are_named_in_the_menus_language_and_keep_their_names_through_edits() {
    with_cafe(async |cafe| {
        let edit = async |patch: Value| cafe.app.patch(&cafe.group_path(), patch).by(&cafe.manager).send().await;
        let translated = edit(json!({
            "translations": {"de": {"name": "Milch"}},
            "options": [
                {"id": cafe.option(0), "name": "Oat", "translations": {"de": {"name": "Hafer"}, "de-CH": {"name": "Haber"}}},
                {"id": cafe.option(1), "name": "None"},
            ],
        }));
        let translated = translated.await.ok();
        assert_eq!(translated["translations"], json!({"de": {"name": "Milch"}}));
        let menu = async |language: &str| {
            let path = format!("/api/v1/stores/{}/menu?language={language}", cafe.store);
            cafe.app.get(&path).by(&cafe.customer).send().await.ok()
        };
        for (language, group, oat) in [("de", "Milch", "Hafer"), ("de-CH", "Milch", "Haber"), ("fr", "Milk", "Oat")] {
            let shown = menu(language).await;
            assert_eq!(shown["languages"], json!(["en", "de", "de-CH"]));
            let milk = &shown["option_groups"][0];
            assert_eq!((&milk["name"], &milk["options"][0]["name"]), (&json!(group), &json!(oat)));
            assert_eq!(milk["options"][1]["name"], "None");
        }

        // Staff that know nothing of languages mark an option as sold out.
        let sold_out = json!({"options": [
            {"id": cafe.option(0), "name": "Oat", "available": false},
            {"id": cafe.option(1), "name": "None"},
        ]});
        let kept = cafe.app.patch(&cafe.group_path(), sold_out).by(&cafe.manager).send().await.ok();
        assert_eq!(kept["options"][0]["translations"]["de-CH"]["name"], "Haber");
        assert_eq!(kept["options"][0]["available"], false);

        let wrong = edit(json!({
            "translations": {"Deutsch!": {"name": "Milch"}},
            "options": [{"name": "Oat", "translations": {"de": {"name": "Hafer"}, "DE": {"name": "Haber"}}}],
        }));
        wrong.await.problem(422, "validation_failed");
        let described = edit(json!({"translations": {"de": {"name": "Milch", "description": "weiß"}}})).await;
        assert_eq!(described.pointers(), ["/translations/de/description"]);
    })
    .await;
}

#[tokio::test]
async fn a_product_is_created_with_its_groups_of_options_and_no_strangers() {
    with_cafe(async |cafe| {
        let create = async |groups: Value| {
            let new = json!({"store_id": cafe.store, "name": "Latte", "price": {"amount": 300, "currency": "EUR"},
                             "option_group_ids": groups});
            cafe.app.post("/api/v1/products", new).by(&cafe.manager).send().await
        };
        let created = create(json!([cafe.milk["id"]])).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.json()["option_group_ids"], json!([cafe.milk["id"]]));
        let twice = create(json!([cafe.milk["id"], cafe.milk["id"]])).await;
        assert_eq!(twice.pointers(), ["/option_group_ids/1"]);
        let stranger = create(json!([cafe.store])).await;
        assert_eq!(stranger.pointers(), ["/option_group_ids/0"]);
    })
    .await;
}
