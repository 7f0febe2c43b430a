//! The store of a round, with a table, a counted product, and an integrator behind a proxy.

use serde_json::{Value, json};
use test_line::Line;

use super::house::House;
use crate::{Integrator, text};

/// Initial stock of buns: more than a round can sell.
pub(super) const BUNS: i64 = 500;

#[derive(Debug)]
pub struct Table {
    pub store_id: String,
    /// Id of the uncounted product.
    pub espresso: String,
    /// Id of the counted product.
    pub bun: String,
    pub session_code: String,
    pub integrator: Integrator,
    pub line: Line,
}

impl Table {
    /// Creates the store and its parts. Call it only while there are no failures.
    ///
    /// # Errors
    /// With the API's refusal.
    pub async fn set_up(house: &House) -> Result<Self, String> {
        let integrator = Integrator::start(house.clock());
        let end = integrator
            .url
            .trim_start_matches("http://")
            .trim_end_matches("/orders");
        let line = Line::to(vec![end.parse().expect("it listens somewhere")]).await;
        let store = json!({
            "name": "Chaos diner", "timezone": "Europe/Berlin", "currency": "EUR", "accept_within_s": 86_400,
        });
        let store_id = text(&house.create("/api/v1/stores", &store).await?["id"]);
        let product = |name: &str, amount: u32, stock: Value| {
            let price = json!({"amount": amount, "currency": "EUR"});
            json!({"store_id": store_id, "name": name, "price": price, "stock": stock})
        };
        let espresso = house
            .create("/api/v1/products", &product("Espresso", 250, Value::Null))
            .await?;
        let bun = house
            .create("/api/v1/products", &product("Bun", 340, json!(BUNS)))
            .await?;
        let session = json!({"store_id": store_id, "name": "Table 7"});
        let session = house.create("/api/v1/sessions", &session).await?;
        let wanted = json!({
            "store_id": store_id, "name": "The round", "kind": "kitchen", "concurrency": 8,
            "url": format!("http://{}/orders", line.address),
        });
        let created = house.create("/api/v1/integrators", &wanted).await?;
        integrator.set_secrets(&created);
        Ok(Self {
            espresso: text(&espresso["id"]),
            bun: text(&bun["id"]),
            session_code: text(&session["code"]),
            store_id,
            integrator,
            line,
        })
    }

    #[must_use]
    pub fn guests_path(&self) -> String {
        format!("/api/v1/sessions/{}/orders", self.session_code)
    }
}
