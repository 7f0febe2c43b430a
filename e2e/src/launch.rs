//! The parameters of a process to start: program, directory, settings, arguments.

use std::{
    env,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use chrono::SecondsFormat;
use platform::clock::Clock;
use reqwest::Client;

use crate::{Expediter, SOON, expediter::client_trusting, until_within};

/// Parameters of a start. The data directory is `data` in `folder`; standard error goes to `folder/log`.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    folder: PathBuf,
    /// Passed through the environment, which may carry secrets.
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
    clock: Clock,
    /// Certificate of the authority that its clients trust.
    authority: Option<String>,
}

/// Exit code and output of a process that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Launch {
    /// Starts from the `expediter` of the same build as the running test, on a free port.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self::of(&built("expediter"), folder)
    }

    /// Starts from another program, whose path the caller knows.
    #[must_use]
    pub fn of(program: &Path, folder: &Path) -> Self {
        Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            settings: Vec::new(),
            arguments: Vec::new(),
            clock: Clock::system(),
            authority: None,
        }
        .set("secrets.data_dir", folder.join("data").display())
        .set("http.api_listen", "127.0.0.1:0")
        .set("telemetry.format", "text")
        // The tests' integrators are on this machine.
        .set("worker.allow_http", true)
        .set("worker.allow_networks", r#"["127.0.0.0/8"]"#)
        // One table stands for many.
        .set("rate_limits.session_orders_per_minute", 0)
        .set("limits.unfinished_orders_per_session", 100_000)
    }

    /// Sets `section.key`, replacing an earlier value.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_string()));
        self
    }

    /// Returns the same settings for another program in another folder.
    #[must_use]
    pub(crate) fn at(self, program: &Path, folder: &Path) -> Self {
        Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            ..self
        }
    }

    /// Makes the clock run `rate` times as fast from now on, also after a restart. Timeouts of attempts stay real.
    ///
    /// # Panics
    /// If the rate is not from 1 to 100.
    #[must_use]
    pub fn fast(self, rate: u32) -> Self {
        let since = Clock::system()
            .now()
            .to_rfc3339_opts(SecondsFormat::Micros, true);
        let pace = format!("{rate} since {since}");
        let parsed = pace.parse().expect("a rate from 1 to 100");
        Self { clock: Clock::with_pace(parsed), ..self.set("testing.clock_pace", pace) }
            // Otherwise the sweep would run without a pause.
            .set("worker.sweep_interval_ms", 200 * rate)
    }

    /// Returns the clock that the process will use.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Lets the clients of the process trust an authority, by its certificate in PEM, and no other.
    #[must_use]
    pub fn trusting(self, authority: &str) -> Self {
        let authority = Some(authority.to_owned());
        Self { authority, ..self }
    }

    pub(crate) fn client(&self) -> Client {
        client_trusting(self.authority.as_deref())
    }

    /// Removes a setting.
    #[must_use]
    pub fn unset(mut self, key: &str) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self
    }

    #[must_use]
    pub fn argument(mut self, argument: impl ToString) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the standard error of all processes in this folder.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Starts the process and waits until it has printed that it runs.
    ///
    /// # Panics
    /// With its log, if it does not start.
    pub async fn start(self) -> Expediter {
        Expediter::start(self).await
    }

    /// Runs the process to its end: for commands, and for starts that are refused.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn run(&self) -> Ended {
        let out = self.folder.join("stdout");
        let before = self.log().len();
        let file = fs::File::create(&out).expect("the test's directory can be written");
        let mut child = self.spawn(Stdio::from(file));
        let status = until_within(SOON * 2, "the end of a command", || {
            let status = child.try_wait().expect("a child can be waited for");
            async move { status }
        });
        let code = status.await.code();
        Ended {
            code,
            stdout: fs::read_to_string(&out).unwrap_or_default(),
            stderr: self.log().split_off(before),
        }
    }

    /// Starts the process and waits until it ends, whether it came up or not.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn run_until_exit(&self) -> ExitStatus {
        let mut child = self.spawn(Stdio::null());
        until_within(SOON, "the end of the process", || {
            let status = child.try_wait().expect("a child can be waited for");
            async move { status }
        })
        .await
    }

    pub(crate) fn spawn(&self, stdout: Stdio) -> Child {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file());
        let variables = self.settings.iter().map(|(key, value)| {
            let name = format!("EXPEDITER__{}", key.to_uppercase().replace('.', "__"));
            (name, value)
        });
        Command::new(&self.program)
            .args(&self.arguments)
            .envs(variables)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(log.expect("the test's directory can be written"))
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()))
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }
}

/// Returns the path of a binary of the same build: the running test is in `deps`, binaries are in the folder above.
///
/// # Panics
/// If it is not built.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a process knows its file");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("a test lies in target/<profile>/deps");
    let program = profile.join(name);
    assert!(
        program.exists(),
        "{} is not built: run `cargo build --workspace --bins`, or test the whole workspace",
        program.display()
    );
    program
}
