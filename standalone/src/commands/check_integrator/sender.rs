//! Sends messages with the worker's own client, and keeps a record of every exchange.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    answers::{Answers, JsonPointer},
    handoff::{AttemptOutcome, SendResult, outcome, parse_reference},
    ids::IntegratorId,
    integrator::OutboundAuth,
    signature::SigningSecret,
};
use parking_lot::Mutex;
use platform::clock::Clock;
use poem::http::{HeaderMap, HeaderValue};
use tokio::time::Instant;
use url::Url;
use worker::outbound::{AnswerDetails, AttemptResult, Outbound, Outgoing};

use super::sample::Message;

/// Attempts of one message, and the longest pause between them: shorter than in production, where it is 2 minutes.
const MAX_ATTEMPTS: u32 = 3;
const MAX_PAUSE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);
/// Number of times that a message is sent again because the integrator said "slow down".
const MAX_SLOW_DOWNS: u32 = 3;
/// Number of time-outs after which nothing more is sent.
const MAX_TIMEOUTS: usize = 3;
/// The same for messages without an answer for whatever reason.
const MAX_UNANSWERED: usize = 12;
/// Characters of an answer that a report shows.
const SHOWN_CHARS: usize = 160;

/// A request and what came back.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) sent: String,
    pub(super) result: AttemptResult,
    /// `None` if there was no answer.
    pub(super) details: Option<AnswerDetails>,
    pub(super) took: Duration,
    /// Place of the reference, if it is not one of the usual ones.
    reference_at: Option<JsonPointer>,
}

#[derive(Debug)]
pub(super) struct Sender {
    pub(super) outbound: Outbound,
    pub(super) url: Url,
    pub(super) integrator: IntegratorId,
    pub(super) auth: OutboundAuth,
    pub(super) answers: Answers,
    pub(super) secret: SigningSecret,
    pub(super) clock: Clock,
    /// Time that an answer may take.
    pub(super) timeout: Duration,
    pub(super) log: Mutex<Vec<Exchange>>,
}

impl Exchange {
    pub(super) fn status(&self) -> Option<u16> {
        match &self.result {
            AttemptResult::SendResult {
                heard: SendResult::Answer { status, .. },
                ..
            } => Some(*status),
            _ => None,
        }
    }

    pub(super) fn is_taken(&self) -> bool {
        self.outcome() == Some(AttemptOutcome::Acknowledged)
    }

    /// Returns true if a worker would send the message again: because of the answer, or because nothing was sent.
    pub(super) fn asks_for_another(&self) -> bool {
        self.outcome() == Some(AttemptOutcome::Retry)
    }

    pub(super) fn asks_to_slow_down(&self) -> bool {
        matches!(&self.result, AttemptResult::SendResult { heard, .. } if heard.asks_to_slow_down())
    }

    /// Returns true if the message was sent, and no answer came in time.
    pub(super) fn is_timeout(&self) -> bool {
        let is_timed_out = |error: &str| error.ends_with("timed out");
        self.is_lost() && self.error().is_some_and(is_timed_out)
    }

    /// Returns the reason why there was no answer.
    pub(super) fn error(&self) -> Option<&str> {
        match &self.result {
            AttemptResult::NotSent { why } => Some(why),
            AttemptResult::SendResult { heard, .. } => match heard {
                SendResult::NotConnected { error } | SendResult::Lost { error } => Some(error),
                SendResult::Answer { .. } => None,
            },
        }
    }

    /// Returns true if the request may have arrived although there was no answer.
    pub(super) fn is_lost(&self) -> bool {
        self.outcome() == Some(AttemptOutcome::Unknown)
    }

    pub(super) fn body(&self) -> &[u8] {
        match &self.result {
            AttemptResult::SendResult {
                answer: Some(body), ..
            } => body,
            _ => &[],
        }
    }

    pub(super) fn reference(&self) -> Option<String> {
        parse_reference(self.body(), self.reference_at.as_ref())
    }

    /// Returns the answer as a line of text.
    pub(super) fn got(&self) -> String {
        let took_ms = self.took.as_millis();
        let Some(status) = self.status() else {
            let why = self.error().unwrap_or("nothing");
            return format!("no answer after {took_ms} ms ({why})");
        };
        let body = String::from_utf8_lossy(self.body());
        let body: String = body
            .chars()
            .filter(|c| !c.is_control())
            .take(SHOWN_CHARS)
            .collect();
        let body = if body.is_empty() { "no body" } else { &body };
        format!("{status} after {took_ms} ms: {body}")
    }

    fn outcome(&self) -> Option<AttemptOutcome> {
        match &self.result {
            AttemptResult::NotSent { .. } => None,
            AttemptResult::SendResult {
                heard,
                used_cached_token,
                ..
            } => Some(outcome(heard, *used_cached_token)),
        }
    }
}

