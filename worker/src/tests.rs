//! End-to-end tests of a worker: a real ledger on each database, the relay, the embedded broker, and integrators on
//! loopback.

mod fairness;
mod isolation;
mod pressure;
mod scene;
mod sharing;

use each_database::each_database;
use std::{sync::Arc, time::Duration};

use broker::{Broker, Message};
use chrono::TimeDelta;
use domain::{
    callback::Update,
    handoff::{AttemptOutcome, HandoffState},
    ids::IntegratorId,
    retention::Limits,
    status::{By, OrderStatus},
};
use ledger::{
    accounts::{FAILURE_TTL, Guess},
    sweep::MAX_PRUNED,
    testing::TestLedger,
};
use tokio::sync::Notify;

use self::scene::{Scene, SceneOptions, eventually};
use crate::testing::{Integrator, Reply};

#[each_database]
async fn a_placed_order_is_handed_over_and_accepted(house: TestLedger) {
    let scene = Scene::new(house).await;
    let kitchen = Integrator::start([Reply::with(200, "", r#"{"reference":"K-1"}"#)]).await;
    scene.integrator_at(kitchen.url()).await;
    let order = scene.place().await;
    scene.until_status(order, OrderStatus::Accepted).await;
    let (handoff, attempts) = scene.handoff(order).await;
    assert_eq!(handoff.state, HandoffState::Acknowledged);
    assert_eq!(handoff.reference.as_deref(), Some("K-1"));
    assert_eq!(attempts.len(), 1);
    let received = kitchen.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].header("webhook-id"), handoff.id.to_string());
    let acknowledged = scene
        .metrics
        .handoff_attempts
        .with_label_values(&["acknowledged"]);
    eventually(async || acknowledged.get() == 1).await;
    scene.end().await;
}

#[each_database]
async fn an_answer_that_is_cut_short_accepts_the_order_with_a_reference_beyond_what_is_kept(
    house: TestLedger,
) {
    let scene = Scene::new(house).await;
    let note = "x".repeat(20_000);
    let answer = format!(
        "HTTP/1.1 201 x\r\nx-why : 1\r\ncontent-length: 60000\r\n\r\n\
         {{\"note\":\"{note}\",\"reference\":123456789012345678901234,\"items\":[{{\"na"
    );
    let kitchen = Integrator::start([Reply::SayAndClose(answer)]).await;
    scene.integrator_at(kitchen.url()).await;
    let order = scene.place().await;
    scene.until_status(order, OrderStatus::Accepted).await;
    let (handoff, attempts) = scene.handoff(order).await;
    let reference = handoff.reference.as_deref();
    assert_eq!(reference, Some("123456789012345678901234"));
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Acknowledged));
    assert_eq!(kitchen.received().len(), 1);
    scene.end().await;
}

#[each_database]
async fn an_order_that_waits_for_nobody_outside_is_accepted(house: TestLedger) {
    let scene = Scene::new(house).await;
    let order = scene.place().await;
    scene.until_status(order, OrderStatus::Accepted).await;
    scene.end().await;
}

#[each_database]
async fn five_attempts_with_one_body_and_id_and_then_the_order_fails(house: TestLedger) {
    let scene = Scene::new(house).await;
    let kitchen = Integrator::start([Reply::status(503)]).await;
    scene.integrator_at(kitchen.url()).await;
    let order = scene.place().await;
    for n in 1..=5 {
        assert_eq!(scene.until_concluded(order, n).await, AttemptOutcome::Retry);
        if n < 5 {
            assert_eq!(kitchen.received().len(), n);
            let (handoff, _) = scene.handoff(order).await;
            assert_eq!(handoff.state, HandoffState::Waiting);
            scene.house.clock.set(handoff.next_attempt_at.unwrap());
        }
    }
    scene.until_status(order, OrderStatus::Failed).await;
    let (handoff, _) = scene.handoff(order).await;
    assert_eq!(handoff.state, HandoffState::Failed);
    let id = handoff.id.to_string();
    let mut received = kitchen.received();
    // The kitchen also receives the order's end, under another id.
    received.retain(|request| request.header("webhook-id") == id);
    assert_eq!(received.len(), 5);
    for (n, request) in received.iter().enumerate() {
        assert_eq!(request.body, received[0].body);
        assert_eq!(request.header("expediter-attempt"), format!("{}/5", n + 1));
    }
    let given_up = scene
        .metrics
        .given_up
        .with_label_values(&["attempts_used_up"]);
    eventually(async || given_up.get() == 1).await;
    scene.end().await;
}

