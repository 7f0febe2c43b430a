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
    pub encryption: SealingKeys,
    /// Signs access tokens.
    pub jwt: SigningKeys,
    /// Turns a credential (a password, a token) into the key of an in-memory cache, so that the cache holds no secret.
    pub cache: SigningKey,
    /// Computes the fingerprint of a request with an idempotency key. A password in it cannot be guessed from that.
    pub fingerprint: SigningKeys,
    /// Signs the links to one order's status page.
    pub links: SigningKeys,
}

impl Keys {
    /// Returns the keys that belong to the seed, for tests.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let (encryption, jwt) = seeded(seed);
        Self::new(&encryption, &jwt)
    }

    /// Returns the keys of the first seed, beside which those of the others open and verify, for tests.
    #[must_use]
    pub fn seeded_beside(seed: u64, previous: &[u64]) -> Self {
        let (encryption, jwt): (Vec<_>, Vec<_>) = previous.iter().map(|one| seeded(*one)).unzip();
        Self::seeded(seed).beside(&encryption, &jwt)
    }

    /// The other keys are derived from these two.
    #[must_use]
    pub fn new(encryption: &[u8; 32], jwt: &[u8; 32]) -> Self {
        let jwt = SigningKey::new(jwt);
        Self {
            encryption: SealingKeys {
                newest: sealing_key(encryption),
                previous: Vec::new(),
            },
            cache: jwt.derived(b"expediter cache key 1"),
            fingerprint: SigningKeys::of(jwt.derived(b"expediter fingerprint key 1")),
            links: SigningKeys::of(jwt.derived(b"expediter link key 1")),
            jwt: SigningKeys::of(jwt),
        }
    }

    /// Adds keys that open and verify, and neither seal nor sign: those that a rotation replaces, and before it the next
    /// ones.
    #[must_use]
    pub fn beside(
        mut self,
        encryption: &[Zeroizing<[u8; 32]>],
        jwt: &[Zeroizing<[u8; 32]>],
    ) -> Self {
        let encryption = encryption.iter().map(|key| sealing_key(key));
        self.encryption.previous.extend(encryption);
        for key in jwt {
            let other = Self::new(&[0; 32], key);
            self.fingerprint.previous.push(other.fingerprint.newest);
            self.links.previous.push(other.links.newest);
            self.jwt.previous.push(other.jwt.newest);
        }
        self
    }
}

fn seeded(seed: u64) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let chance = Chance::seeded(seed);
    (
        Zeroizing::new(chance.bytes()),
        Zeroizing::new(chance.bytes()),
    )
}

/// AES-256-GCM keys for secrets in the database: the newest seals, and each opens. Format: version byte, 12-byte nonce,
/// ciphertext with its tag. The tag tells which key fits, so that the format names none.
#[derive(Clone)]
pub struct SealingKeys {
    newest: LessSafeKey,
    previous: Vec<LessSafeKey>,
}

/// The only version so far. A rotation leaves it as it is: processes of an older release read what is sealed anew.
const VERSION: u8 = 1;

fn sealing_key(key: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes");
    LessSafeKey::new(key)
}

impl SealingKeys {
    /// Encrypts a secret. The row's id is authenticated with it: copied to another row, the secret cannot be decrypted.
    #[must_use]
    pub fn seal(&self, chance: &Chance, row: Uuid, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = chance.bytes();
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + secret.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(secret);
        let tag = self
            .newest
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
        self.opened(row, sealed).map(|(opened, _)| opened)
    }

