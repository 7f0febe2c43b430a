//! Password hashing with Argon2id, off the async threads and with limited concurrency.

mod memory;

use std::sync::Arc;

use argon2::password_hash::{self, PasswordVerifier, phc::PasswordHash};
use domain::password::normalised;
use platform::chance::Chance;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::memory::ReusedMemory;
use super::turns::Turn;
use crate::http::problem::{Problem, Reason};

/// Dummy hash for unknown usernames, so that they take as long to check as known ones.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$ZXhwZWRpdGVyL25vYm9keQ$\
     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Maximum number of waiting hashes for each one that runs (a second or two of waiting); more are refused.
const MAX_WAITING: usize = 64;

/// Password hasher with limited concurrency; a hash takes 20 ms and 19 MiB, which the next one reuses.
#[derive(Clone, Debug)]
pub struct Passwords {
    running: Arc<Semaphore>,
    inside: Arc<Semaphore>,
    memory: Arc<ReusedMemory>,
}

impl Passwords {
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self {
            running: Arc::new(Semaphore::new(at_once)),
            inside: Arc::new(Semaphore::new(at_once * (1 + MAX_WAITING))),
            memory: Arc::default(),
        }
    }

    /// Hashes a password; returns a PHC string. For commands, which nobody else can make wait.
    pub async fn hash(&self, chance: &Chance, password: &str) -> Result<String, Problem> {
        self.permit(None).await?.hash(chance, password).await
    }

    /// Waits for a permit to hash, which includes the turn; 503 if too many are waiting.
    pub(super) async fn permit(&self, turn: Option<Arc<Turn>>) -> Result<HashPermit, Problem> {
        let overloaded = |_| Problem::new(Reason::Overloaded);
        let inside = Arc::clone(&self.inside);
        let inside = inside.try_acquire_owned().map_err(overloaded)?;
        let running = Arc::clone(&self.running);
        let running = running.acquire_owned().await.map_err(Problem::internal)?;
        Ok(HashPermit {
            places: Arc::new([running, inside]),
            turn,
            memory: Arc::clone(&self.memory),
        })
    }
}

/// Permit to hash a password, one of few at a time. Keep it until the work around the hash is done.
#[derive(Debug)]
pub(super) struct HashPermit {
    places: Arc<[OwnedSemaphorePermit; 2]>,
    turn: Option<Arc<Turn>>,
    memory: Arc<ReusedMemory>,
}

impl HashPermit {
    /// Hashes a new password; returns a PHC string.
    pub(super) async fn hash(self, chance: &Chance, password: &str) -> Result<String, Problem> {
        let salt: [u8; 16] = chance.bytes();
        let password = normalised(password).into_owned();
        self.work(move |memory| hash(memory, &password, &salt))
            .await?
            .map_err(Problem::internal)
    }

    /// Verifies a password. Without a hash (unknown username) it takes as long and fails; a malformed hash fails too.
    pub(super) async fn verify(
        &self,
        password: &str,
        hash: Option<String>,
    ) -> Result<bool, Problem> {
        let password = password.to_owned();
        self.work(move |memory| {
            let stored = hash.as_deref().unwrap_or(DUMMY_HASH);
            let form = normalised(&password);
            // An earlier version hashed passwords as they were typed.
            let is_right = verify(memory, &form, stored)
                || (form != password.as_str() && verify(memory, &password, stored));
            is_right && hash.is_some()
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReusedMemory) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let held = (Arc::clone(&self.places), self.turn.clone());
        let memory = Arc::clone(&self.memory);
        // The permits move into the task: if the client hangs up, they stay taken until the hash is done.
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&memory);
            drop(held);
            done
        });
        done.await.map_err(Problem::internal)
    }
}

fn hash(memory: &ReusedMemory, password: &str, salt: &[u8]) -> password_hash::Result<String> {
    Ok(memory.hash(password.as_bytes(), salt)?.to_string())
}

fn verify(memory: &ReusedMemory, password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| memory.verify_password(password.as_bytes(), &hash).is_ok())
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
            let permit = passwords.permit(None).await.unwrap();
            permit.verify(password, hash).await.unwrap()
        };
        assert!(verify("open sesame").await);
        assert!(!verify("open sesam").await);
    }

    #[tokio::test]
    async fn a_password_is_right_however_its_letters_are_written_and_as_an_earlier_version_hashed_it()
     {
        let passwords = Passwords::new(1);
        let (composed, apart) = (
            "cr\u{e8}me br\u{fb}l\u{e9}e",
            "cre\u{300}me bru\u{302}le\u{301}e",
        );
        let verify = async |password: &str, hash: &str| {
            let permit = passwords.permit(None).await.unwrap();
            permit
                .verify(password, Some(hash.to_owned()))
                .await
                .unwrap()
        };
        for (new, typed) in [(composed, apart), (apart, composed), (apart, apart)] {
            let hash = passwords.hash(&Chance::seeded(1), new).await.unwrap();
            assert!(verify(typed, &hash).await, "{new} {typed}");
            assert!(!verify("creme brulee", &hash).await);
        }
        let as_typed = hash(&ReusedMemory::default(), apart, &[7; 16]).unwrap();
        assert!(verify(apart, &as_typed).await);
        assert!(!verify("creme brulee", &as_typed).await);
    }

    #[tokio::test]
    async fn nobody_has_no_password_but_costs_a_hash() {
        let dummy = PasswordHash::new(DUMMY_HASH).expect("the dummy hash is a valid PHC string");
        let ours = hash(&ReusedMemory::default(), "x", &[7; 16]).unwrap();
        let ours = PasswordHash::new(&ours).unwrap();
        assert_eq!(dummy.params, ours.params);
        assert_eq!(dummy.algorithm, ours.algorithm);
        let permit = Passwords::new(1).permit(None).await.unwrap();
        assert!(!permit.verify("", None).await.unwrap());
    }

    #[tokio::test]
    async fn a_crowd_at_the_door_is_refused_instead_of_queued_for_ever() {
        let passwords = Passwords::new(1);
        let running = passwords.running.acquire().await.unwrap();
        let verify = async || {
            let permit = passwords.permit(None).await?;
            permit.verify("x", Some("not a hash".into())).await
        };
        let mut crowd: Vec<_> = (0..=MAX_WAITING).map(|_| Box::pin(verify())).collect();
        for one in &mut crowd {
            assert!(one.now_or_never().is_none());
        }
        let refused = verify().await.unwrap_err();
        assert_eq!(refused.reason(), Reason::Overloaded);
        drop(running);
        for one in crowd {
            assert!(!one.await.unwrap());
        }
    }
}
