//! Makes and checks signatures as in Standard Webhooks, with the crates `base64` and `ring`.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;

const TOLERANCE_S: u64 = 300;

/// Returns a signature, or `None` if the secret is malformed.
pub fn sign(secret: &str, webhook_id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    let tag = hmac::sign(&key(secret)?, &content(webhook_id, timestamp, body));
    Some(format!("v1,{}", STANDARD.encode(tag)))
}

/// Returns true if one of the signatures is right and the timestamp is recent. `now` is the Unix time in seconds.
pub fn verify(
    secret: &str,
    webhook_id: &str,
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now: u64,
) -> bool {
    let is_recent = timestamp
        .parse()
        .is_ok_and(|at: u64| now.abs_diff(at) <= TOLERANCE_S);
    let content = content(webhook_id, timestamp, body);
    let is_right = |key: hmac::Key| {
        let tags = signature
            .split(' ')
            .filter_map(|one| one.strip_prefix("v1,"));
        tags.filter_map(|tag| STANDARD.decode(tag).ok())
            .any(|tag| hmac::verify(&key, &content, &tag).is_ok())
    };
    is_recent && key(secret).is_some_and(is_right)
}

fn key(secret: &str) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn content(webhook_id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [
        webhook_id.as_bytes(),
        b".",
        timestamp.as_bytes(),
        b".",
        body,
    ]
    .concat()
}
