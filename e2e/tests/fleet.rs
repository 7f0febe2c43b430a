//! A production setup: separate processes, several of each kind, on servers; they are killed, drained and replaced.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use e2e::{
    Channel, Fleet, Frame, Ground, Integrator, Kind, Member, Mood, Shop, on_servers, one_to, until,
};
use platform::clock::Clock;
use reqwest::Method;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// Two processes of each kind, and a store.
struct House {
    fleet: Fleet,
    apis: Vec<Member>,
    workers: Vec<Member>,
    notifiers: Vec<Member>,
    integrator: Integrator,
    shop: Shop,
}

impl House {
    async fn of(ground: &Ground, each: usize) -> Self {
        let mut fleet = Fleet::found(ground).await;
        let mut members = [Vec::new(), Vec::new(), Vec::new()];
        for (members, kind) in members
            .iter_mut()
            .zip([Kind::Api, Kind::Worker, Kind::Notifier])
        {
            for _ in 0..each {
                members.push(fleet.start(kind).await);
            }
        }
        let [apis, workers, notifiers] = members;
        let integrator = Integrator::start(Clock::system());
        let shop = fleet.open_shop(&integrator).await;
        Self {
            fleet,
            apis,
            workers,
            notifiers,
            integrator,
            shop,
        }
    }

    async fn place(&self) -> String {
        let request = self.fleet.request(Method::POST, &self.shop.guests_path());
        self.shop.place(request).await
    }
}

