//! The keys of a process: from its settings, or from standalone's `secrets.key`.

mod key_file;

use std::path::PathBuf;

use platform::{chance::Chance, secrets::Keys};

use crate::config::Secrets;

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
    Ok(Keys::new(&encryption, &jwt))
}

/// Loads the keys of standalone: from the settings if they are set there, else from `secrets.key` in the data
/// directory, which is created at the first start. Blocks on file I/O; only for the start.
pub fn load_or_create(settings: &Secrets, chance: &Chance) -> Result<Keys, KeysError> {
    match (
        settings.encryption_key.is_empty(),
        settings.jwt_key.is_empty(),
    ) {
        (false, false) => from_settings(settings),
        (true, true) => {
            let file = key_file::load_or_create(&settings.data_dir, chance)?;
            Ok(Keys::new(&file.encryption, &file.jwt))
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
    #[error("{0} must contain an encryption_key and a jwt_key, each 32 bytes in base64")]
    Damaged(PathBuf),
    #[error("{path}: {cause}", path = path.display())]
    File {
        path: PathBuf,
        cause: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
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
