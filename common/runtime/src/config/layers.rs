//! The layers of the settings: each overrides the values of those before it, and says where its values come from.

use std::{collections::BTreeMap, fs, path::Path};

use serde::de::DeserializeOwned;
use toml::{Table, Value};
use zeroize::Zeroizing;

use super::{DEFAULT_TOML, Problem, Settings, SettingsError, check, files, variable};

/// Maximum number of letters by which a key may differ from the one that it is taken for.
const MAX_SLIPS: usize = 3;
/// Ends the name of a variable that names the file with a value.
const FILE: &str = "_file";

pub(super) struct Layers {
    /// The defaults, which contain every known key.
    pub(super) known: Table,
    merged: Table,
    /// The source of every key that is not a default.
    sources: BTreeMap<String, String>,
    /// The contents of files that are values, by key.
    contents: BTreeMap<String, Zeroizing<String>>,
    problems: Vec<Problem>,
}

impl Layers {
    pub(super) fn new() -> Self {
        let known: Table = DEFAULT_TOML.parse().expect("default.toml is valid");
        Self {
            merged: known.clone(),
            known,
            sources: BTreeMap::new(),
            contents: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let unreadable = |what| SettingsError {
            problems: vec![Problem {
                key: String::new(),
                what,
                source: path.display().to_string(),
            }],
        };
        let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let layer = text
            .parse()
            .map_err(|error| unreadable(told(&error, &text)))?;
        self.add(layer, &path.display().to_string());
        Ok(())
    }

    pub(super) fn add_overrides(&mut self, overrides: &[(&str, &str)]) {
        for (key, value) in overrides {
            self.add_value(key, value, "command line");
        }
    }

    /// Adds the variables of the environment, as `section.key`: first values, then files with values.
    pub(super) fn add_environment(&mut self, variables: &[(String, &str, &str)]) {
        let by = |name: &str| format!("environment variable {name}");
        let mut in_files = Vec::new();
        for (key, name, value) in variables {
            match self.key_of_file(key) {
                Some(of) => in_files.push((of.to_owned(), by(name), value)),
                None => self.add_value(key, value, &by(name)),
            }
        }
        let names: Vec<String> = variables.iter().map(|(_, name, _)| by(name)).collect();
        for (key, source, path) in in_files {
            let other = self.sources.get(&key).filter(|it| names.contains(it));
            if let Some(other) = other {
                let what = format!("is set by {other} too: use one of the two");
                self.problems.push(Problem { key, what, source });
                continue;
            }
            match files::read(path) {
                Ok(content) => self.add_content(key, content, &source),
                Err(what) => self.problems.push(Problem { key, what, source }),
            }
        }
    }

    /// Returns the setting whose value is in the file that a variable names. A name that is a setting itself, such as
    /// `broker.ca_file`, is that setting.
    fn key_of_file<'k>(&self, key: &'k str) -> Option<&'k str> {
        let of = key.strip_suffix(FILE)?;
        let is_setting = |key| self.default_of(key).is_some();
        (is_setting(of) && !is_setting(key)).then_some(of)
    }

    /// Adds a value from a file. A text is taken as it is, with its spaces and quotes.
    fn add_content(&mut self, key: String, content: Zeroizing<String>, source: &str) {
        let as_it_is = || Value::String(content.as_str().to_owned());
        let value = match self.default_of(&key) {
            Some(Value::String(_)) => as_it_is(),
            default => match value_of(&content, default) {
                // Its keys would be told as unknown ones.
                Value::Table(_) => as_it_is(),
                value => value,
            },
        };
        self.add_nested(&key, value, source);
        self.contents.insert(key, content);
    }

    /// Adds one value from the environment or the command line: `key` is `section.key`.
    pub(super) fn add_value(&mut self, key: &str, value: &str, source: &str) {
        let value = value_of(value, self.default_of(key));
        self.add_nested(key, value, source);
    }

    fn add_nested(&mut self, key: &str, value: Value, source: &str) {
        let nested = key.rsplit('.').fold(value, |inner, part| {
            Value::Table(Table::from_iter([(part.to_owned(), inner)]))
        });
        if let Value::Table(layer) = nested {
            self.add(layer, source);
        }
    }

    fn add(&mut self, layer: Table, source: &str) {
        for key in leaves("", &layer) {
            let is_section = |table: &Table| table.get(&key).is_some_and(Value::is_table);
            if is_section(&self.known) && is_section(&layer) {
                continue; // [http] without a key
            }
            if let Some(what) = self.unknown_key(&key) {
                self.problems.push(Problem {
                    key: key.clone(),
                    what,
                    source: source.to_owned(),
                });
            }
            self.sources.insert(key, source.to_owned());
        }
        merge(&mut self.merged, layer);
    }

    /// Returns the default of a setting; `None` for what is none, such as a section.
    fn default_of(&self, key: &str) -> Option<&Value> {
        let (section, name) = key.rsplit_once('.')?;
        let mut parts = section.split('.');
        let table = parts.try_fold(&self.known, |table, part| table.get(part)?.as_table())?;
        table.get(name).filter(|value| !value.is_table())
    }

    fn unknown_key(&self, key: &str) -> Option<String> {
        let known = leaves("", &self.known);
        if known.iter().any(|known| known == key) {
            return None;
        }
        let in_file = || {
            let of = meant(&known, key.strip_suffix(FILE)?)?;
            Some(format!("the environment variable {}_FILE", variable(of)))
        };
        Some(match meant(&known, key).cloned().or_else(in_file) {
            Some(meant) => format!("is an unknown key; did you mean {meant}?"),
            None => "is an unknown key".to_owned(),
        })
    }

    pub(super) fn settings(mut self) -> Result<Settings, SettingsError> {
        if !self.problems.is_empty() {
            return Err(SettingsError {
                problems: self.problems,
            });
        }
        let settings = self.sections();
        if let Some(settings) = &settings {
            for (key, what) in check::problems(settings) {
                self.problem(key.to_owned(), what);
            }
        }
        match settings {
            Some(settings) if self.problems.is_empty() => Ok(settings),
            _ => Err(SettingsError {
                problems: self.problems,
            }),
        }
    }

    fn problem(&mut self, key: String, what: String) {
        let what = match self.contents.get(&key) {
            Some(content) => files::without(content, what),
            None => what,
        };
        let source = self
            .sources
            .get(&key)
            .map_or("default.toml", String::as_str);
        let source = source.to_owned();
        self.problems.push(Problem { key, what, source });
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
        let retention = self.section("retention");
        let audit = self.section("audit");
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
            retention: retention?,
            audit: audit?,
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

    /// Reads a section. If it cannot be read, finds each of its values that is wrong: one that cannot be read even among
    /// defaults.
    fn section<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let section = self.merged.get(name)?.as_table()?.clone();
        if let Ok(section) = section.clone().try_into() {
            return Some(section);
        }
        let defaults = self.known.get(name)?.as_table()?.clone();
        for (key, value) in section {
            let mut probe = defaults.clone();
            probe.insert(key.clone(), value);
            if let Err(error) = probe.try_into::<T>() {
                let what = format!("is invalid: {}", error.message().trim_end());
                self.problem(format!("{name}.{key}"), what);
            }
        }
        None
    }
}

