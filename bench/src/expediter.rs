//! Starts the real binary as a process and creates a store in it through the API.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use platform::chance::Chance;
use serde_json::{Value, json};
use store::testing::FreshDb;
use store::testing::environment;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    ground::{self, Ground},
    wire::{Wire, post, request},
};

/// Beginning of the last line that the process prints when it has started.
const LAST_LINE: &str = "Ctrl-C stops it";
const SOON: Duration = Duration::from_secs(30);
const TABLES: usize = 64;

/// A running `expediter` process. Dropping it kills the process and deletes its data.
#[derive(Debug)]
pub(crate) struct Expediter {
    /// Host and port.
    pub(crate) address: String,
    operator: String,
    child: Child,
    folder: PathBuf,
    database: Option<FreshDb>,
}

impl Expediter {
    pub(crate) async fn start(ground: Ground) -> anyhow::Result<Self> {
        Self::start_on(ground, ground.fresh().await?).await
    }

    /// Starts the process on a database that may have rows already.
    pub(crate) async fn start_on(ground: Ground, database: FreshDb) -> anyhow::Result<Self> {
        let name = format!("expediter-bench-{}", Chance::system().session_code());
        let folder = environment::temporary_folder().join(name);
        fs::create_dir_all(&folder)?;
        let mut settings = ground.settings(&database);
        settings.extend([
            ("http.api_listen", "127.0.0.1:0".to_owned()),
            (
                "secrets.data_dir",
                folder.join("data").display().to_string(),
            ),
            ("telemetry.filter", "warn".to_owned()),
            // All requests come from one account and one address.
            ("rate_limits.account_per_minute", "0".to_owned()),
            ("rate_limits.guest_per_minute", "0".to_owned()),
            ("rate_limits.address_per_minute", "0".to_owned()),
            // Few tables stand for many.
            ("rate_limits.session_orders_per_minute", "0".to_owned()),
            ("limits.unfinished_orders_per_session", "100000".to_owned()),
            ("rate_limits.integrator_per_minute", "0".to_owned()),
            ("notifier.max_sockets_per_address", "20000".to_owned()),
            ("notifier.max_sockets_per_holder", "20000".to_owned()),
            ("telemetry.format", "text".to_owned()),
        ]);
        let variables = settings.iter().map(|(key, value)| {
            let name = format!("EXPEDITER__{}", key.to_uppercase().replace('.', "__"));
            (name, value)
        });
        let log = fs::File::create(folder.join("log"))?;
        let program = program()?;
        let mut child = Command::new(&program)
            .envs(variables)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        let stdout = child.stdout.take().context("stdout is not piped")?;
        let mut started = Self {
            address: String::new(),
            operator: String::new(),
            child,
            folder,
            database: Some(database),
        };
        let said = started.said(stdout).await?;
        let url = said
            .split_whitespace()
            .find_map(|word| word.strip_suffix("/readyz"));
        started.address = url
            .context("the process did not print its address")?
            .replace("http://", "");
        let login = said
            .lines()
            .find_map(|line| line.trim().strip_prefix("operator "));
        started.operator = login
            .context("the process did not print the operator's password")?
            .trim()
            .to_owned();
        Ok(started)
    }

    async fn said(&self, stdout: std::process::ChildStdout) -> anyhow::Result<String> {
        let (sender, mut lines) = mpsc::unbounded_channel();
        // Reads to the end: a full pipe would block the process.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut said = String::new();
        let read = timeout(SOON, async {
            while let Some(line) = lines.recv().await {
                said.push_str(&line);
                said.push('\n');
                if line.starts_with(LAST_LINE) {
                    return true;
                }
            }
            false
        });
        if read.await != Ok(true) {
            bail!(
                "the process did not start; it printed:\n{said}\nand logged:\n{}",
                self.log()
            );
        }
        Ok(said)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the process's warnings; empty if all went well.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Returns the process's database, which it uses alone.
    pub(crate) fn database(&self) -> anyhow::Result<&FreshDb> {
        self.database.as_ref().context("the process has ended")
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        if let Some(database) = self.database.take() {
            ground::end(database).await;
        }
        Ok(())
    }
}

impl Drop for Expediter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns the path of the `expediter` binary of the same build, next to the running binary.
fn program() -> anyhow::Result<PathBuf> {
    let program = env::current_exe()?.with_file_name("expediter");
    ensure!(
        program.exists(),
        "{} is not built: `make bench` builds it",
        program.display()
    );
    Ok(program)
}

/// A store with products, tables, an account and one integrator, for which requests can be built.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) address: String,
    pub(crate) table_codes: Vec<String>,
    store: String,
    integrator: String,
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
