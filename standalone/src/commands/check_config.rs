//! `expediter check-config`: checks the settings and prints the addresses that they result in.

use std::process::ExitCode;

use runtime::config::{Database, DatabaseKind, Settings};

use super::say;
use crate::refusal::Refusal;

pub(crate) fn check(settings: &Settings) -> Result<ExitCode, Refusal> {
    let secrets = &settings.secrets;
    let has_own_keys = !secrets.encryption_key.is_empty() || !secrets.jwt_key.is_empty();
    let mut keys = if has_own_keys {
        runtime::keys::from_settings(secrets)?;
        "from the settings".to_owned()
    } else {
        secrets.data_dir.join("secrets.key").display().to_string()
    };
    for (name, previous) in [
        ("encryption", &secrets.previous_encryption_keys),
        ("jwt", &secrets.previous_jwt_keys),
    ] {
        if !previous.is_empty() {
            keys.push_str(&format!(", {} previous {name}", previous.len()));
        }
    }
    say("The settings are valid.");
    say(format_args!("  listens on  {}", settings.http.api_listen));
    say(format_args!("  database    {}", settings.database.url));
    for line in survival(&settings.database) {
        say(format_args!("              {line}"));
    }
    say(format_args!("  broker      {}", settings.broker.url));
    say(format_args!("  keys        {keys}"));
    Ok(ExitCode::SUCCESS)
}

/// Returns lines that say which database keeps a confirmed order when a machine burns down.
fn survival(database: &Database) -> &'static [&'static str] {
    const SETS: &str = "It survives the loss of a machine on Galera, on Group Replication with one primary, and with \
                        semi-synchronous replicas that never give up waiting; not on one server, nor with other \
                        replicas (docs/operations.md, \"When a machine burns down\").";
    match database.kind() {
        DatabaseKind::Sqlite => {
            &["A confirmed order is on this machine's disk only: a backup is all that survives it."]
        }
        DatabaseKind::MySql if database.url.has_several_hosts() => &[
            "The first of these hosts that takes writes is used, by every process with the same list.",
            "A confirmed order is on its disk.",
            SETS,
        ],
        DatabaseKind::MySql => &["A confirmed order is on the server's disk.", SETS],
    }
}
