//! Stores over HTTP.

use crate::app::{App, with_app};
use domain::account::Role;
use serde_json::{Value, json};

fn a_store() -> Value {
    json!({"name": "Corner Café", "timezone": "Europe/Berlin", "currency": "EUR", "phone": "+49 30 1", "lat": 52.5})
}

async fn operator(app: &App) -> String {
    app.signed_in("op", Role::Operator, &[]).await
}

async fn open(app: &App, operator: &str) -> Value {
    let answer = app
        .post("/api/v1/stores", a_store())
        .by(operator)
        .send()
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let store = answer.json();
    let location = format!("/api/v1/stores/{}", store["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), location);
    store
}

fn path(store: &Value) -> String {
    format!("/api/v1/stores/{}", store["id"].as_str().unwrap())
}

fn id(store: &Value) -> domain::ids::StoreId {
    store["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_operator_opens_a_store_and_everyone_with_an_account_can_look_at_it() {
    with_app(async |app| {
        let operator = operator(&app).await;
        let store = open(&app, &operator).await;
        assert_eq!(store["accept_within_s"], 600);
        assert_eq!(
            (&store["auto_accept"], &store["paused"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(
            (&store["email"], &store["lat"]),
            (&Value::Null, &json!(52.5))
        );
        let customer = app.signed_in("guest", Role::Customer, &[]).await;
        for who in [&operator, &customer] {
            assert_eq!(app.get(&path(&store)).by(who).send().await.ok(), store);
        }
        app.get(&path(&store))
            .send()
            .await
            .problem(401, "incorrect_credentials");
        let manager = app.signed_in("m", Role::Manager, &[id(&store)]).await;
        app.post("/api/v1/stores", a_store())
            .by(&manager)
            .send()
            .await
            .problem(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_new_store_is_told_at_once() {
    with_app(async |app| {
        let operator = operator(&app).await;
        let wrong = json!({"name": "", "timezone": "Mars/Base", "currency": "eur", "lat": 91, "accept_within_s": 1,
            "colour": "red"});
        let mut pointers = app.post("/api/v1/stores", wrong).by(&operator).send().await.pointers();
        pointers.sort();
        assert_eq!(pointers, ["/accept_within_s", "/colour", "/currency", "/lat", "/name", "/timezone"]);
    })
    .await;
}

#[tokio::test]
async fn those_who_serve_elsewhere_do_not_find_the_store() {
    with_app(async |app| {
        let operator = operator(&app).await;
        let (here, there) = (open(&app, &operator).await, open(&app, &operator).await);
        let staff = app.signed_in("s", Role::Staff, &[id(&there)]).await;
        let manager = app.signed_in("m", Role::Manager, &[id(&there)]).await;
        for who in [&staff, &manager] {
            app.get(&path(&here))
                .by(who)
                .send()
                .await
                .problem(404, "not_found");
            let pause = app
                .patch(&path(&here), json!({"paused": true}))
                .by(who)
                .send()
                .await;
            pause.problem(404, "not_found");
            let listed = app.get("/api/v1/stores").by(who).send().await.ok();
            assert_eq!(listed["items"], json!([there]));
        }
        let nowhere = "/api/v1/stores/01980000-0000-7000-8000-000000000000";
        app.get(nowhere)
            .by(&operator)
            .send()
            .await
            .problem(404, "not_found");
        app.patch(nowhere, json!({}))
            .by(&operator)
            .send()
            .await
            .problem(404, "not_found");
        app.get("/api/v1/stores/nonsense")
            .by(&operator)
            .send()
            .await
            .problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn staff_pause_their_store_and_change_nothing_else() {
    with_app(async |app| {
        let store = open(&app, &operator(&app).await).await;
        let staff = app.signed_in("s", Role::Staff, &[id(&store)]).await;
        let paused = app
            .patch(&path(&store), json!({"paused": true}))
            .by(&staff)
            .send()
            .await
            .ok();
        assert_eq!(
            (&paused["paused"], &paused["version"]),
            (&json!(true), &json!(2))
        );
        for more in [
            json!({"paused": false, "name": "Mine"}),
            json!({"email": null}),
            json!({"lat": 1}),
        ] {
            app.patch(&path(&store), more)
                .by(&staff)
                .send()
                .await
                .problem(403, "forbidden");
        }
        app.ask("DELETE", &path(&store))
            .by(&staff)
            .send()
            .await
            .problem(403, "forbidden");
        assert_eq!(app.get(&path(&store)).by(&staff).send().await.ok(), paused);
        let customer = app.signed_in("c", Role::Customer, &[]).await;
        app.patch(&path(&store), json!({"paused": false}))
            .by(&customer)
            .send()
            .await
            .problem(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn a_manager_edits_by_merge_patch() {
    with_app(async |app| {
        let store = open(&app, &operator(&app).await).await;
        let manager = app.signed_in("m", Role::Manager, &[id(&store)]).await;
        let patch =
            json!({"name": "Bar", "phone": null, "email": "a@b.example", "accept_within_s": 60});
        let edited = app
            .patch(&path(&store), patch)
            .by(&manager)
            .send()
            .await
            .ok();
        let mut expected = store.clone();
        expected["name"] = json!("Bar");
        expected["phone"] = Value::Null;
        expected["email"] = json!("a@b.example");
        expected["accept_within_s"] = json!(60);
        expected["version"] = json!(2);
        assert_eq!(edited, expected);
        let refused = app
            .patch(&path(&store), json!({"currency": "USD"}))
            .by(&manager)
            .send()
            .await;
        assert_eq!(
            refused.pointers(),
            ["/currency"],
            "a store's currency is for ever"
        );
    })
    .await;
}

#[tokio::test]
async fn an_edit_of_what_somebody_else_changed_is_refused() {
    with_app(async |app| {
        let operator = operator(&app).await;
        let store = open(&app, &operator).await;
        let tag = app
            .get(&path(&store))
            .by(&operator)
            .send()
            .await
            .header("etag")
            .to_owned();
        let rename = |name: &str| {
            app.patch(&path(&store), json!({"name": name}))
                .by(&operator)
        };
        let first = rename("first").header("if-match", &tag).send().await;
        assert!(first.status.is_success() && first.header("etag") != tag);
        let late = rename("late").header("if-match", &tag).send().await;
        assert_eq!(late.problem(412, "version_conflict")["current_version"], 2);
        rename("by version")
            .header("if-match", "\"2\"")
            .send()
            .await
            .ok();
        let delete = app
            .ask("DELETE", &path(&store))
            .by(&operator)
            .header("if-match", &tag);
        delete.send().await.problem(412, "version_conflict");
        assert_eq!(
            app.get(&path(&store)).by(&operator).send().await.ok()["name"],
            "by version"
        );
    })
    .await;
}

#[tokio::test]
async fn an_archived_store_is_gone_for_customers_and_readable_for_its_own() {
    with_app(async |app| {
        let store = open(&app, &operator(&app).await).await;
        let manager = app.signed_in("m", Role::Manager, &[id(&store)]).await;
        let customer = app.signed_in("c", Role::Customer, &[]).await;
        for _ in 0..2 {
            let archived = app.ask("DELETE", &path(&store)).by(&manager).send().await;
            assert_eq!(
                (archived.status.as_u16(), archived.text.as_str()),
                (204, "")
            );
        }
        assert!(app.get(&path(&store)).by(&manager).send().await.ok()["archived_at"].is_string());
        app.get(&path(&store))
            .by(&customer)
            .send()
            .await
            .problem(404, "not_found");
        app.get(&format!("{}/menu", path(&store)))
            .by(&customer)
            .send()
            .await
            .problem(404, "not_found");
        app.patch(&path(&store), json!({"name": "x"}))
            .by(&manager)
            .send()
            .await
            .problem(404, "not_found");
        let listed = app.get("/api/v1/stores").by(&manager).send().await.ok();
        assert_eq!(listed, json!({"items": [], "next_cursor": null}));
    })
    .await;
}

#[tokio::test]
async fn an_archived_store_takes_no_orders_and_says_so() {
    with_app(async |app| {
        let store = open(&app, &operator(&app).await).await;
        let manager = app.signed_in("m", Role::Manager, &[id(&store)]).await;
        let make = async |path: &str, body: Value| {
            let made = app.post(path, body).by(&manager).send().await;
            assert_eq!(made.status, 201, "{}", made.text);
            made.json()
        };
        let price = json!({"amount": 250, "currency": "EUR"});
        let product = json!({"store_id": store["id"], "name": "Tea", "price": price, "stock": 9});
        let product = make("/api/v1/products", product).await;
        let table = json!({"store_id": store["id"], "name": "Table 1"});
        let table = make("/api/v1/sessions", table).await;
        let items = json!([{"product_id": product["id"], "quantity": 1}]);
        let own = json!({"store_id": store["id"], "items": items});
        let mut draft = own.clone();
        draft["status"] = json!("draft");
        let begun = make("/api/v1/orders", draft.clone()).await;
        let begun = format!("/api/v1/orders/{}/status", begun["id"].as_str().unwrap());

        let gone = app.ask("DELETE", &path(&store)).by(&manager).send().await;
        assert_eq!(gone.status, 204, "{}", gone.text);
        let at_the_table = format!(
            "/api/v1/sessions/{}/orders",
            table["code"].as_str().unwrap()
        );
        for refused in [
            app.post(&at_the_table, json!({"items": items})),
            app.post("/api/v1/orders", own).by(&manager),
            app.post("/api/v1/orders", draft).by(&manager),
            app.ask("PUT", &begun)
                .json(json!({"status": "pending"}))
                .by(&manager),
        ] {
            refused.send().await.problem(409, "store_archived");
        }
        let product = format!("/api/v1/products/{}", product["id"].as_str().unwrap());
        let left = app.get(&product).by(&manager).send().await.ok();
        assert_eq!(left["stock"], 9);
    })
    .await;
}

#[tokio::test]
async fn stores_come_in_pages() {
    with_app(async |app| {
        let operator = operator(&app).await;
        let mut opened = Vec::new();
        for _ in 0..3 {
            opened.push(open(&app, &operator).await);
        }
        let first = app
            .get("/api/v1/stores?limit=2")
            .by(&operator)
            .send()
            .await
            .ok();
        assert_eq!(first["items"], json!(opened[..2]));
        let next = format!(
            "/api/v1/stores?limit=2&cursor={}",
            first["next_cursor"].as_str().unwrap()
        );
        let second = app.get(&next).by(&operator).send().await.ok();
        assert_eq!(second, json!({"items": opened[2..], "next_cursor": null}));
        for wrong in ["limit=0", "limit=101", "cursor=x", "limit=many"] {
            let answer = app
                .get(&format!("/api/v1/stores?{wrong}"))
                .by(&operator)
                .send()
                .await;
            assert_eq!(answer.pointers(), [wrong.split('=').next().unwrap()]);
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_store_always_has_is_not_emptied() {
    with_app(async |app| {
        let operator = operator(&app).await;
        let store = open(&app, &operator).await;
        let filled = [
            "name",
            "timezone",
            "auto_accept",
            "accept_within_s",
            "paused",
        ];
        let nothing: serde_json::Map<_, _> = filled
            .iter()
            .map(|name| ((*name).to_owned(), Value::Null))
            .collect();
        let asked = app
            .patch(&path(&store), Value::Object(nothing))
            .by(&operator);
        assert_eq!(
            asked.send().await.pointers(),
            filled.map(|name| format!("/{name}"))
        );
        assert_eq!(
            app.get(&path(&store)).by(&operator).send().await.ok(),
            store
        );
    })
    .await;
}
