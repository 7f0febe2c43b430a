//! The one HTTP client: no retries, no redirects, no proxies, no old connections, and only vetted addresses.

use std::{sync::Arc, time::Duration};

use super::guard::Guard;

/// Shorter than most servers keep a connection, so that none is used that is just being closed.
const POOL_IDLE: Duration = Duration::from_millis(3500);
const USER_AGENT: &str = concat!("Expediter/", env!("CARGO_PKG_VERSION"));

/// Takes about 30 ms of CPU: once a process. Connections are kept apart by host, and names go through the guard.
///
/// A machine without CA certificates gets a client that trusts nobody: plain `http://`, where allowed, still works.
pub(super) fn build(
    guard: Guard,
    connect_timeout: Duration,
) -> Result<reqwest::Client, reqwest::Error> {
    // An error means that another part of this process has installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder(guard.clone(), connect_timeout).build().or_else(|error| {
        tracing::warn!(%error, "no CA certificates are found: https:// integrators can't be reached");
        builder(guard, connect_timeout).tls_certs_only([]).build()
    })
}

fn builder(guard: Guard, connect_timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .dns_resolver(Arc::new(guard))
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(64)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .tcp_nodelay(true)
}
