//! Command line: the commands and the options that they share.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand, ValueEnum};
use domain::{
    account::Role,
    integrator::{Format, HandoffEvent},
};
use runtime::{config::Settings, process::SettingsArgs};
use url::Url;
use uuid::Uuid;

use crate::{commands::check_integrator::CheckIntegrator, data_dir, refusal::Refusal};

/// Takes orders, sends each to the systems that fulfil it, once, and shows every step.
///
/// Runs everything in one process if no command is given: api, worker, live channel, and SQLite under ./data. If the
/// data directory is empty, it also creates a demonstration store with a kitchen and prints its addresses.
#[derive(Debug, Parser)]
#[command(name = "expediter", version, after_help = AFTER_HELP)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) said: SettingsArgs,

    /// Keep all data in this directory (the setting secrets.data_dir)
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
}

const AFTER_HELP: &str = "\
Settings: the compiled-in defaults, then --config FILE, then EXPEDITER__SECTION__KEY in the environment (or
EXPEDITER__SECTION__KEY_FILE, which names a file with the value), then --set.
Exit codes: 0 success; 1 failure, or findings of the audit; 2 refused, with the reason on standard error.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Place an order at the demonstration's table and print each step as it happens
    DemoOrder(DemoOrder),
    /// Check the promises against the database, whether or not an expediter is running on it
    ///
    /// Prints every finding; exits with 1 if there are any. After a restore, ask each integrator that can list its orders
    /// too: it may know some that the ledger has lost.
    Audit(AskArgs),
    /// Write ended orders into compressed files, each order once
    ///
    /// Each line of a file is an order in JSON, with its events, handoffs, attempts and callbacks. A command that is killed
    /// leaves no half file, and the next one goes on after the last whole one. Works whether or not an expediter is
    /// running.
    Archive(Archive),
    /// Upgrade the database's schema to this program's version
    Migrate,
    /// Make all screens begin anew, after the database was restored or lost commits
    ///
    /// Works whether or not an expediter is running on it. docs/operations.md says when it is needed.
    NewEpoch,
    /// Encrypt stored secrets again with the newest encryption key, after a rotation
    ///
    /// Works whether or not an expediter is running on it, and may be stopped and run again. docs/operations.md says when
    /// it is needed.
    Reseal,
    /// Create an operator account in the database and print its password
    ///
    /// Same as create-user NAME --role operator.
    Operator {
        #[arg(value_name = "NAME")]
        username: String,
    },
    /// Create an account in the database and print its password
    ///
    /// Works whether or not an expediter is running on it.
    CreateUser(NewUser),
    /// Create a test account for each role and print a token for each, valid for a day
    ///
    /// Requires the setting demo.mock_users. Run again, it prints new tokens for the same accounts.
    MockUsers {
        /// Store that its manager and staff serve from now on [default: the first store]
        #[arg(long, value_name = "ID")]
        store: Option<Uuid>,
    },
    /// Create twenty sample products
    ///
    /// Run again, it creates those whose sku is missing.
    AddProducts {
        /// Store that sells them [default: the only store]
        #[arg(long, value_name = "ID")]
        store: Option<Uuid>,
    },
    /// Receive a store's messages on this machine, signed as in production
    ///
    /// Each message is claimed from the expediter at --url, sent to --forward-to, and concluded with the answer, which is
    /// shown in one line. No order waits for it, whatever the answer is. A command that is killed loses nothing: the next
    /// one with the same name goes on.
    Listen(Listen),
    /// Make a small order, marked as a test, until an event happens
    Trigger(Trigger),
    /// Send the message of a past handoff again, from this machine to any address
    ///
    /// The same bytes with a new signature, and the header Expediter-Replay. Nothing is recorded.
    Replay(Replay),
    /// Check the settings without starting anything
    CheckConfig,
    /// Check that an integrator does everything right: signatures, duplicates, order, answers and callbacks
    ///
    /// Sends about 50 messages as a worker would, with invented orders: use a test system. Exits with 0 if the integrator
    /// is ready, with 1 if it has faults, and with 2 if nothing could be checked. The settings of the worker hold, such
    /// as --set 'worker.allow_networks=["10.0.0.0/8"]'. docs/integrators.md explains each finding.
    CheckIntegrator(Box<CheckIntegrator>),
    /// Write the generated documents into a directory
    Openapi {
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Archive {
    /// Directory for the files
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Write orders that ended before this time, such as 2026-01-01T00:00:00Z [default: those that
    /// the settings of retention let go next]
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<DateTime<Utc>>,
}

/// Arguments of the question to an integrator.
#[derive(Debug, clap::Args)]
pub(crate) struct AskArgs {
    /// Also ask an integrator which orders it knows, at the address of its list: the kitchen's /board, the courier's
    /// /deliveries
    #[arg(long = "ask", value_name = "URL")]
    pub(crate) url: Option<Url>,
    /// File with a header for these requests, such as `authorization: Bearer …`
    #[arg(long = "ask-header-file", value_name = "FILE", requires = "url")]
    pub(crate) header_file: Option<PathBuf>,
    /// Compare only orders that were made at this time or later, such as 2026-01-01T00:00:00Z
    #[arg(long = "ask-since", value_name = "TIME", requires = "url")]
    pub(crate) since: Option<DateTime<Utc>>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewUser {
    #[arg(value_name = "NAME")]
    pub(crate) username: String,
    /// operator, manager, staff, customer or integrator
    #[arg(long, value_parser = str::parse::<Role>)]
    pub(crate) role: Role,
    /// Store of a manager or staff account; repeatable
    #[arg(long = "store", value_name = "ID")]
    pub(crate) stores: Vec<Uuid>,
    /// Integrator that an account with the role integrator acts for; repeatable
    #[arg(long = "integrator", value_name = "ID")]
    pub(crate) integrators: Vec<Uuid>,
    /// Read the password from the first line of standard input instead of generating one
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoOrder {
    /// URL of the running expediter [default: the address of http.api_listen]
    #[arg(long)]
    pub(crate) url: Option<Url>,
    /// Product to order, by the beginning of its name [default: the first on the menu]
    #[arg(value_name = "PRODUCT")]
    pub(crate) product: Option<String>,
    /// Quantity
    #[arg(long, default_value_t = 1)]
    pub(crate) quantity: u32,
}

/// The expediter that a command calls, and the account that calls. The token in EXPEDITER_TOKEN is used without --username.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoteArgs {
    /// URL of the running expediter [default: the address of http.api_listen]
    #[arg(long)]
    pub(crate) url: Option<Url>,
    /// Account that calls [default: the token in EXPEDITER_TOKEN]
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// File whose first line is the password [default: standard input]
    #[arg(long, value_name = "FILE", requires = "username")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Listen {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    /// Store to listen to [default: the only store]
    #[arg(long, value_name = "ID")]
    pub(crate) store: Option<Uuid>,
    /// Address that gets the messages, such as http://localhost:3000/orders
    #[arg(long, value_name = "URL")]
    pub(crate) forward_to: Url,
    /// Events, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "EVENT", value_parser = str::parse::<HandoffEvent>)]
    pub(crate) events: Vec<HandoffEvent>,
    /// Format of the messages: order or delivery [default: order]
    #[arg(long, value_parser = str::parse::<Format>)]
    pub(crate) format: Option<Format>,
    /// Name of the listener; commands with the same name share its messages, each name gets all [default: the username]
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Trigger {
    /// Event to make
    pub(crate) event: TriggerEvent,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    /// Store of the order [default: the only store]
    #[arg(long, value_name = "ID")]
    pub(crate) store: Option<Uuid>,
    /// Product to order [default: the first on the menu]
    #[arg(long)]
    pub(crate) sku: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TriggerEvent {
    #[value(name = "order.placed")]
    OrderPlaced,
    #[value(name = "order.cancelled")]
    OrderCancelled,
    #[value(name = "order.dispatched")]
    OrderDispatched,
    #[value(name = "order.status_changed")]
    OrderStatusChanged,
    /// A test message to each listener of the store, about no order
    #[value(name = "test")]
    Test,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// Id of the handoff, which is also the webhook-id of its message
    pub(crate) handoff: Uuid,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    /// Address that gets the message
    #[arg(long, value_name = "URL")]
    pub(crate) to: Url,
}

impl CommandLine {
    /// Reads the settings; the default database is a SQLite file in the data directory.
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
