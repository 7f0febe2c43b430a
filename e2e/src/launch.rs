//! How the binary is started: program, directory, settings, arguments.

use std::{
    env,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use chrono::SecondsFormat;
use platform::clock::Clock;

use crate::{Expediter, SOON, until_within};

/// Everything that a start needs. The data directory is `data` below `folder`, standard error goes to `folder/log`.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    folder: PathBuf,
    /// Said through the environment, which may carry secrets.
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
    clock: Clock,
}

/// What a process left that ended by itself.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `None`: a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Launch {
    /// The `expediter` of the same build as the running test, on a free port.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self::of(&built("expediter"), folder)
    }

    /// Another program: a test of the crate that builds it knows where it is.
    #[must_use]
    pub fn of(program: &Path, folder: &Path) -> Self {
        Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            settings: Vec::new(),
            arguments: Vec::new(),
            clock: Clock::system(),
        }
        .set("secrets.data_dir", folder.join("data").display())
        .set("http.api_listen", "127.0.0.1:0")
        .set("telemetry.format", "text")
    }

    /// `section.key`; the last word counts.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_string()));
        self
    }

    /// The same settings for another program in another folder.
    #[must_use]
    pub(crate) fn at(self, program: &Path, folder: &Path) -> Self {
        Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            ..self
        }
    }

    /// With a clock that runs so many times as fast from now on, also after a restart; attempts' time-outs stay real.
    ///
    /// # Panics
    /// With a rate that is not from 1 to 100.
    #[must_use]
    pub fn fast(self, rate: u32) -> Self {
        let since = Clock::system()
            .now()
            .to_rfc3339_opts(SecondsFormat::Micros, true);
        let pace = format!("{rate} since {since}");
        let parsed = pace.parse().expect("a rate from 1 to 100");
        Self { clock: Clock::paced(parsed), ..self.set("testing.clock_pace", pace) }
            // Else it would go round without a pause.
            .set("worker.sweep_interval_ms", 200 * rate)
    }

    /// Tells the time as the process will.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Takes back what was set.
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

    /// Everything that this folder's processes have said on standard error.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Until it says that it runs.
    ///
    /// # Panics
    /// With its log, when it does not come up.
    pub async fn start(self) -> Expediter {
        Expediter::start(self).await
    }

    /// Until it ends by itself: commands, and starts that are refused.
    ///
    /// # Panics
    /// When it does not end.
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

    /// Until it dies, before or after it says that it runs.
    ///
    /// # Panics
    /// When it goes on.
    pub async fn run_to_its_end(&self) -> ExitStatus {
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

/// Beside the folder `deps`, in which the running test lies.
///
/// # Panics
/// When it is not built.
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
