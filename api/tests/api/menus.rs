//! Menus and categories over HTTP: their order, their languages, and the copies that are kept of them.

mod categories;
mod details;
mod images;

use std::time::Duration;

use crate::app::{Answer, App, with_app, with_app_configured};
use domain::{account::Role, ids::StoreId};
use http::StatusCode;
use serde_json::{Value, json};

struct Pizzeria {
    app: App,
    store: StoreId,
    manager: String,
    staff: String,
    /// Path of the menu for guests.
    menu: String,
}

async fn open(app: App) -> Pizzeria {
    let store = app.house.create_store().await;
    let session = app
        .house
        .ledger
        .open_session(store, "Table 1")
        .await
        .unwrap();
    Pizzeria {
        manager: app.signed_in("manager", Role::Manager, &[store]).await,
        staff: app.signed_in("staff", Role::Staff, &[store]).await,
        menu: format!("/api/v1/sessions/{}/menu", session.code),
        store,
        app,
    }
}

async fn with_pizzeria(body: impl AsyncFnOnce(Pizzeria)) {
    with_app(async |app| body(open(app).await).await).await;
}

impl Pizzeria {
    async fn category(&self, name: &str, more: Value) -> Value {
        let mut new = json!({"store_id": self.store, "name": name});
        new.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = self
            .app
            .post("/api/v1/categories", new)
            .by(&self.manager)
            .send()
            .await;
        assert_eq!(made.status, 201, "{}", made.text);
        let path = format!("/api/v1/categories/{}", made.json()["id"].as_str().unwrap());
        assert_eq!(made.header("location"), path);
        made.json()
    }

    async fn product(&self, name: &str, more: Value) -> Value {
        let price = json!({"amount": 900, "currency": "EUR"});
        let mut new = json!({"store_id": self.store, "name": name, "price": price});
        new.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = self
            .app
            .post("/api/v1/products", new)
            .by(&self.manager)
            .send()
            .await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()
    }

    async fn edit(&self, product: &Value, patch: Value) -> Answer {
        self.app
            .patch(&path(product), patch)
            .by(&self.manager)
            .send()
            .await
    }

    async fn guests_menu(&self) -> Value {
        self.app.get(&self.menu).send().await.ok()
    }

    /// Changes a product in the database without counting it as a change of the menu.
    async fn rename_secretly(&self, name: &str) {
        let mut tx = self.app.house.db.begin().await.unwrap();
        let sql = format!("UPDATE products SET name = '{name}'");
        store::testing::run(&mut tx, sql.leak()).await.unwrap();
        tx.commit().await.unwrap();
    }
}

fn path(product: &Value) -> String {
    format!("/api/v1/products/{}", product["id"].as_str().unwrap())
}

