//! A process of the same build that this program starts: its settings, its output and its log.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use platform::chance::Chance;
use store::testing::environment;
use tokio::{sync::mpsc, time::timeout};

const SOON: Duration = Duration::from_secs(60);

/// A running process. Dropping it kills the process and deletes its folder.
#[derive(Debug)]
pub(crate) struct Process {
    /// Host and port.
    pub(crate) address: String,
    /// Lines that it printed until it had started.
    pub(crate) said: String,
    how: How,
    folder: PathBuf,
    child: Child,
}

/// A process's program and settings.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub(crate) program: PathBuf,
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Setting with the address on which it listens.
    pub(crate) listen: &'static str,
    /// Part of the last line that it prints when it has started.
    pub(crate) last_line: &'static str,
}

impl Process {
    pub(crate) async fn start(mut how: How) -> anyhow::Result<Self> {
        let name = format!("expediter-bench-{}", Chance::system().session_code());
        let folder = environment::temporary_folder().join(name);
        fs::create_dir_all(&folder)?;
        let data = folder.join("data").display().to_string();
        how.settings.extend([
            ("secrets.data_dir", data),
            (how.listen, "127.0.0.1:0".to_owned()),
        ]);
        let mut process = Self {
            address: String::new(),
            said: String::new(),
            child: how.spawn(&folder)?,
            how,
            folder,
        };
        process.await_start().await?;
        Ok(process)
    }

    /// Kills the process.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts the process again after [`Self::kill`], on the same port and with the same data.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.how
            .settings
            .push((self.how.listen, self.address.clone()));
        self.child = self.how.spawn(&self.folder)?;
        self.await_start().await
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the process's warnings; empty if all went well.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    async fn await_start(&mut self) -> anyhow::Result<()> {
        let stdout = self.child.stdout.take().context("stdout is not piped")?;
        let (sender, mut lines) = mpsc::unbounded_channel();
        // Reads to the end: a full pipe would block the process.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let last_line = self.how.last_line;
        let mut said = String::new();
        let read = timeout(SOON, async {
            while let Some(line) = lines.recv().await {
                said.push_str(&line);
                said.push('\n');
                if line.contains(last_line) {
                    return true;
                }
            }
            false
        });
        if read.await != Ok(true) {
            bail!(
                "the process did not start; it printed:\n{said}\nand logged:\n{}",
                self.log()
            );
        }
        let url = said
            .split_whitespace()
            .find_map(|word| word.strip_suffix("/readyz"));
        let url = url.context("the process did not print its address")?;
        self.address = url.replace("http://", "");
        self.said = said;
        Ok(())
    }
}

impl How {
    fn spawn(&self, folder: &Path) -> anyhow::Result<Child> {
        let variables = self.settings.iter().map(|(key, value)| {
            let name = format!("EXPEDITER__{}", key.to_uppercase().replace('.', "__"));
            (name, value)
        });
        let log = fs::File::create(folder.join("log"))?;
        Command::new(&self.program)
            .envs(variables)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} could not be started", self.program.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns the path of a binary of the same build, next to the running one.
pub(crate) fn built(name: &str) -> anyhow::Result<PathBuf> {
    let program = env::current_exe()?.with_file_name(name);
    ensure!(
        program.exists(),
        "{} is not built: `make bench` builds it",
        program.display()
    );
    Ok(program)
}
