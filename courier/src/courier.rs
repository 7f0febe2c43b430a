//! The courier: its settings, its shared state, and the loops that step deliveries and send updates.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};

use crate::{
    chance::{Chance, random_hex},
    clock::Clock,
    database::{
        Database, DatabaseError,
        accounts::{self, DELIVERY_SERVICE, MARKETPLACE_ADMIN, MARKETPLACE_USER},
    },
    metrics::Metrics,
    passwords::Passwords,
    signature::Secret,
    tokens::Tokens,
};

/// How long one request to a receiver may take.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(10);
/// Lifetime of the tokens that `mock-users` prints.
const MOCK_TOKEN_TTL: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone)]
pub struct CourierSettings {
    /// SQLite file of all data; several couriers may share it.
    pub database: PathBuf,
    /// Time between two steps of a delivery.
    pub step: Duration,
    /// Percentage of delivery attempts that find nobody; at most 100.
    pub not_delivered_percent: u8,
    /// Seed of chance; without it, the database's own, made once.
    pub seed: Option<u64>,
    /// Secret that incoming messages must be signed with.
    pub signing_secret: Option<Secret>,
    /// Secret that updates to a message's `callback_url` are signed with, if the message was signed with the other one.
    pub callback_secret: Option<Secret>,
    /// Account that exists from the start; signed messages without a token belong to it.
    pub login: Option<Login>,
    /// Lets anybody sign up.
    pub open_signup: bool,
    /// Hosts that updates may be sent to, as `host` or `host:port`; empty allows all.
    pub receivers: Vec<String>,
    pub token_ttl: Duration,
    pub clock: Clock,
}

/// Username and password.
#[derive(Clone)]
pub struct Login {
    pub username: String,
    pub password: String,
}

/// Account made by `mock-users`, with a token that is valid for a day.
pub struct MockUser {
    pub username: &'static str,
    pub token: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CourierError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("building the HTTP client failed")]
    Client(#[source] reqwest::Error),
    #[error(
        "a callback secret needs a signing secret: otherwise updates would be signed for anybody's messages"
    )]
    CallbackSecretAlone,
    #[error("hashing a password failed: {0}")]
    Password(String),
    #[error("making a token failed")]
    Token(#[source] jsonwebtoken::errors::Error),
}

/// Running courier; clones share its state.
#[derive(Clone)]
pub struct Courier {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: CourierSettings,
    pub(crate) database: Database,
    pub(crate) chance: Chance,
    /// Beginning of this database's webhook-ids.
    pub(crate) name: String,
    pub(crate) tokens: Tokens,
    pub(crate) passwords: Passwords,
    pub(crate) metrics: Metrics,
    pub(crate) client: reqwest::Client,
    /// Wakes the loop that sends updates.
    pub(crate) outbox_changed: Notify,
    stopping: watch::Sender<bool>,
}

impl CourierSettings {
    /// Returns the default settings for a database file.
    #[must_use]
    pub fn new(database: PathBuf) -> Self {
        Self {
            database,
            step: Duration::from_secs(30),
            not_delivered_percent: 50,
            seed: None,
            signing_secret: None,
            callback_secret: None,
            login: None,
            open_signup: true,
            receivers: Vec::new(),
            token_ttl: Duration::from_secs(60 * 60),
            clock: Clock::system(),
        }
    }
}

impl Courier {
    /// Opens the database and makes the account of the settings, if it is missing.
    pub async fn open(settings: CourierSettings) -> Result<Self, CourierError> {
        if settings.callback_secret.is_some() && settings.signing_secret.is_none() {
            return Err(CourierError::CallbackSecretAlone);
        }
        // An error means that the process has installed a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(NOTIFY_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent("expediter-courier")
            .build()
            .map_err(CourierError::Client)?;
        let database = Database::open(&settings.database).await?;
        let facts = database.facts().await.map_err(DatabaseError::from)?;
        let courier = Self {
            inner: Arc::new(Inner {
                chance: Chance {
                    seed: settings.seed.unwrap_or(facts.seed),
                    not_delivered_percent: settings.not_delivered_percent.min(100),
                },
                name: facts.name,
                tokens: Tokens::new(&facts.token_key, settings.clock.clone()),
                passwords: Passwords::new(),
                metrics: Metrics::new(),
                client,
                database,
                outbox_changed: Notify::new(),
                stopping: watch::Sender::new(false),
                settings,
            }),
        };
        if let Some(login) = courier.inner.settings.login.clone() {
            courier.ensure(&login).await?;
        }
        Ok(courier)
    }

