//! Tests of the courier from outside: HTTP requests in, signed updates out, and a clock that is moved by hand.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api; // accounts, deliveries, problems
mod commands; // the binary and the document
mod lists; // pages, filters, history
mod receiver; // an outside system that is told of changes
mod restarts; // restarts, and two couriers on one database
mod signed; // signed messages
mod steps; // steps and their updates

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use courier::{Clock, Courier, CourierSettings, Secret};
use poem::{
    Endpoint, Request,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};

pub(crate) const SIGNING: &str = "whsec_c2lnbmluZy1zZWNyZXQtb2YtMzItYnl0ZXMtbG9uZyE=";
pub(crate) const CALLBACK: &str = "whsec_Y2FsbGJhY2stc2VjcmV0LW9mLTMyLWJ5dGVzLWxvbmc=";
pub(crate) const STEP: Duration = Duration::from_secs(30);
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn secret(text: &str) -> Secret {
    text.parse().unwrap()
}

/// Folder of one test's database, removed at its end, and the clock of its couriers.
pub(crate) struct Place {
    folder: PathBuf,
    pub(crate) clock: Clock,
}

impl Place {
    pub(crate) fn new() -> Self {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("courier-test-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let clock = Clock::manual("2026-11-29T12:00:00Z".parse().unwrap());
        Self { folder, clock }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Returns settings under which every delivery attempt succeeds.
    pub(crate) fn settings(&self) -> CourierSettings {
        CourierSettings {
            step: STEP,
            not_delivered_percent: 0,
            seed: Some(1),
            clock: self.clock.clone(),
            ..CourierSettings::new(self.folder.join("courier.db"))
        }
    }

    pub(crate) async fn open(&self) -> Courier {
        Courier::open(self.settings()).await.unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A caller with a token.
pub(crate) struct Caller<'a> {
    courier: &'a Courier,
    token: String,
}

impl<'a> Caller<'a> {
    /// Signs up and in.
    pub(crate) async fn new(courier: &'a Courier, username: &str) -> Self {
        let login = json!({"username": username, "password": "open sesame"});
        let nobody = Self::with(courier, "");
        assert_eq!(nobody.post("/signup", &login).await.0, 201);
        let (status, answer) = nobody.post("/signin", &login).await;
        assert_eq!(status, 200, "{answer}");
        Self::with(courier, answer["token"].as_str().unwrap())
    }

    pub(crate) fn with(courier: &'a Courier, token: &str) -> Self {
        let token = token.to_owned();
        Self { courier, token }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask(Method::GET, path, "", &[]).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (StatusCode, Value) {
        self.ask(Method::DELETE, path, "", &[]).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.ask(Method::POST, path, &body.to_string(), &[]).await
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path.parse().unwrap());
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if !body.is_empty() {
            request = request.content_type("application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .courier
            .routes()
            .get_response(request.body(body.to_owned()))
            .await;
        let status = response.status();
        let body = response.into_body().into_bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Registers a webhook with the callback secret of the tests.
    pub(crate) async fn register(&self, url: &str) {
        let webhook = json!({"url": url, "callback_secret": CALLBACK});
        let (status, answer) = self.post("/webhooks", &webhook).await;
        assert_eq!(status, 201, "{answer}");
    }

    /// Makes a delivery and returns its id.
    pub(crate) async fn deliver(&self, order: &str) -> i64 {
        let (status, answer) = self.post("/deliveries", &message(order)).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_i64().unwrap()
    }

    pub(crate) async fn status(&self, id: i64) -> String {
        let (_, shown) = self.get(&format!("/deliveries/{id}")).await;
        shown["status"].as_str().unwrap().to_owned()
    }

    /// Returns the statuses of the delivery's history.
    pub(crate) async fn history(&self, id: i64) -> Vec<String> {
        let (_, shown) = self.get(&format!("/deliveries/{id}")).await;
        let steps = shown["history"].as_array().unwrap().iter();
        steps
            .map(|step| step["status"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Returns seed 004's message.
pub(crate) fn message(order: &str) -> Value {
    json!({
        "order": {"foreign_order_id": order, "products": [{"sku": "BOOK", "name": "Book", "qty": 2}]},
        "origin": {"address": "Calle 1"},
        "destination": {"name": "Ana", "address": "Carrera 7"},
    })
}

/// Sends everything that is due, also that which becomes due by it.
pub(crate) async fn send_all(courier: &Courier) {
    while courier.send_due().await.unwrap() > 0 {}
}
