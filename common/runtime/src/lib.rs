//! How every process is set up, lives and ends: settings, keys, signals, logs, probes, and the relay.

/// Settings: defaults, a file, the environment.
pub mod config;
/// The keys of a process, from its settings or from standalone's `secrets.key`.
pub mod keys;

/// Signals and the drain.
pub mod lifecycle;
/// Starts a process on its database, broker and ledger.
pub mod process;
/// Publishes outbox rows to the broker, and sweeps what a crash left.
pub mod relay;

/// Access tokens, which the api issues and the notifier checks too.
pub mod access_tokens;
/// Sends traces and metrics to an OpenTelemetry collector.
pub mod otlp;
/// Spans of traces, from a request to the screens that show it.
pub mod traces;

/// Client addresses, through trusted proxies.
pub mod client;
/// Which origins' pages may read responses.
pub mod cors;
/// Accepted sockets without Nagle's delay.
pub mod listen;
/// `/healthz`, `/readyz`, `/metrics`.
pub mod operations;
/// Request ids, in the response and in the log.
pub mod request_id;
/// Logs.
pub mod telemetry;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
