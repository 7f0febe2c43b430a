//! Python packages for tests (installed by scripts/python-tools), and commands that use them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use store::testing::environment;

#[derive(Clone, Debug)]
pub struct PythonTools {
    folder: PathBuf,
}

impl PythonTools {
    /// Finds the packages that `make test` installed. If they are missing, returns `None` and prints that `without` is
    /// not tested.
    ///
    /// # Panics
    /// In CI, if they are missing.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
    pub fn found(without: &str) -> Option<Self> {
        let script = sources().join("../scripts/python-tools");
        let path = Command::new(script)
            .arg("path")
            .output()
            .expect("the script is in the source tree");
        if path.status.success() {
            let folder = String::from_utf8(path.stdout).expect("a path in UTF-8");
            let folder = folder.trim().into();
            return Some(Self { folder });
        }
        let why = String::from_utf8_lossy(&path.stderr).into_owned();
        assert!(!environment::in_ci(), "CI must not skip {without}: {why}");
        eprintln!("SKIPPED: {without}: {why}");
        None
    }

    /// Returns a command for `python3` or a program of the packages. It can import from `e2e/python`, and writes
    /// nothing into the source tree.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.beside(&sources().join("python"), program)
    }

    /// Like [`Self::command`], but it can import from `folder`.
    #[must_use]
    pub fn beside(&self, folder: &Path, program: &str) -> Command {
        let own = self.folder.join("bin").join(program);
        let mut command = Command::new(if own.exists() { own } else { program.into() });
        let known = format!("{}:{}", self.folder.display(), folder.display());
        command
            .env("PYTHONPATH", known)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Returns the path of a file in `e2e/python`.
    #[must_use]
    pub fn file(name: &str) -> PathBuf {
        sources().join("python").join(name)
    }
}

fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
