//! Finding orders: by number, by a search, and by what changed since a time.

use std::time::Duration;

use domain::{
    account::Role,
    status::{By, OrderStatus},
};
use serde_json::{Value, json};

use super::{ORDERS, create_product, wanted};
use crate::app::{App, with_app};

/// Places three orders of different customers in one store; returns the store and a customer's `Authorization`.
async fn shop(app: &App) -> (String, String) {
    let store = app.house.create_store().await;
    let product = create_product(app, store, None).await;
    let anna = app.signed_in("anna", Role::Customer, &[]).await;
    for (name, phone) in [
        ("Anna Müller", "+49 170 1234567"),
        ("Ben Moon", "0171 7654321"),
        ("Anna Schmidt", "030 99"),
    ] {
        let mut order = wanted(store, product, 1);
        order["customer"] = json!({"name": name, "phone": phone});
        app.post(ORDERS, order).by(&anna).send().await.ok();
        app.house.clock.advance(Duration::from_secs(60));
    }
    (store.to_string(), anna)
}

fn numbers(page: &Value) -> Vec<i64> {
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|order| order["number"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn an_order_is_found_by_its_number_name_or_phone_by_those_who_may() {
    with_app(async |app: App| {
        let (store, anna) = shop(&app).await;
        let id = store.parse().unwrap();
        let staff = app.signed_in("sam", Role::Staff, &[id]).await;
        let elsewhere = app.house.create_store().await;
        let stranger = app.signed_in("eve", Role::Staff, &[elsewhere]).await;
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let list =
            async |by: &str, query: &str| app.get(&format!("{ORDERS}?{query}")).by(by).send().await;
        for (query, expected) in [
            ("number=2", vec![2]),
            ("number=4", vec![]),
            ("number=-1", vec![]),
            ("q=anna", vec![3, 1]),
            ("q=m%C3%BCller", vec![1]),
            ("q=%20MOON%20", vec![2]),
            ("q=0170%201234567", vec![1]),
            ("q=%2B49%20170", vec![1]),
            ("q=%232", vec![2]),
            ("q=nobody", vec![]),
            ("q=anna&status=accepted", vec![]),
            ("q=anna&placed_before=2026-11-25T12:00:30Z", vec![1]),
        ] {
            let page = list(&staff, query).await.ok();
            assert_eq!(numbers(&page), expected, "{query}");
            let page = list(&operator, &format!("{query}&store_id={store}"))
                .await
                .ok();
            assert_eq!(numbers(&page), expected, "{query}");
            let page = list(&stranger, query).await.ok();
            assert_eq!(numbers(&page), [0; 0], "{query}");
        }
        assert_eq!(numbers(&list(&anna, "number=2").await.ok()), [2]);
        let page = list(&anna, &format!("number=3&store_id={store}"))
            .await
            .ok();
        assert_eq!(numbers(&page), [3]);
        for query in ["q=anna", "updated_after=2026-11-25T12:00:00Z"] {
            list(&anna, query).await.problem(403, "forbidden");
        }
        let without = list(&operator, "number=2&q=anna").await;
        assert_eq!(without.pointers(), ["number", "q"]);
        // A reference is the account's own, so that nothing else is needed to find it.
        let own = list(&operator, "number=2&q=anna&reference=R").await.ok();
        assert_eq!(numbers(&own), [0; 0]);
        for query in ["q=", "q=%20-%20", &format!("q={}", "a".repeat(101))] {
            assert_eq!(list(&staff, query).await.pointers(), ["q"], "{query}");
        }
        let both = list(&staff, "q=anna&updated_after=2026-11-25T12:00:00Z").await;
        assert_eq!(both.pointers(), ["q"]);
    })
    .await;
}

#[tokio::test]
async fn a_program_keeps_up_by_the_time_of_change_and_goes_on_where_it_is_told() {
    with_app(async |app: App| {
        let (store, _) = shop(&app).await;
        let id = store.parse().unwrap();
        let staff = app.signed_in("sam", Role::Staff, &[id]).await;
        let read = async |since: &str, cursor: &str| {
            let path = format!("{ORDERS}?limit=2&updated_after={since}{cursor}");
            app.get(&path).by(&staff).send().await.ok()
        };
        let since = "2026-11-25T12:00:00Z";
        let first = read(since, "").await;
        assert_eq!(
            (numbers(&first), &first["synced_to"]),
            (vec![1, 2], &Value::Null)
        );
        let cursor = format!("&cursor={}", first["next_cursor"].as_str().unwrap());
        // The first order changes while the client reads, long after it began.
        let order = first["items"][0]["id"].as_str().unwrap().parse().unwrap();
        app.house.clock.advance(Duration::from_secs(100));
        let (to, ledger) = (OrderStatus::Accepted, &app.house.ledger);
        ledger.move_order(order, to, By::Staff, None).await.unwrap();
        let last = read(since, &cursor).await;
        assert_eq!(
            (numbers(&last), &last["next_cursor"]),
            (vec![3, 1], &Value::Null)
        );
        assert_eq!(
            last["items"][1]["updated_at"],
            "2026-11-25T12:04:40.000000Z"
        );
        // Half a minute before the first page was read.
        let synced_to = last["synced_to"].as_str().unwrap();
        assert_eq!(synced_to, "2026-11-25T12:02:30.000000Z");
        let next = read(synced_to, "").await;
        assert_eq!(numbers(&next), [1]);

        let plain = app
            .get(&format!("{ORDERS}?limit=1"))
            .by(&staff)
            .send()
            .await
            .ok();
        assert_eq!(plain["synced_to"], Value::Null);
        let by_id = format!("&cursor={}", plain["next_cursor"].as_str().unwrap());
        for query in [
            format!("updated_after={since}{by_id}"),
            format!("limit=1{cursor}"),
        ] {
            let mixed = app
                .get(&format!("{ORDERS}?{query}"))
                .by(&staff)
                .send()
                .await;
            assert_eq!(mixed.pointers(), ["cursor"], "{query}");
        }
    })
    .await;
}
