//! `expediter check-config`: checks the settings and prints the addresses that they result in.

use std::process::ExitCode;

use runtime::config::Settings;

use super::say;
use crate::refusal::Refusal;

pub(crate) fn check(settings: &Settings) -> Result<ExitCode, Refusal> {
    let secrets = &settings.secrets;
    let has_own_keys = !secrets.encryption_key.is_empty() || !secrets.jwt_key.is_empty();
    let keys = if has_own_keys {
        runtime::keys::from_settings(secrets)?;
        "from the settings".to_owned()
    } else {
        secrets.data_dir.join("secrets.key").display().to_string()
    };
    say("The settings are valid.");
    say(format_args!("  listens on  {}", settings.http.api_listen));
    say(format_args!("  database    {}", settings.database.url));
    say(format_args!("  broker      {}", settings.broker.url));
    say(format_args!("  keys        {keys}"));
    Ok(ExitCode::SUCCESS)
}
