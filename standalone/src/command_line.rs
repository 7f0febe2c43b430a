//! What may be typed: the commands and the options that all of them share.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use url::Url;

use crate::refusal::Refusal;

/// Takes orders, hands each to those who fulfil it, once, and shows every step.
///
/// Without a command it runs everything in one process: api, worker, live channel, SQLite under ./data. On an empty data
/// directory it makes a store to try, with a kitchen, and prints where to look.
#[derive(Debug, Parser)]
#[command(name = "expediter", version, after_help = AFTER_HELP)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Read settings from this TOML file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Keep everything in this directory (the setting secrets.data_dir)
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,

    /// Say one setting: http.api_listen=127.0.0.1:9000; may be repeated, and the last word counts
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE", value_parser = said)]
    set: Vec<(String, String)>,
}

const AFTER_HELP: &str = "\
Settings: the compiled-in defaults, then --config FILE, then EXPEDITER__SECTION__KEY in the environment, then --set.
Exit codes: 0 done; 1 it did not work, or the audit found something; 2 refused, with the reason on standard error.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Place an order at the demonstration's table, and print each step as it happens
    DemoOrder(DemoOrder),
    /// Check the promises against the database, whether or not an expediter is running on it
    ///
    /// Prints every finding, and ends with 1 if there is any.
    Audit,
    /// Bring the database's schema up to this program's
    Migrate,
    /// Read the settings, say what is wrong with them, and start nothing
    CheckConfig,
    /// Write the generated documents into a directory
    Openapi {
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoOrder {
    /// Where the expediter runs [default: the address of http.api_listen]
    #[arg(long)]
    pub(crate) url: Option<Url>,
    /// What to order, by the beginning of its name [default: the first of the menu]
    #[arg(value_name = "PRODUCT")]
    pub(crate) product: Option<String>,
    /// How many
    #[arg(long, default_value_t = 1)]
    pub(crate) quantity: u32,
}

impl CommandLine {
    /// For `Settings::load`. Whoever is on the machine can read a command line, so secrets are not taken from it.
    pub(crate) fn overrides(&self) -> Result<Vec<(&str, &str)>, Refusal> {
        for (key, value) in &self.set {
            let is_secret = matches!(key.as_str(), "secrets.encryption_key" | "secrets.jwt_key");
            let has_password = Url::parse(value).is_ok_and(|url| url.password().is_some());
            if is_secret || has_password {
                return Err(Refusal::SecretOnCommandLine { key: key.clone() });
            }
        }
        let data_dir = self
            .data_dir
            .iter()
            .map(|dir| ("secrets.data_dir", dir.as_str()));
        let set = self
            .set
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        Ok(data_dir.chain(set).collect())
    }
}

fn said(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write section.key=value, such as http.api_listen=127.0.0.1:9000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn settings_may_be_said_before_and_after_the_command() {
        let line = [
            "expediter",
            "--set",
            "demo.enabled=false",
            "audit",
            "--data-dir",
            "/tmp/x",
        ];
        let line = CommandLine::try_parse_from(line).unwrap();
        assert_eq!(
            line.overrides().unwrap(),
            [("secrets.data_dir", "/tmp/x"), ("demo.enabled", "false")]
        );
        assert!(CommandLine::try_parse_from(["expediter", "--set", "demo.enabled"]).is_err());
    }

    #[test]
    fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
        for said in [
            "secrets.jwt_key=c2VjcmV0",
            "database.url=mysql://me:c2VjcmV0@db/x",
        ] {
            let line = CommandLine::try_parse_from(["expediter", "--set", said]).unwrap();
            let refusal = line.overrides().unwrap_err().to_string();
            assert!(refusal.contains("EXPEDITER__"), "{refusal}");
            assert!(!refusal.contains("c2VjcmV0"), "{refusal}");
        }
    }
}
