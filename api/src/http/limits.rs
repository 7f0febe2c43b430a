//! Rate limits for accounts, guests, client addresses and integrators, with their response headers.
//!
//! Every process counts on its own, and `RateLimit` (draft-ietf-httpapi-ratelimit-headers) describes the process that
//! responded. Wrong passwords are counted in the database instead: `ledger::accounts`.

pub(crate) mod bucket;

use std::{net::IpAddr, time::Duration};

use domain::ids::{AccountId, IntegratorId, SessionId};
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::{clock::Clock, secrets::sha256};
use poem::Request;
use runtime::config;
use uuid::Uuid;

use self::bucket::{Buckets, QuotaState};
use crate::{
    access::Access,
    http::problem::{Problem, Reason},
};
pub use runtime::client::ClientAddress;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const GUEST_KEY: &str = "expediter-guest";

/// Rate limits of one process.
#[derive(Debug)]
pub struct Limits {
    clock: Clock,
    accounts: Buckets<AccountId>,
    /// Keyed by a hash of the session's code and the guest's key.
    guests: Buckets<[u8; 32]>,
    /// Orders of each session: guest keys are free, and a code has one session however it is written.
    session_orders: Buckets<SessionId>,
    addresses: Buckets<IpAddr>,
    /// Keyed by the path's integrator and the address once a valid signature has come from that address, otherwise by
    /// the address alone. Knowing an integrator's id is not enough to use up its bucket, and inventing ids does not
    /// yield new buckets.
    integrators: Buckets<(Option<IntegratorId>, IpAddr)>,
}

/// The bucket that counts a request without an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnonymousBucket {
    Nobody,
    Guest,
    Integrator,
    Address,
}

impl AnonymousBucket {
    pub(crate) fn of(access: Access, pattern: &str) -> Self {
        match access {
            Access::Keyholder if pattern.starts_with("/sessions/") => Self::Guest,
            Access::Keyholder if pattern.starts_with("/order-links/") => Self::Address,
            Access::Keyholder => Self::Integrator,
            // Liveness probes are never limited.
            Access::Anyone if pattern == "/ping" => Self::Nobody,
            _ => Self::Address,
        }
    }
}

/// Buckets that one request was counted in, for the response headers.
#[derive(Debug, Default)]
pub(crate) struct AppliedLimits(Vec<(&'static str, QuotaState)>);

impl Limits {
    pub(crate) fn new(settings: &config::RateLimits, clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            accounts: Buckets::new(settings.account_per_minute),
            guests: Buckets::new(settings.guest_per_minute),
            session_orders: Buckets::new(settings.session_orders_per_minute),
            addresses: Buckets::new(settings.address_per_minute),
            integrators: Buckets::new(settings.integrator_per_minute),
        }
    }

    pub(crate) fn count_account(
        &self,
        account: AccountId,
        counted: &mut AppliedLimits,
    ) -> Result<(), Problem> {
        let taken = self.accounts.take(account, self.clock.now());
        counted.add("account", taken)
    }

    /// Counts a request without an account; returns 429 if a bucket is empty.
    pub(crate) fn count_anonymous(
        &self,
        counting: AnonymousBucket,
        request: &Request,
        counted: &mut AppliedLimits,
    ) -> Result<(), Problem> {
        let now = self.clock.now();
        let address = ClientAddress::of(request).0;
        match counting {
            AnonymousBucket::Nobody => Ok(()),
            AnonymousBucket::Address => counted.add("address", self.addresses.take(address, now)),
            AnonymousBucket::Guest => {
                // Guest keys and codes are easy to invent, addresses less so.
                counted.add("address", self.addresses.take(address, now))?;
                counted.add("guest", self.guests.take(guest_of(request), now))
            }
            AnonymousBucket::Integrator => {
                // Parsed as in the handler: an id has many spellings, and an invalid one can be of any length.
                let named = request.path_params::<Uuid>().ok().map(IntegratorId::from);
                let known = named.filter(|id| self.integrators.has(&(Some(*id), address)));
                let taken = self.integrators.take((known, address), now);
                counted.add("integrator", taken)
            }
        }
    }

    /// Returns 429 if the address has no request left, and takes none.
    pub(crate) fn check_address(&self, address: ClientAddress) -> Result<(), Problem> {
        let wait = self.addresses.wait(&address.0, self.clock.now());
        wait.map_or(Ok(()), |wait| Err(limited(wait)))
    }

    /// Counts an order that somebody who does not serve the store places in a session; returns 429 if its bucket is
    /// empty.
    pub(crate) fn count_session_order(&self, session: SessionId) -> Result<(), Problem> {
        match self.session_orders.take(session, self.clock.now()) {
            Some(QuotaState {
                quota,
                wait: Some(wait),
                ..
            }) => Err(limited(wait)
                .detail(format!(
                    "At most {quota} orders a minute may be placed in one session."
                ))
                .with("field", "session")
                .with("limit_per_minute", quota)),
            _ => Ok(()),
        }
    }

    /// Gives the integrator its own bucket for this address, after a valid signature.
    pub(crate) fn record_signature(&self, integrator: IntegratorId, address: ClientAddress) {
        let key = (Some(integrator), address.0);
        self.integrators.begin(key, self.clock.now());
    }
}

impl AppliedLimits {
    fn add(&mut self, policy: &'static str, taken: Option<QuotaState>) -> Result<(), Problem> {
        let Some(taken) = taken else {
            return Ok(());
        };
        let wait = taken.wait;
        self.0.push((policy, taken));
        match wait {
            None => Ok(()),
            Some(wait) => Err(limited(wait)),
        }
    }

    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let list = |member: &dyn Fn(&str, &QuotaState) -> String| {
            let members: Vec<String> = self
                .0
                .iter()
                .map(|(name, taken)| member(name, taken))
                .collect();
            HeaderValue::try_from(members.join(", ")).ok()
        };
        if self.0.is_empty() {
            return;
        }
        let policy = list(&|name, taken| {
            format!(
                "\"{name}\";q={};w={}",
                taken.quota,
                bucket::WINDOW.as_secs()
            )
        });
        let left = list(&|name, taken| {
            let full_in = seconds(taken.full_in);
            format!("\"{name}\";r={};t={full_in}", taken.remaining)
        });
        for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
    }
}

/// Returns a 429 with `Retry-After`.
pub(crate) fn limited(wait: Duration) -> Problem {
    let wait = u32::try_from(seconds(wait)).unwrap_or(u32::MAX);
    Problem::new(Reason::RateLimited).retry_after_s(wait.max(1))
}

/// Rounds up to whole seconds.
fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000) as u64
}

fn guest_of(request: &Request) -> [u8; 32] {
    let key = request.header(GUEST_KEY).unwrap_or_default();
    sha256(format!("{} {key}", code_of(request)).as_bytes())
}

/// Returns the session's code as the handler reads it, since a path has many spellings: `%61` is an `a`.
fn code_of(request: &Request) -> String {
    let with_order = || request.path_params::<(String, String)>();
    let code = request.path_params::<String>();
    code.or_else(|_| with_order().map(|(code, _)| code))
        .unwrap_or_default()
}
