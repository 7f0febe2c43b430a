//! Builds the HTTP client: no retries, redirects, proxies or old connections, and only vetted addresses.

use std::{sync::Arc, time::Duration};

use super::guard::Guard;

/// Idle timeout of pooled connections, shorter than that of most servers, so that none is used while it is closed.
const POOL_IDLE: Duration = Duration::from_millis(3500);
const USER_AGENT: &str = concat!("Expediter/", env!("CARGO_PKG_VERSION"));

/// Builds the client; takes about 30 ms of CPU, so call it once per process. Connections are pooled by host, and names
/// are resolved by the guard.
///
/// The client trusts no server if the machine has no CA certificates; plain `http://` still works where allowed.
pub(super) fn build(
    guard: Guard,
    connect_timeout: Duration,
) -> Result<reqwest::Client, reqwest::Error> {
    // An error means that another part of this process has installed one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder(guard.clone(), connect_timeout).build().or_else(|error| {
        tracing::warn!(%error, "no CA certificates found; https:// integrators cannot be reached");
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
