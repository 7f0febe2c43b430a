//! Orders for later while RabbitMQ is away.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_for_later_are_handed_over_in_time_and_not_before_while_rabbitmq_is_away() {
    on_servers(Shape::Three, async |house| {
        let table = Table::set_up(house).await.unwrap();
        let store = format!("/api/v1/stores/{}", table.shop.store_id);
        let rules = json!({"order_ahead_days": 1, "lead_time_min": 1});
        let set_up = answer(house.by_operator(Method::PATCH, &store).json(&rules)).await;
        assert_eq!(set_up.map(|(status, _)| status), Some(200));
        set(house, Wire::Broker, Traffic::Refused);
        until_ready(house, "degraded", 200).await;

        let now = until_placed(house, &table, "now").await;
        let now = house.read(&format!("/api/v1/orders/{now}")).await.unwrap();
        // Fifteen real seconds, given the speed of the clock.
        let wanted_at = time(&now["placed_at"]) + TimeDelta::minutes(5);
        let place = async |n: usize| {
            let body =
                json!({"items": [{"product_id": table.shop.espresso}], "wanted_at": wanted_at});
            let request = house
                .request(Method::POST, &table.shop.guests_path())
                .header("Idempotency-Key", format!("later-{n}"))
                .timeout(SOON)
                .json(&body);
            match answer(request).await {
                Some((201, order)) => order,
                other => panic!("later-{n}: {other:?}"),
            }
        };
        let later = join_all((0..ORDERS).map(place)).await;
        for order in &later {
            assert_eq!(order["status"], "pending", "{order}");
            assert_eq!(
                time(&order["hand_over_at"]),
                wanted_at - TimeDelta::minutes(1)
            );
        }
        let ids: Vec<String> = later.iter().map(|order| text(&order["id"])).collect();
        until_all_are(house, &ids, "ready").await;
        for order in &later {
            let handoffs = handoffs(house, &text(&order["id"])).await;
            let first = time(&handoffs[0]["attempts"][0]["started_at"]);
            assert!(first >= time(&order["hand_over_at"]), "{handoffs:?}");
        }
        until_ready(house, "degraded", 200).await;
        assert_eq!(table.integrator.by_webhook_id().len(), ORDERS + 1);
    })
    .await;
}

fn time(value: &Value) -> DateTime<Utc> {
    let time = value.as_str().map(str::parse);
    time.expect("it is a text").expect("it is a time")
}
