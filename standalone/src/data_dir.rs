//! The data directory: locked by one process at a time, with files that only their owner can read.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use runtime::config::{DatabaseKind, ServiceUrl, Settings};

use crate::refusal::Refusal;

const LOCK: &str = "expediter.lock";

/// Locked data directory. The operating system releases the locks however the process ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _locks: Vec<File>,
}

impl DataDir {
    /// Creates the directory if it is missing and locks it. The folder of a SQLite file elsewhere is locked too.
    pub(crate) fn lock(settings: &Settings) -> Result<Self, Refusal> {
        let path = settings.secrets.data_dir.clone();
        make_private(&path)?;
        let mut folders = vec![path.clone()];
        folders.extend(sqlite_file(settings).and_then(|file| file.parent().map(Path::to_path_buf)));
        let mut locked: Vec<PathBuf> = Vec::new();
        let mut locks = Vec::new();
        for folder in folders {
            let folder = make(&folder).map_err(|cause| Refusal::DataDir {
                path: folder,
                cause,
            })?;
            if !locked.contains(&folder) {
                locks.push(lock(&folder)?);
                locked.push(folder);
            }
        }
        Ok(Self {
            path,
            _locks: locks,
        })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Prepares the data directory as a start does, if the database is in it. For commands that work beside a running
/// process, and so do not lock it.
pub(crate) fn prepare(settings: &Settings) -> Result<(), Refusal> {
    let folder = &settings.secrets.data_dir;
    match sqlite_file(settings) {
        Some(file) if file.starts_with(folder) => make_private(folder),
        _ => Ok(()),
    }
}

/// Creates the folder for its owner only, or makes an empty one so. One with files that others can access is refused, as
/// the key file is: they may have been read.
fn make_private(folder: &Path) -> Result<(), Refusal> {
    let failed = |cause| Refusal::DataDir {
        path: folder.to_owned(),
        cause,
    };
    let folder = make(folder).map_err(failed)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    if is_exposed(&folder).map_err(failed)? {
        if !files.is_empty() {
            return Err(Refusal::Exposed {
                path: folder,
                mode: "700",
            });
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(failed)?;
    }
    for path in files {
        // A file may vanish meanwhile: a running process replaces them.
        if path.is_file() && is_exposed(&path).unwrap_or(false) {
            return Err(Refusal::Exposed { path, mode: "600" });
        }
    }
    Ok(())
}

fn is_exposed(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

/// Sets the default database to a SQLite file in `secrets.data_dir`.
pub(crate) fn keep_database_inside(settings: &mut Settings) {
    let is_default =
        Settings::with(&[]).is_ok_and(|default| default.database.url == settings.database.url);
    if is_default {
        let file = settings.secrets.data_dir.join("expediter.db");
        if let Ok(url) = ServiceUrl::try_from(format!("sqlite://{}", file.display())) {
            settings.database.url = url;
        }
    }
}

/// Returns the file of `database.url` if it is a SQLite URL.
pub(crate) fn sqlite_file(settings: &Settings) -> Option<PathBuf> {
    if settings.database.kind() != DatabaseKind::Sqlite {
        return None;
    }
    let url = settings.database.url.expose();
    let path = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"))?;
    Some(PathBuf::from(path.split('?').next().unwrap_or(path)))
}

/// Refuses a SQLite file that does not exist: connecting would create an empty database.
pub(crate) fn require_database(settings: &Settings) -> Result<(), Refusal> {
    match sqlite_file(settings).filter(|path| !path.exists()) {
        Some(path) => Err(Refusal::NoDatabase { path }),
        None => Ok(()),
    }
}

/// Writes a file atomically with mode 0600, and syncs it to disk.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("tmp");
    // A draft left by a crash could have another mode.
    match fs::remove_file(&draft) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn make(folder: &Path) -> io::Result<PathBuf> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    fs::canonicalize(folder)
}

fn lock(folder: &Path) -> Result<File, Refusal> {
    let path = folder.join(LOCK);
    let refused = |cause| Refusal::DataDir {
        path: path.clone(),
        cause,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(refused)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Refusal::Locked {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(cause)) => Err(refused(cause)),
    }
}
