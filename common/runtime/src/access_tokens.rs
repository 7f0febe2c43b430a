//! Access tokens: JWTs of type `at+jwt` (RFC 9068), HS256.

use std::{collections::HashMap, sync::Once, time::Duration};

use domain::ids::AccountId;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature,
};
use parking_lot::Mutex;
use platform::{
    clock::Clock,
    secrets::{SigningKeys, sha256},
};
use ring::hmac;
use serde::{Deserialize, Serialize};

const TYPE: &str = "at+jwt";
const AUDIENCE: &str = "expediter";
/// Maximum number of verified tokens that are remembered, about 1 MiB.
const MAX_VERIFIED: usize = 10_000;

/// Issues access tokens, and checks them: all processes share the keys. The newest one signs.
pub struct AccessTokens {
    signing: EncodingKey,
    checking: Vec<DecodingKey>,
    validation: Validation,
    clock: Clock,
    ttl: Duration,
    /// Account and expiry of tokens that were verified, by their hashes. A token does not change, and neither do the
    /// keys: what was right once is right until it expires. If the account may still get in is not known here.
    verified: Mutex<HashMap<[u8; 32], Verified>>,
}

#[derive(Clone, Copy)]
struct Verified {
    account: AccountId,
    /// In seconds since 1970.
    expires_at: i64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: AccountId,
    aud: String,
    iat: i64,
    exp: i64,
}

impl AccessTokens {
    #[must_use]
    pub fn new(keys: &SigningKeys, clock: Clock, ttl: Duration) -> Self {
        install_provider();
        let purpose = b"expediter access tokens 1";
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // `check` compares it with our own clock.
        validation.validate_exp = false;
        Self {
            signing: EncodingKey::from_secret(&keys.sign(purpose)),
            checking: keys
                .signatures(purpose)
                .map(|key| DecodingKey::from_secret(&key))
                .collect(),
            validation,
            clock,
            ttl,
            verified: Mutex::default(),
        }
    }

    /// Issues a token; returns it with its lifetime in seconds.
    pub fn issue(&self, account: AccountId) -> Result<(String, u64), Error> {
        let now = self.clock.now();
        let header = Header {
            typ: Some(TYPE.to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        let claims = Claims {
            sub: account,
            aud: AUDIENCE.to_owned(),
            iat: now.timestamp(),
            exp: (now + self.ttl).timestamp(),
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.signing);
        Ok((token?, self.ttl.as_secs()))
    }

    /// Returns the account of a token with a valid signature, type and audience that has not expired.
    #[must_use]
    pub fn check(&self, token: &str) -> Option<AccountId> {
        let (hash, now) = (sha256(token.as_bytes()), self.clock.now().timestamp());
        let known = self.verified.lock().get(&hash).copied();
        let verified = known.or_else(|| self.verify(token))?;
        if now >= verified.expires_at {
            return None;
        }
        if known.is_none() {
            self.remember(hash, verified, now);
        }
        Some(verified.account)
    }

    fn verify(&self, token: &str) -> Option<Verified> {
        let decoded = |key| jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok();
        let token = self.checking.iter().find_map(decoded)?;
        let is_ours = token.header.typ.as_deref() == Some(TYPE);
        is_ours.then_some(Verified {
            account: token.claims.sub,
            expires_at: token.claims.exp,
        })
    }

    fn remember(&self, hash: [u8; 32], verified: Verified, now: i64) {
        let mut all = self.verified.lock();
        if all.len() >= MAX_VERIFIED {
            all.retain(|_, one| now < one.expires_at);
        }
        if all.len() >= MAX_VERIFIED {
            all.clear();
        }
        all.insert(hash, verified);
    }
}

impl std::fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessTokens")
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// Installs a provider based on ring, which is a dependency anyway. The crate's own providers would add a second TLS
/// library, or one with an advisory.
fn install_provider() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| Ok(Box::new(Hs256::of(*algorithm, key.as_bytes())?)),
        verifier_factory: |algorithm, key| {
            Ok(Box::new(Hs256::of(*algorithm, key.try_get_as_bytes()?)?))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that the demonstration's courier, in the same process, has installed an equal one.
        let _ = PROVIDER.install_default();
    });
}

struct Hs256(hmac::Key);

impl Hs256 {
    fn of(algorithm: Algorithm, key: &[u8]) -> jsonwebtoken::errors::Result<Self> {
        match algorithm {
            Algorithm::HS256 => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }
}

impl signature::Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl signature::Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use platform::{chance::Chance, secrets::Keys};

