//! The file `secrets.key` of standalone: created once, atomically, and readable by its owner only.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::KeysError;
use crate::config::{Secret, secrets};
use platform::chance::Chance;

const NAME: &str = "secrets.key";

#[derive(Debug)]
pub(super) struct KeyFile {
    pub(super) encryption: Zeroizing<[u8; 32]>,
    pub(super) jwt: Zeroizing<[u8; 32]>,
    pub(super) previous_encryption: Vec<Zeroizing<[u8; 32]>>,
    pub(super) previous_jwt: Vec<Zeroizing<[u8; 32]>>,
}

/// Loads the key file, or creates it. Two processes that start at the same time both return the keys of the first.
pub(super) fn load_or_create(data_dir: &Path, chance: &Chance) -> Result<KeyFile, KeysError> {
    if let Some(file) = load(data_dir)? {
        return Ok(file);
    }
    let path = data_dir.join(NAME);
    create(data_dir, &path, chance).map_err(|cause| KeysError::File {
        path: path.clone(),
        cause,
    })?;
    read(&path)
}

/// Loads the key file, if there is one.
pub(super) fn load(data_dir: &Path) -> Result<Option<KeyFile>, KeysError> {
    let path = data_dir.join(NAME);
    match fs::metadata(&path) {
        Ok(_) => read(&path).map(Some),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(KeysError::File { path, cause }),
    }
}

/// Creates the key file. It gets its name only once it is complete and on disk; a file that another process created
/// meanwhile is kept.
fn create(data_dir: &Path, path: &Path, chance: &Chance) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)?;
    let draft = data_dir.join(format!("secrets.{}.tmp", chance.session_code()));
    let written = write(&draft, chance).and_then(|()| match fs::hard_link(&draft, path) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    fs::remove_file(&draft)?;
    written?;
    File::open(data_dir)?.sync_all()
}

fn write(draft: &Path, chance: &Chance) -> io::Result<()> {
    let key = || Zeroizing::new(STANDARD.encode(*Zeroizing::new(chance.bytes::<32>())));
    let text = Zeroizing::new(format!(
        "# Anyone who has this file can read every integrator's secret and sign in as anyone. Back it up like the\n\
         # database, but not in the same place: without it, the secrets in the database are lost.\n\
         encryption_key = \"{}\"\njwt_key = \"{}\"\n",
        *key(),
        *key()
    ));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn read(path: &Path) -> Result<KeyFile, KeysError> {
    let failed = |cause| KeysError::File {
        path: path.to_owned(),
        cause,
    };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(KeysError::ReadableByOthers(path.to_owned()));
    }
    let text = Zeroizing::new(io::read_to_string(file).map_err(failed)?);
    let texts: Option<Texts> = toml::from_str(&text).ok();
    let keys = texts.and_then(Texts::keys);
    keys.ok_or_else(|| KeysError::Damaged(path.to_owned()))
}

/// The file's two lines, and those that an operator adds for a rotation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    encryption_key: Secret,
    jwt_key: Secret,
    #[serde(default, deserialize_with = "secrets")]
    previous_encryption_keys: Vec<Secret>,
    #[serde(default, deserialize_with = "secrets")]
    previous_jwt_keys: Vec<Secret>,
}

impl Texts {
    fn keys(self) -> Option<KeyFile> {
        let all = |secrets: &[Secret]| secrets.iter().map(Secret::key).collect::<Option<Vec<_>>>();
        Some(KeyFile {
            encryption: self.encryption_key.key()?,
            jwt: self.jwt_key.key()?,
            previous_encryption: all(&self.previous_encryption_keys)?,
            previous_jwt: all(&self.previous_jwt_keys)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A data directory that does not exist yet and is removed after the test.
    struct DataDir(PathBuf);

    impl DataDir {
        fn new() -> Self {
            Self(std::env::temp_dir().join(Chance::system().session_code()))
        }

        fn load(&self) -> Result<KeyFile, KeysError> {
            load_or_create(&self.0, &Chance::system())
        }

        fn key_file(&self) -> PathBuf {
            self.0.join("secrets.key")
        }
    }

    impl Drop for DataDir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn the_first_start_makes_a_file_for_its_owner_only_and_the_second_reads_it() {
        let dir = DataDir::new();
        let first = dir.load().unwrap();
        assert_eq!(
            fs::metadata(dir.key_file()).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let second = dir.load().unwrap();
        assert_eq!(
            (first.encryption, first.jwt),
            (second.encryption, second.jwt)
        );
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn many_first_starts_at_once_agree_on_one_file() {
        let dir = DataDir::new();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| dir.load().unwrap().jwt))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = DataDir::new();
        dir.load().unwrap();
        fs::set_permissions(dir.key_file(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(dir.load(), Err(KeysError::ReadableByOthers(_))));
    }

    #[test]
    fn a_file_may_have_the_keys_of_a_rotation_and_no_slip_among_them() {
        let dir = DataDir::new();
        let first = dir.load().unwrap();
        let text = fs::read_to_string(dir.key_file()).unwrap();
        let old = STANDARD.encode(*first.jwt);
        let lines = format!("previous_jwt_keys = [\"{old}\"]\nprevious_encryption_keys = []\n");
        fs::write(dir.key_file(), format!("{text}{lines}")).unwrap();
        let now = dir.load().unwrap();
        assert_eq!(now.previous_jwt, [first.jwt]);
        assert!(now.previous_encryption.is_empty());
        for slip in [
            "previous_jwt_key = []",
            "previous_jwt_keys = [\"short\"]",
            "previous_jwt_keys = [1]",
        ] {
            fs::write(dir.key_file(), format!("{text}{slip}\n")).unwrap();
            assert!(matches!(dir.load(), Err(KeysError::Damaged(_))), "{slip}");
        }
    }

    #[test]
    fn a_damaged_file_is_refused_and_not_replaced() {
        let dir = DataDir::new();
        dir.load().unwrap();
        fs::write(dir.key_file(), "jwt_key = \"short\"\n").unwrap();
        assert!(matches!(dir.load(), Err(KeysError::Damaged(_))));
        assert_eq!(
            fs::read_to_string(dir.key_file()).unwrap(),
            "jwt_key = \"short\"\n"
        );
    }
}
