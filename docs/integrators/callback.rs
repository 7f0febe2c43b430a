//! Sends a callback once, signed, with the crate `reqwest`; the caller sends it again until there is a 2xx.

use std::time::{SystemTime, UNIX_EPOCH};

use super::signature::sign;

/// Returns the status of the answer; `body` is JSON.
pub async fn call_back(
    client: &reqwest::Client,
    url: &str,
    secret: &str,
    webhook_id: &str,
    body: String,
) -> Result<u16, Box<dyn std::error::Error>> {
    let timestamp = SystemTime::now()
        .duration_since(UNIX_EPOCH)?
        .as_secs()
        .to_string();
    let signature =
        sign(secret, webhook_id, &timestamp, body.as_bytes()).ok_or("malformed secret")?;
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", webhook_id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(body);
    Ok(request.send().await?.status().as_u16())
}
