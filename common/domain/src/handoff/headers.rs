//! Headers of an attempt's request: those of Standard Webhooks (standardwebhooks.com), and ours.

use chrono::{DateTime, Utc};

use crate::{ids::HandoffId, signature::SigningSecret, trace::TraceContext};

/// One request of a handoff. A worker sends it, or the `listen` command of a listener.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMessage<'a> {
    pub handoff: HandoffId,
    /// Number of the attempt, from 1, among those that count.
    pub n: u32,
    pub max_attempts: u32,
    /// Newest first; each of them signs.
    pub signing: &'a [SigningSecret],
    pub body: &'a [u8],
    /// Place of the attempt in its order's trace; `None` if that is not recorded.
    pub trace: Option<TraceContext>,
}

impl OutgoingMessage<'_> {
    /// Returns the headers, with names in lower case: signed at `now`. `span` names it in a trace of its own.
    #[must_use]
    pub fn headers(&self, now: DateTime<Utc>, span: [u8; 8]) -> [(&'static str, String); 7] {
        let id = self.handoff.to_string();
        let timestamp_s = now.timestamp();
        let trace = self.trace.unwrap_or_else(|| own_trace(self.handoff, span));
        let signatures: Vec<String> = self
            .signing
            .iter()
            .map(|secret| secret.sign(&id, timestamp_s, self.body))
            .collect();
        [
            ("content-type", "application/json".to_owned()),
            ("webhook-id", id.clone()),
            ("webhook-timestamp", timestamp_s.to_string()),
            ("webhook-signature", signatures.join(" ")),
            ("idempotency-key", id),
            (
                "expediter-attempt",
                format!("{}/{}", self.n, self.max_attempts),
            ),
            ("traceparent", trace.to_string()),
        ]
    }
}

/// Returns the place of an attempt whose order is in no trace of ours: the attempts of a handoff share one trace, each
/// with a span of its own.
fn own_trace(handoff: HandoffId, span: [u8; 8]) -> TraceContext {
    TraceContext {
        trace: handoff.uuid().as_u128(),
        span: u64::from_be_bytes(span).max(1),
        is_sampled: true,
    }
}
