//! Makes one attempt: vets the URL, authenticates, signs, sends one request, and returns its outcome.

mod answer;
mod auth;
mod client;
mod guard;
mod request;

use std::time::Duration;

use bytes::Bytes;
use domain::handoff::SendResult;
use http::{HeaderMap, StatusCode};
use ipnet::IpNet;
use platform::{chance::Chance, clock::Clock, crash};
use runtime::config;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::request::Outgoing;
use self::{
    answer::{Answer, exchange},
    auth::Tokens,
    guard::{Guard, PlainHttp, VetError},
};

/// Limits and permissions of attempts.
#[derive(Clone, Debug)]
pub struct OutboundSettings {
    /// Timeout of a whole attempt, from resolving the name to the last byte read.
    pub attempt_timeout: Duration,
    pub connect_timeout: Duration,
    pub response_limit_bytes: usize,
    pub allow_networks: Vec<IpNet>,
    pub allow_http: bool,
    /// Allows `http://` to loopback addresses, whatever `allow_http` says.
    pub allow_http_on_loopback: bool,
}

impl From<&config::Worker> for OutboundSettings {
    fn from(worker: &config::Worker) -> Self {
        Self {
            attempt_timeout: worker.attempt_timeout,
            connect_timeout: worker.connect_timeout,
            response_limit_bytes: worker.response_limit_bytes,
            allow_networks: worker.allow_networks.clone(),
            allow_http: worker.allow_http,
            allow_http_on_loopback: worker.allow_http_on_loopback,
        }
    }
}

/// Makes attempts. One per process, because it holds connections and tokens.
#[derive(Debug)]
pub struct Outbound {
    post: Post,
    tokens: Tokens,
    attempt_timeout: Duration,
    clock: Clock,
    chance: Chance,
    cut: CancellationToken,
}

/// Result of trying to make an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    SendResult {
        heard: SendResult,
        /// Response body as far as it was read, if there was a response.
        answer: Option<Vec<u8>>,
        used_cached_token: bool,
    },
    /// Nothing was sent for a reason of our own; this does not count as an attempt.
    NotSent { why: String },
}

#[derive(Debug, thiserror::Error)]
#[error("building the HTTP client failed: {0}")]
pub struct ClientError(reqwest::Error);

impl Outbound {
    /// Builds the client; blocks for about 30 ms. Once `cut` is cancelled, nothing more is sent.
    pub fn new(
        settings: &OutboundSettings,
        clock: Clock,
        chance: Chance,
        cut: CancellationToken,
    ) -> Result<Self, ClientError> {
        let guard = Guard::new(
            settings.allow_networks.clone(),
            PlainHttp::of(settings),
            settings.connect_timeout,
            clock.clone(),
        );
        Ok(Self {
            post: Post {
                client: client::build(guard.clone(), settings.connect_timeout)
                    .map_err(ClientError)?,
                guard,
                response_limit_bytes: settings.response_limit_bytes,
            },
            tokens: Tokens::default(),
            attempt_timeout: settings.attempt_timeout,
            clock,
            chance,
            cut,
        })
    }

    /// Sends at most one request with the handoff's body.
    pub async fn attempt(&self, outgoing: &Outgoing) -> AttemptResult {
        let authorized =
            self.tokens
                .authorize(outgoing.integrator, &outgoing.auth, &self.post, &self.clock);
        let authorization = tokio::select! {
            biased;
            () = self.cut.cancelled() => {
                return AttemptResult::NotSent {
                    why: "the worker is stopping".to_owned(),
                };
            }
            authorized = authorized => match authorized {
                Ok(authorization) => authorization,
                Err(trouble) => return trouble.sent(),
            },
        };
        if self.clock.now() + self.attempt_timeout > outgoing.leased_until {
            // The response could arrive after another worker has begun the next attempt.
            return AttemptResult::NotSent {
                why: "the lease expires too soon".to_owned(),
            };
        }
        let headers = request::headers(
            outgoing,
            authorization.header.clone(),
            self.clock.now(),
            self.chance.bytes(),
        );
        crash::point("attempt.before_send");
        let exchanged = self
            .post
            .send(
                &outgoing.url,
                headers,
                outgoing.body.clone(),
                self.attempt_timeout,
            )
            .await;
        crash::point("attempt.after_send");
        let answer = match exchanged {
            Ok(answer) => answer,
            Err(trouble) => return trouble.sent(),
        };
        if answer.status == StatusCode::UNAUTHORIZED {
            self.tokens
                .drop_refused(outgoing.integrator, &authorization)
                .await;
        }
        AttemptResult::SendResult {
            heard: answer.heard(),
            answer: Some(answer.body),
            used_cached_token: authorization.used_cached_token,
        }
    }
}

/// Sends POST requests to vetted addresses; all outgoing requests go through it.
#[derive(Clone, Debug)]
struct Post {
    client: reqwest::Client,
    guard: Guard,
    response_limit_bytes: usize,
}

impl Post {
    async fn send(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer, SendError> {
        let begun_at = Instant::now();
        self.guard.vet(url).await?;
        let request = self
            .client
            .post(url.clone())
            .headers(headers)
            .body(body)
            .timeout(timeout.saturating_sub(begun_at.elapsed()));
        exchange(request, self.response_limit_bytes)
            .await
            .map_err(SendError::Request)
    }
}

/// Reason why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SendError {
    /// A failure of our own.
    Internal(String),
    /// The integrator, its settings or its token server prevented the request.
    Failed(String),
    /// The request itself failed.
    Request(SendResult),
}

impl From<VetError> for SendError {
    fn from(why: VetError) -> Self {
        match why {
            VetError::ResolverUnavailable { .. } => Self::Internal(why.to_string()),
            VetError::Forbidden(address) => {
                tracing::warn!(%address, "{why}");
                Self::Failed(why.to_string())
            }
            _ => Self::Failed(why.to_string()),
        }
    }
}

impl SendError {
    /// Converts the failure of a token request: whatever happened to it, nothing of the handoff was sent.
    fn with_prefix(self, prefix: &str) -> Self {
        match self {
            Self::Internal(why) => Self::Internal(format!("{prefix}{why}")),
            Self::Failed(why)
            | Self::Request(
                SendResult::NotConnected { error: why } | SendResult::Lost { error: why },
            ) => Self::Failed(format!("{prefix}{why}")),
            Self::Request(SendResult::Answer { status, .. }) => {
                Self::Failed(format!("{prefix}status {status}"))
            }
        }
    }

    fn sent(self) -> AttemptResult {
        let heard = match self {
            Self::Internal(why) => return AttemptResult::NotSent { why },
            Self::Failed(error) => SendResult::NotConnected { error },
            Self::Request(heard) => heard,
        };
        AttemptResult::SendResult {
            heard,
            answer: None,
            used_cached_token: false,
        }
    }
}

#[cfg(test)]
mod tests;
