//! A test's own store, next to the demonstration's: a menu, a table, and the test's integrator.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{Expediter, Integrator, fleet::answered};

/// A store that is created and read as the operator.
#[derive(Clone, Debug)]
pub struct Shop {
    pub store_id: String,
    /// Id of the uncounted product, at 2.50.
    pub espresso: String,
    /// Id of the counted product, at 3.40.
    pub bun: String,
    pub session_code: String,
    pub integrator_id: String,
    /// Secret of the integrator, from the response to its creation.
    pub signing_secret: String,
    pub callback_secret: String,
}

impl Shop {
    /// Creates a store. `buns`: initial stock.
    pub async fn open(expediter: &Expediter, integrator: &Integrator, buns: u32) -> Self {
        Self::open_like(expediter, integrator, buns, json!({})).await
    }

    /// Like [`Self::open`], with `more` fields of the integrator.
    ///
    /// # Panics
    /// If the API refuses any of it.
    pub async fn open_like(
        expediter: &Expediter,
        integrator: &Integrator,
        buns: u32,
        more: Value,
    ) -> Self {
        let create = async |path: &str, body| Ok(expediter.create(path, &body).await);
        let shop = Self::set_up(create, integrator, buns, more).await;
        shop.expect("a refusal panics")
    }

    /// Creates a store with `create`, which sends a POST as the operator.
    pub(crate) async fn set_up(
        create: impl AsyncFn(&str, Value) -> Result<Value, String>,
        integrator: &Integrator,
        buns: u32,
        more: Value,
    ) -> Result<Self, String> {
        let store = json!({
            "name": "Test diner", "timezone": "Europe/Berlin", "currency": "EUR", "accept_within_s": 86_400,
        });
        let store_id = text(&create("/api/v1/stores", store).await?["id"]);
        let product = |name: &str, amount: u32, stock: Value| {
            let price = json!({"amount": amount, "currency": "EUR"});
            json!({"store_id": store_id, "name": name, "price": price, "stock": stock})
        };
        let espresso = product("Espresso", 250, Value::Null);
        let espresso = create("/api/v1/products", espresso).await?;
        let bun = create("/api/v1/products", product("Bun", 340, json!(buns))).await?;
        let session = json!({"store_id": store_id, "name": "Table 7"});
        let session = create("/api/v1/sessions", session).await?;
        let mut wanted = json!({
            "store_id": store_id, "name": "The test", "kind": "kitchen", "url": integrator.url, "concurrency": 16,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            wanted[key] = value.clone();
        }
        let created = create("/api/v1/integrators", wanted).await?;
        integrator.set_secrets(&created);
        Ok(Self {
            espresso: text(&espresso["id"]),
            bun: text(&bun["id"]),
            session_code: text(&session["code"]),
            integrator_id: text(&created["integrator"]["id"]),
            signing_secret: text(&created["signing_secret"]),
            callback_secret: text(&created["callback_secret"]),
            store_id,
        })
    }

    #[must_use]
    pub fn guests_path(&self) -> String {
        format!("/api/v1/sessions/{}/orders", self.session_code)
    }

    /// Returns an order of one espresso.
    #[must_use]
    pub fn espresso_order(&self) -> Value {
        json!({"items": [{"product_id": self.espresso, "quantity": 1}]})
    }

    /// Places an order with `request`; returns the order's id.
    ///
    /// # Panics
    /// If it is not accepted.
    pub async fn place(&self, request: RequestBuilder) -> String {
        let (status, order) = answered(request.json(&self.espresso_order())).await;
        assert_eq!(status, 201, "{order}");
        text(&order["id"])
    }

    /// Returns the stock of buns.
    pub async fn buns(&self, expediter: &Expediter) -> i64 {
        let product = expediter
            .read(&format!("/api/v1/products/{}", self.bun))
            .await;
        product["stock"]
            .as_i64()
            .unwrap_or_else(|| panic!("stock is not counted: {product}"))
    }

    /// Returns all orders of the store.
    ///
    /// # Panics
    /// If a page has no items.
    pub async fn orders(&self, expediter: &Expediter) -> Vec<Value> {
        let mut orders = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!(
                "/api/v1/orders?store_id={}&limit=100{cursor}",
                self.store_id
            );
            let page = expediter.read(&path).await;
            orders.extend(
                page["items"]
                    .as_array()
                    .expect("a page has items")
                    .iter()
                    .cloned(),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return orders,
            }
        }
    }
}

impl Expediter {
    /// Builds a request by the operator.
    pub fn by_operator(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.request(method, path);
        request.basic_auth("operator", Some(self.password("operator")))
    }

    /// Reads a path as the operator.
    ///
    /// # Panics
    /// If it cannot be read.
    pub async fn read(&self, path: &str) -> Value {
        let (status, body) = self.answer(self.by_operator(Method::GET, path)).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Creates something as the operator; returns the response.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self
            .answer(self.by_operator(Method::POST, path).json(body))
            .await;
        assert_eq!(status, 201, "{path}: {answer}");
        answer
    }

    /// Returns the handoffs of an order, with their attempts.
    ///
    /// # Panics
    /// If they cannot be read.
    pub async fn handoffs(&self, order_id: &str) -> Vec<Value> {
        let handoffs = self
            .read(&format!("/api/v1/orders/{order_id}/handoffs"))
            .await;
        handoffs.as_array().expect("a list of handoffs").clone()
    }
}

/// Returns a JSON string's text.
///
/// # Panics
/// If it is not a string.
#[must_use]
pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
        .to_owned()
}
