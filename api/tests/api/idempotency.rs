//! Idempotency keys of `POST` and `PATCH`: of twenty concurrent requests one is done, and all get the same result.

mod integrators;
mod people;

use domain::account::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{Answer, App, with_app};

const CONCURRENCY: usize = 20;

/// Request that is sent twenty times with the same key.
struct ConcurrentRequests<'a> {
    app: &'a App,
    method: &'static str,
    path: &'a str,
    body: Option<Value>,
    by: Option<&'a str>,
    if_match: Option<&'a str>,
}

impl<'a> ConcurrentRequests<'a> {
    fn of(app: &'a App, method: &'static str, path: &'a str, by: &'a str) -> Self {
        Self {
            app,
            method,
            path,
            body: None,
            by: Some(by),
            if_match: None,
        }
    }

    fn json(self, body: Value) -> Self {
        let body = Some(body);
        Self { body, ..self }
    }

    async fn ask(&self, body: Option<&Value>) -> Answer {
        let mut ask = self.app.ask(self.method, self.path);
        if let Some(body) = body {
            ask = ask.json(body.clone());
        }
        if let Some(by) = self.by {
            ask = ask.by(by);
        }
        if let Some(if_match) = self.if_match {
            ask = ask.header("if-match", if_match);
        }
        // The key names the operation, so that requests in one test do not share a key by accident.
        let key = format!("{} {}", self.method, self.path);
        ask.header("idempotency-key", &key).send().await
    }

    /// Returns the response of the request that was done, and the replayed responses of the others.
    async fn at_once(&self) -> (Answer, Vec<Answer>) {
        let asked = (0..CONCURRENCY).map(|_| self.ask_until_done());
        let answers = join_all(asked).await;
        for answer in &answers {
            assert!(
                answer.status.is_success(),
                "{} {}: {} {}",
                self.method,
                self.path,
                answer.status,
                answer.text
            );
            assert_eq!(answer.status, answers[0].status);
        }
        let is_replayed = |answer: &Answer| answer.header("idempotency-replayed") == "true";
        let (replayed, mut done): (Vec<_>, Vec<_>) = answers.into_iter().partition(is_replayed);
        assert_eq!(
            (done.len(), replayed.len()),
            (1, CONCURRENCY - 1),
            "{} {}",
            self.method,
            self.path
        );
        (done.remove(0), replayed)
    }

    /// Retries, as a client would, while a request with the same key is in progress.
    async fn ask_until_done(&self) -> Answer {
        loop {
            let answer = self.ask(self.body.as_ref()).await;
            if answer.status != 409 {
                return answer;
            }
            answer.problem(409, "idempotency_in_progress");
            assert_eq!(answer.header("retry-after"), "1");
        }
    }

    /// Checks that all responses are equal, and that the key is refused with another body; returns the response.
    async fn assert_done_once(&self, other: Value) -> Value {
        let (done, replayed) = self.at_once().await;
        for answer in &replayed {
            assert_eq!(answer.json(), done.json());
            assert_eq!(answer.header("location"), done.header("location"));
            assert_eq!(answer.header("etag"), done.header("etag"));
        }
        self.refuse(other).await;
        done.json()
    }

    async fn refuse(&self, other: Value) {
        let refused = self.ask(Some(&other)).await;
        refused.problem(422, "idempotency_key_reused");
    }
}

#[tokio::test]
async fn stores_are_opened_and_edited_once() {
    with_app(async |app: App| {
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let new =
            |name: &str| json!({"name": name, "timezone": "Europe/Berlin", "currency": "EUR"});
        let opened =
            ConcurrentRequests::of(&app, "POST", "/api/v1/stores", &operator).json(new("Corner"));
        let store = opened.assert_done_once(new("Other")).await;
        let all = app.get("/api/v1/stores").by(&operator).send().await.ok();
        assert_eq!(all["items"], json!([store]));

        let path = format!("/api/v1/stores/{}", store["id"].as_str().unwrap());
        let edited = ConcurrentRequests {
            // By the time of a replay it names what is no more.
            if_match: Some("\"1\""),
            ..ConcurrentRequests::of(&app, "PATCH", &path, &operator).json(json!({"name": "Dock"}))
        };
        // An absent field and a null field are different requests.
        let edited = edited
            .assert_done_once(json!({"name": "Dock", "phone": null}))
            .await;
        assert_eq!(
            (&edited["name"], &edited["version"]),
            (&json!("Dock"), &json!(2))
        );
        let late = app
            .patch(&path, json!({"name": "Pier"}))
            .by(&operator)
            .header("if-match", "\"1\"")
            .header("idempotency-key", "late");
        late.send().await.problem(412, "version_conflict");
    })
    .await;
}

#[tokio::test]
async fn products_are_made_edited_and_counted_once() {
    with_app(async |app: App| {
        let store = app.house.create_store().await;
        let manager = app.signed_in("manager", Role::Manager, &[store]).await;
        let new = |name: &str| {
            let price = json!({"amount": 250, "currency": "EUR"});
            json!({"store_id": store, "name": name, "price": price, "stock": 1})
        };
        let made =
            ConcurrentRequests::of(&app, "POST", "/api/v1/products", &manager).json(new("Tea"));
        let product = made.assert_done_once(new("Coffee")).await;
        let path = format!("/api/v1/products/{}", product["id"].as_str().unwrap());
        let edited = ConcurrentRequests {
            if_match: Some("\"1\""),
            ..ConcurrentRequests::of(&app, "PATCH", &path, &manager)
                .json(json!({"available": false}))
        };
        let edited = edited.assert_done_once(json!({"available": true})).await;
        assert_eq!(
            (&edited["available"], &edited["version"]),
            (&json!(false), &json!(2))
        );
        let stock = format!("{path}/stock");
        let more = |delta: i64| json!({"delta": delta, "reason": "delivery"});
        let counted = ConcurrentRequests::of(&app, "POST", &stock, &manager).json(more(5));
        assert_eq!(counted.assert_done_once(more(6)).await["stock"], 6);
        let list = format!("/api/v1/products?store_id={store}");
        let all = app.get(&list).by(&manager).send().await.ok();
        assert_eq!(all["items"].as_array().unwrap().len(), 1);
        assert_eq!(all["items"][0]["stock"], 6);
    })
    .await;
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    with_app(async |app: App| {
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let open = |name: &str| {
            let new = json!({"name": name, "timezone": "Europe/Berlin", "currency": "EUR"});
            let ask = app.post("/api/v1/stores", new).by(&operator);
            ask.header("idempotency-key", "k").send()
        };
        assert_eq!(open("").await.pointers(), ["/name"]);
        let opened = open("Corner").await;
        assert_eq!(
            (
                opened.status.as_u16(),
                opened.header("idempotency-replayed")
            ),
            (201, "")
        );
    })
    .await;
}
