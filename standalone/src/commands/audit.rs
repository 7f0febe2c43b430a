//! `expediter audit`: checks the promises with queries, on a database that may be in use.

mod asked; // the orders that an integrator knows

use std::{process::ExitCode, sync::Arc, time::Duration};

use ledger::{Ledger, LedgerParts, NoWake};
use platform::{
    chance::Chance,
    clock::Clock,
    metrics::Metrics,
    secrets::{Keys, SealingKeys},
};
use runtime::{config::Settings, process};

use super::{reseal::seen, say};
use crate::{command_line::AskArgs, data_dir, refusal::Refusal};

const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);

pub(crate) async fn audit(settings: &Settings, ask: &AskArgs) -> Result<ExitCode, Refusal> {
    data_dir::require_database(settings)?;
    data_dir::prepare(settings)?;
    let mut settings = settings.clone();
    // The audit scans whole tables.
    settings.database.statement_timeout = STATEMENT_TIMEOUT;
    let settings = &settings;
    let db = process::connect_database(settings, Metrics::new()).await?;
    let clock = Clock::system();
    db.anchor(&clock)
        .await
        .map_err(Refusal::failed("reading the database's time"))?;
    let keys = encryption_keys(settings);
    let ledger = Ledger::new(LedgerParts {
        db: db.clone(),
        clock,
        chance: Chance::system(),
        sealing: Arc::new(keys.clone().unwrap_or_else(|| Keys::seeded(0).encryption)),
        wake: Arc::new(NoWake),
        metrics: Metrics::new(),
        settings: process::ledger_settings(settings, String::new()),
    });
    let findings = ledger.audit().await.map_err(Refusal::failed("the audit"))?;
    let differences = asked::differences(&ledger, ask).await?;
    let secrets = match &keys {
        Some(keys) => {
            let seals = ledger.seals().await;
            let seals = seals.map_err(Refusal::failed("reading the stored secrets"))?;
            seen(&seals, keys.has_previous())
        }
        None => String::new(),
    };
    drop(ledger);
    db.close().await;
    if !secrets.is_empty() {
        say(secrets);
    }
    for finding in &findings {
        say(finding);
    }
    for difference in &differences {
        say(difference);
    }
    say(match findings.len() + differences.len() {
        0 => "No findings: every promise is kept.".to_owned(),
        1 => "1 finding.".to_owned(),
        count => format!("{count} findings."),
    });
    Ok(if findings.is_empty() && differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns the keys, if they are given here: the promises are checked without them too.
fn encryption_keys(settings: &Settings) -> Option<SealingKeys> {
    match runtime::keys::load(&settings.secrets) {
        Ok(keys) => keys.map(|keys| keys.encryption),
        Err(error) => {
            say(format_args!(
                "The stored secrets are not looked at: {error}"
            ));
            None
        }
    }
}
