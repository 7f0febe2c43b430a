//! What may be typed: the commands and the options that all of them share.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use domain::account::Role;
use runtime::{config::Settings, process::SettingsLine};
use url::Url;
use uuid::Uuid;

use crate::{data_dir, refusal::Refusal};

/// Takes orders, hands each to those who fulfil it, once, and shows every step.
///
/// Without a command it runs everything in one process: api, worker, live channel, SQLite under ./data. On an empty data
/// directory it makes a store to try, with a kitchen, and prints where to look.
#[derive(Debug, Parser)]
#[command(name = "expediter", version, after_help = AFTER_HELP)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) said: SettingsLine,

    /// Keep everything in this directory (the setting secrets.data_dir)
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
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
    /// Make an operator's account in the database, and print its password
    ///
    /// The same as create-user NAME --role operator.
    Operator {
        #[arg(value_name = "NAME")]
        username: String,
    },
    /// Make an account in the database, and print its password
    ///
    /// Whether or not an expediter is running on it.
    CreateUser(NewUser),
    /// Make an account a role to try things with, and print a token of each that is good for a day
    ///
    /// Only where the setting demo.mock_users allows it. Run again, it prints fresh tokens of the same accounts.
    MockUsers,
    /// Make twenty products to try things with
    ///
    /// Run again, it makes those whose sku is not there.
    AddProducts {
        /// Where they are sold [default: the only store]
        #[arg(long, value_name = "ID")]
        store: Option<Uuid>,
    },
    /// Read the settings, say what is wrong with them, and start nothing
    CheckConfig,
    /// Write the generated documents into a directory
    Openapi {
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewUser {
    #[arg(value_name = "NAME")]
    pub(crate) username: String,
    /// operator, manager, staff, customer or integrator
    #[arg(long, value_parser = str::parse::<Role>)]
    pub(crate) role: Role,
    /// A store of a manager or of staff; may be said several times
    #[arg(long = "store", value_name = "ID")]
    pub(crate) stores: Vec<Uuid>,
    /// Whom the account speaks for, where its role is integrator; may be said several times
    #[arg(long = "integrator", value_name = "ID")]
    pub(crate) integrators: Vec<Uuid>,
    /// Read the password from standard input's first line, in place of making one
    #[arg(long)]
    pub(crate) password_stdin: bool,
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
    /// A database of which nothing is said is a SQLite file in the data directory.
    pub(crate) fn settings(&self) -> Result<Settings, Refusal> {
        let data_dir = self.data_dir.as_deref();
        let data_dir: Vec<_> = data_dir
            .map(|dir| ("secrets.data_dir", dir))
            .into_iter()
            .collect();
        let mut settings = self.said.settings(&data_dir)?;
        data_dir::keep_database_inside(&mut settings);
        Ok(settings)
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
        let settings = CommandLine::try_parse_from(line)
            .unwrap()
            .settings()
            .unwrap();
        assert!(!settings.demo.enabled);
        assert_eq!(
            settings.database.url.expose(),
            "sqlite:///tmp/x/expediter.db"
        );
        assert!(CommandLine::try_parse_from(["expediter", "--set", "demo.enabled"]).is_err());
    }
}
