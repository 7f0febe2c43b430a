//! Settings: the compiled-in `default.toml`, then a file, then the environment and the files that it names, then the
//! command line.

mod check;
mod files;
mod headers;
mod layers;
mod sections;
mod started;
mod values;

use std::{fmt, path::Path};

use self::layers::Layers;

pub(crate) use self::headers::parse_headers;
pub(crate) use self::values::secrets;
pub use self::{
    sections::{
        Accounts, Audit, Broker, BrokerKind, Callbacks, Database, DatabaseKind, Demo, Http, Intake,
        Limits, LogFormat, Notifier, Outbox, Outside, RateLimits, Retention, Secrets, Shutdown,
        Stuck, Telemetry, Testing, Worker,
    },
    started::program,
    values::{Secret, ServiceUrl},
};

/// The defaults, and the documentation of every key.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

const ENVIRONMENT_PREFIX: &str = "EXPEDITER__";

/// Settings, validated when they are loaded. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Settings {
    pub http: Http,
    pub database: Database,
    pub broker: Broker,
    pub intake: Intake,
    pub limits: Limits,
    pub outbox: Outbox,
    pub worker: Worker,
    pub stuck: Stuck,
    pub retention: Retention,
    pub audit: Audit,
    pub callbacks: Callbacks,
    pub notifier: Notifier,
    pub accounts: Accounts,
    pub rate_limits: RateLimits,
    pub secrets: Secrets,
    pub outside: Outside,
    pub shutdown: Shutdown,
    pub telemetry: Telemetry,
    pub testing: Testing,
    pub demo: Demo,
}

impl Settings {
    /// Loads the settings. `overrides` are `("section.key", "value")` pairs from the command line; their values are
    /// parsed like those of environment variables.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn load(file: Option<&Path>, overrides: &[(&str, &str)]) -> Result<Self, SettingsError> {
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::from_layers(file, &environment, overrides)
    }

    /// Reads a variable of the environment that is no setting, such as a secret that one command needs.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one file that reads the environment"
    )]
    #[must_use]
    pub fn variable(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn from_layers(
        file: Option<&Path>,
        environment: &[(String, String)],
        overrides: &[(&str, &str)],
    ) -> Result<Self, SettingsError> {
        let mut layers = Layers::new();
        if let Some(path) = file {
            layers.add_file(path)?;
        }
        let variables = environment.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(ENVIRONMENT_PREFIX)?;
            let key = key.to_lowercase().replace("__", ".");
            Some((key, name.as_str(), value.as_str()))
        });
        layers.add_environment(&variables.collect::<Vec<_>>());
        layers.add_overrides(overrides);
        layers.settings()
    }

    /// Loads the defaults with these `("section.key", "value")` overrides, without the environment. For tests.
    pub fn with(overrides: &[(&str, &str)]) -> Result<Self, SettingsError> {
        let mut layers = Layers::new();
        layers.add_overrides(overrides);
        layers.settings()
    }
}

/// Returns the name of the environment variable that holds a setting.
pub(crate) fn variable(key: &str) -> String {
    let name = key.to_uppercase().replace('.', "__");
    format!("{ENVIRONMENT_PREFIX}{name}")
}

/// Returns a secret from the environment that is no setting, such as the token of a caller; `None` if it is not set.
#[must_use]
pub fn secret_from_environment(name: &str) -> Option<Secret> {
    let secret = Secret::new(Settings::variable(name)?);
    (!secret.is_empty()).then_some(secret)
}

/// All problems with the settings, not only the first.
#[derive(Debug, thiserror::Error)]
pub struct SettingsError {
    pub problems: Vec<Problem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`; empty if a whole file could not be read.
    pub key: String,
    pub what: String,
    /// The file, environment variable or command line that set it.
    pub source: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => write!(f, "settings: {problem}"),
            problems => {
                write!(f, "settings: {} problems", problems.len())?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{} ", self.key)?;
        }
        write!(f, "{} ({})", self.what, self.source)
    }
}

#[cfg(test)]
mod tests;
