//! A temporary directory of a test, deleted when it is dropped.

use std::{
    env,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

static MADE: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// # Panics
    /// If it cannot be created.
    #[must_use]
    pub fn new() -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("expediter-e2e-{}-{number}", process::id()));
        // An old one may be left by a process with the same id.
        let _ = fs::remove_dir_all(&path);
        // Others can't list it. Database servers that run as users of their own must get through to their folders.
        let made = DirBuilder::new().recursive(true).mode(0o711).create(&path);
        made.expect("a temporary directory can be made");
        Self(path)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
