//! Collects an integrator's answer as it arrives; once its status is known, whatever came counts.

use std::time::Duration;

use domain::handoff::{RetryAfter, SendResult};

/// Details of an answer that decide nothing about its attempt, but explain it to the integrator's engineer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerDetails {
    pub content_type: Option<String>,
    pub location: Option<String>,
    pub end: AnswerEnd,
    /// Part of the head that another reader could understand otherwise.
    pub oddity: Option<&'static str>,
    /// True if bytes followed that nobody asked for.
    pub has_surplus: bool,
}

/// How the reading of an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerEnd {
    /// The rest did not come in time.
    #[default]
    Missing,
    Complete,
    /// The limit was reached, and the rest was left.
    TooLong,
    /// The connection ended, or the framing was broken, before the end.
    CutShort,
}

/// Answer as far as it was read.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) status: Option<u16>,
    retry_after: Option<String>,
    date: Option<String>,
    pub(super) details: AnswerDetails,
    body: Vec<u8>,
    limit_bytes: usize,
    /// Time that the rest of a head, and then the body, may take once the status is known.
    pub(super) grace: Duration,
    /// True from the moment at which something of the request may have left.
    pub(super) sent: bool,
}

impl Heard {
    /// Creates an empty answer that keeps at most `limit_bytes` of the body.
    pub(super) fn new(limit_bytes: usize, grace: Duration) -> Self {
        Self {
            status: None,
            retry_after: None,
            date: None,
            details: AnswerDetails::default(),
            body: Vec::new(),
            limit_bytes,
            grace,
            sent: false,
        }
    }

    /// Keeps a header if it matters; the last of several counts.
    pub(super) fn header(&mut self, name: &str, value: &[u8]) {
        let field = match name {
            "retry-after" => &mut self.retry_after,
            "date" => &mut self.date,
            "content-type" => &mut self.details.content_type,
            "location" => &mut self.details.location,
            _ => return,
        };
        *field = Some(String::from_utf8_lossy(value).into_owned());
    }

    /// Appends a part of the body; returns false once there is no room for more.
    pub(super) fn body(&mut self, part: &[u8]) -> bool {
        let room = self.limit_bytes - self.body.len();
        self.body.extend_from_slice(&part[..part.len().min(room)]);
        part.len() < room
    }

    /// Returns the answer; `None` if its status was not read.
    pub(super) fn into_answer(self) -> Option<Answer> {
        let retry_after = self
            .retry_after
            .and_then(|text| RetryAfter::parse(&text, self.date.as_deref()));
        Some(Answer {
            status: self.status?,
            retry_after,
            body: self.body,
            details: self.details,
        })
    }
}

/// Answer of an integrator; its body may be truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<RetryAfter>,
    pub(super) body: Vec<u8>,
    pub(super) details: AnswerDetails,
}

impl Answer {
    pub(super) fn heard(&self) -> SendResult {
        SendResult::Answer {
            status: self.status,
            retry_after: self.retry_after,
        }
    }
}
