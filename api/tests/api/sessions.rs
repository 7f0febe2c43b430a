//! Sessions as staff open and close them, and as guests read them.

mod lists;

use domain::{account::Role, ids::StoreId, status::By};
use serde_json::{Value, json};

use crate::app::{Answer, App, with_app};

const SESSIONS: &str = "/api/v1/sessions";
const GUEST: &str = "a guest's own random key";

async fn opened(app: &App, staff: &str, store: StoreId, name: &str) -> Answer {
    let body = json!({"store_id": store, "name": name});
    app.post(SESSIONS, body).by(staff).send().await
}

/// Returns a store, its staff's `Authorization`, and the path of an open session.
async fn a_table(app: &App) -> (StoreId, String, String) {
    let store = app.house.create_store().await;
    let staff = app.signed_in("sam", Role::Staff, &[store]).await;
    let session = opened(app, &staff, store, "Table 1").await.ok();
    let path = format!("{SESSIONS}/{}", session["code"].as_str().unwrap());
    (store, staff, path)
}

#[tokio::test]
async fn staff_open_a_session_and_its_code_is_where_it_is_found() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let staff = app.signed_in("sam", Role::Staff, &[store]).await;
        let answer = opened(&app, &staff, store, " Table 1 ").await;
        assert_eq!(answer.status.as_u16(), 201);
        let session = answer.json();
        let code = session["code"].as_str().unwrap();
        assert_eq!(code.len(), 40);
        assert_eq!(answer.header("location"), format!("{SESSIONS}/{code}"));
        assert_eq!(
            (&session["name"], &session["state"]),
            (&json!("Table 1"), &json!("OPEN"))
        );
        assert!(
            session["url"]
                .as_str()
                .unwrap()
                .ends_with(&format!("/s/{code}"))
        );

        let read = app.get(answer.header("location")).send().await.ok();
        assert_eq!(read["name"], "Table 1");
        assert_eq!((&read["seq"], &read["orders"]), (&json!(1), &json!([])));
        assert!(!read.to_string().contains(code));
    })
    .await;
}

#[tokio::test]
async fn a_name_is_open_once_and_never_blank() {
    with_app(async |app: App| {
        let (store, staff, _) = a_table(&app).await;
        opened(&app, &staff, store, "TABLE  1")
            .await
            .problem(409, "duplicate_session");
        for (name, pointer) in [("", "/name"), ("  ", "/name"), (&*"x".repeat(101), "/name")] {
            assert_eq!(
                opened(&app, &staff, store, name).await.pointers(),
                [pointer]
            );
        }
        let elsewhere = app.house.create_store().await;
        assert_eq!(
            opened(&app, &staff, elsewhere, "1").await.pointers(),
            ["/store_id"]
        );
    })
    .await;
}

#[tokio::test]
async fn only_the_stores_own_staff_open_close_list_and_renew() {
    with_app(async |app: App| {
        let (store, _, path) = a_table(&app).await;
        let elsewhere = app.house.create_store().await;
        let stranger = app.signed_in("eve", Role::Staff, &[elsewhere]).await;
        let customer = app.signed_in("anna", Role::Customer, &[]).await;
        let list = format!("{SESSIONS}?store_id={store}");
        for method_path in [
            ("POST", format!("{path}/close")),
            ("POST", format!("{path}/code")),
        ] {
            let (method, path) = method_path;
            app.ask(method, &path)
                .send()
                .await
                .problem(401, "incorrect_credentials");
            app.ask(method, &path)
                .by(&customer)
                .send()
                .await
                .problem(403, "forbidden");
            app.ask(method, &path)
                .by(&stranger)
                .send()
                .await
                .problem(404, "session_not_found");
        }
        app.get(&list)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");
        app.get(&list)
            .send()
            .await
            .problem(401, "incorrect_credentials");
        assert_eq!(app.get(&path).send().await.ok()["state"], "OPEN");
    })
    .await;
}