    use super::*;

    fn tokens(seed: u64, clock: &Clock) -> AccessTokens {
        AccessTokens::new(
            &Keys::seeded(seed).jwt,
            clock.clone(),
            Duration::from_secs(300),
        )
    }

    fn clock() -> Clock {
        Clock::manual("2026-11-20T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_token_names_its_account_until_it_expires() {
        let clock = clock();
        let tokens = tokens(1, &clock);
        let account = Chance::seeded(1).id(clock.now());
        let (token, seconds) = tokens.issue(account).unwrap();
        assert_eq!((tokens.check(&token), seconds), (Some(account), 300));
        clock.advance(Duration::from_secs(299));
        assert_eq!(tokens.check(&token), Some(account));
        clock.advance(Duration::from_secs(1));
        assert_eq!(tokens.check(&token), None);
    }

    #[test]
    fn a_token_outlives_the_key_that_signed_it_for_as_long_as_that_is_beside() {
        let clock = clock();
        let of = |keys: Keys| AccessTokens::new(&keys.jwt, clock.clone(), Duration::from_secs(300));
        let (before, prepared) = (of(Keys::seeded(1)), of(Keys::seeded_beside(1, &[2])));
        let (swapped, after) = (of(Keys::seeded_beside(2, &[1])), of(Keys::seeded(2)));
        let account = Chance::seeded(1).id(clock.now());
        let issued = |by: &AccessTokens| by.issue(account).unwrap().0;
        let good = |at: &AccessTokens, token: &str| at.check(token) == Some(account);
        let (old, new) = (issued(&prepared), issued(&swapped));
        assert_eq!(
            old,
            issued(&before),
            "the new key signs only once it is the first"
        );
        assert_eq!(new, issued(&after));
        for at in [&before, &prepared, &swapped] {
            assert!(good(at, &old));
        }
        for at in [&prepared, &swapped, &after] {
            assert!(good(at, &new));
        }
        assert!(!good(&after, &old) && !good(&before, &new));
    }

    #[test]
    fn a_bounded_number_of_verified_tokens_is_remembered_and_no_refused_one() {
        let clock = clock();
        let tokens = tokens(1, &clock);
        let account: AccountId = Chance::seeded(1).id(clock.now());
        let remembered = || tokens.verified.lock().len();
        let (token, _) = tokens.issue(account).unwrap();
        assert_eq!((tokens.check("a.b.c"), remembered()), (None, 0));
        assert_eq!((tokens.check(&token), remembered()), (Some(account), 1));
        let now = clock.now().timestamp();
        let until = |expires_at| Verified {
            account,
            expires_at,
        };
        for n in 0..3 * MAX_VERIFIED {
            let hash = sha256(&n.to_be_bytes());
            // Some expire soon, the others keep their places.
            tokens.remember(hash, until(now + i64::from(n % 2 == 1)), now);
            assert!(remembered() <= MAX_VERIFIED);
        }
        clock.advance(Duration::from_secs(600));
        let known = remembered();
        assert_eq!((tokens.check(&token), remembered()), (None, known));
    }

    #[test]
    fn a_token_of_another_key_type_audience_or_algorithm_is_nobodys() {
        let clock = clock();
        let tokens = tokens(1, &clock);
        let account: AccountId = Chance::seeded(1).id(clock.now());
        let (token, _) = super::tests::tokens(2, &clock).issue(account).unwrap();
        assert_eq!(tokens.check(&token), None, "another key");
        let forge = |typ: &str, aud: &str| {
            let header = Header {
                typ: Some(typ.to_owned()),
                ..Header::new(Algorithm::HS256)
            };
            let exp = clock.now().timestamp() + 60;
            let claims = Claims {
                sub: account,
                aud: aud.to_owned(),
                iat: 0,
                exp,
            };
            jsonwebtoken::encode(&header, &claims, &tokens.signing).unwrap()
        };
        assert_eq!(tokens.check(&forge(TYPE, AUDIENCE)), Some(account));
        assert_eq!(tokens.check(&forge("JWT", AUDIENCE)), None);
        assert_eq!(tokens.check(&forge(TYPE, "others")), None);
        let good = forge(TYPE, AUDIENCE);
        let body = good.split('.').nth(1).unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"at+jwt","alg":"none"}"#);
        assert_eq!(tokens.check(&format!("{none}.{body}.")), None);
    }
}
