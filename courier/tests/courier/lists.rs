//! Lists of deliveries and of their steps.

use poem::http::Method;
use serde_json::{Value, json};

use crate::{Caller, Place, STEP, api::wrong, message};

#[tokio::test]
async fn lists_are_paged_without_gaps_and_filtered() {
    let place = Place::new();
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    for n in 1..=7 {
        shop.deliver(&format!("o-{n}")).await;
    }
    place.clock.advance(STEP);
    courier.step_due().await.unwrap();
    shop.deliver("late").await;
    for (path, key, expected) in [
        ("/deliveries", "id", (1..=8).rev().collect::<Vec<i64>>()),
        (
            "/deliveries?status=AT_ORIGIN",
            "id",
            (1..=7).rev().collect(),
        ),
        ("/deliveries?status=READY_FOR_PICK_UP", "id", vec![8]),
        ("/deliveries?foreign_order_id=o-3", "id", vec![3]),
        ("/deliveries?tracking_number=C-4", "id", vec![4]),
        ("/deliveries?tracking_number=nonsense", "id", vec![]),
        (
            "/deliveries?created_from=2026-11-29T12:00:30Z",
            "id",
            vec![8],
        ),
        (
            "/deliveries?created_until=2026-11-29T12:00:30Z",
            "id",
            (1..=7).rev().collect(),
        ),
        (
            "/deliveries-history?status=AT_ORIGIN",
            "delivery_id",
            (1..=7).collect(),
        ),
        ("/deliveries-history?delivery_id=2", "sequence", vec![0, 1]),
        (
            "/deliveries-history?tracking_number=C-2",
            "sequence",
            vec![0, 1],
        ),
    ] {
        let (mut got, mut cursor) = (Vec::new(), String::new());
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let (status, page) = shop.get(&format!("{path}{sign}limit=3{cursor}")).await;
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().unwrap();
            got.extend(items.iter().map(|item| item[key].as_i64().unwrap()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(got, expected, "{path}");
    }
}

#[tokio::test]
async fn the_history_of_an_order_is_found_by_query_and_by_seed_004s_body() {
    let place = Place::new();
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    // Seed 004's ids are numbers.
    let mut body = message("");
    body["order"]["foreign_order_id"] = 4.into();
    assert_eq!(shop.post("/deliveries", &body).await.0, 201);
    shop.deliver("5").await;
    place.clock.advance(STEP);
    courier.step_due().await.unwrap();
    let by_query = shop.get("/deliveries-history?foreign_order_id=4").await;
    let steps = by_query.1["items"].as_array().unwrap();
    let statuses: Vec<&Value> = steps.iter().map(|step| &step["status"]).collect();
    assert_eq!(statuses, ["READY_FOR_PICK_UP", "AT_ORIGIN"]);
    assert_eq!(steps[1]["at"], "2026-11-29T12:00:30+00:00");
    for body in [
        json!({"foreing_order_id": 4}),
        json!({"foreing_order_id": "4"}),
        json!({"foreign_order_id": "4"}),
    ] {
        let by_body = shop
            .ask(Method::GET, "/deliveries-history", &body.to_string(), &[])
            .await;
        assert_eq!(by_body, by_query, "{body}");
    }
    let body = json!({"foreing_order_id": ["4"]}).to_string();
    let (status, problem) = shop
        .ask(Method::GET, "/deliveries-history", &body, &[])
        .await;
    assert_eq!(
        (status.as_u16(), wrong(&problem)),
        (422, vec!["/foreing_order_id"])
    );
}
