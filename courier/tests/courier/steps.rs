//! Steps of deliveries and the updates that tell of them.

use std::time::Duration;

use courier::{Courier, CourierSettings};

use crate::{Caller, Place, STEP, message, receiver::Receiver, send_all};

const WAY: [&str; 3] = ["AT_ORIGIN", "EN_ROUTE_OF_DELIVERY", "DELIVERED"];

#[tokio::test]
async fn a_delivery_takes_one_step_each_interval_and_each_is_told_once_and_in_order() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    shop.register(&receiver.url).await;
    let id = shop.deliver("o-1").await;
    place.clock.advance(STEP - Duration::from_millis(1));
    assert_eq!(courier.step_due().await.unwrap(), 0);
    place.clock.advance(Duration::from_millis(1));
    for status in WAY {
        assert_eq!(courier.step_due().await.unwrap(), 1);
        assert_eq!(courier.step_due().await.unwrap(), 0);
        assert_eq!(shop.status(id).await, status);
        send_all(&courier).await;
        place.clock.advance(STEP);
    }
    // Delivered is final.
    assert_eq!(courier.step_due().await.unwrap(), 0);
    send_all(&courier).await;
    assert_eq!(receiver.told_of("o-1"), WAY);
    let got = receiver.got();
    let sequences: Vec<i64> = got
        .iter()
        .map(|update| update.body["sequence"].as_i64().unwrap())
        .collect();
    assert_eq!(sequences, [1, 2, 3]);
    assert_eq!(got[0].body["occurred_at"], "2026-11-29T12:00:30Z");
    assert_eq!(
        got[0].body["delivery"]["tracking_number"],
        format!("C-{id}")
    );
    assert_ne!(got[0].webhook_id, got[1].webhook_id);
}

#[tokio::test]
async fn after_a_pause_it_takes_one_step_and_then_waits_a_whole_interval() {
    let place = Place::new();
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    let id = shop.deliver("o-1").await;
    place.clock.advance(STEP * 100);
    assert_eq!(courier.step_due().await.unwrap(), 1);
    assert_eq!(courier.step_due().await.unwrap(), 0);
    place.clock.advance(STEP - Duration::from_millis(1));
    assert_eq!(courier.step_due().await.unwrap(), 0);
    assert_eq!(shop.status(id).await, "AT_ORIGIN");
    place.clock.advance(Duration::from_millis(1));
    assert_eq!(courier.step_due().await.unwrap(), 1);
}

#[tokio::test]
async fn more_deliveries_than_a_batch_take_one_step_each() {
    let place = Place::new();
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    for n in 0..450 {
        shop.deliver(&format!("o-{n}")).await;
    }
    place.clock.advance(STEP * 3);
    assert_eq!(courier.step_due().await.unwrap(), 450);
    assert_eq!(courier.step_due().await.unwrap(), 0);
}

#[tokio::test]
async fn a_clock_that_is_set_back_delays_a_step_by_one_interval_at_most() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    shop.register(&receiver.url).await;
    let id = shop.deliver("o-1").await;
    place.clock.set_back(Duration::from_secs(24 * 60 * 60));
    assert_eq!(courier.step_due().await.unwrap(), 0);
    place.clock.advance(STEP);
    assert_eq!(courier.step_due().await.unwrap(), 1);
    assert_eq!(shop.status(id).await, "AT_ORIGIN");
    // An update that waits is not held up for a day either.
    place.clock.set_back(Duration::from_secs(24 * 60 * 60));
    assert_eq!(courier.send_due().await.unwrap(), 0);
    place.clock.advance(Duration::from_secs(5 * 60));
    send_all(&courier).await;
    assert_eq!(receiver.told_of("o-1"), ["AT_ORIGIN"]);
}

#[tokio::test]
async fn an_attempt_that_found_nobody_goes_round_again_and_the_seed_decides() {
    let mut ways = Vec::new();
    for _ in 0..2 {
        let place = Place::new();
        let settings = CourierSettings {
            not_delivered_percent: 50,
            seed: Some(7),
            ..place.settings()
        };
        let courier = Courier::open(settings).await.unwrap();
        let shop = Caller::new(&courier, "shop").await;
        for n in 0..8 {
            shop.deliver(&format!("o-{n}")).await;
        }
        let mut steps = 1;
        while steps > 0 {
            place.clock.advance(STEP);
            steps = courier.step_due().await.unwrap();
        }
        let mut way = Vec::new();
        for id in 1..=8 {
            way.push(shop.history(id).await);
        }
        ways.push(way);
    }
    assert_eq!(ways[0], ways[1]);
    for way in &ways[0] {
        assert_eq!(way.last().unwrap(), "DELIVERED");
        for pair in way.windows(2).filter(|pair| pair[0] == "NOT_DELIVERED") {
            assert_eq!(pair[1], "EN_ROUTE_OF_DELIVERY");
        }
    }
    let words = ways[0].concat();
    assert!(
        words.iter().any(|word| word == "NOT_DELIVERED"),
        "{words:?}"
    );
}