#[tokio::test]
async fn a_guest_sees_the_orders_and_which_are_its_own() {
    with_app(async |app: App| {
        let (store, _, path) = a_table(&app).await;
        let product = app.house.create_product(store).await;
        let order = json!({"items": [{"product_id": product, "quantity": 2}]});
        let place = app
            .post(&format!("{path}/orders"), order.clone())
            .header("expediter-guest", GUEST);
        place.send().await.ok();
        app.post(&format!("{path}/orders"), order).send().await.ok();

        let mine = |session: Value| {
            let orders = session["orders"].as_array().unwrap().iter();
            orders
                .map(|order| order["mine"].as_bool().unwrap())
                .collect::<Vec<_>>()
        };
        let with_key = app
            .get(&path)
            .header("expediter-guest", GUEST)
            .send()
            .await
            .ok();
        assert_eq!(with_key["seq"], 3);
        assert_eq!(mine(with_key), [true, false]);
        assert_eq!(mine(app.get(&path).send().await.ok()), [false, false]);
    })
    .await;
}

#[tokio::test]
async fn a_close_lists_what_is_unfinished_and_finishes_only_when_asked() {
    with_app(async |app: App| {
        let (store, staff, path) = a_table(&app).await;
        let product = app.house.create_product(store).await;
        let code = path.rsplit('/').next().unwrap();
        let session = app
            .house
            .ledger
            .session_by_code(code)
            .await
            .unwrap()
            .unwrap();
        let order = app.house.place_guest_order(&session, product).await;
        let accepted = domain::status::OrderStatus::Accepted;
        app.house
            .ledger
            .move_order(order.id, accepted, By::Staff, None)
            .await
            .unwrap();
        let close = format!("{path}/close");

        let closed = app.ask("POST", &close).by(&staff).send().await.ok();
        assert_eq!(closed["session"]["state"], "CLOSED");
        assert_eq!(closed["unfinished"][0]["status"], "accepted");
        let again = app.post(&close, json!({})).by(&staff).send().await.ok();
        assert_eq!(again["session"], closed["session"]);
        let finished = app
            .post(&close, json!({"finish": true}))
            .by(&staff)
            .send()
            .await
            .ok();
        assert_eq!(finished["unfinished"], json!([]));
        assert_eq!(
            app.get(&path).send().await.ok()["orders"][0]["status"],
            "delivered"
        );

        let wrong = app
            .post(&close, json!({"finnish": true}))
            .by(&staff)
            .send()
            .await;
        assert_eq!(wrong.pointers(), ["/finnish"]);
        let late = json!({"items": [{"product_id": product, "quantity": 1}]});
        app.post(&format!("{path}/orders"), late)
            .send()
            .await
            .problem(409, "session_closed");
    })
    .await;
}

#[tokio::test]
async fn a_fresh_code_replaces_the_old_one() {
    with_app(async |app: App| {
        let (_, staff, path) = a_table(&app).await;
        let renewed = app
            .ask("POST", &format!("{path}/code"))
            .by(&staff)
            .send()
            .await
            .ok();
        for gone in ["", "/menu", "/qr.svg", "/events"] {
            app.get(&format!("{path}{gone}"))
                .send()
                .await
                .problem(404, "session_not_found");
        }
        let fresh = format!("{SESSIONS}/{}", renewed["code"].as_str().unwrap());
        assert_eq!(app.get(&fresh).send().await.ok()["name"], "Table 1");
    })
    .await;
}

#[tokio::test]
async fn a_code_reads_until_a_day_after_the_close() {
    with_app(async |app: App| {
        let (_, staff, path) = a_table(&app).await;
        app.ask("POST", &format!("{path}/close"))
            .by(&staff)
            .send()
            .await
            .ok();
        app.house
            .clock
            .advance(std::time::Duration::from_secs(24 * 3600 - 1));
        app.get(&path).send().await.ok();
        app.house.clock.advance(std::time::Duration::from_secs(1));
        for gone in ["", "/menu", "/qr.svg", "/events"] {
            app.get(&format!("{path}{gone}"))
                .send()
                .await
                .problem(410, "session_ended");
        }
        app.get(&format!("{SESSIONS}/x"))
            .send()
            .await
            .problem(404, "session_not_found");
    })
    .await;
}

