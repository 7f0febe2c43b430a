//! Ledger for one command, on the database of an expediter that may be running.

use std::sync::Arc;

use api::auth::Passwords;
use domain::{
    account::{Account, Role},
    actor::Actor,
};
use ledger::{Ledger, LedgerParts, NoWake, accounts::NewAccount, actor::acting};
use platform::{
    chance::Chance,
    metrics::Metrics,
    secrets::{Keys, SealingKeys},
};
use runtime::{config::Settings, process};
use store::Db;

use crate::{data_dir, refusal::Refusal};

#[derive(Debug)]
pub(super) struct CommandLedger {
    db: Db,
    pub(super) ledger: Ledger,
    passwords: Passwords,
}

impl CommandLedger {
    /// Connects, and upgrades the schema, because the command may be the first on a new database.
    pub(super) async fn open(settings: &Settings, sealing: SealingKeys) -> Result<Self, Refusal> {
        data_dir::prepare(settings)?;
        let db = process::connect_database(settings, Metrics::new()).await?;
        store::migrate(&db)
            .await
            .map_err(Refusal::failed("upgrading the schema"))?;
        let clock = process::clock(settings);
        db.anchor(&clock)
            .await
            .map_err(Refusal::failed("reading the database's time"))?;
        let ledger = Ledger::new(LedgerParts {
            db: db.clone(),
            clock,
            chance: Chance::system(),
            sealing: Arc::new(sealing),
            // A running expediter publishes the outbox rows.
            wake: Arc::new(NoWake),
            metrics: Metrics::new(),
            settings: process::ledger_settings(settings, String::new()),
        });
        Ok(Self {
            db,
            ledger,
            passwords: Passwords::new(1),
        })
    }

    /// Connects without the keys, for commands that store no encrypted secret.
    pub(super) async fn open_without_keys(settings: &Settings) -> Result<Self, Refusal> {
        Self::open(settings, Keys::seeded(0).encryption).await
    }

    pub(super) async fn make_account(
        &self,
        wanted: WantedAccount,
        password: &str,
    ) -> Result<Account, Refusal> {
        let hashed = self.passwords.hash(self.ledger.chance(), password).await;
        let password_hash = hashed
            .map_err(|_| Refusal::failed("hashing a password")("the hasher is not running"))?;
        let new = NewAccount {
            username: wanted.username,
            password_hash,
            role: wanted.role,
            stores: wanted.stores.into_iter().map(Into::into).collect(),
            integrators: wanted.integrators.into_iter().map(Into::into).collect(),
        };
        let by = Actor::named_system("console");
        let made = acting(by, self.ledger.create_account(&new)).await;
        made.map_err(Refusal::failed("creating the account"))
    }

    pub(super) async fn close(self) {
        let Self { db, ledger, .. } = self;
        drop(ledger);
        db.close().await;
    }
}

#[derive(Debug)]
pub(super) struct WantedAccount {
    pub(super) username: String,
    pub(super) role: Role,
    pub(super) stores: Vec<uuid::Uuid>,
    pub(super) integrators: Vec<uuid::Uuid>,
}
