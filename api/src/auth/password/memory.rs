//! The memory of password hashing, which is reused: a new allocation for each hash would let the process grow, since
//! the allocator keeps a freed block for the thread that had it.

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        CustomizedPasswordHasher, Error, Result,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use parking_lot::Mutex;

/// Argon2id with the memory of earlier hashes. It keeps as many pieces of memory as hashes ever ran at once.
#[derive(Default)]
pub(super) struct ReusedMemory(Mutex<Vec<Vec<Block>>>);

impl ReusedMemory {
    /// Hashes with the default algorithm and parameters.
    pub(super) fn hash(&self, password: &[u8], salt: &[u8]) -> Result<PasswordHash> {
        self.hash_password_customized(password, salt, None, None, Params::default())
    }

    fn take(&self, count: usize) -> Vec<Block> {
        let kept = self.0.lock().pop();
        let mut blocks = kept.unwrap_or_default();
        if blocks.len() < count {
            blocks.resize(count, Block::new());
        }
        blocks
    }

    /// Keeps the memory, unless a stored hash with other parameters needed another amount.
    fn give_back(&self, blocks: Vec<Block>) {
        if blocks.len() == Params::default().block_count() {
            self.0.lock().push(blocks);
        }
    }
}

/// Verifies too, by the crate's own implementation for everything that hashes.
impl CustomizedPasswordHasher<PasswordHash> for ReusedMemory {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> Result<PasswordHash> {
        let algorithm = algorithm
            .map(Algorithm::try_from)
            .transpose()?
            .unwrap_or_default();
        let version = version
            .map(Version::try_from)
            .transpose()?
            .unwrap_or_default();
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let mut output = [0; Output::MAX_LENGTH];
        let output = output.get_mut(..length).ok_or(Error::OutputSize)?;
        let mut blocks = self.take(params.block_count());
        let argon2 = Argon2::new(algorithm, version, params);
        let done = argon2.hash_password_into_with_memory(password, salt, output, &mut blocks[..]);
        self.give_back(blocks);
        done?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(argon2.params())?,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(output)?),
        })
    }
}

impl std::fmt::Debug for ReusedMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReusedMemory")
            .field("kept", &self.0.lock().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[test]
    fn used_memory_changes_no_hash() {
        let memory = ReusedMemory::default();
        for password in ["first", "second", "first"] {
            let ours = memory.hash(password.as_bytes(), &[7; 16]).unwrap();
            let theirs: PasswordHash = Argon2::default()
                .hash_password_with_salt(password.as_bytes(), &[7; 16])
                .unwrap();
            assert_eq!(ours.to_string(), theirs.to_string());
            memory.verify_password(password.as_bytes(), &ours).unwrap();
            assert!(memory.verify_password(b"third", &ours).is_err());
        }
        assert_eq!(memory.0.lock().len(), 1);
    }

    #[test]
    fn hashes_one_after_the_other_use_the_same_memory_on_whichever_thread() {
        let memory = ReusedMemory::default();
        let hash = || {
            memory.hash(b"x", &[7; 16]).unwrap();
            memory.0.lock()[0].as_ptr() as usize
        };
        let first = hash();
        let others = [0; 3].map(|_| std::thread::scope(|scope| scope.spawn(hash).join().unwrap()));
        assert_eq!(others, [first; 3]);
    }

    #[test]
    fn hashes_at_once_have_their_own_memory_and_another_amount_is_not_kept() {
        let memory = ReusedMemory::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| memory.hash(b"x", &[7; 16]).unwrap());
            }
        });
        let kept = memory.0.lock().len();
        assert!((1..=4).contains(&kept), "{kept}");
        let cheap = Argon2::from(Params::new(64, 1, 1, Some(16)).unwrap());
        let cheap: PasswordHash = cheap.hash_password_with_salt(b"x", &[7; 16]).unwrap();
        memory.verify_password(b"x", &cheap).unwrap();
        let dear = Argon2::from(Params::new(20_000, 1, 2, Some(32)).unwrap());
        let dear: PasswordHash = dear.hash_password_with_salt(b"x", &[7; 16]).unwrap();
        memory.verify_password(b"x", &dear).unwrap();
        assert!(memory.0.lock().len() < kept + 1);
        let default = Params::default().block_count();
        assert!(memory.0.lock().iter().all(|one| one.len() == default));
    }
}
