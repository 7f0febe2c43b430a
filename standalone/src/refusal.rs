//! Why a command does not run: one clear line each, that says what to do.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
};

use common::{
    broker, config::SettingsError, crash::UnknownCrashPoint, listen::ListenError,
    secrets::KeysError, store::StoreError, telemetry::TelemetryError,
};

/// Refused before anything was begun.
pub(crate) const EXIT_CODE: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(
        "{key} is a secret, and a command line can be read by everyone on this machine: say it in a file (--config), \
         or in the environment as {}",
        environment_name(key)
    )]
    SecretOnCommandLine { key: String },
    #[error(
        "another expediter is running on the data directory {}: stop it first, or give this one its own with \
         --data-dir DIR", folder.display()
    )]
    Locked { folder: PathBuf },
    #[error(
        "cannot listen on {0}: another process already does; stop it, or choose another port with \
         --set http.api_listen={ip}:{port}", ip = .0.ip(), port = .0.port().wrapping_add(1)
    )]
    PortTaken(SocketAddr),
    #[error("{0}; choose another address with --set http.api_listen=127.0.0.1:8080")]
    NotListening(ListenError),
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
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("broker.url: {0}")]
    Broker(#[from] broker::ConnectError),
    #[error("the database {url} cannot be used: {cause}")]
    Database { url: String, cause: StoreError },
    #[error("there is no database at {} yet: start an expediter there first, or name another with --data-dir DIR", path.display())]
    NoDatabase { path: PathBuf },
    #[error("{doing} did not work: {cause}")]
    Failed {
        doing: &'static str,
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("testing.crash_at: {0}")]
    CrashPoint(#[from] UnknownCrashPoint),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
}

impl Refusal {
    pub(crate) fn failed<E>(doing: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |cause| Self::Failed {
            doing,
            cause: cause.into(),
        }
    }

    pub(crate) fn print(&self) {
        // Nobody is left to be told that standard error is gone.
        let _ = writeln!(io::stderr(), "expediter: {self}");
    }
}

impl From<ListenError> for Refusal {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::InUse(address) => Self::PortTaken(address),
            refused @ ListenError::Refused { .. } => Self::NotListening(refused),
        }
    }
}

fn environment_name(key: &str) -> String {
    format!("EXPEDITER__{}", key.to_uppercase().replace('.', "__"))
}
