//! Command-line options for settings, shared by every program.

use std::path::PathBuf;

use url::Url;

use super::Refusal;
use crate::config::Settings;

pub(super) const AFTER_HELP: &str = "\
Settings: the compiled-in defaults, then --config FILE, then EXPEDITER__SECTION__KEY in the environment (or
EXPEDITER__SECTION__KEY_FILE, which names a file with the value), then --set.
Exit codes: 0 stopped gracefully; 1 failed; 2 refused to start, with the reason on standard error.";

// To be flattened into a command line. Not a doc comment: clap would show that in place of the program's description.
#[derive(Clone, Debug, clap::Args)]
pub struct SettingsArgs {
    /// Read settings from this TOML file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Set one setting, such as http.api_listen=127.0.0.1:9000; may be repeated, the last value wins
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

impl SettingsArgs {
    /// Loads the settings; `--set` overrides `before`. Secrets are refused, because everyone on the machine can read a
    /// command line.
    pub fn settings(&self, before: &[(&str, &str)]) -> Result<Settings, Refusal> {
        for (key, value) in &self.set {
            let is_key = key
                .strip_prefix("secrets.")
                .is_some_and(|name| name != "data_dir");
            let is_secret = key == "secrets" || is_key;
            if is_secret || contains_password(value) {
                return Err(Refusal::SecretOnCommandLine { key: key.clone() });
            }
        }
        let mut overrides = before.to_vec();
        overrides.extend(
            self.set
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        );
        Ok(Settings::load(self.config.as_deref(), &overrides)?)
    }
}

/// Returns true if a value contains a password, also in a quoted URL or in an inline table of a section.
fn contains_password(value: &str) -> bool {
    match Url::parse(value) {
        Ok(url) => {
            url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
        }
        // Also a URL with a list of hosts.
        Err(_) => {
            let account = value
                .split_once("://")
                .and_then(|(_, rest)| rest.rsplit_once('@'));
            account.is_some_and(|(user, _)| user.contains(':')) || value.contains("password=")
        }
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected section.key=value, such as http.api_listen=127.0.0.1:9000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(assignment: &str) -> SettingsArgs {
        SettingsArgs {
            config: None,
            set: vec![self::assignment(assignment).unwrap()],
        }
    }

    #[test]
    fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
        for assignment in [
            "secrets.jwt_key=c2VjcmV0",
            "secrets.previous_jwt_keys=[c2VjcmV0]",
            "secrets.previous_encryption_keys=[\"c2VjcmV0\"]",
            "secrets={jwt_key=\"c2VjcmV0\"}",
            "database.url=mysql://me:c2VjcmV0@db/x",
            "database.url=mysql://me@db/x?password=c2VjcmV0",
            "database.url=\"mysql://me:c2VjcmV0@db/x\"",
            "database={url=\"mysql://me:c2VjcmV0@db/x\"}",
            "broker.url=amqp://me:c2/VjcmV0@mq/x",
            "database.url=mysql://me:c2VjcmV0@a:3306,b:3306/x",
            "database.url=mysql://me@a:3306,b:3306/x?password=c2VjcmV0",
        ] {
            let refusal = line(assignment).settings(&[]).unwrap_err().to_string();
            assert!(refusal.contains("EXPEDITER__"), "{refusal}");
            assert!(!refusal.contains("c2VjcmV0"), "{refusal}");
        }
    }

    #[test]
    fn an_address_without_a_password_may_be_typed() {
        for assignment in [
            "database.url=mysql://me@db:3306/x",
            "database.url=mysql://me@a:3306,b:3306/x",
            "outside.products_url=http://127.0.0.1:8000/a@b",
            "http.allowed_origins=[\"https://till.example:8443\"]",
        ] {
            assert!(line(assignment).settings(&[]).is_ok(), "{assignment}");
        }
    }

    #[test]
    fn what_is_typed_is_a_key_with_a_value() {
        assert_eq!(
            assignment(" a.b=c=d"),
            Ok(("a.b".to_owned(), "c=d".to_owned()))
        );
        assert!(assignment("demo.enabled").is_err() && assignment("=x").is_err());
    }
}