#[tokio::test]
async fn the_qr_code_is_a_picture_and_leads_where_the_house_is_reached() {
    with_app(async |app: App| {
        let (_, _, path) = a_table(&app).await;
        let answer = app.get(&format!("{path}/qr.svg")).send().await;
        assert_eq!(answer.header("content-type"), "image/svg+xml");
        assert!(answer.text.contains("<svg"), "{}", answer.text);
        let (code, url) = (
            path.rsplit('/').next().unwrap(),
            app.house.ledger.public_url(),
        );
        let drawn = qrcode::QrCode::new(format!("{url}/s/{code}")).unwrap();
        let picture = drawn
            .render::<qrcode::render::svg::Color<'_>>()
            .min_dimensions(320, 320)
            .build();
        assert_eq!(answer.text, picture);
    })
    .await;
}

#[tokio::test]
async fn guests_read_the_menu_and_what_happened_after_a_number() {
    with_app(async |app: App| {
        let (store, staff, path) = a_table(&app).await;
        let product = app.house.create_product(store).await;
        let menu = app.get(&format!("{path}/menu")).send().await.ok();
        assert_eq!(
            (&menu["store_id"], &menu["items"][0]["id"]),
            (&json!(store), &json!(product))
        );

        app.ask("POST", &format!("{path}/close"))
            .by(&staff)
            .send()
            .await
            .ok();
        let events =
            async |query: &str| app.get(&format!("{path}/events{query}")).send().await.ok();
        app.house.ledger.check_epoch().await.unwrap();
        let first = events("?limit=1").await;
        assert_eq!(
            (&first["items"][0]["type"], &first["last"]),
            (&json!("session.opened"), &json!(1))
        );
        assert_eq!(first["has_more"], true);
        let epoch = first["epoch"].as_str().unwrap();
        let rest = events(&format!("?after=1&epoch={epoch}")).await;
        assert_eq!(
            (&rest["items"][0]["type"], &rest["last"]),
            (&json!("session.closed"), &json!(2))
        );
        assert_eq!(rest["has_more"], false);
        let nothing = events(&format!("?after=2&epoch={epoch}")).await;
        assert_eq!(
            (&nothing["items"], &nothing["last"]),
            (&json!([]), &json!(2))
        );

        // Numbers count in their epoch only.
        let session = app.get(&path).send().await.ok();
        assert_eq!(session["epoch"], epoch);
        let renewed = app.house.ledger.renew_epoch().await.unwrap();
        for query in ["?after=1".to_owned(), format!("?after=1&epoch={epoch}")] {
            let path = format!("{path}/events{query}");
            app.get(&path).send().await.problem(409, "conflict");
        }
        assert_eq!(events("?after=0").await["epoch"], json!(renewed));
        let rest = events(&format!("?after=1&epoch={renewed}")).await;
        assert_eq!(rest["items"][0]["type"], "session.closed");

        // The next events were deleted, because they are old.
        let mut tx = app.house.db.begin().await.unwrap();
        for statement in [
            "INSERT INTO event_floors (stream_id, gone_to) SELECT stream_id, seq FROM events WHERE seq = 1",
            "DELETE FROM events WHERE seq = 1",
        ] {
            store::testing::run(&mut tx, statement).await.unwrap();
        }
        tx.commit().await.unwrap();
        for query in ["", "?after=0"] {
            let path = format!("{path}/events{query}");
            app.get(&path).send().await.problem(409, "conflict");
        }
        let rest = events(&format!("?after=1&epoch={renewed}")).await;
        assert_eq!(rest["items"][0]["type"], "session.closed");
    })
    .await;
}

#[tokio::test]
async fn a_long_order_is_refused_with_the_field_and_the_limit() {
    with_app(async |app: App| {
        let (store, _, path) = a_table(&app).await;
        let product = app.house.create_product(store).await;
        let place = async |note: usize| {
            let items: Vec<_> = (0..17)
                .map(|_| json!({"product_id": product, "note": "x".repeat(note)}))
                .collect();
            let note = "y".repeat(8192 - 17 * 450);
            let order = json!({"items": items, "user_note": note});
            app.post(&format!("{path}/orders"), order).send().await
        };
        let refused = place(451).await;
        assert_eq!(refused.pointers(), ["/items/16/note"]);
        assert_eq!(refused.json()["limit_bytes"], 8192);
        place(450).await.ok();
    })
    .await;
}
