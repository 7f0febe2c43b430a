//! Hours, opening by hand, capacity and busy mode over HTTP, for managers, staff, customers and guests.

use crate::app::{App, with_app};
use domain::{account::Role, ids::StoreId};
use serde_json::{Value, json};

const PARTS: [&str; 5] = [
    "hours",
    "opening",
    "capacity",
    "busy",
    "slots?fulfilment=pickup",
];

fn path(store: StoreId, part: &str) -> String {
    format!("/api/v1/stores/{store}/{part}")
}

fn daily(from: &str, to: &str) -> Value {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    json!({
        "weekly": [{"days": days, "from": from, "to": to, "fulfilments": null}],
        "exceptions": [{"date": "2026-12-24", "closed": true, "spans": [], "fulfilments": null}],
    })
}

fn quarter(orders: u32) -> Value {
    json!({
        "rules": [{"fulfilments": null, "minutes": 15, "orders": orders, "items": null, "weight": null}],
        "busy": {"open_orders": null, "adds_minutes": 0},
    })
}

async fn put(app: &App, who: &str, path: &str, body: Value) -> crate::app::Answer {
    app.ask("PUT", path).json(body).by(who).send().await
}

#[tokio::test]
async fn managers_set_hours_and_whoever_sees_the_store_reads_them() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("m", Role::Manager, &[store]).await;
        let customer = app.signed_in("c", Role::Customer, &[]).await;
        let hours = path(store, "hours");
        let none = json!({"weekly": [], "exceptions": []});
        assert_eq!(app.get(&hours).by(&customer).send().await.ok(), none);
        let set = daily("18:00", "02:00");
        assert_eq!(put(&app, &manager, &hours, set.clone()).await.ok(), set);
        assert_eq!(app.get(&hours).by(&customer).send().await.ok(), set);

        // It is 13:00 in Berlin.
        let opening = app.get(&path(store, "opening")).by(&customer).send();
        let opening = opening.await.ok();
        let pickup = &opening["fulfilments"]["pickup"];
        assert_eq!(pickup["open"], false);
        assert_eq!(pickup["opens_at"], "2026-11-25T17:00:00.000000Z");
        assert_eq!(pickup["closes_at"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn each_part_is_changed_by_its_people_only() {
    with_app(async |app| {
        let (store, other) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let staff = app.signed_in("s", Role::Staff, &[store]).await;
        let elsewhere = app.signed_in("e", Role::Manager, &[other]).await;
        let customer = app.signed_in("c", Role::Customer, &[]).await;
        let bodies = [
            ("hours", daily("11:00", "22:00")),
            ("capacity", quarter(1)),
            ("opening", json!({"open": true, "until": null})),
            ("busy", json!({"adds_minutes": 5, "paused_until": null})),
        ];
        for (part, body) in bodies {
            let path = path(store, part);
            let by = async |who: &str| put(&app, who, &path, body.clone()).await;
            by(&elsewhere).await.problem(404, "not_found");
            by(&customer).await.problem(403, "forbidden");
            if matches!(part, "hours" | "capacity") {
                by(&staff).await.problem(403, "forbidden");
            } else {
                by(&staff).await.ok();
            }
            app.ask("PUT", &path)
                .json(body.clone())
                .send()
                .await
                .problem(401, "incorrect_credentials");
        }
        for part in PARTS.into_iter().filter(|part| *part != "busy") {
            let read = app.get(&path(store, part)).by(&elsewhere).send().await;
            read.problem(404, "not_found");
        }
        let capacity = app.get(&path(store, "capacity")).by(&staff).send().await;
        capacity.problem(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("m", Role::Manager, &[store]).await;
        for (part, body, pointers) in [
            (
                "hours",
                json!({"weekly": [{"days": [], "from": "24:00", "to": "9:00", "extra": 1}]}),
                vec!["/weekly/0/days", "/weekly/0/extra", "/weekly/0/from", "/weekly/0/to"],
            ),
            (
                "hours",
                json!({"exceptions": [{"date": "2026-02-30", "closed": true}]}),
                vec!["/exceptions/0/date"],
            ),
            (
                "hours",
                json!({"exceptions": [
                    {"date": "2026-12-24"},
                    {"date": "2026-12-25", "closed": true, "spans": [{"from": "10:00", "to": "12:00"}]},
                ]}),
                vec!["/exceptions/0/spans", "/exceptions/1/spans"],
            ),
            (
                "capacity",
                json!({"rules": [{"minutes": 25, "orders": 1}, {"minutes": 15}]}),
                vec!["/rules/0/minutes", "/rules/1"],
            ),
            ("opening", json!({"open": false, "until": "2026-11-25T12:00:00Z"}), vec!["/until"]),
            ("opening", json!({"open": null, "until": "2026-11-26T12:00:00Z"}), vec!["/until"]),
            ("opening", json!({"open": false, "until": "9999-12-31T23:59:59Z"}), vec!["/until"]),
            ("busy", json!({"adds_minutes": 241}), vec!["/adds_minutes"]),
            (
                "busy",
                json!({"adds_minutes": 0, "paused_until": "2026-11-25T11:00:00Z"}),
                vec!["/paused_until"],
            ),
        ] {
            let mut found = put(&app, &manager, &path(store, part), body).await.pointers();
            found.sort();
            assert_eq!(found, pointers, "{part}");
        }
        for (range, pointer) in [
            ("from=2026-11-25T12:00:00Z&to=2026-11-29T12:00:00Z", "to"),
            ("from=2026-11-25T12:00:00Z&to=2026-11-25T11:00:00Z", "to"),
            ("from=9999-12-31T12:00:00Z", "from"),
            ("from=1000-01-01T00:00:00Z", "from"),
            ("to=9999-12-31T12:00:00Z", "to"),
        ] {
            let query = format!("slots?fulfilment=pickup&{range}");
            let far = app.get(&path(store, &query)).by(&manager).send().await;
            assert_eq!(far.pointers(), [pointer], "{range}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_guest_of_a_closed_store_is_told_when_it_opens() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        let session = app.house.ledger.open_session(store, "1").await.unwrap();
        let staff = app.signed_in("s", Role::Staff, &[store]).await;
        let until = "2026-11-25T12:30:00.000000Z";
        let closing = json!({"open": false, "until": until});
        let closed = put(&app, &staff, &path(store, "opening"), closing.clone())
            .await
            .ok();
        assert_eq!(closed["by_hand"], closing);

        let guest = |part: &str| format!("/api/v1/sessions/{}/{part}", session.code);
        let order = json!({"items": [{"product_id": product, "quantity": 1}]});
        let refused = app.post(&guest("orders"), order.clone()).send().await;
        assert_eq!(refused.problem(409, "store_closed")["opens_at"], until);
        let opening = app.get(&guest("opening")).send().await.ok();
        assert_eq!(opening["fulfilments"]["table"]["opens_at"], until);

        let open = json!({"open": null, "until": null});
        put(&app, &staff, &path(store, "opening"), open).await.ok();
        let placed = app.post(&guest("orders"), order).send().await;
        assert_eq!(placed.status, 201, "{}", placed.text);
    })
    .await;
}

#[tokio::test]
async fn a_full_slot_names_the_next_free_time_and_the_slots_show_it() {
    with_app(async |app| {
        let store = app.house.create_store().await;
        let product = app.house.create_product(store).await;
        let manager = app.signed_in("m", Role::Manager, &[store]).await;
        let capacity = path(store, "capacity");
        assert_eq!(put(&app, &manager, &capacity, quarter(1)).await.ok(), quarter(1));
        assert_eq!(app.get(&capacity).by(&manager).send().await.ok(), quarter(1));
        let order = json!({
            "store_id": store, "fulfilment": "pickup", "items": [{"product_id": product, "quantity": 1}],
        });
        let place = async || {
            let order = order.clone();
            app.post("/api/v1/orders", order).by(&manager).send().await
        };
        assert_eq!(place().await.status, 201);
        let refused = place().await.problem(409, "slot_full");
        assert_eq!(refused["next_free_at"], "2026-11-25T12:30:00.000000Z");
        let slots = app.get(&path(store, "slots?fulfilment=pickup")).by(&manager).send();
        let slots = slots.await.ok();
        let left = |n: usize| &slots["items"][n]["left"]["orders"];
        assert_eq!((left(0), left(1), left(2)), (&json!(1), &json!(0), &json!(1)));
        assert_eq!(slots["items"][1]["from"], "2026-11-25T12:15:00.000000Z");
        assert_eq!(slots["items"].as_array().unwrap().len(), 96);

        let busy = json!({"adds_minutes": 15, "paused_until": null});
        let busy = put(&app, &manager, &path(store, "busy"), busy).await.ok();
        assert_eq!(busy["busy"]["adds_minutes"], 15);
        assert_eq!(place().await.status, 201);
        let pause = json!({"adds_minutes": 0, "paused_until": "2026-11-25T12:10:00Z"});
        put(&app, &manager, &path(store, "busy"), pause).await.ok();
        let refused = place().await.problem(409, "store_paused");
        assert_eq!(refused["opens_at"], "2026-11-25T12:10:00.000000Z");
    })
    .await;
}
