//! Checks of keys, also of those before and after a rotation.

use super::Check;
use crate::config::{Secret, Secrets};

/// Maximum number of previous keys of a kind: each makes a wrong token cost one more signature.
const MAX_PREVIOUS: usize = 8;

pub(super) fn check(check: &mut Check, secrets: &Secrets) {
    for (key, secret) in [
        ("secrets.encryption_key", &secrets.encryption_key),
        ("secrets.jwt_key", &secrets.jwt_key),
    ] {
        if !secret.is_empty() && secret.key().is_none() {
            check.problem(
                key,
                "must be 32 bytes in base64; generate a key with: openssl rand -base64 32",
            );
        }
    }
    for (key, previous) in [
        (
            "secrets.previous_encryption_keys",
            &secrets.previous_encryption_keys,
        ),
        ("secrets.previous_jwt_keys", &secrets.previous_jwt_keys),
    ] {
        let is_key = |secret: &Secret| secret.key().is_some();
        if previous.len() > MAX_PREVIOUS {
            let what = format!("has {} keys, and may have {MAX_PREVIOUS}", previous.len());
            check.problem(key, what);
        } else if !previous.iter().all(is_key) {
            check.problem(key, "must be a list of keys, each 32 bytes in base64");
        }
    }
}
