//! Makes one attempt: vets the URL, authenticates, signs, sends one request, and returns its outcome.

mod answer;
mod auth;
mod client;
mod guard;
mod request;

use std::{net::SocketAddr, time::Duration};

use domain::handoff::SendResult;
use http::{HeaderMap, StatusCode};
use ipnet::IpNet;
use platform::{chance::Chance, clock::Clock, crash};
use runtime::config::{self, ServiceUrl};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    answer::{Answer, Heard},
    auth::Tokens,
    client::{Client, Proxy, Request, Tls},
    guard::{Guard, PlainHttp, VetError},
};
pub use self::{
    answer::{AnswerDetails, AnswerEnd},
    request::Outgoing,
};

/// Limits and permissions of attempts.
#[derive(Clone, Debug)]
pub struct OutboundSettings {
    /// Timeout of a whole attempt, from resolving the name to the last byte read.
    pub attempt_timeout: Duration,
    pub connect_timeout: Duration,
    /// Time after the status line that the rest of the head may take, and after the head the body.
    pub body_grace: Duration,
    pub response_limit_bytes: usize,
    pub allow_networks: Vec<IpNet>,
    pub allow_http: bool,
    /// Allows `http://` to loopback addresses, whatever `allow_http` says.
    pub allow_http_on_loopback: bool,
    /// Allows `http://` to this one address, whatever the others say.
    pub own_address: Option<SocketAddr>,
    /// Proxy for all requests but those to this machine.
    pub proxy: Option<ServiceUrl>,
}

impl From<&config::Worker> for OutboundSettings {
    fn from(worker: &config::Worker) -> Self {
        Self {
            attempt_timeout: worker.attempt_timeout,
            connect_timeout: worker.connect_timeout,
            body_grace: worker.body_grace,
            response_limit_bytes: worker.response_limit_bytes,
            allow_networks: worker.allow_networks.clone(),
            allow_http: worker.allow_http,
            allow_http_on_loopback: false,
            own_address: worker.own_address,
            proxy: worker.proxy_url.clone(),
        }
    }
}

/// Makes attempts. One per process, because it holds connections and tokens.
#[derive(Debug)]
pub struct Outbound {
    post: Post,
    tokens: Tokens,
    attempt_timeout: Duration,
    body_grace: Duration,
    clock: Clock,
    chance: Chance,
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

/// Result of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    pub result: AttemptResult,
    /// `None` if there was no answer.
    pub details: Option<AnswerDetails>,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("building the HTTP client failed: {0}")]
    Tls(rustls::Error),
    /// Without a proxy that is asked for, nothing may be sent.
    #[error("worker.proxy_url has no host or no port")]
    Proxy,
}

impl Outbound {
    /// Builds the client; blocks for about 30 ms. Once `cut` is cancelled, nothing more is sent or waited for.
    pub fn new(
        settings: &OutboundSettings,
        clock: Clock,
        chance: Chance,
        cut: CancellationToken,
    ) -> Result<Self, ClientError> {
        let tls = client::default_tls().map_err(ClientError::Tls)?;
        Self::with_tls(settings, tls, clock, chance, cut)
    }

    fn with_tls(
        settings: &OutboundSettings,
        tls: Tls,
        clock: Clock,
        chance: Chance,
        cut: CancellationToken,
    ) -> Result<Self, ClientError> {
        let proxy = settings.proxy.as_ref();
        let proxy = proxy.map(|url| Proxy::of(url.url()).ok_or(ClientError::Proxy));
        let guard = Guard::new(
            settings.allow_networks.clone(),
            PlainHttp::of(settings),
            settings.connect_timeout,
            clock.clone(),
        )
        .and_own(settings.own_address);
        Ok(Self {
            post: Post {
                client: Client::new(
                    tls,
                    proxy.transpose()?,
                    settings.connect_timeout,
                    clock.clone(),
                ),
                guard,
                response_limit_bytes: settings.response_limit_bytes,
                cut,
            },
            tokens: Tokens::default(),
            attempt_timeout: settings.attempt_timeout,
            body_grace: settings.body_grace,
            clock,
            chance,
        })
    }