    /// Seals a secret again with the newest key; `None` if that key has sealed it.
    pub fn reseal(
        &self,
        chance: &Chance,
        row: Uuid,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, DecryptError> {
        let (opened, by_newest) = self.opened(row, sealed)?;
        Ok((!by_newest).then(|| self.seal(chance, row, &opened)))
    }

    #[must_use]
    pub fn has_previous(&self) -> bool {
        !self.previous.is_empty()
    }

    /// Returns true if the newest key has sealed it.
    pub fn is_newest(&self, row: Uuid, sealed: &[u8]) -> Result<bool, DecryptError> {
        self.opened(row, sealed).map(|(_, by_newest)| by_newest)
    }

    fn opened(&self, row: Uuid, sealed: &[u8]) -> Result<(Zeroizing<Vec<u8>>, bool), DecryptError> {
        let by_newest = opened_with(&self.newest, row, sealed).map(|opened| (opened, true));
        by_newest.or_else(|error| {
            let mut previous = self.previous.iter();
            let opened = previous.find_map(|key| opened_with(key, row, sealed).ok());
            opened.map(|opened| (opened, false)).ok_or(error)
        })
    }
}

fn opened_with(
    key: &LessSafeKey,
    row: Uuid,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let [VERSION, rest @ ..] = sealed else {
        return Err(DecryptError);
    };
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(DecryptError)?;
    let mut opened = Zeroizing::new(ciphertext.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key
        .open_in_place(nonce, associated(row), &mut opened)
        .map_err(|_| DecryptError)?
        .len();
    opened.truncate(length);
    Ok(opened)
}

fn associated(row: Uuid) -> Aad<[u8; 16]> {
    Aad::from(row.into_bytes())
}

impl std::fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKeys(***)")
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

    fn derived(&self, purpose: &[u8]) -> Self {
        Self::new(Zeroizing::new(self.sign(purpose)).as_slice())
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

/// HMAC-SHA256 keys of one purpose: the newest signs, and each verifies.
#[derive(Clone)]
pub struct SigningKeys {
    newest: SigningKey,
    previous: Vec<SigningKey>,
}

impl SigningKeys {
    fn of(newest: SigningKey) -> Self {
        Self {
            newest,
            previous: Vec::new(),
        }
    }

    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        self.newest.sign(message)
    }

    /// Returns the signatures by all keys, that by the newest first.
    pub fn signatures<'k>(&'k self, message: &'k [u8]) -> impl Iterator<Item = [u8; 32]> + 'k {
        let all = std::iter::once(&self.newest).chain(&self.previous);
        all.map(move |key| key.sign(message))
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKeys(***)")
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
    fn half_of_a_rotation_opens_and_verifies_what_the_other_half_made() {
        // All hold the old key, then some know of the new one, then some use it, and in the end it is alone.
        let phases = [
            Keys::seeded(1),
            Keys::seeded_beside(1, &[2]),
            Keys::seeded_beside(2, &[1]),
            Keys::seeded(2),
        ];
        let (chance, row) = (Chance::seeded(3), Uuid::from_u128(7));
        for (at, one) in phases.iter().enumerate() {
            let sealed = one.encryption.seal(&chance, row, b"whsec_x");
            for (other_at, other) in phases.iter().enumerate() {
                let near = at.abs_diff(other_at) <= 1;
                let opened = other.encryption.open(row, &sealed);
                let opens = opened.is_ok_and(|opened| opened.as_slice() == b"whsec_x");
                assert!(opens || !near, "{other_at} cannot open what {at} sealed");
                for (mine, theirs) in [
                    (&one.jwt, &other.jwt),
                    (&one.fingerprint, &other.fingerprint),
                    (&one.links, &other.links),
                ] {
                    let mut right = theirs.signatures(b"a");
                    let verifies = right.any(|signature| signature == mine.sign(b"a"));
                    assert!(verifies || !near, "{other_at} refuses what {at} signed");
                }
            }
        }
        let (first, last) = (&phases[0], &phases[3]);
        let sealed = first.encryption.seal(&chance, row, b"whsec_x");
        assert_eq!(last.encryption.open(row, &sealed), Err(DecryptError));
        assert_ne!(first.jwt.sign(b"a"), last.jwt.sign(b"a"));
    }

    #[test]
    fn only_a_secret_of_a_previous_key_is_sealed_again() {
        let (old, both) = (Keys::seeded(1), Keys::seeded_beside(2, &[1, 3]));
        let (chance, row) = (Chance::seeded(3), Uuid::from_u128(7));
        let sealed = old.encryption.seal(&chance, row, b"whsec_x");
        assert_eq!(both.encryption.is_newest(row, &sealed), Ok(false));
        let again = both.encryption.reseal(&chance, row, &sealed);
        let again = again.unwrap().expect("the old key sealed it");
        let alone = Keys::seeded(2).encryption;
        assert_eq!(alone.open(row, &again).unwrap().as_slice(), b"whsec_x");
        assert_eq!(both.encryption.is_newest(row, &again), Ok(true));
        assert_eq!(both.encryption.reseal(&chance, row, &again), Ok(None));
        let strange = Keys::seeded(4).encryption.seal(&chance, row, b"x");
        let refused = both.encryption.reseal(&chance, row, &strange);
        assert_eq!(refused, Err(DecryptError));
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
            "Keys { encryption: SealingKeys(***), jwt: SigningKeys(***), cache: SigningKey(***), \
             fingerprint: SigningKeys(***), links: SigningKeys(***) }"
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
