//! Keys, encryption of stored secrets, and constant-time comparison.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hmac,
};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::chance::Chance;

/// Keys for stored secrets and for authentication. All processes of one installation hold the same.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Encrypts integrators' secrets in the database.
    pub encryption: SealingKey,
    /// Signs access tokens.
    pub jwt: SigningKey,
    /// Turns a credential (a password, a token) into the key of an in-memory cache, so that the cache holds no secret.
    pub cache: SigningKey,
    /// Computes the fingerprint of a request with an idempotency key. A password in it cannot be guessed from that.
    pub fingerprint: SigningKey,
    /// Signs the links to one order's status page.
    pub links: SigningKey,
}

impl Keys {
    /// Returns the keys that belong to the seed, for tests.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let chance = Chance::seeded(seed);
        Self::new(&chance.bytes(), &chance.bytes())
    }

    /// The other keys are derived from these two.
    #[must_use]
    pub fn new(encryption: &[u8; 32], jwt: &[u8; 32]) -> Self {
        let jwt_key = SigningKey::new(jwt);
        let cache = Zeroizing::new(jwt_key.sign(b"expediter cache key 1"));
        let fingerprint = Zeroizing::new(jwt_key.sign(b"expediter fingerprint key 1"));
        let links = Zeroizing::new(jwt_key.sign(b"expediter link key 1"));
        Self {
            encryption: SealingKey::new(encryption),
            cache: SigningKey::new(cache.as_slice()),
            fingerprint: SigningKey::new(fingerprint.as_slice()),
            links: SigningKey::new(links.as_slice()),
            jwt: jwt_key,
        }
    }
}

/// AES-256-GCM key for secrets in the database. Format: version byte, 12-byte nonce, ciphertext with its tag.
#[derive(Clone)]
pub struct SealingKey(LessSafeKey);

/// The only version so far; a rotation gives the next key the next byte.
const VERSION: u8 = 1;

impl SealingKey {
    fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Encrypts a secret. The row's id is authenticated with it: copied to another row, the secret cannot be decrypted.
    #[must_use]
    pub fn seal(&self, chance: &Chance, row: Uuid, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = chance.bytes();
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + secret.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(secret);
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                associated(row),
                &mut sealed[1 + NONCE_LEN..],
            )
            .expect("a secret is far shorter than AES-GCM's 64 GiB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    pub fn open(&self, row: Uuid, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let [VERSION, rest @ ..] = sealed else {
            return Err(DecryptError);
        };
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(DecryptError)?;
        let mut opened = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .0
            .open_in_place(nonce, associated(row), &mut opened)
            .map_err(|_| DecryptError)?
            .len();
        opened.truncate(length);
        Ok(opened)
    }
}

fn associated(row: Uuid) -> Aad<[u8; 16]> {
    Aad::from(row.into_bytes())
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(***)")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret cannot be decrypted: wrong key, wrong row, or damaged data")]
pub struct DecryptError;

/// HMAC-SHA256 key.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        hmac::sign(&self.0, message)
            .as_ref()
            .try_into()
            .expect("SHA-256 has 32 bytes")
    }

    /// Verifies a signature in constant time.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, message, signature).is_ok()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

/// Returns the SHA-256 digest. For values that are too random to be guessed (tokens, tickets, guest keys), not for
/// passwords.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes)
        .as_ref()
        .try_into()
        .expect("SHA-256 has 32 bytes")
}

/// Compares in constant time, which hides where the first difference is; the length is not hidden.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_for_its_row_and_key_only() {
        let (keys, chance) = (Keys::seeded(1), Chance::seeded(2));
        let row = Uuid::from_u128(7);
        let sealed = keys.encryption.seal(&chance, row, b"whsec_x");
        assert_eq!(
            keys.encryption.open(row, &sealed).unwrap().as_slice(),
            b"whsec_x"
        );
        assert_eq!(
            keys.encryption.open(Uuid::from_u128(8), &sealed),
            Err(DecryptError)
        );
        assert_eq!(
            Keys::seeded(2).encryption.open(row, &sealed),
            Err(DecryptError)
        );
    }

    #[test]
    fn a_sealed_secret_with_any_byte_changed_or_cut_does_not_open() {
        let (keys, chance) = (Keys::seeded(1), Chance::seeded(2));
        let sealed = keys.encryption.seal(&chance, Uuid::nil(), b"secret");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(
                keys.encryption.open(Uuid::nil(), &changed),
                Err(DecryptError),
                "byte {at}"
            );
            assert_eq!(
                keys.encryption.open(Uuid::nil(), &sealed[..at]),
                Err(DecryptError),
                "{at} bytes"
            );
        }
    }

    #[test]
    fn the_same_secret_never_looks_the_same_twice() {
        let (keys, chance) = (Keys::seeded(1), Chance::seeded(2));
        let seal = || keys.encryption.seal(&chance, Uuid::nil(), b"secret");
        assert_ne!(seal(), seal());
    }

    #[test]
    fn keys_never_print() {
        assert_eq!(
            format!("{:?}", Keys::seeded(1)),
            "Keys { encryption: SealingKey(***), jwt: SigningKey(***), cache: SigningKey(***), \
             fingerprint: SigningKey(***), links: SigningKey(***) }"
        );
    }

    #[test]
    fn digests_and_signatures_are_the_published_ones() {
        // FIPS 180-2 and RFC 4231 (case 2).
        assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
        let signature = SigningKey::new(b"Jefe").sign(b"what do ya want for nothing?");
        assert_eq!(signature[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        assert!(SigningKey::new(b"Jefe").verify(b"what do ya want for nothing?", &signature));
        assert!(!SigningKey::new(b"Jeff").verify(b"what do ya want for nothing?", &signature));
        assert!(same(b"ab", b"ab") && !same(b"ab", b"ac") && !same(b"ab", b"a"));
    }
}
