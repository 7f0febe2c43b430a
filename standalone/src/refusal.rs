//! Why a command does not run: one clear line each, that says what to do.

use std::{io, net::SocketAddr, path::PathBuf};

use domain::ids::StoreId;
use runtime::{
    keys::KeysError,
    process::{self, print_refusal},
};

pub(crate) use runtime::process::EXIT_CODE;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// What may befall every process.
    #[error(transparent)]
    Process(#[from] process::Refusal),
    #[error(
        "another expediter is running on the data directory {}: stop it first, or give this one its own with \
         --data-dir DIR", folder.display()
    )]
    Locked { folder: PathBuf },
    #[error(
        "the demonstration's logins, printed at every start, must not be reachable from outside, and http.api_listen \
         is {listen}: listen on 127.0.0.1, or take an empty data directory (--data-dir DIR) with --set demo.enabled=false"
    )]
    DemoBeyondLoopback { listen: SocketAddr },
    #[error("{}: {cause}; make it usable for this user, or choose another with --data-dir DIR", path.display())]
    DataDir { path: PathBuf, cause: io::Error },
    #[error("{} cannot be read ({cause}); restore it from a backup, or start on an empty data directory", path.display())]
    DemoFile {
        path: PathBuf,
        cause: serde_json::Error,
    },
    #[error("there is no database at {} yet: start an expediter there first, or name another with --data-dir DIR", path.display())]
    NoDatabase { path: PathBuf },
    #[error(
        "a username has 1 to 100 letters, digits or any of . _ @ + - and begins with a letter or digit"
    )]
    NotAUsername,
    #[error("managers and staff have stores: add --store ID, once for each")]
    WithoutStore,
    #[error(
        "an account of the role integrator speaks for integrators: add --integrator ID, once for each"
    )]
    WithoutIntegrator,
    #[error("a password has from 8 to 200 characters, on the first line of standard input")]
    NotAPassword,
    #[error(
        "demo.mock_users is false, for tokens for everybody are nothing for a house that is used: allow them where \
         things are tried, with --set demo.mock_users=true"
    )]
    MockUsersOff,
    #[error("there is no store {id}, or it is archived")]
    NoSuchStore { id: StoreId },
    #[error("there is no store yet: make one with POST /api/v1/stores, or start the demonstration")]
    NoStore,
    #[error("there are several stores, say which with --store ID: {stores}")]
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
