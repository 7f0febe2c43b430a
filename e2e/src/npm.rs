//! Packages from npm for tests (installed by scripts/npm-tools), and commands that use them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use store::testing::environment;

/// The installed packages.
#[derive(Clone, Copy, Debug)]
pub struct NpmTools(());

impl NpmTools {
    /// Finds the packages that `make test` installed. If they are missing, returns `None` and prints that `without` is
    /// not tested.
    ///
    /// # Panics
    /// In CI, if they are missing.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
    pub fn found(without: &str) -> Option<Self> {
        let path = script().arg("path").output();
        let path = path.expect("the script is in the source tree");
        if path.status.success() {
            return Some(Self(()));
        }
        let why = String::from_utf8_lossy(&path.stderr).into_owned();
        assert!(!environment::in_ci(), "CI must not skip {without}: {why}");
        eprintln!("SKIPPED: {without}: {why}");
        None
    }

    /// Returns a command for a program of the packages, or for `node`, which can import them.
    #[must_use]
    pub fn command(self, program: &str) -> Command {
        let mut command = script();
        command.args(["run", program]);
        command
    }

    /// Returns the path of a file in `e2e/npm`.
    #[must_use]
    pub fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("npm").join(name)
    }
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/npm-tools"))
}