#[each_database]
async fn an_integrator_that_hangs_delays_no_other(house: TestLedger) {
    let scene = Scene::with(house, true, Duration::from_millis(2500)).await;
    let hanging = Integrator::start([Reply::hang()]).await;
    let quick = Integrator::start([Reply::status(200)]).await;
    scene
        .integrator_like(hanging.url(), |new| new.concurrency = 2)
        .await;
    scene.integrator_at(quick.url()).await;
    for _ in 0..6 {
        scene.place().await;
    }
    // A lane retries a moment later if the other lane has just locked the order.
    scene.advance_until_requests(&quick, 6).await;
    scene.advance_until_requests(&hanging, 2).await;
    assert_eq!(hanging.received().len(), 2);
    scene.end().await;
}

#[each_database]
async fn an_integrator_is_sent_no_more_at_one_time_than_it_allows(house: TestLedger) {
    let scene = Scene::with(house, true, Duration::from_millis(2500)).await;
    let kitchen = Integrator::start([Reply::hang()]).await;
    scene
        .integrator_like(kitchen.url(), |new| new.concurrency = 3)
        .await;
    let mut orders = Vec::new();
    for _ in 0..8 {
        orders.push(scene.place().await);
    }
    kitchen.until_received(3).await;
    scene.worker.sweep_once().await;
    let mut sending = 0;
    for order in orders {
        sending += usize::from(scene.handoff(order).await.0.state == HandoffState::Sending);
    }
    assert_eq!(sending, 3);
    assert_eq!(scene.metrics.lanes_in_flight.get(), 3);
    scene.end().await;
}

#[each_database]
async fn an_integrators_rate_is_kept_to(house: TestLedger) {
    let scene = Scene::new(house).await;
    let kitchen = Integrator::start([Reply::status(200)]).await;
    scene
        .integrator_like(kitchen.url(), |new| new.rate_per_s = Some(1))
        .await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(scene.place().await);
    }
    let accepted = async || {
        let mut accepted = 0;
        for order in &orders {
            accepted += usize::from(scene.status(*order).await == OrderStatus::Accepted);
        }
        accepted
    };
    for n in 1..=3 {
        eventually(async || accepted().await == n).await;
        // Another hint does not make it send earlier.
        scene.worker.sweep_once().await;
        assert_eq!(kitchen.received().len(), n);
        scene.house.clock.advance(Duration::from_millis(1100));
    }
    scene.end().await;
}

#[each_database]
async fn a_stop_in_mid_request_leaves_an_unknown_outcome_on_record(house: TestLedger) {
    let scene = Scene::with(house, true, Duration::from_millis(2500)).await;
    let kitchen = Integrator::start([Reply::hang()]).await;
    scene.integrator_at(kitchen.url()).await;
    let order = scene.place().await;
    kitchen.until_received(1).await;
    scene.shutdown.begin();
    assert_eq!(scene.shutdown.finish().await.left, Vec::<&str>::new());
    let (handoff, attempts) = scene.handoff(order).await;
    assert_eq!(handoff.state, HandoffState::Waiting);
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Unknown));
    assert_eq!(scene.ledger.audit().await.unwrap(), []);
}

