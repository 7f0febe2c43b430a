//! Compares each JSON example of the guide with what an expediter sends, takes and answers.

use chrono::{DateTime, Utc};
use e2e::{Expediter, Folder, Launch, text, until};
use reqwest::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    blocks::{blocks, guide, json},
    recorder::Recorder,
    signature::sign,
};

/// Connected integrators of one store, and an order that all of them were told of.
pub(super) struct Scene {
    pub(super) expediter: Expediter,
    _folder: Folder,
    store_id: String,
    kitchen: Recorder,
    courier: Recorder,
    push: Recorder,
    pub(super) kitchens: Connection,
    pub(super) couriers: Connection,
    pub(super) order_id: String,
}

/// An integrator's id and callback secret.
pub(super) struct Connection {
    pub(super) id: String,
    pub(super) callback_secret: String,
}

impl Connection {
    fn of(created: &Value) -> Self {
        Self {
            id: text(&created["integrator"]["id"]),
            callback_secret: text(&created["callback_secret"]),
        }
    }

    pub(super) fn path(&self, rest: &str) -> String {
        format!("/api/v1/integrators/{}{rest}", self.id)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_json_example_of_the_guide_is_what_an_expediter_sends_or_answers() {
    let scene = Scene::open().await;
    let mut shown = Shown::default();
    shown.messages(&scene).await;
    shown.callbacks(&scene).await;
    shown.courier(&scene).await;
    shown.changes(&scene).await;
    shown.settings(&scene).await;

    let guide = guide();
    let of_json = blocks(&guide).into_iter().map(|(name, _)| name.to_owned());
    let mut unread: Vec<String> = of_json.filter(|name| name.ends_with(".json")).collect();
    unread.retain(|name| !shown.0.contains(name));
    assert!(unread.is_empty(), "no test compares {unread:?}");
    let audit = scene.expediter.audit().await;
    assert_eq!(audit.code, Some(0), "{}", audit.stdout);
}

/// Names of the examples that were compared.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn json(&mut self, name: &str) -> Value {
        self.0.push(name.to_owned());
        json(name)
    }

    /// Compares an example with the actual JSON, whatever its ids, times, secrets and hosts are.
    fn compare(&mut self, name: &str, actual: &Value) {
        let example = self.json(name);
        assert_eq!(
            alike(&example),
            alike(actual),
            "{name} is really {actual:#}"
        );
    }

    /// Compares an example that shows some members with those of the actual JSON.
    fn compare_part(&mut self, name: &str, actual: &Value) {
        let shown = self.json(name);
        let names = shown.as_object().into_iter().flat_map(Map::keys);
        let part: Map<String, Value> = names
            .map(|key| (key.clone(), actual[key].clone()))
            .collect();
        assert_eq!(
            alike(&shown),
            alike(&part.into()),
            "{name} is a part of {actual:#}"
        );
    }

