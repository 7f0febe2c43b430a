//! `expediter migrate`: brings the database's schema up to this program's, as every start does too.

use std::process::ExitCode;

use platform::metrics::Metrics;
use runtime::{
    config::{DatabaseKind, Settings},
    process::{self, connect_database},
};

use super::say;
use crate::{data_dir::DataDir, refusal::Refusal};

pub(crate) async fn migrate(settings: &Settings) -> Result<ExitCode, Refusal> {
    // MySQL's migrations have a lock of their own, so there it may be run beside living processes.
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
        "{} has this program's schema.",
        settings.database.url
    ));
    Ok(ExitCode::SUCCESS)
}
