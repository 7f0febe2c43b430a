//! Callbacks of the test's integrator about an accepted order.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Inner, SentCallback, SignedWith};

/// Delay between two tries of a callback. Each try is recorded.
const PAUSE: Duration = Duration::from_millis(50);

impl Inner {
    /// Sends each step in order, each until it is accepted, and stops when the order is cancelled.
    pub(super) async fn call_back(self: Arc<Self>, url: String, order_id: String) {
        let (steps, copies) = {
            let memory = self.memory.lock();
            (memory.steps.clone(), memory.copies)
        };
        for (status, sequence) in steps.into_iter().zip(1_u32..) {
            let body = json!({"order_id": order_id, "status": status, "sequence": sequence});
            let webhook_id = format!("cb_{order_id}_{sequence}");
            for _ in 0..copies {
                while !self.is_taken(&url, &webhook_id, &body).await {
                    if self.memory.lock().cancelled.contains(&order_id) {
                        return;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn is_taken(&self, url: &str, webhook_id: &str, body: &Value) -> bool {
        let answer = self
            .call(url, webhook_id, body, SignedWith::CallbackSecret)
            .await;
        let Some((answered, answer)) = answer else {
            return false;
        };
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        self.memory.lock().called.push(SentCallback {
            order_id: text("order_id"),
            status: text("status"),
            answered,
            answer,
        });
        answered == 202
    }

    /// Sends a callback; `None` if there was no complete response.
    pub(super) async fn call(
        &self,
        url: &str,
        webhook_id: &str,
        body: &Value,
        with: SignedWith,
    ) -> Option<(u16, Value)> {
        let bytes = body.to_string().into_bytes();
        let now = self.clock.now();
        let (secret, at, signed) = match with {
            SignedWith::CallbackSecret => (&self.secrets().callback, now, &bytes[..]),
            SignedWith::SigningSecret => (&self.secrets().signing, now, &bytes[..]),
            SignedWith::OldCallback => (
                &self.secrets().callback,
                now - TimeDelta::minutes(10),
                &bytes[..],
            ),
            SignedWith::AnotherBody => (&self.secrets().callback, now, &b"{}"[..]),
        };
        let timestamp_s = at.timestamp();
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", webhook_id)
            .header("webhook-timestamp", timestamp_s)
            .header(
                "webhook-signature",
                secret.sign(webhook_id, timestamp_s, signed),
            )
            .body(bytes);
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or_default()))
    }
}