#[each_database]
async fn a_stop_lets_an_answer_come_and_claims_nothing_more(house: TestLedger) {
    let scene = Scene::new(house).await;
    let release = Arc::new(Notify::new());
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
    let kitchen = Integrator::start([Reply::SayWhenReleased(answer, release.clone())]).await;
    scene
        .integrator_like(kitchen.url(), |new| new.concurrency = 1)
        .await;
    let first = scene.place().await;
    kitchen.until_received(1).await;
    let second = scene.place().await;
    scene.shutdown.begin();
    release.notify_one();
    assert_eq!(scene.shutdown.finish().await.left, Vec::<&str>::new());
    assert_eq!(scene.status(first).await, OrderStatus::Accepted);
    assert_eq!(scene.status(second).await, OrderStatus::Pending);
    assert_eq!(kitchen.received().len(), 1);
}

#[each_database]
async fn while_the_database_is_away_no_gauge_says_that_all_is_well(house: TestLedger) {
    let scene = Scene::silent(house).await;
    scene.metrics.breakers_open.set(1);
    scene.house.db.close().await;
    scene.worker.sweep_once().await;
    assert_eq!(scene.metrics.breakers_open.get(), 1);
}

#[each_database]
async fn what_nobody_told_of_is_found_by_the_sweep_also_without_a_broker(house: TestLedger) {
    let scene = Scene::silent(house).await;
    scene.broker.close().await;
    let kitchen = Integrator::start([Reply::status(200)]).await;
    scene.integrator_at(kitchen.url()).await;
    let order = scene.place().await;
    assert_eq!(scene.worker.sweep_once().await.integrators_hinted, 1);
    scene.until_status(order, OrderStatus::Accepted).await;
    scene.end().await;
}

#[each_database]
async fn an_integrator_is_not_hinted_again_within_five_seconds(house: TestLedger) {
    let scene = Scene::with(house, false, Duration::from_millis(2500)).await;
    let kitchen = Integrator::start([Reply::hang()]).await;
    scene
        .integrator_like(kitchen.url(), |new| new.concurrency = 1)
        .await;
    scene.place().await;
    scene.place().await;
    assert_eq!(scene.worker.sweep_once().await.integrators_hinted, 1);
    kitchen.until_received(1).await;
    assert_eq!(scene.worker.sweep_once().await.integrators_hinted, 0);
    scene.house.clock.advance(Duration::from_secs(5));
    assert_eq!(scene.worker.sweep_once().await.integrators_hinted, 1);
    scene.end().await;
}

#[each_database]
async fn what_is_over_goes_as_fast_as_it_came(house: TestLedger) {
    let scene = Scene::silent(house).await;
    // Each failed sign-in writes two rows.
    let guess = Guess::new("anna", [192, 0, 2, 1].into());
    for _ in 0..=MAX_PRUNED / 2 {
        scene.ledger.sign_in_failed(&guess).await.unwrap();
    }
    scene.house.clock.advance(FAILURE_TTL);
    let rows_pruned = async || scene.worker.sweep_once().await.rows_pruned;
    assert_eq!(
        [
            rows_pruned().await,
            rows_pruned().await,
            rows_pruned().await
        ],
        [1000, 2, 0]
    );
    scene.end().await;
}

#[each_database]
async fn what_retention_lets_go_goes_in_the_sweep_and_is_counted(house: TestLedger) {
    let how = SceneOptions {
        relayed: false,
        retention: Limits {
            orders: Some(TimeDelta::days(30)),
            batch: 2,
            ..Limits::default()
        },
        ..SceneOptions::default()
    };
    let scene = Scene::like(house, how).await;
    let day = Duration::from_secs(24 * 3600);
    for _ in 0..3 {
        let order = scene.place().await;
        let reject =
            scene
                .ledger
                .move_order(order, OrderStatus::Rejected, By::Staff, Some("no milk"));
        reject.await.unwrap();
    }
    // Adds the old orders to the sums.
    scene.house.clock.advance(day);
    scene.worker.sweep_once().await;
    let open = scene.place().await;
    scene.house.clock.advance(day * 31);
    // The worker's own sweep may take a batch too.
    let gone = scene.metrics.retention_rows.with_label_values(&["order"]);
    eventually(async || {
        scene.worker.sweep_once().await;
        gone.get() == 3
    })
    .await;
    assert!(scene.ledger.order(open).await.unwrap().is_some());
    scene.end().await;
}

