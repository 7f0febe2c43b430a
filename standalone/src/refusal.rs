//! Errors that stop a command: one line each, which says what to do.

use std::{io, net::SocketAddr, path::PathBuf};

use domain::ids::StoreId;
use runtime::{
    keys::KeysError,
    process::{self, print_refusal},
};

use url::Url;

pub(crate) use runtime::process::EXIT_CODE;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Refusals common to all processes.
    #[error(transparent)]
    Process(#[from] process::Refusal),
    #[error(
        "another expediter is running on the data directory {}: stop it first, or use another directory with \
         --data-dir DIR", folder.display()
    )]
    Locked { folder: PathBuf },
    #[error(
        "the demonstration's logins are printed at every start and must not be reachable from other hosts, but \
         http.api_listen is {listen}: listen on 127.0.0.1, or use an empty data directory (--data-dir DIR) with --set \
         demo.enabled=false"
    )]
    DemoBeyondLoopback { listen: SocketAddr },
    #[error(
        "the demonstration's logins are printed at every start and must not be reachable from other hosts, but \
         {key} is {url}: leave it empty, or use an empty data directory (--data-dir DIR) with --set \
         demo.enabled=false"
    )]
    DemoInPublic { key: &'static str, url: String },
    #[error(
        "the demonstration calls its kitchen and courier by http:// at its own address, but http.tls_cert_file is set: \
         leave it empty, or use an empty data directory (--data-dir DIR) with --set demo.enabled=false"
    )]
    DemoOverTls,
    #[error("{}: {cause}; make it accessible to this user, or choose another directory with --data-dir DIR", path.display())]
    DataDir { path: PathBuf, cause: io::Error },
    #[error(
        "{} is accessible to other users, and the data in it is secret: restrict it to its owner with chmod {mode}, or \
         choose another directory with --data-dir DIR", path.display()
    )]
    Exposed { path: PathBuf, mode: &'static str },
    #[error("{} cannot be read ({cause}); restore it from a backup, or start on an empty data directory", path.display())]
    DemoFile {
        path: PathBuf,
        cause: serde_json::Error,
    },
    #[error("there is no database at {} yet: start an expediter there first, or choose another directory with --data-dir DIR", path.display())]
    NoDatabase { path: PathBuf },
    #[error(
        "a username must have 1 to 100 letters, digits or any of . _ @ + - and begin with a letter or digit"
    )]
    NotAUsername,
    #[error("managers and staff need a store: add --store ID, once per store")]
    WithoutStore,
    #[error(
        "an account with the role integrator needs an integrator: add --integrator ID, once per integrator"
    )]
    WithoutIntegrator,
    #[error("a password must have 8 to 200 characters, on the first line of standard input")]
    NotAPassword,
    #[error("the password {cause}")]
    EasyPassword {
        cause: domain::password::PasswordRefused,
    },
    #[error(
        "demo.mock_users is false, because printing tokens for every role is unsafe in production: enable it in a test \
         environment with --set demo.mock_users=true"
    )]
    MockUsersOff,
    #[error("there is no store {id}, or it is archived")]
    NoSuchStore { id: StoreId },
    #[error(
        "there is no store yet: create one with POST /api/v1/stores, or start the demonstration"
    )]
    NoStore,
    #[error("{url} is not an http:// or https:// address")]
    NotAnAddress { url: Url },
    #[error(
        "who are you? Set EXPEDITER_TOKEN to an access token, or give --username NAME and --password-file FILE; the \
         account must be a manager of the store, or an operator"
    )]
    NoCredentials,
    #[error(
        "nothing is ever deleted (retention.orders_days is 0): say which orders to write, with --before TIME"
    )]
    ArchiveOfWhen,
    #[error("another `expediter archive` is at work; run this one again after it")]
    ArchiveOvertaken,
    #[error("{}: {cause}", path.display())]
    ArchiveFile { path: PathBuf, cause: io::Error },
    #[error("there are several stores; choose one with --store ID: {stores}")]
    WhichStore { stores: String },
}

impl Refusal {
    pub(crate) fn failed<E>(doing: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |cause| process::Refusal::failed(doing)(cause).into()
    }

    pub(crate) fn print(&self) {
        print_refusal("expediter", self);
    }
}

impl From<KeysError> for Refusal {
    fn from(error: KeysError) -> Self {
        process::Refusal::from(error).into()
    }
}
