//! Settings: the compiled-in `default.toml`, then a file, then the environment, then the command line.

mod check;
mod sections;
mod started;
mod values;

use std::{fmt, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider, Source,
    providers::{Format, Toml},
    util::nest,
    value::{Dict, Map, Value},
};
use serde::de::DeserializeOwned;

pub use self::{
    sections::{
        Accounts, Broker, BrokerKind, Callbacks, Database, DatabaseKind, Demo, Http, Intake,
        Limits, LogFormat, Notifier, Outbox, Outside, RateLimits, Secrets, Shutdown, Stuck,
        Telemetry, Testing, Worker,
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
            layers.add(Toml::file_exact(path))?;
        }
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) {
                let key = key.to_lowercase().replace("__", ".");
                let by = format!("environment variable {name}");
                layers.add(Override {
                    key: &key,
                    value,
                    by,
                })?;
            }
        }
        layers.add_overrides(overrides)?;
        layers.settings()
    }

    /// Loads the defaults with these `("section.key", "value")` overrides, without the environment. For tests.
    pub fn with(overrides: &[(&str, &str)]) -> Result<Self, SettingsError> {
        let mut layers = Layers::new();
        layers.add_overrides(overrides)?;
        layers.settings()
    }
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

struct Layers {
    figment: Figment,
    /// The defaults, which contain every known key.
    known: Dict,
    problems: Vec<Problem>,
}

/// Maximum number of letters by which a key may differ from the one that it is taken for.
const MAX_SLIPS: usize = 3;

impl Layers {
    fn new() -> Self {
        let figment = Figment::from(Toml::string(DEFAULT_TOML));
        let known = figment.extract().expect("default.toml is valid");
        Self {
            figment,
            known,
            problems: Vec::new(),
        }
    }

    /// Adds a layer. Checks it for unknown keys at once, because later their source is no longer known.
    fn add(&mut self, layer: impl Provider) -> Result<(), SettingsError> {
        let metadata = layer.metadata();
        let said = layer.data().map_err(|error| SettingsError {
            problems: error
                .into_iter()
                .map(|one| Problem {
                    key: String::new(),
                    what: without_excerpt(&one.kind.to_string()),
                    source: source_of(Some(&metadata)),
                })
                .collect(),
        })?;
        for dict in said.values() {
            for key in leaves("", dict) {
                if let Some(what) = self.unknown_key(&key) {
                    let source = source_of(Some(&metadata));
                    self.problems.push(Problem { key, what, source });
                }
            }
        }
        let figment = std::mem::take(&mut self.figment);
        self.figment = figment.merge(layer);
        Ok(())
    }

    fn add_overrides(&mut self, overrides: &[(&str, &str)]) -> Result<(), SettingsError> {
        overrides.iter().try_for_each(|(key, value)| {
            let by = "command line".to_owned();
            self.add(Override { key, value, by })
        })
    }

    fn unknown_key(&self, key: &str) -> Option<String> {
        let known = leaves("", &self.known);
        if known.iter().any(|known| known == key) {
            return None;
        }
        let distance = |known: &&String| strsim::damerau_levenshtein(known, key);
        let name = key.rsplit('.').next().unwrap_or(key);
        // The right name in a wrong section, or a slip of the finger.
        let meant = known
            .iter()
            .filter(|known| known.rsplit('.').next() == Some(name))
            .min_by_key(distance)
            .or_else(|| known.iter().min_by_key(distance))
            .filter(|known| known.rsplit('.').next() == Some(name) || distance(known) <= MAX_SLIPS);
        Some(match meant {
            Some(meant) => format!("is an unknown key; did you mean {meant}?"),
            None => "is an unknown key".to_owned(),
        })
    }

    fn settings(mut self) -> Result<Settings, SettingsError> {
        if !self.problems.is_empty() {
            return Err(SettingsError {
                problems: self.problems,
            });
        }
        let settings = self.sections();
        if let Some(settings) = &settings {
            for (key, what) in check::problems(settings) {
                let source = source_of(self.figment.find_metadata(key));
                self.problems.push(Problem {
                    key: key.to_owned(),
                    what,
                    source,
                });
            }
        }
        match settings {
            Some(settings) if self.problems.is_empty() => Ok(settings),
            _ => Err(SettingsError {
                problems: self.problems,
            }),
        }
    }

    /// Reads every section even after one failed, to report the problems of all.
    fn sections(&mut self) -> Option<Settings> {
        let http = self.section("http");
        let database = self.section("database");
        let broker = self.section("broker");
        let intake = self.section("intake");
        let limits = self.section("limits");
        let outbox = self.section("outbox");
        let worker = self.section("worker");
        let stuck = self.section("stuck");
        let callbacks = self.section("callbacks");
        let notifier = self.section("notifier");
        let accounts = self.section("accounts");
        let rate_limits = self.section("rate_limits");
        let secrets = self.section("secrets");
        let outside = self.section("outside");
        let shutdown = self.section("shutdown");
        let telemetry = self.section("telemetry");
        let testing = self.section("testing");
        let demo = self.section("demo");
        Some(Settings {
            http: http?,
            database: database?,
            broker: broker?,
            intake: intake?,
            limits: limits?,
            outbox: outbox?,
            worker: worker?,
            stuck: stuck?,
            callbacks: callbacks?,
            notifier: notifier?,
            accounts: accounts?,
            rate_limits: rate_limits?,
            secrets: secrets?,
            outside: outside?,
            shutdown: shutdown?,
            telemetry: telemetry?,
            testing: testing?,
            demo: demo?,
        })
    }

    fn section<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        match self.figment.extract_inner(name) {
            Ok(section) => Some(section),
            Err(errors) => {
                for error in errors {
                    // extract_inner puts the section last in the path.
                    let inside = error.path.iter().take_while(|part| *part != name);
                    let key = inside.fold(name.to_owned(), |key, part| format!("{key}.{part}"));
                    let metadata = self.figment.find_metadata(&key);
                    let source = source_of(metadata.or(error.metadata.as_ref()));
                    let what = format!("is invalid: {}", error.kind);
                    self.problems.push(Problem { key, what, source });
                }
                None
            }
        }
    }
}

/// One value from the environment or the command line.
struct Override<'a> {
    key: &'a str,
    value: &'a str,
    by: String,
}

impl Provider for Override<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.by.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value: Value = self.value.parse().unwrap_or_else(|never| match never {});
        let dict = nest(self.key, value).into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}

/// Returns the TOML parser's message without its excerpt of the file, which may contain a secret.
fn without_excerpt(message: &str) -> String {
    let is_excerpt = |line: &&str| {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        line.starts_with('|')
    };
    let told: Vec<&str> = message
        .lines()
        .filter(|line| !is_excerpt(line) && !line.trim().is_empty())
        .collect();
    told.join(": ")
}

fn leaves(prefix: &str, dict: &Dict) -> Vec<String> {
    let named = |key: &String| {
        if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        }
    };
    dict.iter()
        .flat_map(|(key, value)| match value {
            Value::Dict(_, inner) => leaves(&named(key), inner),
            _ => vec![named(key)],
        })
        .collect()
}

fn source_of(metadata: Option<&Metadata>) -> String {
    match metadata.map(|metadata| (&metadata.source, &metadata.name)) {
        Some((Some(Source::File(path)), _)) => path.display().to_string(),
        Some((None, by)) => by.to_string(),
        _ => "default.toml".to_owned(),
    }
}

#[cfg(test)]
mod tests;
