//! `expediter reseal`: encrypts stored secrets again with the newest key, after a rotation of the encryption key.

use std::process::ExitCode;

use ledger::resealing::Seals;
use runtime::{config::Settings, keys::KeysError};

use super::{beside::CommandLedger, say};
use crate::{data_dir, refusal::Refusal};

pub(crate) async fn reseal(settings: &Settings) -> Result<ExitCode, Refusal> {
    data_dir::require_database(settings)?;
    // Before the keys, which are in the data directory too.
    data_dir::prepare(settings)?;
    let keys = runtime::keys::load(&settings.secrets)?;
    let keys = keys.ok_or(KeysError::Missing("encryption_key"))?;
    let beside = CommandLedger::open(settings, keys.encryption).await?;
    let resealed = beside.ledger.reseal().await;
    let seals = beside.ledger.seals().await;
    beside.close().await;
    let failed = || Refusal::failed("sealing the stored secrets");
    say(format_args!(
        "Sealed again: {}.",
        counted(resealed.map_err(failed())?)
    ));
    let seals = seals.map_err(failed())?;
    say(seen(&seals, true));
    Ok(if seals.previous == 0 && seals.unreadable == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns what an operator should know of the stored secrets' keys; `has_previous` if there are previous keys.
pub(super) fn seen(seals: &Seals, has_previous: bool) -> String {
    let mut told = match seals.previous {
        0 if has_previous => {
            "No stored secret needs a previous encryption key any more.".to_owned()
        }
        0 => String::new(),
        previous => format!(
            "Sealed with a previous encryption key: {}. `expediter reseal` seals them again.",
            counted(previous)
        ),
    };
    if seals.unreadable > 0 {
        let unreadable = counted(seals.unreadable);
        let separator = if told.is_empty() { "" } else { "\n" };
        told = format!("{told}{separator}Sealed with none of the keys given here: {unreadable}.");
    }
    told
}

fn counted(secrets: u64) -> String {
    match secrets {
        1 => "1 stored secret".to_owned(),
        several => format!("{several} stored secrets"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_told_when_a_previous_key_may_go() {
        let of = |previous, unreadable, has_previous| {
            let seals = Seals {
                newest: 9,
                previous,
                unreadable,
            };
            seen(&seals, has_previous)
        };
        assert_eq!(of(0, 0, false), "");
        assert_eq!(
            of(0, 0, true),
            "No stored secret needs a previous encryption key any more."
        );
        assert_eq!(
            of(1, 2, true),
            "Sealed with a previous encryption key: 1 stored secret. `expediter reseal` seals them again.\n\
             Sealed with none of the keys given here: 2 stored secrets."
        );
        assert_eq!(
            of(0, 1, false),
            "Sealed with none of the keys given here: 1 stored secret."
        );
    }
}
