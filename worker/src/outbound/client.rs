//! The HTTP client of attempts: sends one request, hears one answer, and uses no connection that is old.
//!
//! reqwest is not used here: it refuses an answer because of one odd line of its head, tells nothing of the status that
//! came before, and never replaces a busy connection (docs/adr/0021-an-answered-attempt-has-an-outcome.md).

mod connect;
mod connect_error;
mod counted;
mod http1;
mod http2;
mod pool;
mod proxy;
mod secured;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use domain::handoff::SendResult;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use platform::clock::Clock;
use url::{Position, Url};

use self::{
    connect::Connector,
    pool::{Pool, Wire},
};
pub(super) use self::{
    connect::{Tls, default_tls},
    proxy::Proxy,
};
use super::{SendError, answer::Heard};

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("Expediter/", env!("CARGO_PKG_VERSION")));
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");

/// A POST request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    pub(super) fn new(url: &Url, mut headers: HeaderMap, body: Bytes) -> Self {
        // These belong to the connection and the framing, which are ours.
        const OURS: [HeaderName; 7] = [
            header::HOST,
            header::CONNECTION,
            HeaderName::from_static("keep-alive"),
            HeaderName::from_static("proxy-connection"),
            header::TRANSFER_ENCODING,
            header::TE,
            header::UPGRADE,
        ];
        for name in OURS {
            headers.remove(name);
        }
        headers.entry(header::ACCEPT).or_insert(ANYTHING);
        headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        Self {
            url: url.clone(),
            headers,
            body,
        }
    }

    /// Returns host and port, the port only if it is not the scheme's own.
    fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    fn path_and_query(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }
}

/// Scheme, host and port; requests of one origin share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin(String);

impl Origin {
    fn of(url: &Url) -> Self {
        Self(url[..Position::AfterPort].to_owned())
    }
}

/// Failure of an exchange without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Broken {
    /// The protocol says that nothing of the request was processed, or nothing of it was sent.
    NotProcessed(String),
    /// The request may have arrived.
    Lost(String),
}

impl From<Broken> for SendError {
    fn from(broken: Broken) -> Self {
        Self::Request(match broken {
            Broken::NotProcessed(error) => SendResult::NotConnected { error },
            Broken::Lost(error) => SendResult::Lost { error },
        })
    }
}

/// Client with its pool of connections; clones are cheap and share the pool.
#[derive(Clone, Debug)]
pub(super) struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connector: Connector,
    pool: Arc<Pool>,
}

impl Client {
    pub(super) fn new(
        tls: Tls,
        proxy: Option<Proxy>,
        connect_timeout: Duration,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner {
            connector: Connector::new(tls, proxy, connect_timeout),
            pool: Arc::new(Pool::new(clock)),
        }))
    }

    /// Sends the request once, to one of `addresses`, and reads the answer into `heard`. Ends early with an error only
    /// if the status was not read.
    ///
    /// A pooled connection may turn out to have been closed. If the protocol says that nothing was processed there, the
    /// request goes out on a fresh connection.
    pub(super) async fn exchange(
        &self,
        request: &Request,
        addresses: &[SocketAddr],
        heard: &mut Heard,
    ) -> Result<(), SendError> {
        let Inner { connector, pool } = &*self.0;
        let origin = Origin::of(&request.url);
        if let Some(mut wire) = pool.take(&origin).await {
            match wire.exchange(request, heard).await {
                Ok(reusable) => {
                    if reusable {
                        pool.put(origin, wire);
                    }
                    return Ok(());
                }
                Err(Broken::NotProcessed(why)) => {
                    tracing::debug!("a pooled connection was closed; connecting again: {why}");
                    heard.sent = false;
                }
                Err(lost @ Broken::Lost(_)) => return Err(lost.into()),
            }
        }
        let opened_at = pool.now();
        let connection = connector.connect(&request.url, addresses).await?;
        let mut wire = Wire::new(connection, opened_at);
        if let Some(shared) = wire.shared() {
            pool.put(origin.clone(), shared);
        }
        if wire.exchange(request, heard).await? {
            pool.put(origin, wire);
        }
        Ok(())
    }
}