    /// Sends at most one request with the handoff's body.
    pub async fn attempt(&self, outgoing: &Outgoing) -> AttemptResult {
        self.probe(outgoing, |_| {}).await.result
    }

    /// Makes an attempt whose headers were changed, and returns the details of the answer too: for checks of
    /// integrators. Nothing else differs from [`Self::attempt`].
    pub async fn probe(
        &self,
        outgoing: &Outgoing,
        change: impl FnOnce(&mut HeaderMap) + Send,
    ) -> Probed {
        match self.exchange(outgoing, change).await {
            Ok((answer, used_cached_token)) => Probed {
                result: AttemptResult::SendResult {
                    heard: answer.heard(),
                    answer: Some(answer.body),
                    used_cached_token,
                },
                details: Some(answer.details),
            },
            Err(result) => Probed {
                result,
                details: None,
            },
        }
    }

    async fn exchange(
        &self,
        outgoing: &Outgoing,
        change: impl FnOnce(&mut HeaderMap) + Send,
    ) -> Result<(Answer, bool), AttemptResult> {
        let authorized = self.tokens.authorize(outgoing, &self.post, &self.clock);
        let authorization = tokio::select! {
            biased;
            () = self.post.cut.cancelled() => return Err(SendError::stopping().sent()),
            authorized = authorized => match authorized {
                Ok(authorization) => authorization,
                Err(trouble) => return Err(trouble.sent()),
            },
        };
        if self.clock.now() + self.attempt_timeout > outgoing.leased_until {
            // The response could arrive after another worker has begun the next attempt.
            return Err(AttemptResult::NotSent {
                why: "the lease expires too soon".to_owned(),
            });
        }
        let mut headers = request::headers(
            outgoing,
            authorization.header.clone(),
            self.clock.now(),
            self.chance.bytes(),
        );
        change(&mut headers);
        crash::point("attempt.before_send");
        let request = Request::new(&outgoing.url, headers, outgoing.body.clone());
        let sent = self
            .post
            .send(&request, self.attempt_timeout, self.body_grace);
        let exchanged = sent.await;
        crash::point("attempt.after_send");
        let answer = exchanged.map_err(SendError::sent)?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.tokens
                .drop_refused(outgoing.integrator, &authorization)
                .await;
        }
        Ok((answer, authorization.used_cached_token))
    }
}

/// Sends POST requests to vetted addresses; all outgoing requests go through it.
#[derive(Clone, Debug)]
struct Post {
    client: Client,
    guard: Guard,
    response_limit_bytes: usize,
    /// Cancelled when shutdown can wait no longer for responses.
    cut: CancellationToken,
}

impl Post {
    /// Sends a request once. An answer whose status was read is an answer, whatever became of the rest of it; the rest
    /// of its head, and then its body, may take `grace` each.
    async fn send(
        &self,
        request: &Request,
        timeout: Duration,
        grace: Duration,
    ) -> Result<Answer, SendError> {
        let mut heard = Heard::new(self.response_limit_bytes, grace);
        let deadline = Instant::now() + timeout;
        let exchange = async {
            let addresses = self.guard.vet(&request.url).await?;
            self.client.exchange(request, &addresses, &mut heard).await
        };
        let ended = tokio::select! {
            biased;
            ended = exchange => ended.err(),
            () = tokio::time::sleep_until(deadline) => None,
            () = self.cut.cancelled() => Some(SendError::stopping()),
        };
        let sent = heard.sent;
        match (heard.into_answer(), ended) {
            (Some(answer), _) => Ok(answer),
            (None, Some(SendError::Internal(_))) if sent => Err(SendError::lost(
                "the worker stopped before the response arrived",
            )),
            (None, Some(error)) => Err(error),
            (None, None) if sent => Err(SendError::lost("timed out")),
            (None, None) => Err(SendError::Failed("timed out".to_owned())),
        }
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
    fn stopping() -> Self {
        Self::Internal("the worker is stopping".to_owned())
    }

    fn lost(why: &str) -> Self {
        let error = why.to_owned();
        Self::Request(SendResult::Lost { error })
    }

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
