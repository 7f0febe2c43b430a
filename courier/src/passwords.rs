//! Password hashing with Argon2id, off the async threads and few at a time.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::chance::random_bytes;

/// Number of hashes at a time; each takes 20 ms and 19 MiB.
const AT_ONCE: usize = 2;
/// Maximum number of hashes that run or wait.
const INSIDE: usize = 64;

/// Hash for unknown usernames, so that they take as long to check as known ones.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y291cmllci9ub2JvZHk$\
     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[derive(Debug)]
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    inside: Arc<Semaphore>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PasswordError {
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    #[error("hashing failed")]
    Hashing,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            running: Arc::new(Semaphore::new(AT_ONCE)),
            inside: Arc::new(Semaphore::new(INSIDE)),
        }
    }

    /// Returns a PHC string.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let (password, salt) = (password.to_owned(), random_bytes::<16>());
        let hashed = self.work(move || {
            let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string())
        });
        hashed.await?.map_err(|_| PasswordError::Hashing)
    }

    /// Verifies a password. Without a hash (unknown username) it takes as long and fails.
    pub(crate) async fn verify(
        &self,
        password: &str,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        let password = password.to_owned();
        self.work(move || {
            let text = hash.as_deref().unwrap_or(DUMMY_HASH);
            let is_right = PasswordHash::new(text).is_ok_and(|hash| {
                let verified = Argon2::default().verify_password(password.as_bytes(), &hash);
                verified.is_ok()
            });
            is_right && hash.is_some()
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let inside = Arc::clone(&self.inside).try_acquire_owned();
        let inside = inside.map_err(|_| PasswordError::Overloaded)?;
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|_| PasswordError::Hashing)?;
        // The permits move into the task: if the client hangs up, they stay taken until the hash is done.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((running, inside));
            done
        });
        done.await.map_err(|_| PasswordError::Hashing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_is_right() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse").await.unwrap();
        let check = |password: &'static str, hash: Option<String>| {
            let passwords = &passwords;
            async move { passwords.verify(password, hash).await }
        };
        assert_eq!(check("correct horse", Some(hash.clone())).await, Ok(true));
        assert_eq!(check("wrong horse", Some(hash)).await, Ok(false));
        assert_eq!(check("correct horse", None).await, Ok(false));
        assert_eq!(check("", Some("nonsense".to_owned())).await, Ok(false));
        assert!(PasswordHash::new(DUMMY_HASH).is_ok());
    }
}
