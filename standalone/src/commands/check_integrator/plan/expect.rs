//! Judges the answers of one check.

use std::fmt::Write;

use super::Plan;
use crate::commands::check_integrator::{catalogue::Check, sender::Exchange};

impl Plan<'_> {
    pub(super) fn expect_taken(&mut self, check: &'static Check, exchange: &Exchange) -> bool {
        self.findings.ran(check);
        if !exchange.is_taken() {
            self.findings
                .fault(check, exchange, why_not_taken(exchange));
        }
        exchange.is_taken()
    }

    pub(super) fn expect_refused(&mut self, check: &'static Check, answers: &[Exchange]) {
        self.findings.ran(check);
        for answer in answers {
            match answer.status() {
                Some(400 | 401 | 403) => {}
                Some(200..=299) => self.findings.fault(
                    check,
                    answer,
                    "It was taken. Check the signature over the raw body before anything else, and answer 401.",
                ),
                Some(410) => self.findings.fault(
                    check,
                    answer,
                    "A 410 means that you are gone: we disable you. Answer 401.",
                ),
                Some(402..=499) if !answer.asks_for_another() => self.findings.warning(
                    check,
                    answer,
                    "It was refused, but 401 would tell the sender why.",
                ),
                _ => self.findings.fault(
                    check,
                    answer,
                    "Refuse it with 401: any other answer looks like a failure of yours, and is asked for again.",
                ),
            }
        }
    }

    pub(super) fn expect_same_reference(&mut self, check: &'static Check, answers: &[&Exchange]) {
        let mut references: Vec<Option<String>> =
            answers.iter().map(|answer| answer.reference()).collect();
        references.sort_unstable();
        references.dedup();
        if let (Some(last), true) = (answers.last(), references.len() > 1) {
            let mut shown = String::new();
            for reference in references {
                let reference = reference.as_deref().unwrap_or("none");
                write!(shown, " {reference}").expect("writing to a String cannot fail");
            }
            self.findings.fault(
                check,
                last,
                format!(
                    "The answers have different references:{shown}. Keep the answer of each webhook-id, and give it \
                     again."
                ),
            );
        }
    }
}

fn why_not_taken(exchange: &Exchange) -> String {
    let Some(status) = exchange.status() else {
        return "There was no answer, so we would send it again.".to_owned();
    };
    match status {
        300..=399 => "We don't follow redirects: the handoff fails.".to_owned(),
        401 | 403 => "A good signature was refused. Is it this secret (decode the base64 after whsec_), and is the \
                      signature made over the raw bytes of the body?"
            .to_owned(),
        404 | 405 => format!("{status} is final. Is the path right, and does it take POST?"),
        410 => "A 410 means that you are gone: we disable you.".to_owned(),
        413 => "413 is final. Raise the limit of the body's size.".to_owned(),
        408 | 425 | 429 | 500..=599 => {
            format!("{status} asks us to send it again, and it was not taken in the end.")
        }
        _ => format!("{status} is final: the handoff fails, and with it the order."),
    }
}
