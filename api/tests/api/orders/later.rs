//! Orders for later over HTTP, the calendar, and the time at which an order is ready.

use chrono::TimeDelta;
use domain::{account::Role, ids::StoreId, order::rfc3339, timing::StoreTiming};
use ledger::testing::noon;
use serde_json::{Value, json};

use super::{ORDERS, a_table, create_product, wanted};
use crate::app::{App, with_app};

fn in_min(minutes: i64) -> String {
    rfc3339(noon() + TimeDelta::minutes(minutes))
}

/// Creates a store that takes orders two days ahead.
async fn a_store(app: &App) -> StoreId {
    let timing = StoreTiming {
        order_ahead_days: 2,
        ..StoreTiming::default()
    };
    app.house
        .create_store_with(|store| store.timing = timing)
        .await
}

fn for_later(mut order: Value, minutes: i64) -> Value {
    order["wanted_at"] = json!(in_min(minutes));
    order
}

#[tokio::test]
async fn an_order_for_later_shows_its_times_and_is_edited_and_replaced_with_them() {
    with_app(async |app: App| {
        let store = a_store(&app).await;
        let product = create_product(&app, store, Some(9)).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let wanted = wanted(store, product, 1);
        let now = app.post(ORDERS, wanted.clone()).by(&anna).send().await.ok();
        assert_eq!(
            (&now["wanted_at"], &now["ready_at"], &now["hand_over_at"]),
            (&Value::Null, &json!(in_min(15)), &Value::Null)
        );
        // A time in another zone is the same time.
        let mut tonight = wanted.clone();
        tonight["wanted_at"] = json!("2026-11-25T20:00:00+01:00");
        let placed = app.post(ORDERS, tonight).by(&anna).send().await;
        let path = placed.header("location").to_owned();
        let order = placed.ok();
        assert_eq!(order["status"], "pending");
        assert_eq!(order["wanted_at"], in_min(420));
        assert_eq!(order["ready_at"], in_min(420));
        assert_eq!(order["hand_over_at"], in_min(390));
        assert_eq!(order["accept_by"], in_min(400));
        assert_eq!(order["next"], json!(["cancelled"]));

        let patch = json!({"wanted_at": in_min(500)});
        let edited = app.patch(&path, patch).by(&anna).send().await.ok();
        assert_eq!(edited["hand_over_at"], in_min(470));
        let refused = app.patch(&path, json!({"wanted_at": in_min(29)}));
        let refused = refused.by(&anna).send().await;
        assert_eq!(refused.pointers(), ["/wanted_at"]);
        let told = refused.json();
        assert_eq!(told["earliest"], in_min(30));
        for unreadable in ["tonight", "2026-11-25", "2026-11-25T20:00:00"] {
            let patch = app.patch(&path, json!({"wanted_at": unreadable}));
            assert_eq!(patch.by(&anna).send().await.pointers(), ["/wanted_at"]);
        }
        let csv = app.get("/api/v1/orders.csv").by(&anna).send().await.text;
        let mut lines = csv.lines();
        assert!(
            lines.next().unwrap().ends_with(",wanted_at,ready_at"),
            "{csv}"
        );
        let end = format!(",{},{}", in_min(500), in_min(500));
        assert!(lines.any(|line| line.ends_with(&end)), "{csv}");

        let cancelled = app.ask("DELETE", &path).by(&anna).send().await.ok();
        assert_eq!(cancelled["hand_over_at"], Value::Null);
        let again = app.post(&format!("{path}/replace"), json!({}));
        let again = again.by(&anna).send().await.ok();
        assert_eq!(again["wanted_at"], in_min(500));
        let id = again["id"].as_str().unwrap();
        let path = format!("{ORDERS}/{id}");
        app.ask("DELETE", &path).by(&anna).send().await.ok();
        let now = app.post(&format!("{path}/replace"), json!({"wanted_at": null}));
        assert_eq!(now.by(&anna).send().await.ok()["wanted_at"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_time_that_the_store_does_not_take_is_named_with_its_bound() {
    with_app(async |app: App| {
        let store = a_store(&app).await;
        let product = create_product(&app, store, None).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        for (minutes, bound, at) in [
            (-60, "earliest", 30),
            (0, "earliest", 30),
            (29, "earliest", 30),
            (2 * 24 * 60 + 1, "latest", 2 * 24 * 60),
            (400 * 24 * 60, "latest", 2 * 24 * 60),
        ] {
            let order = for_later(wanted(store, product, 1), minutes);
            let refused = app.post(ORDERS, order).by(&anna).send().await;
            assert_eq!(refused.pointers(), ["/wanted_at"], "{minutes}");
            assert_eq!(refused.json()[bound], in_min(at), "{minutes}");
        }
        let usual = app.house.create_store().await;
        let other = create_product(&app, usual, None).await;
        let order = for_later(wanted(usual, other, 1), 60);
        let refused = app.post(ORDERS, order).by(&anna).send().await;
        assert_eq!(refused.pointers(), ["/wanted_at"]);

        // A guest at the table, too.
        let (_, orders) = a_table(&app, usual).await;
        let order = json!({"product_id": other, "wanted_at": in_min(60)});
        let refused = app.post(&orders, order).send().await;
        assert_eq!(refused.pointers(), ["/wanted_at"]);
        let (_, orders) = a_table(&app, store).await;
        let order = json!({"product_id": product, "wanted_at": in_min(60)});
        let placed = app.post(&orders, order).send().await.ok();
        assert_eq!(placed["hand_over_at"], in_min(30));
        let path = orders.trim_end_matches("/orders").to_owned();
        let session = app.get(&path).send().await.ok();
        assert_eq!(session["orders"][0]["wanted_at"], in_min(60));
        assert_eq!(session["orders"][0]["ready_at"], in_min(60));
    })
    .await;
}

#[tokio::test]
async fn a_store_has_its_times_and_only_managers_change_them() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let path = format!("/api/v1/stores/{store}");
        let shown = app.get(&path).by(&staff).send().await.ok();
        assert_eq!(shown["lead_time_min"], 30);
        assert_eq!(
            (&shown["prepare_min"], &shown["order_ahead_days"]),
            (&json!(15), &json!(0))
        );
        for (field, wrong) in [
            ("lead_time_min", 1441),
            ("prepare_min", -1),
            ("order_ahead_days", 366),
        ] {
            let patch = app.patch(&path, json!({field: 1})).by(&staff).send().await;
            patch.problem(403, "forbidden");
            for wrong in [json!(wrong), Value::Null] {
                let patch = app
                    .patch(&path, json!({field: wrong}))
                    .by(&manager)
                    .send()
                    .await;
                assert_eq!(patch.pointers(), [format!("/{field}")]);
            }
            let patch = app
                .patch(&path, json!({field: 1}))
                .by(&manager)
                .send()
                .await;
            assert_eq!(patch.ok()[field], 1);
        }
    })
    .await;
}

#[tokio::test]
async fn the_calendar_is_for_those_who_serve_the_store_and_is_read_page_by_page() {
    with_app(async |app: App| {
        let store = a_store(&app).await;
        let product = create_product(&app, store, None).await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        for minutes in [90, 45, 2000] {
            let order = for_later(wanted(store, product, 1), minutes);
            app.post(ORDERS, order).by(&anna).send().await.ok();
        }
        app.post(ORDERS, wanted(store, product, 1))
            .by(&anna)
            .send()
            .await
            .ok();
        let path = format!("/api/v1/stores/{store}/calendar");
        let times = |page: &Value| -> Vec<String> {
            let items = page["items"].as_array().unwrap().iter();
            items
                .map(|order| order["wanted_at"].as_str().unwrap().to_owned())
                .collect()
        };
        let page = app.get(&path).by(&staff).send().await.ok();
        assert_eq!(times(&page), [in_min(45), in_min(90), in_min(2000)]);
        assert_eq!(
            page["items"][0]["next"],
            json!(["accepted", "rejected", "cancelled"])
        );
        let (from, to) = (in_min(45), in_min(90));
        let page = app
            .get(&format!("{path}?from={from}&to={to}"))
            .by(&staff)
            .send()
            .await
            .ok();
        assert_eq!(times(&page), [in_min(45)]);
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = app
                .get(&format!("{path}?limit=1{cursor}"))
                .by(&staff)
                .send()
                .await
                .ok();
            seen.extend(times(&page));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, [in_min(45), in_min(90), in_min(2000)]);
        for (from, to) in [
            (in_min(5), in_min(4)),
            (in_min(0), in_min(31 * 24 * 60 + 1)),
        ] {
            let refused = app
                .get(&format!("{path}?from={from}&to={to}"))
                .by(&staff)
                .send()
                .await;
            assert_eq!(refused.pointers(), ["to"]);
        }
        app.get(&format!("{path}?from=9999-12-31T23:59:59Z"))
            .by(&staff)
            .send()
            .await
            .ok();
        app.get(&path)
            .by(&anna)
            .send()
            .await
            .problem(403, "forbidden");
        let other = app.house.create_store().await;
        let stranger = app.signed_in("stranger", Role::Staff, &[other]).await;
        app.get(&path)
            .by(&stranger)
            .send()
            .await
            .problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn staff_say_when_an_order_is_ready_and_its_owner_does_not() {
    with_app(async |app: App| {
        let store = app
            .house
            .create_store_with(|store| store.auto_accept = false)
            .await;
        let product = create_product(&app, store, None).await;
        let staff = app.signed_in("staff", Role::Staff, &[store]).await;
        let anna = app.signed_in("anna", Role::Customer, &[]).await;
        let placed = app
            .post(ORDERS, wanted(store, product, 1))
            .by(&anna)
            .send()
            .await;
        let path = placed.header("location").to_owned();
        let times = format!("{path}/ready-time");
        let status = format!("{path}/status");
        let put = |path: &str, body: Value, by: &str| app.ask("PUT", path).json(body).by(by).send();
        let at = |minutes: i64| json!({"ready_at": in_min(minutes)});
        let set = put(&times, at(20), &staff).await;
        assert_eq!(set.ok()["ready_at"], in_min(20));
        assert_ne!(set.header("etag"), placed.header("etag"));
        put(&times, at(20), &anna).await.problem(403, "forbidden");
        for (wrong, pointer) in [
            (at(-1), "/ready_at"),
            (at(24 * 60 + 1), "/ready_at"),
            (json!({}), "/ready_at"),
            (json!({"ready_at": null}), "/ready_at"),
            (json!({"ready_at": 5}), "/ready_at"),
        ] {
            assert_eq!(put(&times, wrong, &staff).await.pointers(), [pointer]);
        }
        let stale = app.ask("PUT", &times).json(at(30)).by(&staff);
        let stale = stale.header("if-match", placed.header("etag")).send().await;
        stale.problem(412, "version_conflict");
        for to in ["ready", "cancelled"] {
            let body = json!({"status": to, "ready_at": in_min(30)});
            assert_eq!(put(&status, body, &staff).await.pointers(), ["/ready_at"]);
        }
        let body = json!({"status": "accepted", "ready_at": in_min(40)});
        assert_eq!(
            put(&status, body.clone(), &anna).await.pointers(),
            ["/ready_at"]
        );
        let accepted = put(&status, body, &staff).await.ok();
        assert_eq!(
            (&accepted["status"], &accepted["ready_at"]),
            (&json!("accepted"), &json!(in_min(40)))
        );
        // Once more is no move, but may be another time.
        let body = json!({"status": "accepted", "ready_at": in_min(41)});
        assert_eq!(
            put(&status, body, &staff).await.ok()["ready_at"],
            in_min(41)
        );
        put(&status, json!({"status": "ready"}), &staff).await.ok();
        put(&times, at(45), &staff).await.problem(409, "conflict");
        let events = app
            .get(&format!("{path}/events"))
            .by(&anna)
            .send()
            .await
            .ok();
        let kinds: Vec<_> = events
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        let (ready_at, moved) = ("order.ready_at_changed", "order.status_changed");
        assert_eq!(
            kinds,
            ["order.placed", ready_at, ready_at, moved, ready_at, moved]
        );
        let unknown = format!("{ORDERS}/00000000-0000-7000-8000-000000000000/ready-time");
        put(&unknown, at(45), &staff)
            .await
            .problem(404, "not_found");
    })
    .await;
}
