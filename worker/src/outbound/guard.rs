//! SSRF guard: resolves host names, vets every address, and lets the client connect to vetted addresses only.

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
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::OutboundSettings;

/// How long a resolved name is cached; a changed address of an integrator is used after it.
const REFRESH_AFTER: Duration = Duration::from_secs(2);
/// Age from which a vetted name may be evicted; a request connects well within this time after its name was vetted.
const EVICT_AFTER: Duration = Duration::from_secs(60);
/// Number of vetted names above which old ones are evicted.
const MAX_NAMES: usize = 4096;
/// Maximum number of concurrent lookups. A call of the system's resolver cannot be cancelled and blocks a thread until
/// it returns; tokio has 512 such threads, and this leaves half of them to others.
const MAX_LOOKUPS: usize = 256;

/// Vets URLs and resolves names for the client; clones are cheap and share one cache.
#[derive(Clone)]
pub(crate) struct Guard(Arc<Inner>);

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
        Self(Arc::new(Inner {
            allow_networks,
            plain_http,
            resolver_timeout,
            lookup,
            clock,
            vetted: Mutex::default(),
            lookups: Mutex::default(),
        }))
    }

    /// Vets a URL; afterwards the guard resolves its host name, for the client, to its allowed addresses.
    pub(crate) async fn vet(&self, url: &Url) -> Result<(), VetError> {
        let refused = || VetError::Scheme(url.scheme().to_owned());
        let on_loopback_only = match (url.scheme(), self.0.plain_http) {
            ("https", _) | ("http", PlainHttp::Anywhere) => false,
            ("http", PlainHttp::OnLoopback) => true,
            _ => return Err(refused()),
        };
        let host = url.host().ok_or(VetError::NoHost)?;
        match host {
            Host::Ipv4(address) => self.vet_address(address.into())?,
            Host::Ipv6(address) => self.vet_address(address.into())?,
            Host::Domain(name) => self.vet_name(name).await?,
        }
        if on_loopback_only && !self.is_on_loopback(host) {
            return Err(refused());
        }
        Ok(())
    }

    /// Returns true if the host is a loopback address, or a vetted name all of whose addresses are.
    fn is_on_loopback(&self, host: Host<&str>) -> bool {
        match host {
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => IpAddr::from(address).to_canonical().is_loopback(),
            Host::Domain(name) => self.0.vetted.lock().get(name).is_some_and(|vetted| {
                let mut addresses = vetted.addresses.iter();
                addresses.all(|address| address.to_canonical().is_loopback())
            }),
        }
    }

    fn vet_address(&self, address: IpAddr) -> Result<(), VetError> {
        if self.allows(address) {
            Ok(())
        } else {
            Err(VetError::Forbidden(address))
        }
    }

    async fn vet_name(&self, name: &str) -> Result<(), VetError> {
        if self.is_fresh(name) {
            return Ok(());
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
        self.remember(name, allowed);
        Ok(())
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

    fn is_fresh(&self, name: &str) -> bool {
        let now = self.0.clock.now();
        self.0.vetted.lock()
            .get(name)
            // `at` in the future means that the clock was set back; the entry would stay fresh for too long.
            .is_some_and(|vetted| vetted.at <= now && now < vetted.at + REFRESH_AFTER)
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

impl Inner {}

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

impl Resolve for Guard {
    /// Returns the addresses that [`Guard::vet`] has allowed; never starts a lookup.
    fn resolve(&self, name: Name) -> Resolving {
        let known = self
            .0
            .vetted
            .lock()
            .get(name.as_str())
            .map(|vetted| vetted.addresses.clone());
        let answer = match known {
            Some(addresses) => {
                let sockets = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
                Ok(Box::new(sockets) as Addrs)
            }
            None => Err(format!("{} was not vetted", name.as_str()).into()),
        };
        Box::pin(std::future::ready(answer))
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