#[each_database]
async fn a_worker_that_died_in_mid_request_leaves_an_unknown_attempt_and_a_second_send(
    house: TestLedger,
) {
    let scene = Scene::silent(house).await;
    let kitchen = Integrator::start([Reply::status(200)]).await;
    let integrator: IntegratorId = scene.integrator_at(kitchen.url()).await.id;
    let order = scene.place().await;
    // A claim of another worker, which then disappears.
    let lease = Duration::from_secs(25);
    let claims = scene
        .ledger
        .claim_handoffs(integrator, 1, lease)
        .await
        .unwrap();
    assert_eq!(claims.claimed.len(), 1);
    assert_eq!(scene.worker.sweep_once().await.leases_freed, 0);
    scene.house.clock.advance(lease);
    assert_eq!(scene.worker.sweep_once().await.leases_freed, 1);
    scene.house.clock.advance(Duration::from_secs(3));
    scene.worker.sweep_once().await;
    scene.until_status(order, OrderStatus::Accepted).await;
    let (_, attempts) = scene.handoff(order).await;
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt.outcome.unwrap())
        .collect();
    assert_eq!(
        outcomes,
        [AttemptOutcome::Unknown, AttemptOutcome::Acknowledged]
    );
    scene.end().await;
}

#[each_database]
async fn a_message_that_is_no_hint_does_not_stop_those_after_it(house: TestLedger) {
    let scene = Scene::new(house).await;
    scene
        .broker
        .publish(vec![Message::work("{}"), Message::work("\u{0}")])
        .await;
    let order = scene.place().await;
    scene.until_status(order, OrderStatus::Accepted).await;
    scene.end().await;
}

#[each_database]
async fn a_callback_is_applied_when_it_is_told_of_or_found(house: TestLedger) {
    let scene = Scene::new(house).await;
    let kitchen = Integrator::start([Reply::status(200)]).await;
    let integrator = scene.integrator_at(kitchen.url()).await;
    let order = scene.place().await;
    scene.until_status(order, OrderStatus::Accepted).await;
    let update = |status: &str, sequence| Update {
        order_id: Some(order),
        reference: None,
        status: Some(status.to_owned()),
        reason: None,
        sequence: Some(sequence),
        occurred_at: None,
        ready_at: None,
        delivery: None,
    };
    let told = update("preparing", 1);
    scene
        .ledger
        .receive_callback(&integrator, "one", told)
        .await
        .unwrap();
    scene.until_status(order, OrderStatus::Preparing).await;
    let found = update("ready", 2);
    // The ledger of the test ledger sends no hint, and its ids need another timestamp.
    scene.house.clock.advance(Duration::from_millis(1));
    scene
        .house
        .ledger
        .receive_callback(&integrator, "two", found)
        .await
        .unwrap();
    assert_eq!(scene.worker.sweep_once().await.callbacks_applied, 1);
    assert_eq!(scene.status(order).await, OrderStatus::Ready);
    scene.end().await;
}

#[each_database]
async fn a_lane_ends_when_there_is_nothing_to_do_for_a_while(house: TestLedger) {
    let scene = Scene::new(house).await;
    let kitchen = Integrator::start([Reply::status(200)]).await;
    scene.integrator_at(kitchen.url()).await;
    let order = scene.place().await;
    scene.until_status(order, OrderStatus::Accepted).await;
    assert_eq!(scene.worker.lanes.count(), 1);
    eventually(async || {
        scene.house.clock.advance(Duration::from_secs(31));
        scene.worker.lanes.count() == 0
    })
    .await;
    let order = scene.place().await;
    scene.until_status(order, OrderStatus::Accepted).await;
    scene.end().await;
}
