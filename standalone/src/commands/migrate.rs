//! `expediter migrate`: upgrades the database's schema to this program's version, as every start does too.

use std::process::ExitCode;

use platform::metrics::Metrics;
use runtime::{
    config::{DatabaseKind, Settings},
    process::{self, connect_database},
};

use super::say;
use crate::{data_dir::DataDir, refusal::Refusal};

pub(crate) async fn migrate(settings: &Settings) -> Result<ExitCode, Refusal> {
    // MySQL's migrations have their own lock, so they can run while other processes use the database.
    let _lock = match settings.database.kind() {
        DatabaseKind::Sqlite => Some(DataDir::lock(settings)?),
        DatabaseKind::MySql => None,
    };
    let db = connect_database(settings, Metrics::new()).await?;
    store::migrate(&db)
        .await
        .map_err(|cause| process::Refusal::Database {
            url: settings.database.url.to_string(),
            cause,
        })?;
    db.close().await;
    say(format_args!(
        "{}: the schema is up to date.",
        settings.database.url
    ));
    Ok(ExitCode::SUCCESS)
}
