//! The Python packages that tests borrow (scripts/python-tools), and programs that use them.

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
    /// Where `make test` put the packages; `None`, said loudly, where they can't be had. `without`: what then is not
    /// tested.
    ///
    /// # Panics
    /// In CI without them.
    #[must_use]
    #[expect(
        clippy::print_stderr,
        reason = "a skipped test must be seen by whoever runs the tests"
    )]
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

    /// One of the programs that came with the packages, or `python3`; it finds what is in `e2e/python`, and leaves
    /// nothing in the source tree.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.beside(&sources().join("python"), program)
    }

    /// The same, but it finds what is in `folder`.
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

    /// A file of `e2e/python`.
    #[must_use]
    pub fn file(name: &str) -> PathBuf {
        sources().join("python").join(name)
    }
}

fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
