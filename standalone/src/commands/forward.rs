//! One message to an address of the engineer's choice: the bytes and headers that Expediter made, and one line about
//! the answer.

use std::{
    fmt,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use url::Url;

use super::remote::{client, in_one_line};
use crate::refusal::Refusal;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of bytes read of an answer, as by the worker.
const MAX_ANSWER_BYTES: usize = 65_536;
/// Number of characters of an answer that are shown.
const SHOWN_CHARS: usize = 80;

/// A message as the API gives it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Message {
    pub(super) handoff_id: String,
    pub(super) event: String,
    #[serde(default)]
    pub(super) order_number: Option<i64>,
    #[serde(default)]
    pub(super) round: u32,
    #[serde(default)]
    pub(super) n: u32,
    #[serde(default)]
    pub(super) fence: String,
    #[serde(default)]
    pub(super) leased_until: DateTime<Utc>,
    pub(super) headers: Vec<Header>,
    pub(super) body: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Header {
    name: String,
    value: String,
}

#[derive(Debug)]
pub(super) struct Forwarder {
    client: Client,
    address: Url,
}

/// Result of sending a message.
#[derive(Debug)]
pub(super) enum Forwarded {
    Answer(Answer),
    Nothing {
        error: String,
        may_have_arrived: bool,
        took: Duration,
    },
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) date: Option<String>,
    body: Vec<u8>,
    took: Duration,
}

impl Forwarder {
    pub(super) fn new(address: Url) -> Result<Self, Refusal> {
        if address.cannot_be_a_base() || !matches!(address.scheme(), "http" | "https") {
            return Err(Refusal::NotAnAddress { url: address });
        }
        Ok(Self {
            client: client(Some(CONNECT_TIMEOUT))?,
            address,
        })
    }

    pub(super) fn address(&self) -> &Url {
        &self.address
    }

    /// Sends the message once. Once a status was read it is an answer, whatever becomes of the rest.
    pub(super) async fn send(&self, message: &Message, timeout: Duration) -> Forwarded {
        let begun_at = Instant::now();
        let mut request = self.client.post(self.address.clone()).timeout(timeout);
        for Header { name, value } in &message.headers {
            request = request.header(name, value);
        }
        let sent = request.body(message.body.clone()).send().await;
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(error) => {
                return Forwarded::Nothing {
                    may_have_arrived: !error.is_connect() && !error.is_builder(),
                    error: in_one_line(&error),
                    took: begun_at.elapsed(),
                };
            }
        };
        let header = |name: &str| -> Option<String> {
            let value = answer.headers().get(name)?.to_str().ok()?;
            Some(value.chars().take(200).collect())
        };
        let (status, retry_after, date) = (
            answer.status().as_u16(),
            header("retry-after"),
            header("date"),
        );
        let mut body = Vec::new();
        while body.len() < MAX_ANSWER_BYTES {
            let Ok(Some(part)) = answer.chunk().await else {
                break;
            };
            let room = MAX_ANSWER_BYTES - body.len();
            body.extend_from_slice(&part[..part.len().min(room)]);
        }
        Forwarded::Answer(Answer {
            status,
            retry_after,
            date,
            body,
            took: begun_at.elapsed(),
        })
    }
}

impl Answer {
    /// Returns the body as text of at most as many bytes as a report may have.
    pub(super) fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.body).into_owned();
        // Bytes that are no UTF-8 became longer.
        while text.len() > MAX_ANSWER_BYTES {
            text.pop();
        }
        text
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order_number {
            Some(number) => format!("order {number}"),
            None => "no order".to_owned(),
        };
        let attempt = self
            .headers
            .iter()
            .find(|header| header.name == "expediter-attempt")
            .map_or("", |header| header.value.as_str());
        write!(f, "{:<20}  {order:<10}  attempt {attempt}", self.event)
    }
}

impl fmt::Display for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => {
                let named = StatusCode::from_u16(answer.status)
                    .ok()
                    .and_then(|status| status.canonical_reason())
                    .unwrap_or_default();
                let shown = shown(&String::from_utf8_lossy(&answer.body));
                let took = answer.took.as_millis();
                write!(f, "{} {named} in {took} ms  {shown}", answer.status)
            }
            Self::Nothing { error, took, .. } => {
                let took = took.as_millis();
                write!(f, "no answer in {took} ms  {}", shown(error))
            }
        }
    }
}

/// Returns the beginning of a text in one line, without characters that a terminal would obey.
fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN_CHARS)
        .collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_in_one_short_line_that_no_terminal_obeys() {
        let long = "ü".repeat(SHOWN_CHARS + 1);
        assert_eq!(shown(&long), format!("{}…", "ü".repeat(SHOWN_CHARS)));
        assert_eq!(shown("a\nb\u{1b}[2Jc\u{9b}0m\r"), "a b [2Jc 0m ");
        assert_eq!(shown(""), "");
    }

    #[test]
    fn a_reported_body_is_bounded_whatever_its_bytes_are() {
        let answer = |body: Vec<u8>| Answer {
            status: 200,
            retry_after: None,
            date: None,
            body,
            took: Duration::ZERO,
        };
        assert_eq!(answer(b"{}".to_vec()).text(), "{}");
        let text = answer(vec![0xff; MAX_ANSWER_BYTES]).text();
        assert!(text.len() <= MAX_ANSWER_BYTES && text.len() > MAX_ANSWER_BYTES - 4);
    }
}
