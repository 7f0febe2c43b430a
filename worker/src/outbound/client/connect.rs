//! Opens connections to vetted addresses: TCP, then TLS for `https://`, whose ALPN chooses HTTP/2 or HTTP/1.1.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{
    Broken, SendError,
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

/// Reason why there is no connection. Nothing of a request was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConnectError {
    /// The integrator cannot be reached.
    Integrator(String),
    /// The egress proxy cannot be used: a failure of our own, which says nothing about the integrator.
    Proxy(String),
}

impl ConnectError {
    pub(super) fn no_address() -> Self {
        not_connected(&io::ErrorKind::AddrNotAvailable.into())
    }
}

impl From<ConnectError> for SendError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Integrator(error) => Broken::NotProcessed(error).into(),
            ConnectError::Proxy(why) => Self::Internal(format!("egress proxy: {why}")),
        }
    }
}

fn not_connected(error: &io::Error) -> ConnectError {
    ConnectError::Integrator(format!("not connected: {error}"))
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
        tokio::time::timeout(self.timeout, self.open(url, addresses))
            .await
            .map_err(|_| ConnectError::Integrator("connecting timed out".to_owned()))?
    }

    async fn open(&self, url: &Url, addresses: &[SocketAddr]) -> Result<Connection, ConnectError> {
        let is_here = addresses.iter().all(|address| address.ip().is_loopback());
        let tcp = match &self.proxy {
            Some(proxy) if !is_here => proxy.tunnel(addresses, self.timeout).await?,
            _ => connect_any(addresses)
                .await
                .map_err(|error| not_connected(&error))?,
        };
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
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn server_name(url: &Url) -> Option<ServerName<'static>> {
    Some(match url.host()? {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).ok()?,
        Host::Ipv4(address) => ServerName::IpAddress(address.into()),
        Host::Ipv6(address) => ServerName::IpAddress(address.into()),
    })
}

/// Connects to one of the addresses: to the first one, and to the next beside it whenever one is slow or has failed.
async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut untried = alternate(addresses).into_iter();
    let mut connecting = FuturesUnordered::new();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = untried.next() {
            connecting.push(TcpStream::connect(address));
        } else if connecting.is_empty() {
            return Err(failed);
        }
        tokio::select! {
            Some(connected) = connecting.next() => match connected {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failed = error,
            },
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
