//! Errors with which a process refuses to start: one line each that says what to do.

use std::{
    fmt::Display,
    io::{self, Write},
    net::SocketAddr,
};

use crate::{
    config::{self, SettingsError},
    keys::KeysError,
    listen::{ListenError, TlsError},
    telemetry::TelemetryError,
};
use platform::crash::UnknownCrashPoint;
use store::StoreError;

/// Exit code of a process that refused to start.
pub const EXIT_CODE: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(
        "{key} is a secret, and everyone on this machine can read a command line: set it in a file (--config), \
         in the environment variable {name}, or in a file that {name}_FILE names",
        name = config::variable(key)
    )]
    SecretOnCommandLine { key: String },
    #[error(
        "{setting} is {given}, which only one process can use, but {binary} runs beside others: set it to a server, \
         {wanted}, or run everything in one process with `expediter`"
    )]
    OneProcessOnly {
        binary: &'static str,
        setting: &'static str,
        given: String,
        wanted: &'static str,
    },
    #[error(
        "cannot listen on {address}: the address is already in use; stop the other process, or choose another port \
         with --set {setting}={ip}:{port}", ip = .address.ip(), port = .address.port().wrapping_add(1)
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
    Tls(#[from] TlsError),
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
    #[error("{doing} failed: {cause}")]
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

/// Prints a refusal on standard error, after the program's name.
pub fn print_refusal(program: &str, refusal: &dyn Display) {
    // A closed standard error is ignored: there is nowhere left to report it.
    let _ = writeln!(io::stderr(), "{program}: {refusal}");
}