impl Sender {
    /// Sends a message until it is taken or refused, as a worker does; returns the last exchange.
    pub(super) async fn deliver(&self, sent: &str, message: &Message) -> Exchange {
        let signing = std::slice::from_ref(&self.secret);
        self.deliver_signed(sent, message, signing).await
    }

    pub(super) async fn deliver_signed(
        &self,
        sent: &str,
        message: &Message,
        signing: &[SigningSecret],
    ) -> Exchange {
        let mut exchange = self.send(sent, message, signing, 1, |_| {}).await;
        for n in 2..=MAX_ATTEMPTS {
            if !exchange.asks_for_another() || !self.was_answered() {
                break;
            }
            tokio::time::sleep(self.pause_after(&exchange)).await;
            let sent = format!("{sent}, as attempt {n}/5");
            exchange = self.send(&sent, message, signing, n, |_| {}).await;
        }
        exchange
    }

    /// Sends a message as attempt `n`, with headers that may be changed. "Slow down" is no answer to the message, so it is
    /// sent again after the pause.
    pub(super) async fn send(
        &self,
        sent: &str,
        message: &Message,
        signing: &[SigningSecret],
        n: u32,
        change: impl Fn(&mut HeaderMap) + Send + Sync,
    ) -> Exchange {
        for _ in 0..MAX_SLOW_DOWNS {
            let exchange = self.send_once(sent, message, signing, n, &change).await;
            if !exchange.asks_to_slow_down() {
                return exchange;
            }
            tokio::time::sleep(self.pause_after(&exchange)).await;
        }
        self.send_once(sent, message, signing, n, &change).await
    }

    async fn send_once(
        &self,
        sent: &str,
        message: &Message,
        signing: &[SigningSecret],
        n: u32,
        change: impl Fn(&mut HeaderMap) + Send,
    ) -> Exchange {
        let outgoing = Outgoing {
            handoff: message.id,
            integrator: self.integrator,
            url: self.url.clone(),
            auth: self.auth.clone(),
            token_at: self.answers.token.clone(),
            signing: signing.to_vec(),
            body: message.body.clone(),
            n,
            max_attempts: 5,
            trace: None,
            leased_until: self.clock.now() + self.timeout * 3,
        };
        let began_at = Instant::now();
        let probed = self.outbound.probe(&outgoing, change).await;
        let exchange = Exchange {
            sent: sent.to_owned(),
            result: probed.result,
            details: probed.details,
            took: began_at.elapsed(),
            reference_at: self.answers.reference.clone(),
        };
        self.log.lock().push(exchange.clone());
        exchange
    }

    /// Sends a message and goes away after `patience`, before or after its answer.
    pub(super) async fn abandon(&self, message: &Message, patience: Duration) {
        let sent = "a message whose answer nobody waited for";
        let signing = std::slice::from_ref(&self.secret);
        let sending = self.send(sent, message, signing, 1, |_| {});
        // Dropping the exchange closes its connection.
        let _ = tokio::time::timeout(patience, sending).await;
    }

    /// Returns true if so many answers did not come that the rest would not either.
    pub(super) fn has_given_up(&self) -> bool {
        let log = self.log.lock();
        let timeouts = log.iter().filter(|one| one.is_timeout()).count();
        let unanswered = log.iter().filter(|one| one.status().is_none()).count();
        timeouts >= MAX_TIMEOUTS || unanswered >= MAX_UNANSWERED
    }

    /// Returns true if anything was answered so far.
    fn was_answered(&self) -> bool {
        let log = self.log.lock();
        log.iter().any(|one| one.status().is_some())
    }

    fn pause_after(&self, exchange: &Exchange) -> Duration {
        let now = self.clock.now();
        let asked = match &exchange.result {
            AttemptResult::SendResult { heard, .. } => heard.retry_after(),
            AttemptResult::NotSent { .. } => None,
        };
        let asked = asked.and_then(|hint| (hint.from(now) - now).to_std().ok());
        asked.map_or(PAUSE, |asked| asked.clamp(PAUSE, MAX_PAUSE))
    }
}

/// Signs the request anew, at another time or for another content.
pub(super) fn sign_anew(
    headers: &mut HeaderMap,
    secret: &SigningSecret,
    id: &str,
    at: DateTime<Utc>,
    body: &[u8],
) {
    let timestamp_s = at.timestamp();
    set(headers, "webhook-timestamp", &timestamp_s.to_string());
    set(
        headers,
        "webhook-signature",
        &secret.sign(id, timestamp_s, body),
    );
}

pub(super) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value = HeaderValue::try_from(value).expect("digits and base64");
    headers.insert(name, value);
}
