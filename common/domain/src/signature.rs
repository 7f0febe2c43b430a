//! Standard Webhooks signatures (standardwebhooks.com, "Signature scheme"): `v1,<base64 HMAC-SHA256>` over
//! `{id}.{timestamp}.{raw body}`, with secrets written `whsec_<base64>`.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chrono::{DateTime, Utc};
use ring::hmac;
use subtle::ConstantTimeEq;

const PREFIX: &str = "whsec_";

/// A shared secret; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret must be whsec_ followed by 24 to 64 bytes in base64")]
pub struct InvalidSecret;

impl SigningSecret {
    /// Creates a secret from 24 to 64 random bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidSecret> {
        let bytes = bytes.into();
        if (24..=64).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(InvalidSecret)
        }
    }

    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        Self::new(BASE64.decode(encoded).map_err(|_| InvalidSecret)?)
    }

    /// Returns the secret as text, as it is shown to the other side once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(&self.0))
    }

    /// Returns one signature, such as `v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let tag = hmac::sign(&self.key(), &signed_content(id, timestamp_s, body));
        format!("v1,{}", BASE64.encode(tag.as_ref()))
    }

    /// Returns true if the text is the revealed secret; compares in constant time.
    #[must_use]
    pub fn matches_text(&self, text: &str) -> bool {
        let key = self.key();
        let tag = hmac::sign(&key, self.reveal().as_bytes());
        hmac::verify(&key, text.as_bytes(), tag.as_ref()).is_ok()
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret(***)")
    }
}

/// Signature headers of a request.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`: Unix seconds, as text
    pub timestamp: &'a str,
    /// `webhook-signature`: one or several, separated by spaces
    pub signature: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRefused {
    #[error("webhook-timestamp is not a Unix time in seconds")]
    BadTimestamp,
    #[error("webhook-timestamp is more than {tolerance_s} s from now")]
    TimestampOutOfRange { tolerance_s: u64 },
    #[error("no signature matches")]
    NoMatch,
}

/// Verifies that one of the signatures was made with one of the secrets over these raw bytes, and that its timestamp
/// differs from `now` by at most `tolerance`, in whole seconds.
pub fn verify(
    secrets: &[SigningSecret],
    signed: Signed<'_>,
    body: &[u8],
    now: DateTime<Utc>,
    tolerance: Duration,
) -> Result<(), SignatureRefused> {
    let timestamp_s: i64 = signed
        .timestamp
        .parse()
        .map_err(|_| SignatureRefused::BadTimestamp)?;
    let tolerance_s = tolerance.as_secs();
    if now.timestamp().abs_diff(timestamp_s) > tolerance_s {
        return Err(SignatureRefused::TimestampOutOfRange { tolerance_s });
    }
    let content = signed_content(signed.id, timestamp_s, body);
    // One pass over the body for each of our secrets, however many signatures there are to compare.
    let right: Vec<hmac::Tag> = secrets
        .iter()
        .map(|secret| hmac::sign(&secret.key(), &content))
        .collect();
    let fits = signed
        .signature
        .split_ascii_whitespace()
        .filter_map(|one| BASE64.decode(one.strip_prefix("v1,")?).ok())
        .any(|tag| right.iter().any(|right| right.as_ref().ct_eq(&tag).into()));
    if fits {
        Ok(())
    } else {
        Err(SignatureRefused::NoMatch)
    }
}

fn signed_content(id: &str, timestamp_s: i64, body: &[u8]) -> Vec<u8> {
    let mut content = format!("{id}.{timestamp_s}.").into_bytes();
    content.extend_from_slice(body);
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT_S: i64 = 1_614_265_330;
    const TOLERANCE: Duration = Duration::from_secs(300);
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn at(offset_s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(AT_S + offset_s, 0).unwrap()
    }

    fn signed(signature: &str) -> Signed<'_> {
        Signed {
            id: ID,
            timestamp: "1614265330",
            signature,
        }
    }

    #[test]
    fn it_signs_as_the_reference_libraries_do() {
        assert_eq!(
            SigningSecret::parse(SECRET).unwrap().sign(ID, AT_S, BODY),
            SIGNATURE
        );
    }

    #[test]
    fn one_fitting_signature_among_several_is_enough_and_a_byte_more_is_not() {
        let secrets = [
            SigningSecret::new([1; 32]).unwrap(),
            SigningSecret::parse(SECRET).unwrap(),
        ];
        let several = format!("v1,AAAA v2,nonsense {SIGNATURE}");
        assert_eq!(
            verify(&secrets, signed(&several), BODY, at(0), TOLERANCE),
            Ok(())
        );
        assert_eq!(
            verify(
                &secrets,
                signed(SIGNATURE),
                br#"{"test": 2432232314} "#,
                at(0),
                TOLERANCE
            ),
            Err(SignatureRefused::NoMatch)
        );
        assert_eq!(
            verify(&secrets[..1], signed(SIGNATURE), BODY, at(0), TOLERANCE),
            Err(SignatureRefused::NoMatch)
        );
    }

    #[test]
    fn the_signed_time_may_be_as_far_from_ours_as_the_tolerance_and_no_further() {
        let secrets = [SigningSecret::parse(SECRET).unwrap()];
        for tolerance_s in [30, 300] {
            let tolerance = Duration::from_secs(tolerance_s);
            let offset_s = i64::try_from(tolerance_s).unwrap();
            for fine in [-offset_s, 0, offset_s] {
                assert_eq!(
                    verify(&secrets, signed(SIGNATURE), BODY, at(fine), tolerance),
                    Ok(()),
                    "{fine}"
                );
            }
            for late in [-offset_s - 1, offset_s + 1] {
                assert_eq!(
                    verify(&secrets, signed(SIGNATURE), BODY, at(late), tolerance),
                    Err(SignatureRefused::TimestampOutOfRange { tolerance_s }),
                    "{late}"
                );
            }
        }
        let nonsense = Signed {
            timestamp: "yesterday",
            ..signed(SIGNATURE)
        };
        assert_eq!(
            verify(&secrets, nonsense, BODY, at(0), TOLERANCE),
            Err(SignatureRefused::BadTimestamp)
        );
    }

    #[test]
    fn a_header_full_of_signatures_costs_no_more_passes_over_the_body_than_one() {
        let secrets = [SigningSecret::new([1; 32]).unwrap()];
        let (body, many) = (vec![b'x'; 1 << 20], "v1,AA== ".repeat(20_000));
        let began_at = std::time::Instant::now();
        assert_eq!(
            verify(&secrets, signed(&many), &body, at(0), TOLERANCE),
            Err(SignatureRefused::NoMatch)
        );
        // One pass per signature would hash a megabyte twenty thousand times.
        assert!(began_at.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        assert_eq!(
            format!("{:?}", SigningSecret::parse(SECRET).unwrap()),
            "SigningSecret(***)"
        );
    }

    #[test]
    fn a_secret_is_known_by_all_of_its_text() {
        let secret = SigningSecret::new([7; 24]).unwrap();
        let text = secret.reveal();
        assert!(secret.matches_text(&text));
        for wrong in [
            "",
            "whsec_",
            &text[..text.len() - 1],
            &text[6..],
            &format!("{text} "),
        ] {
            assert!(!secret.matches_text(wrong), "{wrong:?}");
        }
    }
}
