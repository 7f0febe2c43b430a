//! Upgrades an HTTP request to a socket, if its origin is allowed and the limits are not reached.

use http::{HeaderMap, StatusCode, header};
use ledger::accounts::TicketSubject;
use poem::{Endpoint, Error, Request, Response, Result};
use serde::Deserialize;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};
use uuid::Uuid;

use crate::{
    Notifier,
    accept::accept,
    channel::ResumePoint,
    handshake::ChannelRequest,
    socket::{self, OpenSocketGuard},
};

/// Read buffer per socket; the default of 128 KiB would be most of a socket's memory.
const READ_BUFFER_BYTES: usize = 4096;
/// Maximum length of a message in the WebSocket library. A longer one cannot be answered with a close frame, because
/// the rest of it is never read.
const MAX_READ_BYTES: usize = 65_536;

/// Endpoint `GET /ws/{sessions,orders,stores}/{…}`.
#[derive(Debug)]
pub(crate) struct Upgrade {
    notifier: Notifier,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Session,
    Order,
    Store,
}

#[derive(Debug, Default, Deserialize)]
struct Query {
    after: Option<i64>,
    epoch: Option<String>,
    ticket: Option<String>,
}

impl Upgrade {
    pub(crate) fn new(notifier: &Notifier, kind: Kind) -> Self {
        Self {
            notifier: notifier.clone(),
            kind,
        }
    }

    fn channel_request(&self, request: &Request) -> Result<ChannelRequest> {
        let key: String = request.path_params()?;
        // Unreadable parameters are ignored; the client gets a snapshot.
        let Query {
            after,
            epoch,
            ticket,
        } = request.params().unwrap_or_default();
        let epoch = epoch.and_then(|epoch| epoch.parse().ok());
        let after = after.map(|after| ResumePoint { after, epoch });
        let subject = match (self.kind, key.parse::<Uuid>()) {
            (Kind::Session, _) => {
                let guest_key = header_text(request.headers(), "expediter-guest");
                return Ok(ChannelRequest::Session {
                    code: key,
                    after,
                    guest_key: guest_key.map(str::to_owned),
                });
            }
            (Kind::Order, Ok(id)) => TicketSubject::Order(id.into()),
            (Kind::Store, Ok(id)) => TicketSubject::Store(id.into()),
            (_, Err(_)) => {
                return Err(refused(StatusCode::NOT_FOUND, "live channel not found"));
            }
        };
        Ok(ChannelRequest::Ticketed {
            subject,
            ticket,
            after,
        })
    }
}

impl Endpoint for Upgrade {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let inner = &self.notifier.0;
        if !is_allowed(request.headers(), &inner.settings.allowed_origins) {
            return Err(refused(
                StatusCode::FORBIDDEN,
                "this origin may not open live channels",
            ));
        }
        if inner.stopping.is_cancelled() || inner.sockets.len() >= inner.settings.max_sockets {
            return Err(refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many live channels",
            ));
        }
        let channel_request = self.channel_request(&request)?;
        let client = inner
            .proxies
            .client(request.remote_addr(), request.headers());
        let Some(connection) = inner.connection_limit.take(client) else {
            return Err(refused(
                StatusCode::TOO_MANY_REQUESTS,
                "too many live channels from one address",
            ));
        };
        let (response, upgrading) = accept(&request)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            // Each frame is flushed before the next one is accepted.
            .write_buffer_size(0)
            .max_message_size(Some(MAX_READ_BYTES))
            .max_frame_size(Some(MAX_READ_BYTES));
        let notifier = self.notifier.clone();
        // From here on shutdown waits for this socket.
        let tracked = inner.sockets.token();
        let counted = OpenSocketGuard::new(&inner.metrics);
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrading.await {
                let (role, config) = (Role::Server, Some(config));
                let stream = WebSocketStream::from_raw_socket(upgraded, role, config).await;
                socket::serve(notifier, stream, channel_request).await;
            }
            drop(connection);
            drop(counted);
            drop(tracked);
        });
        Ok(response)
    }
}

/// Returns true without an `Origin` (not a browser), for the same origin, and for an allowed origin.
fn is_allowed(headers: &HeaderMap, allowed_origins: &[String]) -> bool {
    let Some(origin) = header_text(headers, header::ORIGIN.as_str()) else {
        return !headers.contains_key(header::ORIGIN);
    };
    let own = origin.split_once("://").map(|(_, authority)| authority);
    own.is_some() && own == header_text(headers, header::HOST.as_str())
        || allowed_origins.iter().any(|allowed| allowed == origin)
}

fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn refused(status: StatusCode, why: &'static str) -> Error {
    Error::from_string(why, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(headers: &[(&str, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        is_allowed(&headers, &["https://till.example".to_owned()])
    }

    #[test]
    fn other_sites_pages_open_no_channels() {
        assert!(!allowed(&[
            ("host", "order.example"),
            ("origin", "https://evil.example")
        ]));
        assert!(!allowed(&[("host", "order.example"), ("origin", "null")]));
        assert!(!allowed(&[("origin", "https://till.example.evil")]));
        assert!(!allowed(&[
            ("host", "order.example"),
            ("origin", "https://order.example.evil")
        ]));
    }

    #[test]
    fn own_pages_listed_ones_and_what_is_no_browser_do() {
        assert!(allowed(&[
            ("host", "order.example"),
            ("origin", "https://order.example")
        ]));
        assert!(allowed(&[
            ("host", "127.0.0.1:8080"),
            ("origin", "http://127.0.0.1:8080")
        ]));
        assert!(allowed(&[
            ("host", "order.example"),
            ("origin", "https://till.example")
        ]));
        assert!(allowed(&[("host", "order.example")]));
    }
}
