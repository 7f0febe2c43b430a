//! Makes the attempt of a claimed handoff: sends it once, records its outcome once, and aborts only at shutdown.

use std::{sync::Arc, time::Duration};

use domain::handoff::{SendResult, Verdict, outcome};
use ledger::{
    Ledger,
    handoffs::{Claimed, Concluded},
};
use platform::metrics::Metrics;
use runtime::traces::{self, Kind, Span};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};

use crate::outbound::{AttemptResult, Outbound, Outgoing};

/// Delay before a handoff is due again that was not sent for a reason of our own.
const DEFER_DELAY: Duration = Duration::from_secs(5);
/// Delay between attempts to record an outcome while the database is unavailable.
const RECORD_RETRY_DELAY: Duration = Duration::from_millis(500);

/// Parts that an attempt needs, shared by all lanes.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    pub(crate) ledger: Ledger,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) metrics: Arc<Metrics>,
    /// Cancelled when shutdown can wait no longer for responses.
    pub(crate) cut: CancellationToken,
}

impl Attempts {
    /// Returns the time that its request took.
    pub(crate) async fn make(self, claimed: Claimed) -> Duration {
        let span = tracing::info_span!(
            "attempt",
            handoff = %claimed.handoff.id,
            integrator = %claimed.integrator.id,
            order = claimed.order_number,
            n = claimed.n,
            trace_id = Empty
        );
        if let Some(trace) = claimed.trace {
            span.record("trace_id", trace.trace_id());
        }
        self.metrics.lanes_in_flight.inc();
        let _in_flight = InFlight(&self.metrics);
        self.make_and_record(&claimed).instrument(span).await
    }

    async fn make_and_record(&self, claimed: &Claimed) -> Duration {
        let mut traced = trace(claimed);
        let outgoing = outgoing(claimed, traced.as_ref());
        let begun_at = Instant::now();
        let result = self.outbound.attempt(&outgoing).await;
        if let Some(span) = traced.take() {
            describe(span, &result);
        }
        match result {
            AttemptResult::NotSent { why } => {
                self.defer(claimed, &why).await;
                Duration::ZERO
            }
            AttemptResult::SendResult {
                heard,
                answer,
                used_cached_token,
            } => {
                let took = begun_at.elapsed();
                self.metrics.attempt_seconds.observe(took.as_secs_f64());
                self.conclude(claimed, &heard, answer.as_deref(), used_cached_token)
                    .await;
                took
            }
        }
    }

    async fn conclude(
        &self,
        claimed: &Claimed,
        heard: &SendResult,
        answer: Option<&[u8]>,
        used_cached_token: bool,
    ) {
        let recorded = self
            .retry_recording(claimed, || {
                self.ledger
                    .conclude_attempt(claimed, heard, answer, used_cached_token)
            })
            .await;
        let Some(concluded) = recorded else { return };
        let outcome = outcome(heard, used_cached_token);
        match concluded {
            Concluded::Recorded { outcome, verdict } => {
                self.count(outcome.as_str(), &verdict);
                tracing::info!(?heard, ?verdict, "attempt {}: {outcome}", claimed.n);
            }
            Concluded::CalledOff { outcome } => {
                let attempts = &self.metrics.handoff_attempts;
                attempts.with_label_values(&[outcome.as_str()]).inc();
                tracing::info!(
                    ?heard,
                    "attempt {}: {outcome}; the order has ended in the meantime",
                    claimed.n
                );
            }
            Concluded::AlreadyRecorded { outcome } => {
                let attempts = &self.metrics.handoff_attempts;
                attempts.with_label_values(&[outcome.as_str()]).inc();
                tracing::info!(
                    ?heard,
                    "attempt {}: {outcome}; an earlier commit whose response was lost had recorded it",
                    claimed.n
                );
            }
            Concluded::Forgotten => tracing::error!(
                ?heard,
                "attempt {}: {outcome}, but the database has lost its claim: it is not on record, and the same message may \
                 be sent again",
                claimed.n
            ),
            Concluded::Fenced => tracing::warn!(
                ?heard,
                "attempt {}: {outcome}, but its lease had expired; it stays recorded as unknown",
                claimed.n
            ),
        }
    }