#[tokio::test]
async fn a_failing_receiver_gets_the_same_message_again_after_growing_waits_and_stops_no_other() {
    let place = Place::new();
    let (failing, fine) = (Receiver::start().await, Receiver::start().await);
    failing.answer_with(500);
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    for receiver in [&failing, &fine] {
        shop.register(&receiver.url).await;
    }
    shop.deliver("o-1").await;
    for _ in WAY {
        place.clock.advance(STEP);
        courier.step_due().await.unwrap();
        courier.send_due().await.unwrap();
        courier.send_due().await.unwrap();
    }
    assert_eq!(fine.told_of("o-1"), WAY);
    // Later changes wait behind the first one.
    let told = failing.got();
    assert!(told.len() >= 2, "{told:?}");
    assert!(told.iter().all(|update| *update == told[0]), "{told:?}");

    // Nothing is sent before its time, and each wait is longer than the one before.
    let mut waited_s = Vec::new();
    for _ in 0..4 {
        let mut seconds = 0;
        while courier.send_due().await.unwrap() == 0 {
            place.clock.advance(Duration::from_secs(1));
            seconds += 1;
        }
        waited_s.push(seconds);
    }
    assert!(waited_s.is_sorted_by(|a, b| a < b), "{waited_s:?}");
    assert_eq!(fine.got().len(), 3);

    failing.answer_with(202);
    let failed = failing.got().len();
    place.clock.advance(Duration::from_secs(300));
    send_all(&courier).await;
    let after: Vec<_> = failing.got().split_off(failed);
    let statuses: Vec<&str> = after.iter().map(|update| update.status()).collect();
    assert_eq!(statuses, WAY);
    assert_eq!(after[0], told[0]);
    assert_eq!(courier.send_due().await.unwrap(), 0);
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_no_other() {
    let place = Place::new();
    let (silent, fine) = (Receiver::start().await, Receiver::start().await);
    silent.answer_with(0);
    let courier = place.open().await;
    let (one, other) = (
        Caller::new(&courier, "one").await,
        Caller::new(&courier, "other").await,
    );
    one.register(&silent.url).await;
    other.register(&fine.url).await;
    for n in 0..40 {
        one.deliver(&format!("silent-{n}")).await;
    }
    other.deliver("fine").await;
    place.clock.advance(STEP);
    let running = tokio::spawn({
        let courier = courier.clone();
        async move { courier.run(std::future::pending()).await }
    });
    fine.await_count(1).await;
    place.clock.advance(STEP);
    fine.await_count(2).await;
    assert!(silent.got().len() <= 4, "{}", silent.got().len());
    running.abort();
}

#[tokio::test]
async fn who_answers_410_is_not_told_of_that_change_again() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    receiver.answer_with(410);
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    shop.register(&receiver.url).await;
    let id = shop.deliver("o-1").await;
    place.clock.advance(STEP);
    courier.step_due().await.unwrap();
    send_all(&courier).await;
    place.clock.advance(STEP);
    send_all(&courier).await;
    assert_eq!(receiver.got().len(), 1);
    let (_, shown) = shop.get(&format!("/deliveries/{id}")).await;
    let told = &shown["notifications"][0];
    assert_eq!(
        (&told["last_status"], &told["tries"]),
        (&410.into(), &1.into())
    );
    assert!(told.get("taken_at").is_none(), "{told}");
}

#[tokio::test]
async fn a_removed_webhook_is_told_nothing_more() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    let courier = place.open().await;
    let shop = Caller::new(&courier, "shop").await;
    shop.register(&receiver.url).await;
    shop.deliver("o-1").await;
    place.clock.advance(STEP);
    courier.step_due().await.unwrap();
    assert_eq!(shop.delete("/webhooks/1").await.0, 204);
    send_all(&courier).await;
    place.clock.advance(STEP);
    courier.step_due().await.unwrap();
    send_all(&courier).await;
    assert!(receiver.got().is_empty());
    assert_eq!(shop.delete("/webhooks/1").await.0, 404);
}

#[tokio::test]
async fn updates_go_to_the_callback_url_of_a_message_if_the_account_has_a_secret_for_it() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    let courier = place.open().await;
    let (shop, other) = (
        Caller::new(&courier, "shop").await,
        Caller::new(&courier, "other").await,
    );
    let webhook = serde_json::json!({"callback_secret": crate::CALLBACK});
    assert_eq!(shop.post("/webhooks", &webhook).await.0, 201);
    let mut body = message("o-1");
    body["callback_url"] = receiver.url.clone().into();
    assert_eq!(shop.post("/deliveries", &body).await.0, 201);
    // Without a secret, nobody is told.
    assert_eq!(other.post("/deliveries", &body).await.0, 201);
    place.clock.advance(STEP);
    assert_eq!(courier.step_due().await.unwrap(), 2);
    send_all(&courier).await;
    assert_eq!(receiver.told_of("o-1"), ["AT_ORIGIN"]);
}