/// Returns the known key that a wrong one is taken for: the right name in a wrong section, or a slip of the finger.
fn meant<'k>(known: &'k [String], key: &str) -> Option<&'k String> {
    let distance = |known: &&String| strsim::damerau_levenshtein(known, key);
    let name = key.rsplit('.').next().unwrap_or(key);
    known
        .iter()
        .filter(|known| known.rsplit('.').next() == Some(name))
        .min_by_key(distance)
        .or_else(|| known.iter().min_by_key(distance))
        .filter(|known| known.rsplit('.').next() == Some(name) || distance(known) <= MAX_SLIPS)
}

/// Returns the value of a text from the environment or the command line: a TOML value, or the text itself. A text may look
/// like something else, so that a key whose default is a text takes nothing else.
fn value_of(text: &str, default: Option<&Value>) -> Value {
    let text = text.trim();
    let read = format!("value = {text}").parse::<Table>();
    let read = read.ok().filter(|read| read.len() == 1);
    let kept = || Value::String(text.to_owned());
    match (read.and_then(|mut read| read.remove("value")), default) {
        (Some(Value::String(quoted)), _) => Value::String(quoted),
        (_, Some(Value::String(_))) => kept(),
        (None, Some(Value::Array(_))) => unquoted_items(text).unwrap_or_else(kept),
        // No setting is a date of TOML.
        (None | Some(Value::Datetime(_)), _) => kept(),
        (Some(value), _) => value,
    }
}

/// Reads a list of texts without quotes: `[10.0.0.0/8, fd00::/8]`.
fn unquoted_items(text: &str) -> Option<Value> {
    let items = text.strip_prefix('[')?.strip_suffix(']')?;
    let is_plain = !items.contains(['"', '\'', '\n', '#']);
    let items = items
        .split(',')
        .map(|item| Value::String(item.trim().to_owned()));
    is_plain.then(|| Value::Array(items.collect()))
}

fn merge(into: &mut Table, layer: Table) {
    for (key, value) in layer {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(layer)) => merge(into, layer),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Returns the parser's message with its line, and without its excerpt of the file, which may contain a secret.
fn told(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(0, |before| before.matches('\n').count()) + 1;
    let message = error.message().lines().collect::<Vec<_>>().join(": ");
    format!("TOML error in line {line}: {message}")
}

/// Lists the keys as `section.key`, and sections without a key. What must be quoted is quoted: `"a.b"` is another key than
/// `a.b`.
pub(super) fn leaves(prefix: &str, table: &Table) -> Vec<String> {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let named = |key: &String| {
        let quoted = key.is_empty() || !key.chars().all(is_bare);
        let key = if quoted {
            format!("{key:?}")
        } else {
            key.clone()
        };
        if prefix.is_empty() {
            key
        } else {
            format!("{prefix}.{key}")
        }
    };
    table
        .iter()
        .flat_map(|(key, value)| match value {
            Value::Table(inner) if !inner.is_empty() => leaves(&named(key), inner),
            _ => vec![named(key)],
        })
        .collect()
}