async fn wait_for_status(channel: &mut Channel, order_id: &str, status: &str) -> Value {
    channel.until_status(order_id, status).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_at_one_api_is_seen_live_at_another_notifier_all_the_way() {
    on_servers(|ground| async move {
        let house = House::of(&ground, 2).await;
        for member in house
            .apis
            .iter()
            .chain(&house.workers)
            .chain(&house.notifiers)
        {
            let (status, report) = member.get("/readyz").await;
            assert_eq!((status, &report["status"]), (200, &"ok".into()), "{report}");
        }
        let mut screen = house.notifiers[1]
            .channel(&house.shop.session_code, None)
            .await;
        let at_the_first = format!("{}{}", house.apis[0].url, house.shop.guests_path());
        let order_id = house.shop.place(e2e::client().post(at_the_first)).await;
        wait_for_status(&mut screen, &order_id, "ready").await;
        let numbers = screen.numbers();
        assert_eq!(
            numbers,
            one_to(numbers.len() + 1)[1..],
            "the session's opening has number 1"
        );
        assert_eq!(house.integrator.received_for(&order_id).len(), 1);
        let order = house
            .fleet
            .read(&format!("/api/v1/orders/{order_id}"))
            .await;
        assert_eq!(order["status"], "ready", "{order}");
        house.fleet.audit_is_clean().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_process_is_killed_the_others_go_on() {
    on_servers(|ground| async move {
        let mut house = House::of(&ground, 2).await;
        let mut screen = house.notifiers[1]
            .channel(&house.shop.session_code, None)
            .await;
        // Kills the newest, which the gate tries first.
        house.apis[1].kill9().await;
        let order_id = house.place().await;
        wait_for_status(&mut screen, &order_id, "ready").await;
        house.workers[0].kill9().await;
        let order_id = house.place().await;
        wait_for_status(&mut screen, &order_id, "ready").await;
        house.notifiers[1].kill9().await;
        let last = screen.numbers().last().copied();
        let order_id = house.place().await;
        let mut resumed = house.notifiers[0]
            .channel(&house.shop.session_code, screen.resume_point().as_deref())
            .await;
        wait_for_status(&mut resumed, &order_id, "ready").await;
        assert_eq!(
            resumed.numbers().first().copied(),
            last.map(|last| last + 1)
        );
        house.fleet.audit_is_clean().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_process_is_replaced_under_load_without_a_failed_request() {
    on_servers(|ground| async move {
        let House {
            mut fleet,
            apis,
            workers,
            notifiers,
            integrator,
            shop,
        } = House::of(&ground, 2).await;
        let mut screen = notifiers[0].channel(&shop.session_code, None).await;
        let goes_on = Arc::new(AtomicBool::new(true));
        let placed = Arc::new(AtomicU32::new(0));
        let load: Vec<_> = (0..2)
            .map(|_| {
                let (goes_on, placed, shop) =
                    (Arc::clone(&goes_on), Arc::clone(&placed), shop.clone());
                let request = fleet.request(Method::POST, &shop.guests_path());
                tokio::spawn(async move {
                    let mut ids = Vec::new();
                    while goes_on.load(Ordering::Relaxed) {
                        let request = request.try_clone().expect("it has no body yet");
                        ids.push(shop.place(request).await);
                        placed.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    ids
                })
            })
            .collect();

        let mut numbers = Vec::new();
        let mut stayed = Vec::new();
        for mut old in apis.into_iter().chain(workers).chain(notifiers) {
            let new = fleet.start(old.kind).await;
            let before = placed.load(Ordering::Relaxed);
            old.terminate();
            assert_eq!(old.ended().await.code(), Some(0), "{}", old.log());
            // Ensures that some orders are placed during the replacement, even on a slow machine.
            let placed = &placed;
            until("more orders", || async move {
                (placed.load(Ordering::Relaxed) > before + 5).then_some(())
            })
            .await;
            if old.kind == Kind::Notifier && numbers.is_empty() {
                while screen.next().await != Frame::Closed(Some(1012)) {}
                numbers = screen.numbers();
                screen = new
                    .channel(&shop.session_code, screen.resume_point().as_deref())
                    .await;
            }
            stayed.push(new);
        }
        goes_on.store(false, Ordering::Relaxed);
        let mut last_id = String::new();
        let mut orders = 0;
        for placing in load {
            let ids = placing.await.expect("no request failed");
            orders += ids.len();
            last_id = ids.last().cloned().unwrap_or(last_id);
        }
        wait_for_status(&mut screen, &last_id, "ready").await;
        numbers.extend(screen.numbers());
        assert_eq!(
            numbers,
            one_to(numbers.len() + 1)[1..],
            "there is a gap or a duplicate"
        );
        until("every order at the integrator", || async {
            (integrator.by_webhook_id().len() == orders).then_some(())
        })
        .await;
        for (id, received) in integrator.by_webhook_id() {
            assert_eq!(
                received.len(),
                1,
                "{id}: sent twice, although no process was killed"
            );
        }
        fleet.audit_is_clean().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_asked_to_stop_answers_the_request_under_way_and_takes_no_other() {
    on_servers(|ground| async move {
        let mut house = House::of(&ground, 1).await;
        let body = house.shop.espresso_order().to_string();
        let api = &mut house.apis[0];
        let mut connection = BufReader::new(TcpStream::connect(api.address()).await.unwrap());
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Expect: 100-continue\r\nConnection: close\r\n\r\n",
            house.shop.guests_path(),
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut line = String::new();
        connection.read_line(&mut line).await.unwrap();
        assert!(line.contains("100"), "the request is not in progress: {line}");
        api.terminate();
        let address = api.address();
        until("new connections to be refused", || async move {
            TcpStream::connect(address).await.is_err().then_some(())
        })
        .await;
        connection.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("HTTP/1.1 201"), "{answer}");
        assert_eq!(api.ended().await.code(), Some(0), "{}", api.log());
        house.integrator.wait_for_requests(1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_asked_to_stop_records_the_attempt_under_way() {
    on_servers(|ground| async move {
        let mut house = House::of(&ground, 1).await;
        house.integrator.next([Mood::Slow(Duration::from_secs(2))]);
        let order_id = house.place().await;
        house.integrator.wait_for_requests(1).await;
        house.workers[0].terminate();
        assert_eq!(
            house.workers[0].ended().await.code(),
            Some(0),
            "{}",
            house.workers[0].log()
        );
        let attempts = attempts(&house, &order_id).await;
        assert_eq!(attempts, ["acknowledged"]);
        house.fleet.audit_is_clean().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_can_wait_no_longer_closes_the_attempt_as_unknown_and_another_sends_the_same_again()
 {
    on_servers(|ground| async move {
        let mut house = House::of(&ground, 1).await;
        house.workers.clear();
        let hasty = |launch: e2e::Launch| launch.set("shutdown.drain_s", 3);
        let mut worker = house.fleet.start_with(Kind::Worker, hasty).await;
        house.integrator.next([Mood::Silent]);
        let order_id = house.place().await;
        house.integrator.wait_for_requests(1).await;
        worker.terminate();
        assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.log());
        assert_eq!(attempts(&house, &order_id).await, ["unknown"]);
        let _other = house.fleet.start(Kind::Worker).await;
        let received = house.integrator.wait_for_requests(2).await;
        assert_eq!(received[0].webhook_id, received[1].webhook_id);
        assert_eq!(received[0].body, received[1].body);
        let house = &house;
        let order_id = &order_id;
        until("both attempts to be recorded", || async move {
            (attempts(house, order_id).await == ["unknown", "acknowledged"]).then_some(())
        })
        .await;
        house.fleet.audit_is_clean().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notifier_that_is_asked_to_stop_sends_its_screens_away_with_1012() {
    on_servers(|ground| async move {
        let mut house = House::of(&ground, 1).await;
        let mut screen = house.notifiers[0]
            .channel(&house.shop.session_code, None)
            .await;
        house.notifiers[0].terminate();
        assert_eq!(screen.next().await, Frame::Closed(Some(1012)));
        assert_eq!(
            house.notifiers[0].ended().await.code(),
            Some(0),
            "{}",
            house.notifiers[0].log()
        );
    })
    .await;
}

/// Returns the outcomes of all attempts of an order, oldest first.
async fn attempts(house: &House, order_id: &str) -> Vec<String> {
    let handoffs = house
        .fleet
        .read(&format!("/api/v1/orders/{order_id}/handoffs"))
        .await;
    let handoffs = handoffs.as_array().cloned().unwrap_or_default();
    handoffs
        .iter()
        .flat_map(|handoff| handoff["attempts"].as_array().cloned().unwrap_or_default())
        .map(|attempt| attempt["outcome"].as_str().unwrap_or("open").to_owned())
        .collect()
}
