//! Opens connections to vetted addresses: TCP, then TLS for `https://`, whose ALPN chooses HTTP/2 or HTTP/1.1.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider, pki_types::ServerName};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{
    connect_error::ConnectError,
    counted::{Counted, Written},
    http1, http2,
    proxy::Proxy,
    secured::Secured,
};

/// TLS settings of the client.
pub(in crate::outbound) type Tls = Arc<ClientConfig>;

/// Delay after which the next address is tried beside the first, as RFC 8305 recommends.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Builds the TLS settings; reads the machine's CA certificates, which takes about 30 ms of CPU.
///
/// The client trusts no server if the machine has no CA certificates; plain `http://` still works where allowed.
pub(in crate::outbound) fn default_tls() -> Result<Tls, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = config_builder(Arc::clone(&provider))?;
    Ok(match rustls_platform_verifier::Verifier::new(provider) {
        Ok(verifier) => with_protocols(
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth(),
        ),
        Err(error) => {
            tracing::warn!(%error, "no CA certificates found; https:// integrators cannot be reached");
            let nobody = builder.with_root_certificates(RootCertStore::empty());
            with_protocols(nobody.with_no_client_auth())
        }
    })
}

fn config_builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

fn with_protocols(mut config: ClientConfig) -> Tls {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A connection in either version of the protocol.
#[derive(Debug)]
pub(super) enum Connection {
    Http1(http1::Connection),
    Http2(http2::Connection),
}

fn not_connected(error: &io::Error) -> ConnectError {
    ConnectError::Integrator(format!("not connected: {error}"))
}

fn timed_out() -> ConnectError {
    ConnectError::Integrator("connecting timed out".to_owned())
}

pub(super) struct Connector {
    tls: TlsConnector,
    proxy: Option<Proxy>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(tls: Tls, proxy: Option<Proxy>, timeout: Duration) -> Self {
        Self {
            tls: tls.into(),
            proxy,
            timeout,
        }
    }

    /// Opens a connection.
    pub(super) async fn connect(
        &self,
        url: &Url,
        addresses: &[SocketAddr],
    ) -> Result<Connection, ConnectError> {
        let deadline = Instant::now() + self.timeout;
        tokio::time::timeout_at(deadline, self.open(url, addresses, deadline))
            .await
            .map_err(|_| timed_out())?
    }

    async fn open(
        &self,
        url: &Url,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<Connection, ConnectError> {
        let tcp = first_of(addresses, deadline, |address| self.reach(address)).await?;
        let written = Written::default();
        let stream = Counted::new(tcp, written.clone());
        if url.scheme() != "https" {
            let connection = http1::Connection::new(Box::new(stream), written);
            return Ok(Connection::Http1(connection));
        }
        let failed = ConnectError::Integrator;
        let name = server_name(url)
            .ok_or_else(|| failed("the host is not a valid TLS server name".to_owned()))?;
        let secured = self.tls.connect(name, stream).await;
        let tls = secured.map_err(|error| failed(format!("TLS handshake failed: {error}")))?;
        let speaks_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        let tls = Secured::new(tls);
        if speaks_http2 {
            let opened = http2::Connection::open(tls, written).await;
            let opened =
                opened.map_err(|error| failed(format!("HTTP/2 handshake failed: {error}")))?;
            Ok(Connection::Http2(opened))
        } else {
            let connection = http1::Connection::new(Box::new(tls), written);
            Ok(Connection::Http1(connection))
        }
    }

    /// Connects to an address of this machine directly: the proxy would look for it on its own.
    async fn reach(&self, address: SocketAddr) -> Result<TcpStream, ConnectError> {
        if let Some(proxy) = self.proxy.as_ref().filter(|_| !is_here(address)) {
            return proxy.tunnel(address, self.timeout).await;
        }
        let connected = TcpStream::connect(address).await;
        let stream = connected.map_err(|error| not_connected(&error))?;
        stream
            .set_nodelay(true)
            .map_err(|error| not_connected(&error))?;
        Ok(stream)
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn is_here(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn server_name(url: &Url) -> Option<ServerName<'static>> {
    Some(match url.host()? {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).ok()?,
        Host::Ipv4(address) => ServerName::IpAddress(address.into()),
        Host::Ipv6(address) => ServerName::IpAddress(address.into()),
    })
}

/// Reaches one of the addresses: the first one, and the next beside it whenever one is slow or has failed.
async fn first_of<F>(
    addresses: &[SocketAddr],
    deadline: Instant,
    reach: impl Fn(SocketAddr) -> F,
) -> Result<TcpStream, ConnectError>
where
    F: Future<Output = Result<TcpStream, ConnectError>>,
{
    let mut untried = alternate(addresses).into_iter();
    let mut reaching = FuturesUnordered::new();
    let mut failed = not_connected(&io::ErrorKind::AddrNotAvailable.into());
    loop {
        if let Some(address) = untried.next() {
            reaching.push(reach(address));
        } else if reaching.is_empty() {
            return Err(failed);
        }
        tokio::select! {
            Some(reached) = reaching.next() => match reached {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = failed.or(error),
            },
            () = tokio::time::sleep_until(deadline) => return Err(failed.or(timed_out())),
            () = tokio::time::sleep(NEXT_ADDRESS_AFTER), if untried.len() > 0 => {}
        }
    }
}

/// Sorts addresses so that IPv6 and IPv4 take turns, beginning with the first one: one of them may lead nowhere.
fn alternate(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_like_first = |address: &SocketAddr| address.is_ipv4() == addresses[0].is_ipv4();
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().copied().partition(is_like_first);
    let mut sorted = Vec::with_capacity(addresses.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    while sorted.len() < addresses.len() {
        sorted.extend(first.next());
        sorted.extend(second.next());
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_is_known_in_every_notation() {
        for (address, here) in [
            ("127.0.0.1:80", true),
            ("127.9.9.9:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("192.0.2.7:80", false),
            ("[::ffff:192.0.2.7]:80", false),
            ("[2001:db8::1]:80", false),
        ] {
            assert_eq!(is_here(address.parse().unwrap()), here, "{address}");
        }
    }

    /// A proxy that hangs is known after half of the time, and the last of many addresses begins later than that.
    #[tokio::test]
    async fn a_proxy_that_hangs_is_not_taken_for_an_integrator_with_many_addresses_that_does() {
        let addresses: Vec<SocketAddr> = (1..=20)
            .map(|last| SocketAddr::from(([192, 0, 2, last], 443)))
            .collect();
        let hanging = |_: SocketAddr| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Err::<TcpStream, _>(ConnectError::Proxy("it hangs".to_owned()))
        };
        let deadline = Instant::now() + Duration::from_secs(1);
        let failed = first_of(&addresses, deadline, hanging).await.unwrap_err();
        assert_eq!(failed, ConnectError::Proxy("it hangs".to_owned()));

        let silent = |_: SocketAddr| std::future::pending::<Result<TcpStream, ConnectError>>();
        let deadline = Instant::now() + Duration::from_millis(300);
        let failed = first_of(&addresses, deadline, silent).await.unwrap_err();
        assert_eq!(failed, timed_out());
    }
}
