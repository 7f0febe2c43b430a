//! The files of a SQLite database, which only their owner may read: they hold contact data and password hashes.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::error::{Result, StoreError};

/// Suffixes of the files that SQLite keeps beside a database. It creates them with the database's own mode.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Creates the database's file and folder if they are missing, for their owner only. Refuses a database that others can
/// read or change, as the key file is refused: what was readable may have been read.
pub(super) fn prepare(file: &Path) -> Result<()> {
    create(file).map_err(sqlx::Error::Io)?;
    let mut files = vec![file.to_owned()];
    files.extend(BESIDE.iter().map(|suffix| with_suffix(file, suffix)));
    let mut exposed = Vec::new();
    for file in files {
        if is_exposed(&file).map_err(sqlx::Error::Io)? {
            exposed.push(file.display().to_string());
        }
    }
    if exposed.is_empty() {
        return Ok(());
    }
    let exposed = exposed.join(" ");
    Err(StoreError::Other(sqlx::Error::Configuration(
        format!(
            "it is accessible to other users; restrict it to its owner with chmod 600 {exposed}"
        )
        .into(),
    )))
}

/// Creates the file empty, which SQLite takes for a new database. An existing one is not opened: to close it would
/// release the locks that this process has on it.
fn create(file: &Path) -> io::Result<()> {
    if let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    if file.try_exists()? {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(file).map(drop)
}

fn is_exposed(file: &Path) -> io::Result<bool> {
    match fs::metadata(file) {
        Ok(found) => Ok(found.is_file() && found.permissions().mode() & 0o077 != 0),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use platform::chance::Chance;

    use super::*;
    use crate::{Db, DbOptions, migrate, testing::environment};

    /// A folder that does not exist yet and is removed after the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            Self(environment::temporary_folder().join(Chance::system().session_code()))
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        async fn connect(&self, name: &str) -> Result<Db> {
            let url = format!("sqlite://{}", self.file(name).display());
            Db::connect(&DbOptions::new(url)).await
        }

        fn mode(&self, name: &str) -> u32 {
            mode(&self.file(name))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn a_new_database_is_its_owners_with_all_files_beside_it() {
        let folder = Folder::new();
        let db = folder.connect("in/a.db").await.unwrap();
        migrate(&db).await.unwrap();
        for name in ["in/a.db", "in/a.db-wal", "in/a.db-shm"] {
            assert_eq!(folder.mode(name), 0o600, "{name}");
        }
        assert_eq!((mode(&folder.0), folder.mode("in")), (0o700, 0o700));
        db.close().await;
    }

    #[tokio::test]
    async fn in_a_folder_that_others_can_list_the_file_is_its_owners_too() {
        let folder = Folder::new();
        fs::create_dir(&folder.0).unwrap();
        set_mode(&folder.0, 0o755);
        symlink(folder.file("real.db"), folder.file("link.db")).unwrap();
        for (name, real) in [("a.db", "a.db"), ("link.db", "real.db")] {
            let db = folder.connect(name).await.unwrap();
            migrate(&db).await.unwrap();
            assert_eq!(folder.mode(real), 0o600, "{name}");
            db.close().await;
        }
        assert_eq!(mode(&folder.0), 0o755, "it may be another program's too");
    }

    #[tokio::test]
    async fn a_database_that_others_can_access_is_refused_by_the_file_that_they_can() {
        let folder = Folder::new();
        let db = folder.connect("a.db").await.unwrap();
        migrate(&db).await.unwrap();
        for name in ["a.db", "a.db-wal", "a.db-shm"] {
            for mode in [0o640, 0o604, 0o620, 0o601] {
                set_mode(&folder.file(name), mode);
                let refused = folder.connect("a.db").await.unwrap_err().to_string();
                let command = format!("chmod 600 {}", folder.file(name).display());
                assert!(refused.ends_with(&command), "{mode:o} {refused}");
            }
            set_mode(&folder.file(name), 0o600);
            folder.connect("a.db").await.unwrap().close().await;
        }
        db.close().await;
    }
}
