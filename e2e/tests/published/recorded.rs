//! A store in which every event happens, and the frames of all kinds of channels meanwhile.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::{event::EventKind, order::rfc3339};
use e2e::{Channel, Expediter, Frame, Ground, Integrator, Mood, text};
use notifier::protocol::Close;
use reqwest::Method;
use serde_json::{Value, json};

/// Key of the guest who places the table's order.
const KEY: &str = "a random key of the page";

/// Makes every event happen; returns the frames of all channels, by kind of channel.
pub(super) async fn recorded(ground: &Ground) -> BTreeMap<&'static str, Vec<Value>> {
    let launch = ground
        .launch()
        .set("worker.allow_http", true)
        .set("worker.allow_networks", r#"["127.0.0.0/8"]"#);
    let expediter = launch.start().await;
    let [courier, gone] = [(); 2].map(|()| Integrator::start(expediter.launch().clock()));
    courier.always(Mood::Answers(400));
    gone.always(Mood::Answers(410));
    let house = House::open(&expediter).await;
    let live = expediter.url.replacen("http", "ws", 1);
    let session = |code: &str, query: &str| format!("{live}/ws/sessions/{code}{query}");

    let staffs = house
        .ticket("operator", &json!({"store_id": house.store}))
        .await;
    let mut staff =
        Channel::open(&format!("{live}/ws/stores/{}?ticket={staffs}", house.store)).await;
    staff.next().await;
    let mut guest = Channel::open_as_guest(&session(&house.code, ""), KEY).await;
    guest.next().await;

    let mut orders = Vec::new();
    for (who, path) in [("guest", "/sessions"), ("customer", "/orders")] {
        let order = house.place(who, path).await;
        house
            .did(
                Method::PATCH,
                &format!("/orders/{order}"),
                json!({"user_note": "no sugar"}),
            )
            .await;
        house
            .did(
                Method::PUT,
                &format!("/orders/{order}/status"),
                json!({"status": "accepted"}),
            )
            .await;
        let later = expediter.launch().clock().now() + TimeDelta::minutes(30);
        let ready = json!({"ready_at": rfc3339(later)});
        house
            .did(Method::PUT, &format!("/orders/{order}/ready-time"), ready)
            .await;
        orders.push(order);
    }
    let new = |name: &str, url: &str, kind: &str| json!({"store_id": house.store, "name": name, "url": url, "kind": kind, "required": false});
    let created = expediter
        .create(
            "/api/v1/integrators",
            &new("Courier", &courier.url, "delivery"),
        )
        .await;
    courier.set_secrets(&created);
    for order in &orders {
        house
            .did(
                Method::PUT,
                &format!("/orders/{order}/status"),
                json!({"status": "dispatched"}),
            )
            .await;
    }
    let own = &orders[1];
    let mut followers = Vec::new();
    for who in ["customer", "operator"] {
        let ticket = house.ticket(who, &json!({"order_id": own})).await;
        let mut follower = Channel::open(&format!("{live}/ws/orders/{own}?after=0")).await;
        follower
            .say(&json!({"type": "ticket", "ticket": ticket}))
            .await;
        follower.until_status(own, "dispatched").await;
        follower
            .until("the failed delivery", |event| {
                event["type"] == "delivery.moved"
            })
            .await;
        followers.push(follower);
    }
    let ticket = house.ticket("operator", &json!({"order_id": own})).await;
    let mut follower = Channel::open(&format!("{live}/ws/orders/{own}?ticket={ticket}")).await;
    follower.next().await;
    followers.push(follower);

    let another = json!({"store_id": house.store, "name": "Table 2"});
    expediter.create("/api/v1/sessions", &another).await;
    let created = expediter
        .create("/api/v1/integrators", &new("Gone", &gone.url, "kitchen"))
        .await;
    gone.set_secrets(&created);
    house.place("customer", "/orders").await;
    house
        .did(
            Method::PATCH,
            &format!("/products/{}", house.product),
            json!({"available": false}),
        )
        .await;
    house
        .did(
            Method::PATCH,
            &format!("/stores/{}", house.store),
            json!({"paused": true}),
        )
        .await;
    let closed = json!({"open": false, "until": null});
    let opening = format!("/stores/{}/opening", house.store);
    house.did(Method::PUT, &opening, closed).await;
    guest
        .until("the failed delivery", |event| {
            event["type"] == "delivery.moved"
        })
        .await;

    let renewed = house
        .did(
            Method::POST,
            &format!("/sessions/{}/code", house.code),
            Value::Null,
        )
        .await;
    let code = text(&renewed["code"]);
    assert_eq!(guest.until_closed().await, Some(Close::Revoked.code()));
    let unknown = Channel::open(&session(&house.code, ""))
        .await
        .until_closed()
        .await;
    assert_eq!(unknown, Some(Close::NotFound.code()));
    let mut another = Channel::open(&session(&code, "")).await;
    let asks = json!({"type": "guest", "key": KEY, "store": true});
    another.say(&asks).await;
    another
        .until("a snapshot with the guest's orders", |hello| {
            hello["orders"][0]["mine"] == true
        })
        .await;
    let path = format!("/stores/{}", house.store);
    house
        .did(Method::PATCH, &path, json!({"paused": false}))
        .await;
    another
        .until("the signal that the store has changed", |frame| {
            frame["type"] == "store.changed"
        })
        .await;
    house
        .did(Method::POST, &format!("/sessions/{code}/close"), json!({}))
        .await;
    let mut all = Channel::open(&session(&code, "?after=0")).await;
    all.until("the end of the session", |event| {
        event["type"] == "session.closed"
    })
    .await;
    let mut rest = Channel::open(&session(
        &code,
        &format!("?{}", all.resume_point().expect("a point")),
    ))
    .await;
    let resumed = rest.next().await;
    assert!(
        matches!(&resumed, Frame::Message(hello) if hello["resumed"] == true),
        "{resumed:?}"
    );
    while !EventKind::ALL
        .iter()
        .all(|kind| staff.seen.iter().any(|one| one["type"] == kind.as_str()))
    {
        staff.next().await;
    }
    let audit = expediter.audit().await;
    assert_eq!(audit.code, Some(0), "{}{}", audit.stdout, audit.stderr);

    let again = house
        .ticket("operator", &json!({"store_id": house.store}))
        .await;
    let mut later =
        Channel::open(&format!("{live}/ws/stores/{}?ticket={again}", house.store)).await;
    later.next().await;
    let mut channels = BTreeMap::from([
        ("session", vec![another, all, rest]),
        ("order", followers),
        ("store", vec![staff, later]),
    ]);
    let mut frames: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    for (kind, channels) in &mut channels {
        for channel in channels {
            channel.say(&json!({"type": "ping"})).await;
            channel
                .until("the answer to a ping", |frame| frame["type"] == "pong")
                .await;
            frames.entry(kind).or_default().append(&mut channel.seen);
        }
    }
    frames.entry("session").or_default().append(&mut guest.seen);
    frames
}

