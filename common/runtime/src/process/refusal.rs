//! Why a process does not start: one clear line each, that says what to do.

use std::{
    fmt::Display,
    io::{self, Write},
    net::SocketAddr,
};

use crate::{
    config::SettingsError,
    keys::KeysError,
    listen::{self, ListenError, NoDelayAcceptor},
    telemetry::TelemetryError,
};
use platform::crash::UnknownCrashPoint;
use store::StoreError;

/// Refused before anything was begun.
pub const EXIT_CODE: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(
        "{key} is a secret, and a command line can be read by everyone on this machine: say it in a file (--config), \
         or in the environment as {}",
        environment_name(key)
    )]
    SecretOnCommandLine { key: String },
    #[error(
        "{setting} is {given}, which only one process can use: {binary} runs beside others, on a server that \
         {wanted} names; everything in one process is `expediter`"
    )]
    OneProcessOnly {
        binary: &'static str,
        setting: &'static str,
        given: String,
        wanted: &'static str,
    },
    #[error(
        "cannot listen on {address}: another process already does; stop it, or choose another port with \
         --set {setting}={ip}:{port}", ip = .address.ip(), port = .address.port().wrapping_add(1)
    )]
    PortTaken {
        setting: &'static str,
        address: SocketAddr,
    },
    #[error("{cause}; choose another address with --set {setting}=127.0.0.1:8080")]
    NotListening {
        setting: &'static str,
        cause: ListenError,
    },
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("broker.url: {0}")]
    Broker(#[from] broker::ConnectError),
    #[error("the database {url} cannot be used: {cause}")]
    Database { url: String, cause: StoreError },
    #[error("testing.crash_at: {0}")]
    CrashPoint(#[from] UnknownCrashPoint),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("{doing} did not work: {cause}")]
    Failed {
        doing: &'static str,
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Refusal {
    pub fn failed<E>(doing: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |cause| Self::Failed {
            doing,
            cause: cause.into(),
        }
    }
}

/// Listens from now on; `setting` is what says where.
pub async fn bind(setting: &'static str, address: SocketAddr) -> Result<NoDelayAcceptor, Refusal> {
    listen::bind(address).await.map_err(|error| match error {
        ListenError::InUse(address) => Refusal::PortTaken { setting, address },
        cause @ ListenError::Refused { .. } => Refusal::NotListening { setting, cause },
    })
}

/// On standard error, after the program's name.
pub fn print_refusal(program: &str, refusal: &dyn Display) {
    // Nobody is left to be told that standard error is gone.
    let _ = writeln!(io::stderr(), "{program}: {refusal}");
}

fn environment_name(key: &str) -> String {
    format!("EXPEDITER__{}", key.to_uppercase().replace('.', "__"))
}
