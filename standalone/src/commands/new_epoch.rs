//! `expediter new-epoch`: makes all screens begin anew, after the database was restored or lost commits.

use std::process::ExitCode;

use runtime::config::Settings;

use super::{beside::CommandLedger, say};
use crate::{data_dir, refusal::Refusal};

pub(crate) async fn begin(settings: &Settings) -> Result<ExitCode, Refusal> {
    data_dir::require_database(settings)?;
    let beside = CommandLedger::open_without_keys(settings).await?;
    let begun = beside.ledger.renew_epoch().await;
    beside.close().await;
    let epoch = begun.map_err(Refusal::failed("beginning a new epoch"))?;
    say(format_args!(
        "Epoch {epoch}: numbers of earlier events are void, and all screens begin anew within some seconds."
    ));
    Ok(ExitCode::SUCCESS)
}
