//! SSRF guard: resolves host names and vets every address; the client connects to vetted addresses only.

mod special;

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use ipnet::IpNet;
use platform::clock::Clock;
use url::{Host, Url};

use super::OutboundSettings;

/// How long a resolved name is cached; a changed address of an integrator is used after it.
const REFRESH_AFTER: Duration = Duration::from_secs(2);
/// Age from which a vetted name may be evicted.
const EVICT_AFTER: Duration = Duration::from_secs(60);
/// Number of vetted names above which old ones are evicted.
const MAX_NAMES: usize = 4096;
/// Maximum number of concurrent lookups. A call of the system's resolver cannot be cancelled and blocks a thread until
/// it returns; tokio has 512 such threads, and this leaves half of them to others.
const MAX_LOOKUPS: usize = 256;

/// Vets URLs and resolves their names; clones are cheap and share one cache.
#[derive(Clone)]
pub(crate) struct Guard(Arc<Inner>, Option<SocketAddr>);

struct Inner {
    allow_networks: Vec<IpNet>,
    plain_http: PlainHttp,
    resolver_timeout: Duration,
    lookup: Lookup,
    clock: Clock,
    vetted: Mutex<HashMap<String, Vetted>>,
    /// Lookups in progress, one per name however many attempts wait for it, and also after they have given up: an
    /// integrator whose name servers hang blocks one thread, not all.
    lookups: Mutex<HashMap<String, PendingLookup>>,
}

type PendingLookup = Shared<BoxFuture<'static, Arc<io::Result<Vec<IpAddr>>>>>;

/// Addresses that plain `http://` may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    Nowhere,
    /// Loopback addresses of this machine.
    OnLoopback,
    Anywhere,
}

struct Vetted {
    addresses: Vec<IpAddr>,
    at: DateTime<Utc>,
}

/// Function that resolves a name to addresses; tests replace it.
pub(crate) type Lookup =
    Box<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Reason why nothing may be sent to a URL now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VetError {
    #[error("{0}:// is not allowed, only https://")]
    Scheme(String),
    #[error("the URL has no host")]
    NoHost,
    /// The address is logged only: a person who sets an integrator's URL must not learn how internal names resolve.
    #[error("the URL leads to an address that is not allowed")]
    Forbidden(IpAddr),
    #[error("{name}: host not found ({error})")]
    HostNotFound { name: String, error: String },
    /// A failure of our own, which says nothing about the integrator.
    #[error("{name} could not be resolved: {error}")]
    ResolverUnavailable { name: String, error: String },
}

impl Guard {
    pub(crate) fn new(
        allow_networks: Vec<IpNet>,
        plain_http: PlainHttp,
        resolver_timeout: Duration,
        clock: Clock,
    ) -> Self {
        Self::with_lookup(
            allow_networks,
            plain_http,
            resolver_timeout,
            clock,
            Box::new(|name| system_lookup(name).boxed()),
        )
    }

    pub(crate) fn with_lookup(
        allow_networks: Vec<IpNet>,
        plain_http: PlainHttp,
        resolver_timeout: Duration,
        clock: Clock,
        lookup: Lookup,
    ) -> Self {
        Self(
            Arc::new(Inner {
                allow_networks,
                plain_http,
                resolver_timeout,
                lookup,
                clock,
                vetted: Mutex::default(),
                lookups: Mutex::default(),
            }),
            None,
        )
    }

    /// Allows `http://` to this one address too, and not by a name.
    pub(crate) fn and_own(self, address: Option<SocketAddr>) -> Self {
        Self(self.0, address)
    }

