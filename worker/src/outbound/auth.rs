//! Authenticates requests to integrators: with fixed credentials, or with a token that is requested and cached.

mod token;

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use domain::{answers::JsonPointer, ids::IntegratorId, integrator::OutboundAuth};
use http::{HeaderName, HeaderValue, header};
use platform::clock::Clock;

use self::token::{Token, TokenRequest};
use super::{Outgoing, Post, SendError};

/// Timeout of a sign-in, including the wait for another attempt that requests the same token.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of cached tokens above which unused ones are evicted.
const MAX_TOKENS: usize = 4096;

/// Header that authenticates a request, and its origin.
#[derive(Clone, Default)]
pub(super) struct Authorization {
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    /// True if the token is from before this attempt: a 401 may only mean that it has expired.
    pub(super) used_cached_token: bool,
    token: Option<Token>,
}

/// Cache of integrators' tokens, in memory only.
#[derive(Default)]
pub(super) struct Tokens {
    cached: Mutex<HashMap<IntegratorId, SharedSlot>>,
}

type SharedSlot = Arc<TokenSlot>;

/// Token of one integrator, shared by its attempts.
#[derive(Default)]
struct TokenSlot {
    /// Number of failed token requests.
    failures: AtomicU64,
    /// Locked during a token request, so that one attempt requests the token for all that wait.
    state: tokio::sync::Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    cached: Option<CachedToken>,
    /// Error of the last request, for the attempts that waited for it. If each of them sent its own request in turn,
    /// the last ones would time out, and our own failure would be recorded as the integrator's.
    failed: Option<(TokenSource, SendError)>,
}

struct CachedToken {
    /// Settings that the token was requested with; other ones invalidate it.
    source: TokenSource,
    token: Token,
}

/// Settings that a token is requested and read with.
#[derive(Clone, PartialEq)]
struct TokenSource {
    auth: OutboundAuth,
    /// Place of the token in the answer; `None` for the usual ones.
    at: Option<JsonPointer>,
}

impl TokenSource {
    fn of(outgoing: &Outgoing) -> Self {
        Self {
            auth: outgoing.auth.clone(),
            at: outgoing.token_at.clone(),
        }
    }
}

impl Tokens {
    /// Returns the header for a request, signing in first if there is no valid token.
    ///
    /// # Errors
    /// Fails because of the integrator or of ourselves, in both cases before anything of the handoff was sent.
    pub(super) async fn authorize(
        &self,
        outgoing: &Outgoing,
        post: &Post,
        clock: &Clock,
    ) -> Result<Authorization, SendError> {
        let text = match &outgoing.auth {
            OutboundAuth::None => return Ok(Authorization::default()),
            OutboundAuth::Header { name, value } => return custom_header(name, value),
            OutboundAuth::Basic { username, password } => basic(username, password),
            OutboundAuth::Bearer { token } => format!("Bearer {token}"),
            OutboundAuth::Oauth2 { .. } | OutboundAuth::SignIn { .. } => {
                let asked = self.token(outgoing, post, clock);
                return match tokio::time::timeout(SIGN_IN_TIMEOUT, asked).await {
                    Ok(authorization) => authorization,
                    Err(_) => Err(auth_failed("sign-in timed out")),
                };
            }
        };
        Ok(Authorization {
            header: Some((header::AUTHORIZATION, secret(&text)?)),
            ..Authorization::default()
        })
    }

    async fn token(
        &self,
        outgoing: &Outgoing,
        post: &Post,
        clock: &Clock,
    ) -> Result<Authorization, SendError> {
        let source = TokenSource::of(outgoing);
        let Some(request) = TokenRequest::of(&source) else {
            return Ok(Authorization::default());
        };
        let slot = self.slot(outgoing.integrator);
        let failed_before = slot.failures.load(Ordering::Acquire);
        let mut state = slot.state.lock().await;
        let good = state
            .cached
            .as_ref()
            .filter(|cached| cached.source == source && cached.token.is_valid_at(clock.now()));
        if let Some(cached) = good {
            return bearer(&cached.token, true);
        }
        if let Some((with, trouble)) = &state.failed
            && *with == source
            && slot.failures.load(Ordering::Acquire) != failed_before
        {
            return Err(trouble.clone());
        }
        let asked = request.ask(post, clock).await;
        let asked = asked.and_then(|token| Ok((bearer(&token, false)?, token)));
        match asked {
            Ok((authorization, token)) => {
                state.cached = Some(CachedToken { source, token });
                state.failed = None;
                Ok(authorization)
            }
            Err(trouble) => {
                state.failed = Some((source, trouble.clone()));
                slot.failures.fetch_add(1, Ordering::AcqRel);
                Err(trouble)
            }
        }
    }

    /// Drops the token after a 401, so that the next attempt signs in again. A token that another attempt has requested
    /// in the meantime stays.
    pub(super) async fn drop_refused(&self, integrator: IntegratorId, used: &Authorization) {
        let slot = self.slot(integrator);
        let mut state = slot.state.lock().await;
        if state.cached.as_ref().map(|cached| &cached.token) == used.token.as_ref() {
            state.cached = None;
        }
    }

    fn slot(&self, integrator: IntegratorId) -> SharedSlot {
        let mut cached = self.cached.lock();
        if cached.len() >= MAX_TOKENS && !cached.contains_key(&integrator) {
            // Slots in use stay; the other tokens are requested again when needed.
            cached.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(cached.entry(integrator).or_default())
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

fn bearer(token: &Token, used_cached_token: bool) -> Result<Authorization, SendError> {
    let value = secret(&format!("Bearer {}", token.text))?;
    Ok(Authorization {
        header: Some((header::AUTHORIZATION, value)),
        used_cached_token,
        token: Some(token.clone()),
    })
}

/// RFC 7617.
fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{username}:{password}")))
}

fn custom_header(name: &str, value: &str) -> Result<Authorization, SendError> {
    let name = HeaderName::try_from(name)
        .map_err(|_| auth_failed("the integrator's header name is not valid in HTTP"))?;
    Ok(Authorization {
        header: Some((name, secret(value)?)),
        ..Authorization::default()
    })
}

fn secret(text: &str) -> Result<HeaderValue, SendError> {
    let mut value = HeaderValue::try_from(text).map_err(|_| {
        auth_failed("the integrator's credentials contain characters that a header cannot carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns the error for a failure of the integrator or its settings.
fn auth_failed(why: &str) -> SendError {
    SendError::Failed(why.to_owned())
}

#[cfg(test)]
mod tests;
