//! The callbacks of `openapi/integrators.yaml` are really sent, and get the answers that stand there.

use std::collections::BTreeSet;

use domain::signature::SigningSecret;
use e2e::{Expediter, Ground, Integrator, Published, PythonTools, Shop, each_ground, text, until};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

const OPERATION: &str = "/paths/~1integrators~1{id}~1callbacks/post";
/// Answers that no request can bring about in a test.
const NOT_REPLAYED: &[&str] = &["internal", "database_unavailable", "overloaded"];
/// Headers of every answer of the API, which say nothing about this one.
const OF_HTTP: &[&str] = &[
    "content-type",
    "content-length",
    "date",
    "cache-control",
    "content-security-policy",
    "referrer-policy",
    "vary",
    "x-content-type-options",
];

/// Examples of answers with 202.
const ACCEPTED: [&str; 4] = ["stored", "duplicate", "unmapped", "illegal"];

/// A store with an order that its kitchen and its courier know.
struct Scene {
    expediter: Expediter,
    document: Published,
    store: String,
    product: String,
    kitchen: Sender,
    courier: Sender,
    _integrators: [Integrator; 2],
}

/// An integrator that sends callbacks.
struct Sender {
    id: String,
    secret: SigningSecret,
}

impl Sender {
    fn new(id: String, secret: &str) -> Self {
        let secret = SigningSecret::parse(secret).expect("a secret");
        Self { id, secret }
    }
}

impl Scene {
    async fn new(ground: &Ground) -> Self {
        let launch = ground
            .launch()
            // Small, so that a body which is too large is read before the connection ends.
            .set("http.body_limit_bytes", 4096)
            .set("worker.allow_http", true)
            .set("worker.allow_networks", r#"["127.0.0.0/8"]"#);
        let [kitchen, courier] = [(); 2].map(|()| Integrator::start(launch.clock()));
        let expediter = launch.start().await;
        let mapped = json!({"status_map": {"IN THE OVEN": "preparing"}});
        let shop = Shop::open_like(&expediter, &kitchen, 10, mapped).await;
        let courier_wanted = json!({
            "store_id": shop.store_id, "name": "Courier", "kind": "delivery", "url": courier.url,
        });
        let created = expediter
            .create("/api/v1/integrators", &courier_wanted)
            .await;
        courier.set_secrets(&created);
        kitchen.set_callback_statuses([]);
        Self {
            document: Published::read("integrators.yaml"),
            kitchen: Sender::new(shop.integrator_id, &shop.callback_secret),
            courier: Sender::new(
                text(&created["integrator"]["id"]),
                &text(&created["callback_secret"]),
            ),
            store: shop.store_id,
            product: shop.espresso,
            expediter,
            _integrators: [kitchen, courier],
        }
    }

    /// Places an order and waits until it is accepted.
    async fn order(&self) -> String {
        let order = json!({
            "store_id": self.store, "fulfilment": "delivery", "customer": {"address": "Seestraße 4"},
            "items": [{"product_id": self.product, "quantity": 1}],
        });
        let id = text(&self.expediter.create("/api/v1/orders", &order).await["id"]);
        until("the order to be accepted", || async {
            let order = self.expediter.read(&format!("/api/v1/orders/{id}")).await;
            (order["status"] == "accepted").then_some(())
        })
        .await;
        id
    }

    async fn dispatch(&self, order: &str) {
        let path = format!("/api/v1/orders/{order}/status");
        let put = self.expediter.by_operator(Method::PUT, &path);
        let put = put.json(&json!({"status": "dispatched"}));
        let (status, answer) = self.expediter.answer(put).await;
        assert_eq!(status, 200, "{answer}");
    }

    fn unsigned(&self, sender: &Sender, webhook_id: &str, body: &str) -> RequestBuilder {
        let path = format!("/api/v1/integrators/{}/callbacks", sender.id);
        self.expediter
            .request(Method::POST, &path)
            .header("content-type", "application/json")
            .header("webhook-id", webhook_id)
            .body(body.to_owned())
    }

    fn signed(&self, sender: &Sender, webhook_id: &str, body: &str) -> RequestBuilder {
        let now = self.expediter.launch().clock().now().timestamp();
        let signature = sender.secret.sign(webhook_id, now, body.as_bytes());
        self.unsigned(sender, webhook_id, body)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature)
    }

