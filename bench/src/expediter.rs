//! Starts the real binary as a process and creates a store in it through the API.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};
use store::testing::FreshDb;

use crate::{
    ground::{self, Ground},
    process::{How, Process, built},
    wire::{Wire, post, request},
};

const TABLES: usize = 64;
/// 32 bytes in base64. A notifier decrypts nothing that an integrator's secret protects, and its clients show a table's code.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A running `expediter` process. Dropping it kills the process and deletes its data.
#[derive(Debug)]
pub(crate) struct Expediter {
    /// Host and port.
    pub(crate) address: String,
    operator: String,
    pub(crate) process: Process,
    settings: Vec<(&'static str, String)>,
    database: Option<FreshDb>,
}

impl Expediter {
    pub(crate) async fn start(ground: Ground) -> anyhow::Result<Self> {
        Self::start_on(ground, ground.fresh().await?).await
    }

    /// Starts the process with more settings.
    pub(crate) async fn start_with(
        ground: Ground,
        more: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Self> {
        let database = ground.fresh().await?;
        let mut settings = ground.settings(&database);
        settings.extend(more);
        Self::of(&built("expediter")?, settings, Some(database)).await
    }

    /// Starts the process on a database that may have rows already.
    pub(crate) async fn start_on(ground: Ground, database: FreshDb) -> anyhow::Result<Self> {
        let settings = ground.settings(&database);
        Self::of(&built("expediter")?, settings, Some(database)).await
    }

    /// Starts the `expediter` of another build, with an SQLite database of its own making.
    pub(crate) async fn of_build(program: &Path) -> anyhow::Result<Self> {
        Self::of(&program.canonicalize()?, Vec::new(), None).await
    }

    async fn of(
        program: &Path,
        mut settings: Vec<(&'static str, String)>,
        database: Option<FreshDb>,
    ) -> anyhow::Result<Self> {
        let fixed = [
            ("telemetry.filter", "warn"),
            ("telemetry.format", "text"),
            // All requests come from one account and one address.
            ("rate_limits.account_per_minute", "0"),
            ("rate_limits.guest_per_minute", "0"),
            ("rate_limits.address_per_minute", "0"),
            // Few tables stand for many.
            ("rate_limits.session_orders_per_minute", "0"),
            ("limits.unfinished_orders_per_session", "100000"),
            ("rate_limits.integrator_per_minute", "0"),
            ("notifier.max_sockets_per_address", "20000"),
            ("notifier.max_sockets_per_holder", "20000"),
            // The integrator is on this machine.
            ("worker.allow_http", "true"),
            ("worker.allow_networks", r#"["127.0.0.0/8"]"#),
        ];
        settings.extend(fixed.map(|(key, value)| (key, value.to_owned())));
        let how = How {
            program: program.to_owned(),
            settings: settings.clone(),
            listen: "http.api_listen",
            last_line: "Ctrl-C stops it",
        };
        let process = Process::start(how).await?;
        let login = process
            .said
            .lines()
            .find_map(|line| line.trim().strip_prefix("operator "));
        let operator = login.context("the process did not print the operator's password")?;
        Ok(Self {
            address: process.address.clone(),
            operator: operator.trim().to_owned(),
            process,
            settings,
            database,
        })
    }

    /// Starts a `notifier` beside it, on the same database and broker.
    pub(crate) async fn notifier(&self) -> anyhow::Result<Process> {
        let mut settings = self.settings.clone();
        let keys = ["secrets.encryption_key", "secrets.jwt_key"];
        settings.extend(keys.map(|key| (key, KEY.to_owned())));
        let how = How {
            program: built("notifier")?,
            settings,
            listen: "http.notifier_listen",
            last_line: "/readyz",
        };
        Process::start(how).await
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns the process's database, which it uses alone.
    pub(crate) fn database(&self) -> anyhow::Result<&FreshDb> {
        self.database.as_ref().context("the process has ended")
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        if let Some(database) = self.database.take() {
            ground::end(database).await;
        }
        Ok(())
    }
}

/// A store with products, tables, an account and one integrator, for which requests can be built.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) address: String,
    pub(crate) table_codes: Vec<String>,
    pub(crate) store: String,
    pub(crate) integrator: String,
    token: String,
    products: Vec<String>,
}

impl Shop {
    /// Creates the store. `integrator`: the fields of its only integrator, except for the store.
    pub(crate) async fn open(expediter: &Expediter, integrator: Value) -> anyhow::Result<Self> {
        let mut wire = Wire::connect(&expediter.address).await?;
        let sign_in = json!({"username": "operator", "password": expediter.operator});
        let pair = wire.send(&post("/api/v1/token", None, &sign_in)).await?;
        let pair: Value = serde_json::from_slice(&pair.1)?;
        let token = text(&pair["access"])?;
        let mut create = async |path: &str, body: Value| {
            wire.expect(201, &post(path, Some(&token), &body)).await
        };
        let store = json!({
            "name": "Bench diner", "timezone": "Europe/Berlin", "currency": "EUR", "accept_within_s": 86_400,
        });
        let store = text(&create("/api/v1/stores", store).await?["id"])?;
        let mut products = Vec::new();
        for number in 0..20 {
            let stock = (number % 2 == 0).then_some(1_000_000_000);
            let product = json!({
                "store_id": store, "name": format!("Dish {number}"), "stock": stock,
                "price": {"amount": 250, "currency": "EUR"},
            });
            products.push(text(&create("/api/v1/products", product).await?["id"])?);
        }
        let mut table_codes = Vec::new();
        for number in 0..TABLES {
            let session = json!({"store_id": store, "name": format!("Table {number}")});
            table_codes.push(text(&create("/api/v1/sessions", session).await?["code"])?);
        }
        let mut wanted = json!({
            "store_id": store, "name": "Kitchen", "kind": "kitchen", "confirms": "acknowledgement", "required": true,
        });
        for (key, value) in integrator.as_object().into_iter().flatten() {
            wanted[key] = value.clone();
        }
        let created = create("/api/v1/integrators", wanted).await?;
        let integrator = text(&created["integrator"]["id"])?;
        Ok(Self {
            address: expediter.address.clone(),
            table_codes,
            store,
            integrator,
            token,
            products,
        })
    }

    /// Changes fields of the store's integrator.
    pub(crate) async fn change_integrator(&self, fields: &Value) -> anyhow::Result<()> {
        let path = format!("/api/v1/integrators/{}", self.integrator);
        let mut wire = Wire::connect(&self.address).await?;
        wire.expect(200, &request("PATCH", &path, Some(&self.token), fields))
            .await?;
        Ok(())
    }

    /// Returns the request for order number `n`, every other one by a guest and by the account.
    pub(crate) fn any_order(&self, n: usize) -> Vec<u8> {
        if n.is_multiple_of(2) {
            self.guest_order(n / 2)
        } else {
            self.account_order(n / 2)
        }
    }

    /// Returns the request for order number `n`, by a guest at one of the tables.
    pub(crate) fn guest_order(&self, n: usize) -> Vec<u8> {
        let code = &self.table_codes[n % self.table_codes.len()];
        let path = format!("/api/v1/sessions/{code}/orders");
        post(&path, None, &json!({"items": self.items(n)}))
    }

    /// Returns the request for order number `n`, by the account.
    pub(crate) fn account_order(&self, n: usize) -> Vec<u8> {
        let body = json!({"store_id": self.store, "items": self.items(n)});
        post("/api/v1/orders", Some(&self.token), &body)
    }

    fn items(&self, n: usize) -> Value {
        let item = |at: usize| json!({"product_id": self.products[(n + at) % self.products.len()], "quantity": 1});
        (0..crate::stall::ITEMS).map(item).collect()
    }
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value
        .as_str()
        .with_context(|| format!("no text: {value}"))?
        .to_owned())
}
