//! Standard Webhooks signatures: signs callbacks and verifies handoffs.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use ring::hmac;

/// Maximum difference between a `webhook-timestamp` and our clock, in either direction.
pub(crate) const TOLERANCE_S: i64 = 5 * 60;

/// Maximum number of signatures checked per header; a rotation needs two.
const SIGNATURES_READ: usize = 8;

/// Minimum length of a secret in bytes, from the Standard Webhooks specification.
const SECRET_BYTES_MIN: usize = 24;

/// Signing secret, written `whsec_<base64>`.
#[derive(Clone)]
pub struct Secret(hmac::Key);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretError {
    #[error("a secret must begin with `whsec_`")]
    Prefix,
    #[error("a secret must be base64 after `whsec_`")]
    Base64,
    #[error("a secret must have at least {SECRET_BYTES_MIN} bytes")]
    TooShort,
}

/// The three signature headers as received.
#[derive(Debug, Clone, Copy)]
pub struct SignatureHeaders<'a> {
    pub id: &'a str,
    pub timestamp: &'a str,
    pub signature: &'a str,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    #[error("webhook-timestamp is not a number of seconds")]
    Timestamp,
    #[error("webhook-timestamp differs by more than {TOLERANCE_S} s from the local clock")]
    OutsideTolerance,
    #[error("no signature matches")]
    Mismatch,
}

impl Secret {
    /// Returns the `webhook-signature` of a message.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let tag = hmac::sign(&self.0, &signed_bytes(id, &timestamp_s.to_string(), body));
        format!("v1,{}", STANDARD.encode(tag))
    }

    /// Verifies a message. One matching signature is enough, so that the sender can rotate its secret.
    pub fn verify(
        &self,
        headers: SignatureHeaders<'_>,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(), SignatureError> {
        let sent_s: i64 = headers
            .timestamp
            .parse()
            .map_err(|_| SignatureError::Timestamp)?;
        if now.timestamp().abs_diff(sent_s) > TOLERANCE_S.unsigned_abs() {
            return Err(SignatureError::OutsideTolerance);
        }
        let message = signed_bytes(headers.id, headers.timestamp, body);
        let matches = headers
            .signature
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .take(SIGNATURES_READ)
            .filter_map(|tag| STANDARD.decode(tag).ok())
            // ring compares in constant time.
            .any(|tag| hmac::verify(&self.0, &message, &tag).is_ok());
        if matches {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix("whsec_").ok_or(SecretError::Prefix)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| SecretError::Base64)?;
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(SecretError::TooShort);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

fn signed_bytes(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Example from the reference libraries of the Standard Webhooks specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP_S: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secret() -> Secret {
        SECRET.parse().unwrap()
    }

    fn at(timestamp_s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(timestamp_s, 0).unwrap()
    }

    fn verify(signature: &str, body: &[u8], now_s: i64) -> Result<(), SignatureError> {
        let timestamp = TIMESTAMP_S.to_string();
        let headers = SignatureHeaders {
            id: ID,
            timestamp: &timestamp,
            signature,
        };
        secret().verify(headers, body, at(now_s))
    }

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        assert_eq!(secret().sign(ID, TIMESTAMP_S, BODY), SIGNATURE);
        assert_eq!(verify(SIGNATURE, BODY, TIMESTAMP_S), Ok(()));
    }

    #[test]
    fn another_body_or_a_damaged_signature_does_not_match() {
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(verify(SIGNATURE, b"{}", TIMESTAMP_S), mismatch);
        assert_eq!(verify("v1,AAAA", BODY, TIMESTAMP_S), mismatch);
        assert_eq!(verify("v1,not base64", BODY, TIMESTAMP_S), mismatch);
        assert_eq!(verify("", BODY, TIMESTAMP_S), mismatch);
        let other_version = SIGNATURE.replace("v1", "v2");
        assert_eq!(verify(&other_version, BODY, TIMESTAMP_S), mismatch);
    }

    #[test]
    fn one_good_signature_among_two_is_enough() {
        let both = format!("v1,bm90IHRoaXMgb25l {SIGNATURE}");
        assert_eq!(verify(&both, BODY, TIMESTAMP_S), Ok(()));
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_either_way_and_no_longer() {
        assert_eq!(verify(SIGNATURE, BODY, TIMESTAMP_S + TOLERANCE_S), Ok(()));
        assert_eq!(verify(SIGNATURE, BODY, TIMESTAMP_S - TOLERANCE_S), Ok(()));
        let outside = Err(SignatureError::OutsideTolerance);
        assert_eq!(
            verify(SIGNATURE, BODY, TIMESTAMP_S + TOLERANCE_S + 1),
            outside
        );
        assert_eq!(
            verify(SIGNATURE, BODY, TIMESTAMP_S - TOLERANCE_S - 1),
            outside
        );
    }

    #[test]
    fn a_secret_is_parsed_strictly_and_never_printed() {
        assert_eq!("MfKQ".parse::<Secret>().unwrap_err(), SecretError::Prefix);
        assert_eq!(
            "whsec_%".parse::<Secret>().unwrap_err(),
            SecretError::Base64
        );
        assert_eq!(
            "whsec_MfKQ".parse::<Secret>().unwrap_err(),
            SecretError::TooShort
        );
        assert_eq!(format!("{:?}", secret()), "Secret(…)");
    }
}