fn names(menu: &Value, of: &str) -> Vec<String> {
    let listed = menu[of].as_array().unwrap().iter();
    listed
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_menu_is_the_same_for_guests_and_staff_and_ordered_as_people_read_it() {
    with_pizzeria(async |place| {
        let drinks = place.category("Drinks", json!({"position": 2, "description": "cold"})).await;
        let pizza = place.category("Pizza", json!({"position": 1, "weight": 3})).await;
        let lunch = place.category("Lunch", json!({"position": 3})).await;
        let at = |category: &Value, position: u32| json!({"category_id": category["id"], "position": position});
        place.product("Gift card", json!({})).await;
        let cola = place.product("Cola", json!({"categories": [at(&drinks, 1)]})).await;
        let funghi = place.product("Funghi", json!({"categories": [at(&pizza, 2), at(&lunch, 0)]})).await;
        let more = json!({"categories": [{"category_id": pizza["id"]}, at(&lunch, 1)]});
        let margherita = place.product("Margherita", more).await;

        let menu = place.guests_menu().await;
        assert_eq!(names(&menu, "categories"), ["Pizza", "Drinks", "Lunch"]);
        assert_eq!(names(&menu, "items"), ["Margherita", "Funghi", "Cola", "Gift card"]);
        assert_eq!(menu["categories"][0]["product_ids"], json!([margherita["id"], funghi["id"]]));
        assert_eq!(menu["categories"][2]["product_ids"], json!([funghi["id"], margherita["id"]]));
        assert_eq!(menu["categories"][1]["description"], "cold");
        assert_eq!(menu["items"][2], cola);
        assert_eq!((&menu["currency"], &menu["language"]), (&json!("EUR"), &json!("en")));

        let for_staff = format!("/api/v1/stores/{}/menu", place.store);
        let for_staff = place.app.get(&for_staff).by(&place.staff).send().await;
        let for_guests = place.app.get(&place.menu).send().await;
        assert_eq!(for_staff.text, for_guests.text);
        assert_eq!(for_staff.header("etag"), for_guests.header("etag"));
    })
    .await;
}

#[tokio::test]
async fn a_menu_is_in_the_language_that_the_client_wants_and_falls_back() {
    with_pizzeria(async |place| {
        let translations = json!({
            "de": {"name": "Getränke"}, "pt-br": {"name": "Bebidas", "description": "geladas"},
        });
        let more = json!({"description": "cold", "translations": translations});
        place.category("Drinks", more).await;
        place
            .product("Water", json!({"translations": {"de": {"name": "Wasser"}}}))
            .await;

        let ask = async |query: &str, accepted: &str| {
            let path = format!("{}{query}", place.menu);
            place
                .app
                .get(&path)
                .header("accept-language", accepted)
                .send()
                .await
        };
        for (query, accepted, language, category, product) in [
            ("", "", "en", "Drinks", "Water"),
            ("", "fr, de-AT;q=0.8, en;q=0.5", "de", "Getränke", "Wasser"),
            ("?language=PT", "de", "pt-BR", "Bebidas", "Water"),
            ("?language=de-CH-1996", "", "de", "Getränke", "Wasser"),
            ("?language=fr", "de", "en", "Drinks", "Water"),
        ] {
            let answer = ask(query, accepted).await;
            let menu = answer.ok();
            assert_eq!(names(&menu, "categories"), [category], "{query} {accepted}");
            assert_eq!(names(&menu, "items"), [product], "{query} {accepted}");
            assert_eq!(menu["languages"], json!(["en", "de", "pt-BR"]));
            assert_eq!(menu["language"], language);
            assert_eq!(answer.header("content-language"), language);
            assert_eq!(answer.header("vary"), "Accept-Language");
        }
        assert_eq!(
            ask("?language=pt", "").await.ok()["categories"][0]["description"],
            "geladas"
        );
        assert_eq!(
            ask("?language=de", "").await.ok()["categories"][0]["description"],
            "cold"
        );
        assert_eq!(ask("?language=_", "").await.pointers(), ["language"]);

        // The store's own language is the last resort.
        let store = format!("/api/v1/stores/{}", place.store);
        let patch = json!({"language": "it"});
        let edited = place
            .app
            .patch(&store, patch)
            .by(&place.manager)
            .send()
            .await
            .ok();
        assert_eq!(edited["language"], "it");
        let menu = ask("?language=fr", "").await.ok();
        assert_eq!(
            (&menu["language"], &menu["languages"][0]),
            (&json!("it"), &json!("it"))
        );
        let wrong = json!({"language": "italiano"});
        let refused = place
            .app
            .patch(&store, wrong)
            .by(&place.manager)
            .send()
            .await;
        assert_eq!(refused.pointers(), ["/language"]);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_has_the_menu_is_told_so_until_it_changes() {
    with_pizzeria(async |place| {
        let water = place.product("Water", json!({})).await;
        let cola = place.product("Cola", json!({"stock": 2})).await;
        let mut last = place
            .app
            .get(&place.menu)
            .send()
            .await
            .header("etag")
            .to_owned();
        let ask = async |tag: &str| {
            let asked = place.app.get(&place.menu).header("if-none-match", tag);
            asked.send().await
        };
        let unchanged = ask(&last).await;
        assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
        assert_eq!(
            (unchanged.text.as_str(), unchanged.header("etag")),
            ("", last.as_str())
        );
        assert_eq!(unchanged.header("cache-control"), "private, no-cache");
        assert_eq!(ask("\"other\"").await.status, StatusCode::OK);

        let order = async |product: &Value| {
            let orders = place.menu.replace("/menu", "/orders");
            let wanted = json!({"items": [{"product_id": product["id"], "quantity": 1}]});
            place.app.post(&orders, wanted).send().await.ok()
        };
        // An order that takes no stock changes nothing; one that does shows at once.
        order(&water).await;
        assert_eq!(ask(&last).await.status, StatusCode::NOT_MODIFIED);
        for left in [1, 0] {
            order(&cola).await;
            let menu = ask(&last).await;
            assert_eq!(menu.ok()["items"][1]["stock"], left);
            assert_eq!(menu.ok()["items"][1]["sold_out"], left == 0);
            last = menu.header("etag").to_owned();
        }
        let more = json!({"delta": 5, "reason": "delivered"});
        let stock = format!("{}/stock", path(&cola));
        place
            .app
            .post(&stock, more)
            .by(&place.manager)
            .send()
            .await
            .ok();
        assert_eq!(ask(&last).await.ok()["items"][1]["sold_out"], false);

        for (method, path, body) in [
            (
                "PATCH",
                path(&water),
                json!({"price": {"amount": 200, "currency": "EUR"}}),
            ),
            (
                "PATCH",
                format!("/api/v1/stores/{}", place.store),
                json!({"paused": true}),
            ),
            (
                "POST",
                "/api/v1/categories".to_owned(),
                json!({"store_id": place.store, "name": "Drinks"}),
            ),
            ("DELETE", path(&cola), json!({})),
        ] {
            let last = place
                .app
                .get(&place.menu)
                .send()
                .await
                .header("etag")
                .to_owned();
            assert_eq!(ask(&last).await.status, StatusCode::NOT_MODIFIED);
            let changed = place
                .app
                .ask(method, &path)
                .json(body)
                .by(&place.manager)
                .send()
                .await;
            assert!(changed.status.is_success(), "{}", changed.text);
            assert_eq!(ask(&last).await.status, StatusCode::OK, "{method} {path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_menu_is_read_once_until_somebody_changes_it_in_any_process() {
    with_pizzeria(async |place| {
        let water = place.product("Water", json!({})).await;
        let other = place.app.another();
        assert_eq!(names(&place.guests_menu().await, "items"), ["Water"]);
        place.rename_secretly("Wine").await;
        assert_eq!(names(&place.guests_menu().await, "items"), ["Water"]);
        let price = json!({"price": {"amount": 1, "currency": "EUR"}});
        other
            .patch(&path(&water), price)
            .by(&place.manager)
            .send()
            .await
            .ok();
        assert_eq!(names(&place.guests_menu().await, "items"), ["Wine"]);

        // A change that nobody counted shows after a minute.
        place.rename_secretly("Beer").await;
        place.app.house.clock.advance(Duration::from_secs(59));
        assert_eq!(names(&place.guests_menu().await, "items"), ["Wine"]);
        place.app.house.clock.advance(Duration::from_secs(1));
        assert_eq!(names(&place.guests_menu().await, "items"), ["Beer"]);
    })
    .await;
}

#[tokio::test]
async fn without_room_for_copies_menus_are_read_each_time() {
    let settings = [("limits.menu_cache_bytes", "0")];
    with_app_configured(
        &settings,
        |routes| routes,
        async |app| {
            let place = open(app).await;
            place.product("Water", json!({})).await;
            assert_eq!(names(&place.guests_menu().await, "items"), ["Water"]);
            place.rename_secretly("Wine").await;
            assert_eq!(names(&place.guests_menu().await, "items"), ["Wine"]);
        },
    )
    .await;
}
