//! Passwords: Argon2id, off the async threads and only so many at once.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use common::chance::Chance;
use tokio::sync::Semaphore;

use crate::problem::{Problem, Reason};

/// Nobody's: what the password for an unknown name is compared with, so that it takes as long as any.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$ZXhwZWRpdGVyL25vYm9keQ$\
     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// So many may wait for each one that runs, a second or two; more are refused.
const MOST_WAITING: usize = 64;

/// Hashes take 20 ms and 19 MiB each.
#[derive(Clone, Debug)]
pub struct Passwords {
    running: Arc<Semaphore>,
    inside: Arc<Semaphore>,
}

impl Passwords {
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self {
            running: Arc::new(Semaphore::new(at_once)),
            inside: Arc::new(Semaphore::new(at_once * (1 + MOST_WAITING))),
        }
    }

    /// A PHC string.
    pub async fn hash(&self, chance: &Chance, password: &str) -> Result<String, Problem> {
        let salt: [u8; 16] = chance.bytes();
        let password = password.to_owned();
        self.work(move || hash(&password, &salt))
            .await?
            .map_err(Problem::internal)
    }

    /// `None`: nobody has that name. A hash that can't be read is wrong for every password.
    pub(super) async fn verify(
        &self,
        password: &str,
        hash: Option<String>,
    ) -> Result<bool, Problem> {
        let password = password.to_owned();
        self.work(move || {
            let is_right = verify(&password, hash.as_deref().unwrap_or(NOBODYS));
            is_right && hash.is_some()
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let overloaded = |_| Problem::new(Reason::Overloaded);
        let _inside = self.inside.try_acquire().map_err(overloaded)?;
        let running = Arc::clone(&self.running);
        let permit = running.acquire_owned().await.map_err(Problem::internal)?;
        // The permit goes along: whoever hangs up does not make room for a second hash.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.map_err(Problem::internal)
    }
}

fn hash(password: &str, salt: &[u8]) -> Result<String, argon2::password_hash::Error> {
    let hash: PasswordHash =
        Argon2::default().hash_password_with_salt(password.as_bytes(), salt)?;
    Ok(hash.to_string())
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new(1);
        let hash = passwords
            .hash(&Chance::seeded(1), "open sesame")
            .await
            .unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let verify = async |password: &str| {
            let hash = Some(hash.clone());
            passwords.verify(password, hash).await.unwrap()
        };
        assert!(verify("open sesame").await);
        assert!(!verify("open sesam").await);
    }

    #[tokio::test]
    async fn nobody_has_no_password_but_costs_a_hash() {
        let nobodys = PasswordHash::new(NOBODYS).expect("it is read like any other");
        let ours = hash("x", &[7; 16]).unwrap();
        let ours = PasswordHash::new(&ours).unwrap();
        assert_eq!(nobodys.params, ours.params);
        assert_eq!(nobodys.algorithm, ours.algorithm);
        assert!(!Passwords::new(1).verify("", None).await.unwrap());
    }

    #[tokio::test]
    async fn a_crowd_at_the_door_is_refused_instead_of_queued_for_ever() {
        let passwords = Passwords::new(1);
        let running = passwords.running.acquire().await.unwrap();
        let hash = || passwords.verify("x", Some("not a hash".into()));
        let mut crowd: Vec<_> = (0..=MOST_WAITING).map(|_| Box::pin(hash())).collect();
        for one in &mut crowd {
            assert!(one.now_or_never().is_none());
        }
        let refused = hash().await.unwrap_err();
        assert_eq!(refused.reason(), Reason::Overloaded);
        drop(running);
        for one in crowd {
            assert!(!one.await.unwrap());
        }
    }
}
