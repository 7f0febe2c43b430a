//! Tracing for the whole process: text on a terminal, JSON elsewhere, panics included.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{IsTerminal, stderr},
    panic,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::filter_fn,
    fmt,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

use crate::config::{self, LogFormat};

/// Our own crates. Only these may log below `info`: there, libraries log whole requests with their session codes and
/// secrets.
const OWN_CRATES: &[&str] = &[
    "common",
    "api",
    "worker",
    "notifier",
    "standalone",
    "expediter",
    "kitchen",
    "courier",
];

/// Sets up tracing; called once, before anything else. Logs go to standard error.
pub fn init(settings: &config::Telemetry) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&settings.filter)?;
    let is_terminal = stderr().is_terminal();
    let as_text = match settings.format {
        LogFormat::Auto => is_terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = fmt::layer().with_writer(stderr).with_ansi(is_terminal);
    let lines = if as_text {
        lines.boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_filter(filter_fn(is_enabled)))
        .try_init()?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("telemetry.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("tracing is already set up: {0}")]
    AlreadySet(#[from] TryInitError),
}

fn is_enabled(metadata: &Metadata<'_>) -> bool {
    let from = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO || OWN_CRATES.contains(&from)
}

fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let what = text
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(place, %backtrace, "panic: {what}"),
        _ => tracing::error!(place, "panic: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct LogBuffer(Arc<Mutex<Vec<u8>>>);

    impl Write for LogBuffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(talk: impl FnOnce()) -> String {
        let page = LogBuffer::default();
        let writer = page.clone();
        let lines = fmt::layer()
            .with_writer(move || writer.clone())
            .with_filter(filter_fn(is_enabled));
        let subscriber = tracing_subscriber::registry()
            .with(EnvFilter::new("trace"))
            .with(lines);
        tracing::subscriber::with_default(subscriber, talk);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn libraries_never_say_more_than_info_even_when_asked_for_everything() {
        let logged = logged(|| {
            tracing::debug!(target: "hyper::proto", "GET /s/0123456789");
            tracing::info!(target: "sqlx::pool", "connected");
            tracing::trace!(target: "worker::lanes", "claimed");
        });
        assert!(!logged.contains("/s/0123456789"), "{logged}");
        assert!(
            logged.contains("connected") && logged.contains("claimed"),
            "{logged}"
        );
    }

    #[test]
    fn a_panic_becomes_a_log_line_with_its_place() {
        let logged = logged(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(log_panic));
            let outcome = panic::catch_unwind(|| panic!("out of cups"));
            panic::set_hook(before);
            assert!(outcome.is_err());
        });
        assert!(
            logged.contains("panic: out of cups") && logged.contains("telemetry.rs"),
            "{logged}"
        );
    }
}