    /// Steps deliveries and sends updates until `shutdown` completes; then waits a few seconds for requests on the wire.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let stepping = tokio::spawn({
            let (courier, stopped) = (self.clone(), self.inner.stopping.subscribe());
            async move { courier.step_until(stopped).await }
        });
        let notifying = tokio::spawn({
            let (courier, stopped) = (self.clone(), self.inner.stopping.subscribe());
            async move { courier.notify_until(stopped).await }
        });
        shutdown.await;
        self.inner.stopping.send_replace(true);
        for (name, ended) in [("stepping", stepping.await), ("notifying", notifying.await)] {
            if let Err(error) = ended {
                tracing::error!(%error, "the courier's loop {name} panicked");
            }
        }
    }

    /// Closes the database; the courier cannot be used after that.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    /// Makes an account of each role, if it is missing, and returns a token for each.
    pub async fn mock_users(&self) -> Result<Vec<MockUser>, CourierError> {
        let mut users = Vec::new();
        for (username, role) in [
            ("mock-admin", MARKETPLACE_ADMIN),
            ("mock-user", MARKETPLACE_USER),
            ("mock-delivery", DELIVERY_SERVICE),
        ] {
            let known = self.account(username).await?;
            let id = match known {
                Some(account) => account.id,
                // Nobody knows the password: the account is used by its token.
                None => self.make(username, &random_hex(), role).await?,
            };
            let (token, _) = self
                .inner
                .tokens
                .issue(id, MOCK_TOKEN_TTL)
                .map_err(CourierError::Token)?;
            users.push(MockUser { username, token });
        }
        Ok(users)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.inner.stopping.borrow()
    }

    /// Returns the pause between two looks for due work.
    pub(crate) fn poll(&self) -> Duration {
        let bounds = (Duration::from_millis(20), Duration::from_millis(500));
        (self.inner.settings.step / 10).clamp(bounds.0, bounds.1)
    }

    async fn ensure(&self, login: &Login) -> Result<(), CourierError> {
        let Some(account) = self.account(&login.username).await? else {
            self.make(&login.username, &login.password, MARKETPLACE_USER)
                .await?;
            return Ok(());
        };
        let passwords = &self.inner.passwords;
        let known = Some(account.password_hash);
        if passwords.verify(&login.password, known).await != Ok(true) {
            let hash = passwords.hash(&login.password).await;
            let hash = hash.map_err(|error| CourierError::Password(error.to_string()))?;
            let mut tx = self
                .inner
                .database
                .begin()
                .await
                .map_err(DatabaseError::from)?;
            accounts::set_password(&mut tx, account.id, &hash)
                .await
                .map_err(DatabaseError::from)?;
            tx.commit().await.map_err(DatabaseError::from)?;
        }
        Ok(())
    }

    async fn account(&self, username: &str) -> Result<Option<accounts::Account>, DatabaseError> {
        Ok(accounts::by_name(&self.inner.database.readers, username).await?)
    }

    /// Makes an account, or finds the one that another courier has just made.
    async fn make(&self, username: &str, password: &str, role: &str) -> Result<i64, CourierError> {
        let hash = self.inner.passwords.hash(password).await;
        let hash = hash.map_err(|error| CourierError::Password(error.to_string()))?;
        let made = async {
            let mut tx = self.inner.database.begin().await?;
            let now_ms = self.inner.settings.clock.now_ms();
            let id = accounts::insert(&mut tx, username, &hash, role, now_ms).await?;
            tx.commit().await?;
            if let Some(id) = id {
                return Ok(id);
            }
            let known = accounts::by_name(&self.inner.database.readers, username).await?;
            known
                .map(|account| account.id)
                .ok_or(sqlx::Error::RowNotFound)
        };
        Ok(made.await.map_err(DatabaseError::from)?)
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Courier")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Login")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MockUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MockUser")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
