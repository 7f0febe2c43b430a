//! The kitchen's metrics.

use super::*;

async fn metrics(kitchen: &Kitchen) -> String {
    let request = Request::builder().uri("/metrics".parse().unwrap()).finish();
    let response = kitchen.routes().get_response(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.content_type().unwrap().starts_with("text/plain"));
    response.into_body().into_string().await.unwrap()
}

#[tokio::test]
async fn metrics_count_requests_by_outcome_callbacks_by_result_and_open_orders() {
    let mut receiver = Receiver::start().await;
    let kitchen = Kitchen::new(quick()).unwrap();
    let body = handoff("order.placed", "o1", &receiver.url);
    for _ in 0..2 {
        hand_over(&kitchen, "msg_1", body.clone()).await;
    }
    hand_over(&kitchen, "msg_2", b"not JSON".to_vec()).await;
    let text = metrics(&kitchen).await;
    for line in [
        "kitchen_requests_total{outcome=\"accepted\"} 1",
        "kitchen_requests_total{outcome=\"duplicate\"} 1",
        "kitchen_requests_total{outcome=\"malformed\"} 1",
        "kitchen_orders_open 1",
        "kitchen_callbacks_waiting 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    assert!(text.contains("process_start_time_seconds "), "{text}");

    receiver.answers_with.store(404, Ordering::SeqCst);
    let cooking = cooking(&kitchen);
    for _ in 0..2 {
        receiver.next().await;
    }
    let refused = "kitchen_callbacks_total{result=\"refused\"} 2";
    timeout(DEADLINE, async {
        while !metrics(&kitchen).await.contains(refused) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(metrics(&kitchen).await.contains("kitchen_orders_open 0"));
    cooking.abort();
}
