//! What came back, read no further than allowed, and in the words of the domain.

use std::error::Error;

use domain::handoff::{Heard, RetryAfter};
use http::header;

/// Of an answer, so much is kept.
const KEPT_BYTES: usize = 16 * 1024;

/// A whole answer, or as much of it as may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<RetryAfter>,
    /// At most the limit, whatever the answer's length.
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn heard(&self) -> Heard {
        Heard::Answer {
            status: self.status,
            retry_after: self.retry_after,
        }
    }

    pub(super) fn kept(mut self) -> Vec<u8> {
        self.body.truncate(KEPT_BYTES);
        self.body
    }
}

/// Sends, and reads at most `limit_bytes` of the answer: of a longer one the status counts and the rest is not read.
/// The request's own time-out covers all of it, also an answer that drips.
pub(super) async fn exchange(
    request: reqwest::RequestBuilder,
    limit_bytes: usize,
) -> Result<Answer, Heard> {
    let mut response = request.send().await.map_err(what_went_wrong)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(what_went_wrong)? {
        let room = limit_bytes - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| RetryAfter::parse(value.to_str().ok()?)),
        body,
    })
}

/// Until a connection stands, nothing has reached the integrator; after that, anything may have.
fn what_went_wrong(error: reqwest::Error) -> Heard {
    let nothing_left = error.is_connect() || error.is_builder();
    let error = in_words(error);
    if nothing_left {
        Heard::NotConnected { error }
    } else {
        Heard::Lost { error }
    }
}

/// Without the URL, which may carry a password; with the causes, which say the most.
fn in_words(error: reqwest::Error) -> String {
    let timed_out = error.is_timeout();
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_words = next.to_string();
        if !words.contains(&next_words) {
            words = format!("{words}: {next_words}");
        }
        cause = next.source();
    }
    if timed_out && !words.contains("timed out") {
        words.push_str(": timed out");
    }
    words
}