    async fn messages(&mut self, scene: &Scene) {
        let placed = scene.kitchen.wait_for_event("order.placed").await;
        self.compare("order.placed.json", &placed.json());
        let guide = guide();
        let (_, listed) = blocks(&guide)
            .into_iter()
            .find(|(name, _)| *name == "headers.http")
            .expect("a block of headers");
        let listed = listed.lines().filter_map(|line| line.split_once(": "));
        let mut listed: Vec<_> = listed
            .map(|(name, value)| (name.to_lowercase(), alike_text(value)))
            .collect();
        let mut sent: Vec<_> = placed
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), alike_text(value)))
            .collect();
        for list in [&mut listed, &mut sent] {
            list.sort();
            for (name, value) in list {
                // They differ with each request.
                let varies = [
                    "content-length",
                    "host",
                    "user-agent",
                    "webhook-signature",
                    "webhook-timestamp",
                ];
                if varies.contains(&name.as_str()) {
                    value.clear();
                }
            }
        }
        assert_eq!(listed, sent, "headers.http");
        self.compare("answer.json", &json!({"reference": "K-1041"}));
        until("the kitchen's reference", || async {
            let handoffs = scene.expediter.handoffs(&scene.order_id).await;
            let mut placed = handoffs.iter().filter(|one| one["event"] == "order.placed");
            placed.any(|one| one["reference"] == "K-1041").then_some(())
        })
        .await;

        let path = scene.kitchens.path("/test");
        let (status, answer) = scene
            .expediter
            .answer(scene.expediter.by_operator(Method::POST, &path))
            .await;
        assert_eq!(status, 202, "{answer}");
        let test = scene.kitchen.wait_for_event("test").await;
        self.compare("test.json", &test.json());
    }

    async fn callbacks(&mut self, scene: &Scene) {
        let mut body = self.json("callback.json");
        body["order_id"] = json!(scene.order_id);
        // A time of the example's own would be that of another order.
        body["occurred_at"] = json!(scene.now().to_rfc3339());
        let kitchens = &scene.kitchens;
        let stored = scene.call(kitchens, "cb-1", &body).await;
        assert_eq!(stored.0, 202);
        self.compare("stored.json", &stored.1);
        let duplicate = scene.call(kitchens, "cb-1", &body).await;
        assert_eq!(duplicate.0, 202);
        self.compare("duplicate.json", &duplicate.1);
        body["status"] = json!("ready");
        let reused = scene.call(kitchens, "cb-1", &body).await;
        assert_eq!(reused.0, 422, "{}", reused.1);
        self.compare("reused.json", &reused.1);
        let stranger = Connection {
            id: kitchens.id.clone(),
            callback_secret: scene.couriers.callback_secret.clone(),
        };
        let forged = scene.call(&stranger, "cb-2", &body).await;
        assert_eq!(forged.0, 401, "{}", forged.1);
        self.compare("bad_signature.json", &forged.1);
        scene.wait_for_status("preparing").await;
    }

    async fn courier(&mut self, scene: &Scene) {
        scene.move_to("dispatched", None).await;
        let dispatched = scene.courier.wait_for_event("order.dispatched").await;
        self.compare("order.dispatched.json", &dispatched.json());
        let mut body = self.json("callback.delivery.json");
        assert_eq!(
            body["reference"], "K-1041",
            "the courier's own reference is used"
        );
        body["occurred_at"] = json!(scene.now().to_rfc3339());
        let (status, answer) = scene.call(&scene.couriers, "cb-3", &body).await;
        assert_eq!(status, 202, "{answer}");
        until("the courier's update on the order", || async {
            let path = format!("/api/v1/orders/{}", scene.order_id);
            let order = scene.expediter.read(&path).await;
            (order["delivery"]["status"] == body["delivery"]["status"]).then_some(())
        })
        .await;
    }

    async fn changes(&mut self, scene: &Scene) {
        let first = scene.push.wait_for_event("order.status_changed").await;
        self.compare_part("order.status_changed.json", &first.json());
        let moved = scene.push.wait_for_event("delivery.moved").await;
        self.compare_part("delivery.moved.json", &moved.json());
        let second = scene.place().await;
        until("the second order's acceptance", || async {
            let order = scene
                .expediter
                .read(&format!("/api/v1/orders/{second}"))
                .await;
            (order["status"] == "accepted").then_some(())
        })
        .await;
        scene.change(&second, "cancelled", Some("sold out")).await;
        let cancelled = scene.kitchen.wait_for_event("order.cancelled").await;
        self.compare_part("order.cancelled.json", &cancelled.json());
    }

    async fn settings(&mut self, scene: &Scene) {
        let expediter = &scene.expediter;
        let mut register = self.json("register.json");
        register["store_id"] = json!(scene.store_id);
        register["url"] = json!(scene.kitchen.url);
        let created = expediter.create("/api/v1/integrators", &register).await;
        self.compare("registered.json", &created);

        let rotate = self.json("rotate.json");
        let path = scene.kitchens.path("/rotate-secret");
        let request = expediter.by_operator(Method::POST, &path).json(&rotate);
        let (status, rotated) = expediter.answer(request).await;
        assert_eq!(status, 200, "{rotated}");
        self.compare("rotated.json", &rotated);

        let mut mapped = self.json("status_map.json");
        mapped["answers"] = self.json("answers.json")["answers"].clone();
        for auth in self.json("auth.json").as_array().expect("a list") {
            let mut patch = mapped.clone();
            patch["auth"] = auth.clone();
            let request = expediter
                .by_operator(Method::PATCH, &scene.couriers.path(""))
                .json(&patch);
            let (status, edited) = expediter.answer(request).await;
            assert_eq!(status, 200, "{edited}");
            assert_eq!(edited["auth_type"], auth["type"]);
            assert_eq!(edited["status_map"], mapped["status_map"]);
            assert_eq!(edited["answers"], mapped["answers"]);
        }
    }
}

