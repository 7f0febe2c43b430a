//! Access tokens: JWTs, HS256, with the key of the database, so that they outlive a restart.

use std::{sync::Once, time::Duration};

use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::ErrorKind,
    signature,
};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

const AUDIENCE: &str = "courier";

pub(crate) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    clock: Clock,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    iat: i64,
    exp: i64,
}

impl Tokens {
    pub(crate) fn new(key: &[u8; 32], clock: Clock) -> Self {
        install_provider();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // `check` compares it with our own clock.
        validation.validate_exp = false;
        Self {
            signing: EncodingKey::from_secret(key),
            checking: DecodingKey::from_secret(key),
            validation,
            clock,
        }
    }

    /// Issues a token of an account; returns it with its end.
    pub(crate) fn issue(
        &self,
        account: i64,
        ttl: Duration,
    ) -> jsonwebtoken::errors::Result<(String, DateTime<Utc>)> {
        let now = self.clock.now();
        let expires_at = now + ttl;
        let claims = Claims {
            sub: account.to_string(),
            aud: AUDIENCE.to_owned(),
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)?;
        Ok((token, expires_at))
    }

    /// Returns the account of a token with a valid signature and audience that has not expired.
    pub(crate) fn check(&self, token: &str) -> Option<i64> {
        let token = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation).ok()?;
        let is_fresh = self.clock.now().timestamp() < token.claims.exp;
        is_fresh.then(|| token.claims.sub.parse().ok())?
    }
}

/// Installs a provider based on ring. In the demonstration, Expediter's api installs an equal one in the same process.
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
    use super::*;

    #[test]
    fn a_token_names_its_account_until_it_expires_and_only_with_the_same_key() {
        let clock = Clock::manual("2026-11-20T12:00:00Z".parse().unwrap());
        let tokens = Tokens::new(&[1; 32], clock.clone());
        let (token, _) = tokens.issue(7, Duration::from_secs(60)).unwrap();
        assert_eq!(tokens.check(&token), Some(7));
        assert_eq!(Tokens::new(&[2; 32], clock.clone()).check(&token), None);
        assert_eq!(tokens.check(&format!("{token}x")), None);
        assert_eq!(tokens.check(""), None);
        clock.advance(Duration::from_secs(60));
        assert_eq!(tokens.check(&token), None);
    }
}
