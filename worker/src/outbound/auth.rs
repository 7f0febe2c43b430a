//! How we make ourselves known to an integrator: fixed credentials, or a token that is asked for and kept.

mod token;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use domain::{ids::IntegratorId, integrator::OutboundAuth};
use http::{HeaderName, HeaderValue, header};
use platform::clock::Clock;

use self::token::{Token, TokenRequest};
use super::{Post, Trouble};

/// All of it, also waiting for another attempt that asks for the same token.
const MOST_TIME: Duration = Duration::from_secs(5);
const MOST_TOKENS: usize = 4096;

/// The header that makes us known, and where it came from.
#[derive(Clone, Default)]
pub(super) struct Authorization {
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    /// A token from before this attempt: a 401 may only mean that it is no longer good.
    pub(super) used_cached_token: bool,
    token: Option<Token>,
}

/// Tokens of integrators, in memory only.
#[derive(Default)]
pub(super) struct Tokens {
    kept: Mutex<HashMap<IntegratorId, Slot>>,
}

type Slot = Arc<Desk>;

/// Where an integrator's attempts wait for its token.
#[derive(Default)]
struct Desk {
    /// Requests for a token that failed.
    failures: AtomicU64,
    /// Held while a token is asked for, so that one asks for all.
    held: tokio::sync::Mutex<Held>,
}

#[derive(Default)]
struct Held {
    kept: Option<Kept>,
    /// What the last request met with, for those who waited for it meanwhile: each asking anew would have the last of
    /// them run out of time, and take our own trouble for the integrator's.
    failed: Option<(OutboundAuth, Trouble)>,
}

struct Kept {
    /// Changed credentials make the token worthless.
    auth: OutboundAuth,
    token: Token,
}

impl Tokens {
    /// # Errors
    /// The integrator's trouble or ours, before anything of the handoff was sent.
    pub(super) async fn authorize(
        &self,
        integrator: IntegratorId,
        auth: &OutboundAuth,
        post: &Post,
        clock: &Clock,
    ) -> Result<Authorization, Trouble> {
        let text = match auth {
            OutboundAuth::None => return Ok(Authorization::default()),
            OutboundAuth::Header { name, value } => return own_header(name, value),
            OutboundAuth::Basic { username, password } => basic(username, password),
            OutboundAuth::Bearer { token } => format!("Bearer {token}"),
            OutboundAuth::Oauth2 { .. } | OutboundAuth::SignIn { .. } => {
                let asked = self.token(integrator, auth, post, clock);
                return match tokio::time::timeout(MOST_TIME, asked).await {
                    Ok(authorization) => authorization,
                    Err(_) => Err(unusable("signing in took too long")),
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
        integrator: IntegratorId,
        auth: &OutboundAuth,
        post: &Post,
        clock: &Clock,
    ) -> Result<Authorization, Trouble> {
        let Some(request) = TokenRequest::of(auth) else {
            return Ok(Authorization::default());
        };
        let slot = self.slot(integrator);
        let failed_before = slot.failures.load(Ordering::Acquire);
        let mut held = slot.held.lock().await;
        let good = held
            .kept
            .as_ref()
            .filter(|kept| kept.auth == *auth && kept.token.is_good_at(clock.now()));
        if let Some(kept) = good {
            return bearer(&kept.token, true);
        }
        if let Some((with, trouble)) = &held.failed
            && with == auth
            && slot.failures.load(Ordering::Acquire) != failed_before
        {
            return Err(trouble.clone());
        }
        let asked = request.ask(post, clock).await;
        let asked = asked.and_then(|token| Ok((bearer(&token, false)?, token)));
        match asked {
            Ok((authorization, token)) => {
                let auth = auth.clone();
                held.kept = Some(Kept { auth, token });
                held.failed = None;
                Ok(authorization)
            }
            Err(trouble) => {
                held.failed = Some((auth.clone(), trouble.clone()));
                slot.failures.fetch_add(1, Ordering::AcqRel);
                Err(trouble)
            }
        }
    }

    /// After a 401: the next attempt signs in afresh. A token that another attempt has asked for meanwhile stays.
    pub(super) async fn drop_refused(&self, integrator: IntegratorId, used: &Authorization) {
        let slot = self.slot(integrator);
        let mut held = slot.held.lock().await;
        if held.kept.as_ref().map(|kept| &kept.token) == used.token.as_ref() {
            held.kept = None;
        }
    }

    fn slot(&self, integrator: IntegratorId) -> Slot {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_TOKENS && !kept.contains_key(&integrator) {
            // Slots in use stay; the others are only asked for again.
            kept.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(kept.entry(integrator).or_default())
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

fn bearer(token: &Token, used_cached_token: bool) -> Result<Authorization, Trouble> {
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

fn own_header(name: &str, value: &str) -> Result<Authorization, Trouble> {
    let name = HeaderName::try_from(name)
        .map_err(|_| unusable("the integrator's header has a name that HTTP forbids"))?;
    Ok(Authorization {
        header: Some((name, secret(value)?)),
        ..Authorization::default()
    })
}

fn secret(text: &str) -> Result<HeaderValue, Trouble> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| unusable("the integrator's credentials can't be written into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The integrator's side, or its settings, do not let us in.
fn unusable(why: &str) -> Trouble {
    Trouble::Failed(why.to_owned())
}

#[cfg(test)]
mod tests;
