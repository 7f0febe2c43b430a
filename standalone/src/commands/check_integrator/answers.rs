//! Judges all answers together: time, redirects, length, end, type and head.

use std::time::Duration;

use serde_json::Value;
use worker::outbound::{AnswerDetails, AnswerEnd};

use super::{
    catalogue::{
        ANSWER_END, ANSWER_SIZE, ANSWER_TYPE, KEEP_ALIVE, ODD_HEAD, REDIRECT, RETRY, SLOW,
    },
    report::Findings,
    sender::Exchange,
};

/// Share of the limit above which an answer is slow.
const SLOW_SHARE: f64 = 0.5;

pub(super) fn judge(log: &[Exchange], limit: Duration, findings: &mut Findings) {
    for check in [
        SLOW,
        REDIRECT,
        ANSWER_SIZE,
        ANSWER_END,
        ANSWER_TYPE,
        ODD_HEAD,
        KEEP_ALIVE,
    ] {
        findings.ran(check);
    }
    let slow_downs = log.iter().filter(|one| one.asks_to_slow_down()).count();
    if slow_downs > 0 {
        findings.note(format!(
            "it said \"slow down\" to {slow_downs} messages (429, or 503 with Retry-After); they were sent again"
        ));
    }
    for (index, exchange) in log.iter().enumerate() {
        judge_time(exchange, limit, findings);
        judge_connection(exchange, index, findings);
        if let Some(details) = &exchange.details {
            judge_details(exchange, details, findings);
        }
        let is_failure = exchange.status().is_some_and(|status| status >= 500);
        if is_failure && !exchange.asks_to_slow_down() {
            findings.warning(
                RETRY,
                exchange,
                "We send the message again, two seconds later at the earliest; your log should say why it failed.",
            );
        }
    }
}

fn judge_time(exchange: &Exchange, limit: Duration, findings: &mut Findings) {
    let limit_ms = limit.as_millis();
    if exchange.is_timeout() {
        findings.fault(
            SLOW,
            exchange,
            format!("Answer within {limit_ms} ms: write the order down, answer, and work on it afterwards."),
        );
    } else if exchange.took > limit.mul_f64(SLOW_SHARE) {
        findings.warning(
            SLOW,
            exchange,
            format!("This is more than half of the {limit_ms} ms that there are, and busy evenings are slower."),
        );
    }
}

fn judge_connection(exchange: &Exchange, index: usize, findings: &mut Findings) {
    if exchange.is_lost() && !exchange.is_timeout() && index > 0 {
        findings.fault(
            KEEP_ALIVE,
            exchange,
            "The connection ended without an answer, so nobody knows if the message arrived. Answer `Connection: \
             close` if you close after an answer.",
        );
    }
}

fn judge_details(exchange: &Exchange, details: &AnswerDetails, findings: &mut Findings) {
    let status = exchange.status().unwrap_or_default();
    if (300..400).contains(&status) {
        let to = details.location.as_deref().unwrap_or("nowhere");
        findings.fault(
            REDIRECT,
            exchange,
            format!("It redirects to {to}. Give us the address that answers by itself."),
        );
    }
    match details.end {
        AnswerEnd::Complete => {}
        AnswerEnd::TooLong => findings.warning(
            ANSWER_SIZE,
            exchange,
            "The answer has 64 KiB or more. A reference is enough: {\"reference\":\"…\"}.",
        ),
        AnswerEnd::Missing => findings.fault(
            ANSWER_END,
            exchange,
            "The head came, but the answer did not end within a second. Send Content-Length, or end the last chunk.",
        ),
        AnswerEnd::CutShort => findings.fault(
            ANSWER_END,
            exchange,
            "The connection ended before the answer did. Is Content-Length larger than the body?",
        ),
    }
    if let Some(oddity) = details.oddity {
        findings.warning(ODD_HEAD, exchange, format!("The head is odd: {oddity}."));
    }
    if details.has_surplus {
        findings.warning(
            ODD_HEAD,
            exchange,
            "More bytes came than the head said. Is Content-Length smaller than the body?",
        );
    }
    if exchange.is_taken() {
        judge_type(exchange, details, findings);
    }
}

fn judge_type(exchange: &Exchange, details: &AnswerDetails, findings: &mut Findings) {
    let body = exchange.body().trim_ascii();
    let content_type = details.content_type.as_deref().unwrap_or_default();
    let content_type = content_type.to_ascii_lowercase();
    if body.is_empty() || details.end != AnswerEnd::Complete {
        return;
    }
    if content_type.contains("html") || body.starts_with(b"<") {
        findings.fault(
            ANSWER_TYPE,
            exchange,
            "A web page came back with 2xx. Has your program answered, or a proxy or a sign-in page before it?",
        );
    } else if !serde_json::from_slice::<Value>(body).is_ok_and(|value| value.is_object()) {
        findings.warning(
            ANSWER_TYPE,
            exchange,
            "The answer is no JSON object, so it cannot carry a reference: {\"reference\":\"…\"}.",
        );
    } else if !content_type.contains("json") {
        findings.warning(
            ANSWER_TYPE,
            exchange,
            "The answer is JSON but does not say so: send Content-Type: application/json.",
        );
    }
}