    /// Checks an answer against its example: the status, the headers and the body. Returns the body with its schema.
    async fn assert_as_documented(
        &self,
        answer: Response,
        status: u16,
        example: &str,
    ) -> (String, Value) {
        assert_eq!(answer.status().as_u16(), status, "{example}");
        let pointer = format!("{OPERATION}/responses/{status}");
        let mut sent: BTreeSet<_> = answer.headers().keys().map(|name| name.as_str()).collect();
        sent.retain(|name| !OF_HTTP.contains(name));
        for name in self.document.names(&format!("{pointer}/headers")) {
            let is_sent = sent.remove(name.to_lowercase().as_str());
            let header = self.document.at(&format!("{pointer}/headers/{name}"));
            assert!(
                is_sent || header["required"] != true,
                "{example}: {name} is missing"
            );
        }
        assert!(
            sent.is_empty(),
            "{example}: the document does not name the headers {sent:?}"
        );
        let kind = answer.headers()["content-type"]
            .to_str()
            .expect("a media type");
        let kind = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .replace('/', "~1");
        let content = format!("{pointer}/content/{kind}");
        let text = answer.text().await.expect("a whole body");
        let body: Value = serde_json::from_str(&text).expect("every answer is JSON");
        assert_eq!(body.get("request_id").is_some(), status >= 400, "{body}");
        let expected = self
            .document
            .at(&format!("{content}/examples/{example}/value"));
        assert_eq!(comparable(&body), comparable(expected), "{example}");
        let reference = self.document.at(&content)["schema"]["$ref"].clone();
        (text_of(&reference), body)
    }

    async fn result(&self, sender: &Sender, webhook_id: &str) -> Value {
        until(&format!("{webhook_id} to be applied"), || async {
            let path = format!("/api/v1/callbacks?integrator_id={}&limit=100", sender.id);
            let kept = self.expediter.read(&path).await;
            let mut kept = kept["items"].as_array().expect("a list").iter();
            let one = kept.find(|one| one["webhook_id"] == webhook_id)?;
            (one["result"] != "waiting").then(|| one["result"].clone())
        })
        .await
    }
}

/// Returns an answer without its id, and without the limit that this test sets.
fn comparable(answer: &Value) -> Value {
    let mut answer = answer.clone();
    let members = answer.as_object_mut().expect("an object");
    members.remove("request_id");
    members.remove("limit_bytes");
    answer
}

fn text_of(reference: &Value) -> String {
    text(reference).trim_start_matches('#').to_owned()
}