    async fn defer(&self, claimed: &Claimed, why: &str) {
        let until = self.ledger.clock().now() + DEFER_DELAY;
        tracing::info!(
            "attempt {} was not sent and does not count: {why}",
            claimed.n
        );
        self.retry_recording(claimed, || self.ledger.defer_attempt(claimed, until, why))
            .await;
    }

    /// Retries `record` until the lease expires: an outcome that is not recorded counts as unknown, and the order is
    /// sent a second time.
    async fn retry_recording<T, F: Future<Output = ledger::Result<T>>>(
        &self,
        claimed: &Claimed,
        record: impl Fn() -> F,
    ) -> Option<T> {
        loop {
            let error = match record().await {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let clock = self.ledger.clock();
            if clock.now() >= claimed.leased_until || self.cut.is_cancelled() {
                tracing::error!(%error, "attempt {}: recording the outcome failed; giving up: {error}", claimed.n);
                return None;
            }
            tracing::warn!(%error, "attempt {}: recording the outcome failed; retrying: {error}", claimed.n);
            // Attempts that failed together do not try again together.
            let jitter = self.ledger.chance().fraction();
            clock.sleep(RECORD_RETRY_DELAY.mul_f64(1.0 + jitter)).await;
        }
    }

    fn count(&self, outcome: &str, verdict: &Verdict) {
        let attempts = &self.metrics.handoff_attempts;
        attempts.with_label_values(&[outcome]).inc();
        if let Verdict::Failed { reason } = verdict {
            let given_up = &self.metrics.given_up;
            given_up.with_label_values(&[reason.as_str()]).inc();
        }
    }
}

/// Guard that counts an attempt as in flight until it is dropped, also when its task is aborted.
struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.lanes_in_flight.dec();
    }
}

/// Begins the attempt's span in the order's trace, if that is recorded.
fn trace(claimed: &Claimed) -> Option<Span> {
    let within = claimed.trace.filter(|_| traces::is_on())?;
    let name = format!("hand over {}", claimed.handoff.event);
    let mut span = Span::begin(name, Kind::Client, within);
    if let Some(order) = claimed.handoff.order_id {
        span.set(traces::ORDER_ID, order.to_string());
    }
    span.set("expediter.handoff.id", claimed.handoff.id.to_string());
    span.set("expediter.integrator.id", claimed.integrator.id.to_string());
    span.set("expediter.integrator.name", claimed.integrator.name.clone());
    span.set("expediter.attempt", i64::from(claimed.n));
    Some(span)
}

/// Ends the attempt's span with what was heard.
fn describe(mut span: Span, result: &AttemptResult) {
    match result {
        AttemptResult::NotSent { .. } => span.fail("not sent"),
        AttemptResult::SendResult { heard, .. } => match heard {
            SendResult::Answer { status, .. } => {
                span.set("http.response.status_code", i64::from(*status));
                if *status >= 400 {
                    span.fail("");
                }
            }
            SendResult::NotConnected { error } | SendResult::Lost { error } => {
                span.fail(error.clone());
            }
        },
    }
}

fn outgoing(claimed: &Claimed, traced: Option<&Span>) -> Outgoing {
    Outgoing {
        handoff: claimed.handoff.id,
        integrator: claimed.integrator.id,
        url: claimed.integrator.url.clone(),
        auth: claimed.auth.clone(),
        token_at: claimed.integrator.answers.token.clone(),
        signing: claimed.signing.clone(),
        body: claimed.body.clone(),
        n: claimed.handoff.counted_attempts(),
        max_attempts: claimed.handoff.max_attempts,
        // Of another process that reports spans, if this one does not.
        trace: traced.map_or(claimed.trace, Span::context),
        leased_until: claimed.leased_until,
    }
}
