//! Lists of orders, as pages and as CSV, and their statistics.

use std::{collections::BTreeSet, time::Duration};

use domain::{
    account::Role,
    ids::{OrderId, StoreId},
    status::{By, OrderStatus},
};
use serde_json::{Value, json};

use super::{ORDERS, a_table, create_product, wanted};
use crate::app::{App, with_app};

/// Two stores: the first with one order each of a guest, Anna and Ben, the second with one of Anna's.
struct Town {
    stores: [StoreId; 2],
    /// In the order of placing: the guest's, Anna's, Ben's, Anna's in the second store.
    orders: Vec<OrderId>,
    code: String,
    anna: String,
    staff: String,
    operator: String,
}

async fn town(app: &App) -> Town {
    let stores = [
        app.house.create_store().await,
        app.house.create_store().await,
    ];
    let products = [
        create_product(app, stores[0], None).await,
        create_product(app, stores[1], None).await,
    ];
    let anna = app.signed_in("anna", Role::Customer, &[]).await;
    let ben = app.signed_in("ben", Role::Customer, &[]).await;
    let (session, table) = a_table(app, stores[0]).await;
    let mut orders = Vec::new();
    let mut place = async |path: &str, by: Option<&str>, body: Value| {
        let ask = app.post(path, body);
        let ask = match by {
            Some(by) => ask.by(by),
            None => ask,
        };
        let order = ask.send().await.ok();
        orders.push(order["id"].as_str().unwrap().parse().unwrap());
        app.house.clock.advance(Duration::from_secs(60));
    };
    place(
        &table,
        None,
        json!({"items": [{"product_id": products[0]}]}),
    )
    .await;
    let mut mine = wanted(stores[0], products[0], 2);
    mine["reference"] = json!("R-1");
    mine["user_note"] = json!("=cmd|' /C calc'!A0");
    mine["customer"] = json!({"name": "Anna \"A\" Sun, Jr.", "phone": "+49 40 1"});
    place(ORDERS, Some(&anna), mine.clone()).await;
    place(ORDERS, Some(&ben), mine).await;
    let mut elsewhere = wanted(stores[1], products[1], 1);
    elsewhere["fulfilment"] = json!("delivery");
    elsewhere["customer"] = json!({"address": "Quay 1"});
    place(ORDERS, Some(&anna), elsewhere).await;
    Town {
        stores,
        orders,
        code: session.code,
        anna,
        staff: app.signed_in("sam", Role::Staff, &[stores[0]]).await,
        operator: app.signed_in("op", Role::Operator, &[]).await,
    }
}

/// Lists orders; returns their indexes in `Town::orders`.
async fn listed(app: &App, town: &Town, by: &str, query: &str) -> Vec<usize> {
    let page = app
        .get(&format!("{ORDERS}?{query}"))
        .by(by)
        .send()
        .await
        .ok();
    assert_eq!(page["next_cursor"], Value::Null);
    let place = |order: &Value| {
        let id: OrderId = order["id"].as_str().unwrap().parse().unwrap();
        town.orders.iter().position(|known| *known == id).unwrap()
    };
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(place)
        .collect()
}

