//! A polite integrator that takes a number of orders each second and says "slow down" to the rest.

use each_database::each_database;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{handoff::HandoffState, ids::OrderId, status::OrderStatus};
use ledger::testing::TestLedger;
use platform::clock::Clock;
use store::testing::TEST_TIMEOUT;
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::scene::{OtherWorker, Scene, eventually};
use crate::testing::{Integrator, Reply, read_request};

/// Step of the clock; the real time of a request must stay short beside the pauses.
const STEP: Duration = Duration::from_millis(20);

/// An integrator whose seconds are those of the test clock.
struct Polite {
    url: url::Url,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    second_began_at: DateTime<Utc>,
    in_this_second: usize,
    accepted: usize,
    refused: usize,
    bodies: Vec<String>,
}

impl Polite {
    fn was_told_to_cancel(&self) -> bool {
        let seen = self.seen.lock().unwrap();
        let mut bodies = seen.bodies.iter();
        bodies.any(|body| body.contains("order.cancelled"))
    }

    async fn start(clock: Clock, takes_per_s: usize, retry_after: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (seen, clock) = (Arc::clone(&shared), clock.clone());
                tokio::spawn(async move {
                    let mut unread = Vec::new();
                    while let Some(request) = read_request(&mut stream, &mut unread, 0).await {
                        let takes = {
                            let body = String::from_utf8_lossy(&request.body).into_owned();
                            seen.lock().unwrap().takes(clock.now(), takes_per_s, body)
                        };
                        let head = if takes {
                            "200 OK\r\n".to_owned()
                        } else {
                            format!("429 Too Many Requests\r\n{retry_after}")
                        };
                        let answer = format!("HTTP/1.1 {head}content-length: 0\r\n\r\n");
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            url: format!("http://{address}/orders").parse().unwrap(),
            seen,
        }
    }

    /// Returns the numbers of accepted and of refused requests so far.
    fn counts(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap();
        (seen.accepted, seen.refused)
    }
}

impl Seen {
    fn takes(&mut self, now: DateTime<Utc>, takes_per_s: usize, body: String) -> bool {
        if now >= self.second_began_at + Duration::from_secs(1) {
            (self.second_began_at, self.in_this_second) = (now, 0);
        }
        self.in_this_second += 1;
        let takes = self.in_this_second <= takes_per_s;
        *if takes {
            &mut self.accepted
        } else {
            &mut self.refused
        } += 1;
        self.bodies.push(body);
        takes
    }
}

/// Places that many orders and moves the clock until all are accepted, within their ten minutes.
async fn all_are_accepted(scene: Scene, other: Option<OtherWorker>, polite: Polite, orders: usize) {
    let placed: Vec<OrderId> = {
        let mut placed = Vec::new();
        for _ in 0..orders {
            placed.push(scene.place().await);
        }
        placed
    };
    let clock = &scene.house.clock;
    let deadline = clock.now() + Duration::from_secs(590);
    tokio::time::timeout(TEST_TIMEOUT * 4, async {
        while polite.counts().0 < orders {
            assert!(clock.now() < deadline, "{:?} so far", polite.counts());
            clock.advance(STEP);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("all are sent in time");
    for order in placed {
        scene.until_status(order, OrderStatus::Accepted).await;
        let (handoff, attempts) = scene.handoff(order).await;
        assert_eq!(handoff.state, HandoffState::Acknowledged);
        assert_eq!(handoff.counted_attempts(), 1);
        let counted = attempts.iter().filter(|attempt| attempt.counted);
        assert_eq!(counted.count(), 1);
    }
    let (accepted, refused) = polite.counts();
    assert_eq!(accepted, orders, "each order once");
    assert!(refused > 0, "it was asked for more than it takes");
    assert!(
        refused * 2 < orders,
        "{refused} refusals of {orders} orders"
    );
    assert!(!polite.was_told_to_cancel());
    if let Some(other) = other {
        other.leave().await;
    }
    scene.end().await;
}

#[each_database]
async fn an_integrator_that_takes_five_a_second_gets_them_all_and_none_fails(house: TestLedger) {
    let scene = Scene::new(house).await;
    let clock = scene.house.clock.clone();
    let polite = Polite::start(clock, 5, "retry-after: 2\r\n").await;
    scene.integrator_at(polite.url.clone()).await;
    all_are_accepted(scene, None, polite, 150).await;
}

#[each_database]
async fn two_workers_share_the_pace_that_they_learned(house: TestLedger) {
    let (scene, other) = Scene::with_two_workers(house).await;
    let clock = scene.house.clock.clone();
    let polite = Polite::start(clock, 20, "").await;
    scene.integrator_at(polite.url.clone()).await;
    all_are_accepted(scene, Some(other), polite, 150).await;
}

#[each_database]
#[ignore = "takes minutes: the thousand orders of the issue"]
async fn a_thousand_orders_to_five_a_second_are_all_accepted(house: TestLedger) {
    let scene = Scene::new(house).await;
    let clock = scene.house.clock.clone();
    let polite = Polite::start(clock, 5, "retry-after: 2\r\n").await;
    scene.integrator_at(polite.url.clone()).await;
    all_are_accepted(scene, None, polite, 1000).await;
}

#[each_database]
async fn the_attempts_header_counts_only_what_counts(house: TestLedger) {
    let scene = Scene::new(house).await;
    let slow = || Reply::with(429, "retry-after: 1\r\n", "");
    let replies = [
        slow(),
        slow(),
        Reply::status(500),
        slow(),
        Reply::status(200),
    ];
    let kitchen = Integrator::start(replies).await;
    scene.integrator_at(kitchen.url()).await;
    let order = scene.place().await;
    scene.advance_until_requests(&kitchen, 5).await;
    eventually(async || scene.status(order).await == OrderStatus::Accepted).await;
    let sent: Vec<String> = kitchen
        .received()
        .iter()
        .map(|one| one.header("expediter-attempt").to_owned())
        .collect();
    assert_eq!(sent, ["1/5", "1/5", "1/5", "2/5", "2/5"]);
    scene.end().await;
}
