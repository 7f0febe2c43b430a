//! Standard Webhooks signatures: signs callbacks and verifies handoffs, by the public `standardwebhooks` crate.

use std::{fmt, str::FromStr, sync::Arc};

use poem::http::HeaderMap;
use standardwebhooks::{Webhook, WebhookError};

/// Minimum length of a secret in bytes, from the Standard Webhooks specification. The crate takes any.
const SECRET_BYTES_MIN: usize = 24;

/// Signing secret, written `whsec_<base64>`.
#[derive(Clone)]
pub struct Secret(Arc<Webhook>);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretError {
    #[error("a secret must begin with `whsec_`")]
    Prefix,
    #[error("a secret must be base64 after `whsec_`")]
    Base64,
    #[error("a secret must have at least {SECRET_BYTES_MIN} bytes")]
    TooShort,
}

impl Secret {
    /// Returns the `webhook-signature` of a message.
    ///
    /// # Errors
    /// If the body is not UTF-8, which JSON always is.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Result<String, WebhookError> {
        self.0.sign(id, timestamp_s, body)
    }

    /// Verifies a message by its three headers, five minutes of the clock either way. One matching signature is
    /// enough, so that the sender can rotate its secret.
    ///
    /// # Errors
    /// If a header is missing or malformed, the time is too far off, or no signature matches.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), WebhookError> {
        self.0.verify(body, headers)
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix("whsec_").ok_or(SecretError::Prefix)?;
        let webhook = Webhook::new(text).map_err(|_| SecretError::Base64)?;
        if encoded.trim_end_matches('=').len() * 3 / 4 < SECRET_BYTES_MIN {
            return Err(SecretError::TooShort);
        }
        Ok(Self(Arc::new(webhook)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kitchen::now;

    /// Example from the reference libraries of the Standard Webhooks specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const TOLERANCE_S: i64 = 5 * 60;

    fn secret() -> Secret {
        SECRET.parse().unwrap()
    }

    fn now_s() -> i64 {
        now().timestamp()
    }

    fn signature_at(timestamp_s: i64) -> String {
        secret().sign(ID, timestamp_s, BODY).unwrap()
    }

    fn accepts(signature: &str, body: &[u8], timestamp_s: i64) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", ID),
            ("webhook-timestamp", &timestamp_s.to_string()),
            ("webhook-signature", signature),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        secret().verify(&headers, body).is_ok()
    }

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        assert_eq!(
            signature_at(1_614_265_330),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        let now_s = now_s();
        assert!(accepts(&signature_at(now_s), BODY, now_s));
    }

    #[test]
    fn another_body_or_a_damaged_signature_does_not_match() {
        let now_s = now_s();
        let signature = signature_at(now_s);
        assert!(!accepts(&signature, b"{}", now_s));
        assert!(!accepts(&signature, BODY, now_s - 1));
        for damaged in [
            "v1,AAAA",
            "v1,not base64",
            "",
            &signature.replace("v1", "v2"),
        ] {
            assert!(!accepts(damaged, BODY, now_s), "{damaged}");
        }
        assert!(secret().verify(&HeaderMap::new(), BODY).is_err());
    }

    #[test]
    fn one_good_signature_among_two_is_enough() {
        let now_s = now_s();
        let both = format!("v1,bm90IHRoaXMgb25l {}", signature_at(now_s));
        assert!(accepts(&both, BODY, now_s));
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_either_way_and_no_longer() {
        for (by_s, good) in [
            (30 - TOLERANCE_S, true),
            (TOLERANCE_S - 30, true),
            (-TOLERANCE_S - 30, false),
            (TOLERANCE_S + 30, false),
        ] {
            let at_s = now_s() + by_s;
            assert_eq!(accepts(&signature_at(at_s), BODY, at_s), good, "{by_s} s");
        }
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