#[tokio::test]
async fn orders_are_listed_by_what_is_asked_for_and_by_who_asks() {
    with_app(async |app: App| {
        let town = town(&app).await;
        let moved =
            app.house
                .ledger
                .move_order(town.orders[1], OrderStatus::Accepted, By::Staff, None);
        moved.await.unwrap();
        let (first, code) = (town.stores[0], &town.code);
        let expected: &[(&str, &str, &[usize])] = &[
            (&town.operator, "", &[3, 2, 1, 0]),
            (&town.staff, "", &[2, 1, 0]),
            (&town.anna, "", &[3, 1]),
            (&town.operator, "status=accepted,pending", &[3, 2, 1, 0]),
            (&town.operator, "status=accepted&status=failed", &[1]),
            (&town.staff, "status=pending", &[2, 0]),
            (&town.anna, "status=accepted", &[1]),
            (&town.operator, "fulfilment=delivery", &[3]),
            (&town.staff, "fulfilment=table", &[0]),
            (&town.operator, &format!("store_id={first}"), &[2, 1, 0]),
            (
                &town.operator,
                &format!("store_id={first}&reference=R-1"),
                &[2, 1],
            ),
            (&town.staff, "reference=R-1", &[2, 1]),
            (&town.staff, "reference=r-1", &[]),
            (&town.anna, "reference=R-1", &[1]),
            (&town.operator, "reference=R-1", &[]),
            (&town.staff, &format!("session={code}"), &[0]),
            (&town.anna, &format!("session={code}"), &[]),
            (
                &town.operator,
                "placed_after=2026-11-25T12:01:00Z",
                &[3, 2, 1],
            ),
            (&town.operator, "placed_before=2026-11-25T12:01:00Z", &[0]),
            (
                &town.staff,
                "placed_after=2026-11-25T12:01:00Z&placed_before=2026-11-25T12:02:00Z",
                &[1],
            ),
            (
                &town.staff,
                "placed_after=2026-11-25T12:01:00Z&status=pending",
                &[2],
            ),
            (&town.anna, "placed_after=2026-11-25T12:02:00Z", &[3]),
        ];
        for (by, query, orders) in expected {
            assert_eq!(listed(&app, &town, by, query).await, *orders, "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_page_leads_to_the_next_whatever_is_asked_for() {
    with_app(async |app: App| {
        let town = town(&app).await;
        for query in [
            "",
            "status=pending",
            "placed_after=2026-01-01T00:00:00Z",
            "fulfilment=table",
        ] {
            let all = listed(&app, &town, &town.operator, query).await;
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("{ORDERS}?limit=1&{query}{cursor}");
                let page = app.get(&path).by(&town.operator).send().await.ok();
                for order in page["items"].as_array().unwrap() {
                    let id: OrderId = order["id"].as_str().unwrap().parse().unwrap();
                    found.push(town.orders.iter().position(|known| *known == id).unwrap());
                }
                let Some(next) = page["next_cursor"].as_str() else {
                    break;
                };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(found, all, "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_orders_cannot_be_listed_by_is_refused() {
    with_app(async |app: App| {
        let town = town(&app).await;
        let ask =
            async |by: &str, query: &str| app.get(&format!("{ORDERS}?{query}")).by(by).send().await;
        assert_eq!(ask(&town.operator, "limit=101").await.pointers(), ["limit"]);
        assert_eq!(
            ask(&town.operator, "cursor=here").await.pointers(),
            ["cursor"]
        );
        ask(&town.staff, &format!("store_id={}", town.stores[1]))
            .await
            .problem(404, "not_found");
        ask(&town.staff, &format!("session={}", "0".repeat(40)))
            .await
            .problem(404, "session_not_found");
        for query in ["status=eaten", "placed_after=yesterday", "fulfilment=drone"] {
            assert_eq!(
                ask(&town.operator, query).await.status.as_u16(),
                422,
                "{query}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_that_is_as_the_client_has_it_is_not_sent_again() {
    with_app(async |app: App| {
        let town = town(&app).await;
        let first = app.get(ORDERS).by(&town.staff).send().await;
        let again = async || {
            app.get(ORDERS)
                .by(&town.staff)
                .header("if-none-match", first.header("etag"))
                .send()
                .await
        };
        let same = again().await;
        assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""));
        let moved =
            app.house
                .ledger
                .move_order(town.orders[1], OrderStatus::Accepted, By::Staff, None);
        moved.await.unwrap();
        let other = again().await;
        assert_eq!(other.status.as_u16(), 200);
        assert_ne!(other.header("etag"), first.header("etag"));
    })
    .await;
}

#[tokio::test]
async fn the_table_has_the_same_orders_and_runs_nothing() {
    with_app(async |app: App| {
        let town = town(&app).await;
        let table = async |by: &str, query: &str| {
            app.get(&format!("{ORDERS}.csv?{query}"))
                .by(by)
                .send()
                .await
        };
        let all = table(&town.operator, "").await;
        assert_eq!(all.status.as_u16(), 200, "{}", all.text);
        assert_eq!(all.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(
            all.header("content-disposition"),
            "attachment; filename=\"orders-2026-11-25.csv\""
        );
        assert_eq!(all.header("expediter-next-cursor"), "");
        let lines: Vec<&str> = all.text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 5);
        assert!(
            lines[0].starts_with("id,number,store_id,session,reference,"),
            "{}",
            lines[0]
        );
        let ids = lines[1..]
            .iter()
            .map(|line| line.split(',').next().unwrap().parse::<OrderId>().unwrap());
        assert!(ids.eq(town.orders.iter().rev().copied()));

        let mine = table(&town.anna, "reference=R-1").await.text;
        let line = mine.split_terminator("\r\n").nth(1).unwrap();
        assert!(
            line.contains(",R-1,pickup,pending,,2026-11-25T12:01:00.000000Z,"),
            "{line}"
        );
        let ends = ",500,EUR,2 x Espresso,\"Anna \"\"A\"\" Sun, Jr.\",+49 40 1,,,'=cmd|' /C calc'!A0,,2026-11-25T12:16:00.000000Z";
        assert!(line.ends_with(ends), "{line}");
        assert_eq!(mine.split_terminator("\r\n").count(), 2);
        let marked = table(&town.anna, "reference=R-1&bom=true").await.text;
        assert_eq!(marked, format!("\u{feff}{mine}"));
        let plain = table(&town.anna, "reference=R-1&bom=false").await.text;
        assert_eq!(plain, mine);
        for wrong in ["bom=1", "bom=", "bom=TRUE", "bom=yes"] {
            assert_eq!(table(&town.anna, wrong).await.pointers(), ["bom"], "{wrong}");
        }
        let staff = table(&town.staff, "status=pending").await.text;
        assert_eq!(staff.split_terminator("\r\n").count(), 4);
        assert_eq!(
            table(&town.staff, "status=failed")
                .await
                .text
                .split_terminator("\r\n")
                .count(),
            1
        );
        table(&town.staff, &format!("store_id={}", town.stores[1]))
            .await
            .problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn stats_are_of_ones_stores_and_as_the_seed_names_them() {
    with_app(async |app: App| {
        let town = town(&app).await;
        for (order, to) in [(1, OrderStatus::Accepted), (2, OrderStatus::Rejected)] {
            let order = town.orders[order];
            app.house
                .ledger
                .move_order(order, to, By::Staff, Some("closed"))
                .await
                .unwrap();
        }
        let stats = async |by: &str, query: &str| {
            app.get(&format!("/api/v1/stats{query}"))
                .by(by)
                .send()
                .await
        };
        let mine = stats(&town.staff, "").await.ok();
        assert_eq!(mine["total_orders"], 3);
        assert_eq!(
            (&mine["pending_orders"], &mine["processing_orders"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(mine["completed_orders"], 1);
        // Placed at 12:01, accepted at 12:04.
        assert_eq!(mine["avg_processing_time_seconds"], 180.0);
        let by_status = mine["by_status"].as_object().unwrap();
        let words: BTreeSet<&str> = by_status.keys().map(String::as_str).collect();
        let placed = OrderStatus::ALL
            .iter()
            .filter(|status| **status != OrderStatus::Draft);
        assert_eq!(words, placed.map(|status| status.as_str()).collect());
        assert_eq!(
            (&by_status["rejected"], &by_status["accepted"]),
            (&json!(1), &json!(1))
        );

        let all = stats(&town.operator, "").await.ok();
        assert_eq!(all["total_orders"], 4);
        for work in ["outbox", "handoffs", "callbacks"] {
            assert!(all["backlog"][work]["waiting"].is_i64(), "{work}: {all}");
        }
        let other = format!("?store_id={}", town.stores[1]);
        let of_other = stats(&town.operator, &other).await.ok();
        assert_eq!(
            (
                &of_other["total_orders"],
                &of_other["avg_processing_time_seconds"]
            ),
            (&json!(1), &json!(0.0))
        );
        for seen in [&mine, &of_other] {
            assert!(
                seen.get("backlog").is_none_or(Value::is_null),
                "only who sees all stores is told of the backlog: {seen}"
            );
        }
        stats(&town.staff, &other).await.problem(404, "not_found");
        stats(&town.anna, "").await.problem(403, "forbidden");
    })
    .await;
}