/// A store without integrators, in which orders wait for staff, so that they can be edited.
pub(super) struct House<'e> {
    expediter: &'e Expediter,
    store: String,
    product: String,
    pub(super) code: String,
}

impl<'e> House<'e> {
    pub(super) async fn open(expediter: &'e Expediter) -> Self {
        let store = json!({
            "name": "Café Berta", "timezone": "Europe/Berlin", "currency": "EUR", "auto_accept": false,
        });
        let store = text(&expediter.create("/api/v1/stores", &store).await["id"]);
        let price = json!({"amount": 250, "currency": "EUR"});
        let product = json!({"store_id": store, "name": "Espresso", "price": price});
        let product = text(&expediter.create("/api/v1/products", &product).await["id"]);
        let session = json!({"store_id": store, "name": "Table 1"});
        let code = text(&expediter.create("/api/v1/sessions", &session).await["code"]);
        Self {
            expediter,
            store,
            product,
            code,
        }
    }

    /// Places an order at the table as a guest, or in the store as a customer.
    async fn place(&self, who: &str, path: &str) -> String {
        let mut order =
            json!({"items": [{"product_id": self.product, "quantity": 2, "note": "warm"}]});
        let request = if who == "guest" {
            let path = format!("/api/v1{path}/{}/orders", self.code);
            let request = self.expediter.request(Method::POST, &path);
            request.header("Expediter-Guest", KEY)
        } else {
            order["store_id"] = self.store.as_str().into();
            self.expediter
                .request(Method::POST, &format!("/api/v1{path}"))
                .basic_auth(who, Some(self.expediter.password(who)))
        };
        let (status, answer) = self.expediter.answer(request.json(&order)).await;
        assert_eq!(status, 201, "{answer}");
        text(&answer["id"])
    }

    async fn did(&self, method: Method, path: &str, body: Value) -> Value {
        let mut request = self
            .expediter
            .by_operator(method, &format!("/api/v1{path}"));
        if !body.is_null() {
            request = request.json(&body);
        }
        let (status, answer) = self.expediter.answer(request).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn ticket(&self, who: &str, subject: &Value) -> String {
        let request = self
            .expediter
            .request(Method::POST, "/api/v1/live-tickets")
            .basic_auth(who, Some(self.expediter.password(who)))
            .json(subject);
        let (status, answer) = self.expediter.answer(request).await;
        assert_eq!(status, 201, "{answer}");
        text(&answer["ticket"])
    }
}
