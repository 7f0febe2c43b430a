//! The keys of a process: from its settings, or from standalone's `secrets.key`.

mod key_file;

use std::path::PathBuf;

use platform::{chance::Chance, secrets::Keys};
use zeroize::Zeroizing;

use self::key_file::KeyFile;
use crate::config::{Secret, Secrets};

/// Reads the keys from `secrets.encryption_key` and `secrets.jwt_key`, which the separate binaries require.
pub fn from_settings(settings: &Secrets) -> Result<Keys, KeysError> {
    let encryption = settings
        .encryption_key
        .key()
        .ok_or(KeysError::Missing("encryption_key"))?;
    let jwt = settings
        .jwt_key
        .key()
        .ok_or(KeysError::Missing("jwt_key"))?;
    Ok(with_previous(Keys::new(&encryption, &jwt), settings))
}

/// Loads the keys as [`load_or_create`] does, but creates none. Blocks on file I/O; only for commands.
pub fn load(settings: &Secrets) -> Result<Option<Keys>, KeysError> {
    if !settings.encryption_key.is_empty() || !settings.jwt_key.is_empty() {
        return from_settings(settings).map(Some);
    }
    let file = key_file::load(&settings.data_dir)?;
    Ok(file.map(|file| keys_in(&file, settings)))
}

fn keys_in(file: &KeyFile, settings: &Secrets) -> Keys {
    let keys = Keys::new(&file.encryption, &file.jwt);
    let keys = keys.beside(&file.previous_encryption, &file.previous_jwt);
    with_previous(keys, settings)
}

/// Adds the previous keys of the settings, which are valid.
fn with_previous(keys: Keys, settings: &Secrets) -> Keys {
    keys.beside(
        &keys_of(&settings.previous_encryption_keys),
        &keys_of(&settings.previous_jwt_keys),
    )
}

fn keys_of(secrets: &[Secret]) -> Vec<Zeroizing<[u8; 32]>> {
    secrets.iter().filter_map(Secret::key).collect()
}

/// Loads the keys of standalone: from the settings if they are set there, else from `secrets.key` in the data
/// directory, which is created at the first start. The previous keys of the settings hold beside either. Blocks on file
/// I/O; only for the start.
pub fn load_or_create(settings: &Secrets, chance: &Chance) -> Result<Keys, KeysError> {
    match (
        settings.encryption_key.is_empty(),
        settings.jwt_key.is_empty(),
    ) {
        (false, false) => from_settings(settings),
        (true, true) => {
            let file = key_file::load_or_create(&settings.data_dir, chance)?;
            Ok(keys_in(&file, settings))
        }
        (true, false) => Err(KeysError::Missing("encryption_key")),
        (false, true) => Err(KeysError::Missing("jwt_key")),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(
        "secrets.{0} is not set; generate a key with `openssl rand -base64 32` and use it in every process"
    )]
    Missing(&'static str),
    #[error("{0} is readable by others; restrict it to its owner with chmod 600")]
    ReadableByOthers(PathBuf),
    #[error(
        "{0} must contain an encryption_key and a jwt_key, and may contain lists of previous_encryption_keys and \
         previous_jwt_keys, each key 32 bytes in base64"
    )]
    Damaged(PathBuf),
    #[error("{path}: {cause}", path = path.display())]
    File {
        path: PathBuf,
        cause: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::config::Settings;

    #[test]
    fn separate_binaries_refuse_to_start_without_keys() {
        let without = Settings::with(&[]).unwrap().secrets;
        let error = from_settings(&without).unwrap_err().to_string();
        assert!(
            error.starts_with("secrets.encryption_key is not set"),
            "{error}"
        );
    }

    #[test]
    fn previous_keys_of_the_settings_open_and_verify_beside_the_new_ones() {
        let (old, new) = (
            format!("{}E=", "a".repeat(42)),
            format!("{}E=", "b".repeat(42)),
        );
        let keys = |first: &str, previous: &str| {
            let settings = Settings::with(&[
                ("secrets.encryption_key", first),
                ("secrets.jwt_key", first),
                ("secrets.previous_encryption_keys", previous),
                ("secrets.previous_jwt_keys", previous),
            ]);
            from_settings(&settings.unwrap().secrets).unwrap()
        };
        let (before, alone) = (keys(&old, ""), keys(&new, "[]"));
        let sealed = before
            .encryption
            .seal(&Chance::seeded(1), Uuid::nil(), b"x");
        let signed = before.links.sign(b"x");
        for previous in [
            format!("[{old}]"),
            format!("[\"{new}\", \"{old}\"]"),
            old.clone(),
            format!("{new}\n{old}"),
        ] {
            let swapped = keys(&new, &previous);
            assert!(swapped.encryption.open(Uuid::nil(), &sealed).is_ok());
            assert!(swapped.links.signatures(b"x").any(|right| right == signed));
            assert_eq!(swapped.links.sign(b"x"), alone.links.sign(b"x"));
        }
        assert!(alone.encryption.open(Uuid::nil(), &sealed).is_err());
    }

    #[test]
    fn one_key_without_the_other_is_a_mistake_not_a_wish() {
        let key = format!("{}=", "a".repeat(42) + "E");
        let half = Settings::with(&[("secrets.jwt_key", &key)])
            .unwrap()
            .secrets;
        assert!(matches!(
            load_or_create(&half, &Chance::seeded(1)),
            Err(KeysError::Missing("encryption_key"))
        ));
    }
}
