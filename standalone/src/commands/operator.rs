//! `expediter operator NAME`: makes the first account of a new house, with which all others are made over the API.

use std::{process::ExitCode, sync::Arc};

use api::auth::Passwords;
use common::{
    chance::Chance,
    config::Settings,
    domain::account::Role,
    ledger::{Ledger, LedgerParts, NoWake, accounts::NewAccount},
    metrics::Metrics,
    process,
    secrets::Keys,
    store,
};

use super::say;
use crate::refusal::Refusal;

/// Beside living processes too. The password is printed once; only its hash is kept.
pub(crate) async fn make(settings: &Settings, username: &str) -> Result<ExitCode, Refusal> {
    let db = process::connect_database(settings).await?;
    store::migrate(&db)
        .await
        .map_err(Refusal::failed("bringing the schema up"))?;
    let clock = process::clock(settings);
    db.anchor(&clock)
        .await
        .map_err(Refusal::failed("reading the database's time"))?;
    let chance = Chance::system();
    let ledger = Ledger::new(LedgerParts {
        db: db.clone(),
        clock,
        chance: chance.clone(),
        // An account has no secret that could be opened again, so this works without the key.
        sealing: Arc::new(Keys::seeded(0).encryption),
        wake: Arc::new(NoWake),
        metrics: Metrics::new(),
        settings: process::ledger_settings(settings, String::new()),
    });
    let password = chance.session_code();
    let hashed = Passwords::new(1).hash(&chance, &password).await;
    let password_hash =
        hashed.map_err(|_| Refusal::failed("hashing a password")("the hasher does not run"))?;
    let account = NewAccount {
        username: username.to_owned(),
        password_hash,
        role: Role::Operator,
        stores: Vec::new(),
        integrators: Vec::new(),
    };
    ledger
        .create_account(&account)
        .await
        .map_err(Refusal::failed("making the account"))?;
    drop(ledger);
    db.close().await;
    say(password);
    Ok(ExitCode::SUCCESS)
}