impl Scene {
    pub(super) async fn open() -> Self {
        let folder = Folder::new();
        let expediter = Launch::new(folder.path())
            .set("worker.allow_http", true)
            .set("worker.allow_networks", r#"["127.0.0.0/8"]"#)
            .start()
            .await;
        let store = json!({
            "name": "Corner shop", "timezone": "Europe/Berlin", "currency": "EUR", "phone": "+49 40 5550100",
            "email": "shop@example.com", "address": "Quay 1, Hamburg", "lat": 53.5, "lng": 9.9,
        });
        let store_id = text(&expediter.create("/api/v1/stores", &store).await["id"]);
        let espresso = json!({
            "store_id": store_id, "sku": "ESP", "name": "Espresso", "price": {"amount": 250, "currency": "EUR"},
        });
        expediter.create("/api/v1/products", &espresso).await;
        let [kitchen, courier, push] = std::array::from_fn(|_| Recorder::start());
        let connect = async |name, kind, format, server: &Recorder| {
            let integrator = json!({
                "store_id": store_id, "name": name, "kind": kind, "format": format, "url": server.url,
            });
            expediter.create("/api/v1/integrators", &integrator).await
        };
        let kitchens = Connection::of(&connect("Kitchen", "kitchen", "order", &kitchen).await);
        let couriers = Connection::of(&connect("Courier", "delivery", "delivery", &courier).await);
        let push_id = text(&connect("Push", "push", "order", &push).await["integrator"]["id"]);
        let follow = json!({"events": ["order.status_changed", "delivery.moved"]});
        let request = expediter
            .by_operator(Method::PATCH, &format!("/api/v1/integrators/{push_id}"))
            .json(&follow);
        let (status, edited) = expediter.answer(request).await;
        assert_eq!(status, 200, "{edited}");
        let mut scene = Self {
            expediter,
            _folder: folder,
            store_id,
            kitchen,
            courier,
            push,
            kitchens,
            couriers,
            order_id: String::new(),
        };
        scene.order_id = scene.place().await;
        scene
    }

    fn now(&self) -> DateTime<Utc> {
        self.expediter.launch().clock().now()
    }

    async fn place(&self) -> String {
        let order = json!({
            "store_id": self.store_id, "fulfilment": "delivery", "user_note": "Ring twice",
            "customer": {
                "id": "C-7", "name": "Ada", "phone": "+49 170 5550100", "email": "ada@example.com",
                "address": "Elm Street 5, Hamburg", "lat": 53.55, "lng": 10.01,
            },
            "items": [{"sku": "ESP", "quantity": 2, "note": "no sugar"}],
        });
        text(&self.expediter.create("/api/v1/orders", &order).await["id"])
    }

    async fn change(&self, order_id: &str, status: &str, reason: Option<&str>) {
        let path = format!("/api/v1/orders/{order_id}/status");
        let request = self
            .expediter
            .by_operator(Method::PUT, &path)
            .json(&json!({"status": status, "reason": reason}));
        let (status, answer) = self.expediter.answer(request).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn move_to(&self, status: &str, reason: Option<&str>) {
        self.change(&self.order_id, status, reason).await;
    }

    pub(super) async fn wait_for_status(&self, status: &str) {
        until(status, || async {
            let path = format!("/api/v1/orders/{}", self.order_id);
            (self.expediter.read(&path).await["status"] == status).then_some(())
        })
        .await;
    }

    /// Sends a callback that is signed with the guide's code.
    async fn call(&self, by: &Connection, webhook_id: &str, body: &Value) -> (u16, Value) {
        let (body, timestamp) = (body.to_string(), self.now().timestamp().to_string());
        let signature = sign(&by.callback_secret, webhook_id, &timestamp, body.as_bytes());
        let request = self
            .expediter
            .request(Method::POST, &by.path("/callbacks"))
            .header("content-type", "application/json")
            .header("webhook-id", webhook_id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature.expect("a secret"))
            .body(body);
        self.expediter.answer(request).await
    }
}

/// Replaces all that differs from run to run by its kind.
fn alike(value: &Value) -> Value {
    match value {
        Value::String(text) => alike_text(text).into(),
        Value::Array(items) => items.iter().map(alike).collect(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), alike(value)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

fn alike_text(text: &str) -> String {
    if let Some((scheme, rest)) = text.split_once("://")
        && ["http", "https"].contains(&scheme)
    {
        let path: Vec<String> = rest.split('/').skip(1).map(alike_text).collect();
        return format!("<origin>/{}", path.join("/"));
    }
    if let [version, trace, span, flags] = text.split('-').collect::<Vec<_>>()[..]
        && (trace.len(), span.len()) == (32, 16)
        && [trace, span]
            .iter()
            .all(|part| u128::from_str_radix(part, 16).is_ok())
    {
        format!("{version}-<trace>-<span>-{flags}")
    } else if Uuid::parse_str(text).is_ok() {
        "<id>".to_owned()
    } else if DateTime::parse_from_rfc3339(text).is_ok() {
        "<time>".to_owned()
    } else if text.starts_with("whsec_") {
        "<secret>".to_owned()
    } else {
        text.to_owned()
    }
}

#[test]
fn only_ids_times_secrets_and_hosts_may_differ() {
    let text = |host: &str, id: u128, at: &str, total: &str| {
        let id = Uuid::from_u128(id);
        alike(&json!({"a": [format!("{host}/x/{id}/y"), id, at], "total": total}))
    };
    let example = text("https://a.example", 1, "2026-11-29T12:00:00Z", "5.00");
    let actual = text("http://127.0.0.1:1", 2, "2026-11-29T13:00:00.5Z", "5.00");
    assert_eq!(example, actual);
    assert_ne!(
        example,
        text("https://a.example", 1, "2026-11-29T12:00:00Z", "5.10")
    );
    assert_ne!(example, text("https://a.example", 1, "soon", "5.00"));
}