each_ground! {
    async fn each_documented_callback_gets_its_answer_and_comes_to_its_result(ground: Ground) {
        let scene = Scene::new(&ground).await;
        let content = format!("{OPERATION}/requestBody/content/application~1json");
        let [cooked, brought] = [scene.order().await, scene.order().await];
        scene.dispatch(&brought).await;
        let mut values = Vec::new();
        for name in scene.document.names_in_order(&format!("{content}/examples")) {
            let example = scene.document.at(&format!("{content}/examples/{name}"));
            let (sender, order) = match text(&example["x-sender"]).as_str() {
                "kitchen" => (&scene.kitchen, &cooked),
                _ => (&scene.courier, &brought),
            };
            let mut update = example["value"].clone();
            values.push(("/components/schemas/Callback".to_owned(), update.clone()));
            if update.get("reference").is_some() {
                update["reference"] = format!("T-{order}").into();
            } else {
                update["order_id"] = order.as_str().into();
            }
            let body = update.to_string();
            let answer = scene.signed(sender, &name, &body).send().await;
            let result = text(&example["x-result"]);
            // Only these two are known at once.
            let at_once = ["unmapped", "illegal"].contains(&result.as_str());
            let stored = if at_once { &result } else { "stored" };
            values.push(scene.assert_as_documented(answer.expect("an answer"), 202, stored).await);
            assert_eq!(scene.result(sender, &name).await, example["x-result"], "{name}");
            let again = scene.signed(sender, &name, &body).send().await;
            values.push(scene.assert_as_documented(again.expect("an answer"), 202, "duplicate").await);
        }
        if let Some(tools) = PythonTools::found("callbacks, against their schemas") {
            scene.document.assert_fits(&tools, "2020-12", &values);
        }
        let audit = scene.expediter.audit().await;
        assert_eq!(audit.code, Some(0), "{}{}", audit.stdout, audit.stderr);
    }

    async fn each_documented_refusal_is_the_one_that_is_given(ground: Ground) {
        let mut scene = Scene::new(&ground).await;
        let order = scene.order().await;
        let ready = json!({"order_id": order, "status": "ready"}).to_string();
        let another = json!({"order_id": order, "status": "preparing"}).to_string();
        let unknown = json!({"order_id": scene.kitchen.id, "status": "ready"}).to_string();
        let long = format!("{ready}{}", " ".repeat(4096));
        let kitchen = &scene.kitchen;
        let (signed, unsigned) = (
            |id: &str, body: &str| scene.signed(kitchen, id, body),
            |id: &str, body: &str| scene.unsigned(kitchen, id, body),
        );
        let stored = signed("kept", &ready).send().await.expect("an answer");
        scene.assert_as_documented(stored, 202, "stored").await;
        let forged = unsigned("forged", &ready)
            .header("webhook-timestamp", scene.expediter.launch().clock().now().timestamp())
            .header("webhook-signature", "v1,AAAA");
        let mut values = Vec::new();
        let mut replayed = BTreeSet::new();
        for (request, status, example) in [
            (signed("no_json", "{"), 400, "malformed_json"),
            (forged, 401, "bad_signature"),
            (signed("unknown", &unknown), 404, "not_found"),
            (signed("long", &long), 413, "payload_too_large"),
            (signed("empty", "{}"), 422, "validation_failed"),
            (signed("kept", &another), 422, "webhook_id_reused"),
        ] {
            let answer = request.send().await.expect("an answer");
            values.push(scene.assert_as_documented(answer, status, example).await);
            replayed.insert(example.to_owned());
        }
        scene.expediter.restart_with(|launch| launch.set("rate_limits.integrator_per_minute", 1)).await;
        let first = scene.unsigned(&scene.kitchen, "first", &ready).send().await;
        assert_eq!(first.expect("an answer").status(), 401);
        let second = scene.unsigned(&scene.kitchen, "second", &ready).send().await;
        values.push(scene.assert_as_documented(second.expect("an answer"), 429, "rate_limited").await);
        replayed.insert("rate_limited".to_owned());

        replayed.extend(NOT_REPLAYED.iter().map(|name| (*name).to_owned()));
        replayed.extend(ACCEPTED.map(str::to_owned));
        assert_eq!(examples(&scene.document), replayed, "each example of an answer is replayed");
        if let Some(tools) = PythonTools::found("answers to callbacks, against their schemas") {
            scene.document.assert_fits(&tools, "2020-12", &values);
        }
    }
}

/// Returns the names of all examples of answers.
fn examples(document: &Published) -> BTreeSet<String> {
    let responses = format!("{OPERATION}/responses");
    let mut all = BTreeSet::new();
    for status in document.names(&responses) {
        let contents = format!("{responses}/{status}/content");
        for kind in document.names(&contents) {
            let kind = kind.replace('/', "~1");
            all.extend(document.names(&format!("{contents}/{kind}/examples")));
        }
    }
    all
}

#[test]
fn the_callbacks_of_both_documents_are_the_same() {
    let [ours, whole] = ["integrators.yaml", "expediter.json"].map(Published::read);
    let responses = format!("{OPERATION}/responses");
    assert_eq!(ours.names(&responses), whole.names(&responses));
    let reasons = whole.words("/components/schemas/Problem/properties/reason");
    for name in examples(&ours) {
        let is_answer = ACCEPTED.contains(&name.as_str());
        assert!(is_answer || reasons.contains(&name), "{name}");
    }
    for schema in ["Callback", "CallbackDelivery"] {
        let pointer = format!("/components/schemas/{schema}");
        assert_eq!(
            without_words(&ours, &pointer),
            without_words(&whole, &pointer)
        );
    }
}

/// Returns a schema's fields without their descriptions and titles.
fn without_words(document: &Published, pointer: &str) -> Value {
    let mut schema = document.at(pointer).clone();
    for words in ["description", "title"] {
        if let Some(members) = schema.as_object_mut() {
            members.remove(words);
        }
    }
    let fields = schema["properties"].as_object_mut().expect("fields");
    for field in fields.values_mut().filter_map(Value::as_object_mut) {
        field.remove("description");
        // A name of the api's own, which says nothing to others.
        if field.get("format") == Some(&json!("outside-reference")) {
            field.remove("format");
        }
    }
    schema
}