    /// Vets a URL, and returns the addresses that a request to it may connect to.
    pub(crate) async fn vet(&self, url: &Url) -> Result<Vec<SocketAddr>, VetError> {
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::from(ip)),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            _ => None,
        };
        let literal = literal
            .zip(url.port_or_known_default())
            .map(SocketAddr::from);
        if let Some(own) = literal.filter(|_| url.scheme() == "http")
            && self.1 == Some(own)
        {
            return Ok(vec![own]);
        }
        let refused = || VetError::Scheme(url.scheme().to_owned());
        let on_loopback_only = match (url.scheme(), self.0.plain_http) {
            ("https", _) | ("http", PlainHttp::Anywhere) => false,
            ("http", PlainHttp::OnLoopback) => true,
            _ => return Err(refused()),
        };
        let addresses = match url.host().ok_or(VetError::NoHost)? {
            Host::Ipv4(address) => self.vet_address(address.into())?,
            Host::Ipv6(address) => self.vet_address(address.into())?,
            Host::Domain(name) => self.vet_name(name).await?,
        };
        let is_on_loopback = |address: &IpAddr| address.to_canonical().is_loopback();
        if on_loopback_only && !addresses.iter().all(is_on_loopback) {
            return Err(refused());
        }
        let port = url.port_or_known_default().ok_or_else(refused)?;
        let sockets = addresses.into_iter().map(|ip| SocketAddr::new(ip, port));
        Ok(sockets.collect())
    }

    fn vet_address(&self, address: IpAddr) -> Result<Vec<IpAddr>, VetError> {
        if self.allows(address) {
            Ok(vec![address])
        } else {
            Err(VetError::Forbidden(address))
        }
    }

    async fn vet_name(&self, name: &str) -> Result<Vec<IpAddr>, VetError> {
        if let Some(addresses) = self.fresh(name) {
            return Ok(addresses);
        }
        let found = self.look_up(name).await?;
        let (allowed, forbidden): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|address| self.allows(*address));
        if allowed.is_empty() {
            return Err(match forbidden.first() {
                Some(address) => VetError::Forbidden(*address),
                None => VetError::HostNotFound {
                    name: name.to_owned(),
                    error: "the name has no address".to_owned(),
                },
            });
        }
        self.remember(name, allowed.clone());
        Ok(allowed)
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, VetError> {
        let away = |error: String| VetError::ResolverUnavailable {
            name: name.to_owned(),
            error,
        };
        let Some(pending) = self.pending_lookup(name) else {
            return Err(away("too many names are being resolved".to_owned()));
        };
        let Ok(found) = tokio::time::timeout(self.0.resolver_timeout, pending).await else {
            return Err(away("the resolver timed out".to_owned()));
        };
        match &*found {
            Ok(addresses) => Ok(addresses.clone()),
            Err(error) if is_resolver_failure(error) => Err(away(error.to_string())),
            Err(error) => Err(VetError::HostNotFound {
                name: name.to_owned(),
                error: error.to_string(),
            }),
        }
    }

    /// Returns the name's lookup in progress, or starts one; `None` if [`MAX_LOOKUPS`] are running.
    fn pending_lookup(&self, name: &str) -> Option<PendingLookup> {
        let mut lookups = self.0.lookups.lock();
        if let Some(under_way) = lookups.get(name) {
            return Some(under_way.clone());
        }
        if lookups.len() >= MAX_LOOKUPS {
            return None;
        }
        let (inner, name) = (Arc::clone(&self.0), name.to_owned());
        let pending = {
            let name = name.clone();
            async move {
                let found = (inner.lookup)(name.clone()).await;
                inner.lookups.lock().remove(&name);
                Arc::new(found)
            }
        };
        let pending = pending.boxed().shared();
        // Spawned so that it finishes even if nobody waits for it any more.
        tokio::spawn(pending.clone());
        lookups.insert(name, pending.clone());
        Some(pending)
    }

    fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0
            .allow_networks
            .iter()
            .any(|network| network.contains(&address))
            || special::is_public(address)
    }

    /// Returns the addresses of a name that was vetted a moment ago.
    fn fresh(&self, name: &str) -> Option<Vec<IpAddr>> {
        let now = self.0.clock.now();
        let vetted = self.0.vetted.lock();
        let vetted = vetted.get(name)?;
        // `at` in the future means that the clock was set back; the entry would stay fresh for too long.
        let is_fresh = vetted.at <= now && now < vetted.at + REFRESH_AFTER;
        is_fresh.then(|| vetted.addresses.clone())
    }

    fn remember(&self, name: &str, addresses: Vec<IpAddr>) {
        let now = self.0.clock.now();
        let mut vetted = self.0.vetted.lock();
        if vetted.len() >= MAX_NAMES {
            vetted.retain(|_, one| now < one.at + EVICT_AFTER);
        }
        vetted.insert(name.to_owned(), Vetted { addresses, at: now });
    }
}

impl PlainHttp {
    pub(crate) fn of(settings: &OutboundSettings) -> Self {
        if settings.allow_http {
            Self::Anywhere
        } else if settings.allow_http_on_loopback {
            Self::OnLoopback
        } else {
            Self::Nowhere
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("allow_networks", &self.0.allow_networks)
            .field("plain_http", &self.0.plain_http)
            .finish_non_exhaustive()
    }
}

async fn system_lookup(name: String) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    Ok(found.map(|socket| socket.ip()).collect())
}

/// Returns true for getaddrinfo's EAI_AGAIN and EAI_SYSTEM, of which the standard library gives only the text. Every
/// other error means that the name does not exist.
fn is_resolver_failure(error: &io::Error) -> bool {
    let text = error.to_string();
    error.raw_os_error().is_some()
        || text.contains("Temporary failure in name resolution")
        || text.contains("Try again")
}

#[cfg(test)]
mod tests;
