//! Reads an integrator's response up to a limit and translates it into the domain's [`SendResult`].

use std::error::Error;

use domain::handoff::{RetryAfter, SendResult};
use http::header;

/// Response of an integrator, possibly truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<RetryAfter>,
    /// Response body, truncated to `limit_bytes` of [`exchange`].
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn heard(&self) -> SendResult {
        SendResult::Answer {
            status: self.status,
            retry_after: self.retry_after,
        }
    }
}

/// Sends a request and reads at most `limit_bytes` of the response body; the rest of a longer one is not read, and its
/// status counts. The request's timeout also covers reading the body, so a slow response cannot exceed it.
pub(super) async fn exchange(
    request: reqwest::RequestBuilder,
    limit_bytes: usize,
) -> Result<Answer, SendResult> {
    let mut response = request.send().await.map_err(classify_error)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(classify_error)? {
        let room = limit_bytes - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    let text = |name| response.headers().get(name)?.to_str().ok();
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: text(header::RETRY_AFTER)
            .and_then(|value| RetryAfter::parse(value, text(header::DATE))),
        body,
    })
}

/// Converts an error: without a connection nothing has reached the integrator; after that, anything may have.
fn classify_error(error: reqwest::Error) -> SendResult {
    let nothing_sent = error.is_connect() || error.is_builder();
    let error = error_text(error);
    if nothing_sent {
        SendResult::NotConnected { error }
    } else {
        SendResult::Lost { error }
    }
}

/// Formats an error without its URL, which may contain a password, and with its causes, which tell the most.
fn error_text(error: reqwest::Error) -> String {
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
