//! HTTP client of one external service: a single request with a timeout and a size limit, and its response in either of
//! two formats.

use std::{error::Error, time::Duration};

use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use url::Url;

use crate::http::problem::{Problem, Reason};

/// Maximum size of a response body; a full menu of two thousand products is smaller.
const MAX_BODY_BYTES: usize = 2_097_152;
/// Idle timeout of pooled connections; shorter than that of most servers, which avoids using a connection while the
/// server closes it.
const POOL_IDLE: Duration = Duration::from_millis(3500);

#[derive(Clone, Debug)]
pub(crate) struct Service {
    client: Client,
    url: Url,
    /// Reason of the problem if the service fails.
    unavailable: Reason,
}

/// Valid response of a service.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// Content of the envelope, or the whole body if there is no envelope; null if it is empty.
    Yes(Value),
    /// Explicit no: `{"success": false}`, or a status that means no.
    No,
}

/// Builds the HTTP client. `timeout` covers a whole request, until the last byte is read.
pub(super) fn client(timeout: Duration) -> Client {
    // Fails if another part of this process has already installed a provider, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .user_agent(concat!("Expediter/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .connect_timeout(timeout)
            .pool_idle_timeout(POOL_IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .tcp_nodelay(true)
    };
    builder()
        .build()
        .or_else(|error| {
            tracing::warn!(%error, "no CA certificates found: external services at https:// URLs are unreachable");
            builder().tls_certs_only([]).build()
        })
        .expect("a client without certificates can be built")
}

impl Service {
    pub(super) fn new(client: Client, url: Url, unavailable: Reason) -> Self {
        Self {
            client,
            url,
            unavailable,
        }
    }

    /// Sends `GET {url}/{path…}/?{query}`, with the trailing slash that the seeds' services expect.
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        no_statuses: &[u16],
    ) -> Result<Answer, Problem> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .extend(path)
            .push("");
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.ask(self.client.get(url), no_statuses).await
    }

    /// Sends `POST {url}`.
    pub(super) async fn post(&self, body: &Value, no_statuses: &[u16]) -> Result<Answer, Problem> {
        let request = self.client.post(self.url.clone()).json(body);
        self.ask(request, no_statuses).await
    }

    pub(super) fn unavailable(&self, why: &str) -> Problem {
        Problem::new(self.unavailable).caused_by(why)
    }

    /// Returns the 503 for an invalid response.
    pub(super) fn invalid_response(&self, what: &str) -> Problem {
        Problem::new(self.unavailable).caused_by(format_args!("invalid response: {what}"))
    }

    async fn ask(&self, request: RequestBuilder, no_statuses: &[u16]) -> Result<Answer, Problem> {
        let failed =
            |error: reqwest::Error| Problem::new(self.unavailable).caused_by(describe(error));
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(self.invalid_response("too long"));
            }
            body.extend_from_slice(&chunk);
        }
        match parse_response(status, &body, no_statuses) {
            Ok(answer) => Ok(answer),
            Err(what) => Err(self.invalid_response(&format!("{what} (status {status})"))),
        }
    }
}

fn parse_response(status: u16, body: &[u8], no_statuses: &[u16]) -> Result<Answer, &'static str> {
    let is_yes = (200..300).contains(&status);
    if !is_yes && !(400..500).contains(&status) {
        return Err("neither a success nor a client error");
    }
    let body = match body.trim_ascii() {
        [] => Ok(Value::Null),
        text => serde_json::from_slice(text),
    };
    match body {
        Ok(Value::Object(mut members)) if members.contains_key("success") => {
            match (&members["success"], is_yes) {
                (Value::Bool(false), _) => Ok(Answer::No),
                (Value::Bool(true), true) => {
                    let response = members.remove("response");
                    Ok(Answer::Yes(response.unwrap_or(Value::Null)))
                }
                _ => Err("`success` contradicts the status"),
            }
        }
        _ if no_statuses.contains(&status) => Ok(Answer::No),
        Ok(body) if is_yes => Ok(Answer::Yes(body)),
        Ok(_) => Err("an unexpected client error"),
        Err(_) => Err("not JSON"),
    }
}

/// Formats an error without its URL, which may contain a password, and with its causes, which say the most.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        words = format!("{words}: {next}");
        cause = next.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_shapes_are_understood_and_only_an_explicit_no_is_one() {
        let said = |status, body: &str| parse_response(status, body.as_bytes(), &[404]);
        let yes = Answer::Yes(json!({"value": "x"}));
        let enveloped = r#"{"success": true, "response": {"value": "x"}}"#;
        assert_eq!(said(200, enveloped).as_ref(), Ok(&yes));
        assert_eq!(said(201, r#"{"value": "x"}"#), Ok(yes));
        assert_eq!(said(200, ""), Ok(Answer::Yes(Value::Null)));
        assert_eq!(
            said(200, r#"{"success": true}"#),
            Ok(Answer::Yes(Value::Null))
        );
        for (status, body) in [
            (200, r#"{"success": false, "reason": "x"}"#),
            (403, r#"{"success": false}"#),
            (404, ""),
            (404, "<html>"),
            (404, r#"{"detail": "none"}"#),
        ] {
            assert_eq!(said(status, body), Ok(Answer::No), "{status} {body}");
        }
        for (status, body) in [
            (500, r#"{"success": false}"#),
            (503, ""),
            (302, ""),
            (200, "<html>"),
            (200, r#"{"success": "yes"}"#),
            (404, enveloped),
            (403, ""),
            (429, "{}"),
        ] {
            assert!(said(status, body).is_err(), "{status} {body}");
        }
    }
}
