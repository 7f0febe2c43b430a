//! Answers a request for a live channel, by an upgrade to a socket or with an event stream, if its origin is allowed and
//! the limits are not reached.

use http::{HeaderMap, header};
use ledger::accounts::{TicketSubject, key_hash};
use poem::{Endpoint, Request, Response, Result};
use runtime::access_tokens::AccessTokens;
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
    connection_limit::ConnectionGuard,
    event_stream::{self, last_event_id},
    handshake::{self, ChannelRequest, Credentials},
    protocol::Close,
    refusal::Refusal,
    serve::{OpenChannelGuard, serve},
    socket,
};

/// Read buffer per socket, which grows for a longer message; the default of 128 KiB would be most of a socket's memory.
const READ_BUFFER_BYTES: usize = 512;
/// Maximum length of a message in the WebSocket library. A longer one cannot be answered with a close frame, because
/// the rest of it is never read.
const MAX_READ_BYTES: usize = 65_536;

/// Endpoint of the live channels of one kind, on one transport.
#[derive(Debug)]
pub(crate) struct LiveChannel {
    notifier: Notifier,
    kind: Kind,
    transport: Transport,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Session,
    Order,
    Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `GET /ws/{sessions,orders,stores}/{…}`
    Socket,
    /// `GET /api/v1/{sessions,orders,stores}/{…}/events/stream`
    EventStream,
}

#[derive(Debug, Default, Deserialize)]
struct Query {
    after: Option<i64>,
    epoch: Option<String>,
    ticket: Option<String>,
}

impl LiveChannel {
    pub(crate) fn new(notifier: &Notifier, kind: Kind, transport: Transport) -> Self {
        Self {
            notifier: notifier.clone(),
            kind,
            transport,
        }
    }

    /// Returns the names of the query's parameters that channels of this kind do not take.
    fn unknown_parameters<'q>(&self, query: &'q [(String, String)]) -> Vec<&'q str> {
        let known: &[&str] = match self.kind {
            Kind::Session => &["after", "epoch"],
            Kind::Order => &["after", "epoch", "ticket"],
            Kind::Store => &["ticket"],
        };
        let names = query.iter().map(|(name, _)| name.as_str());
        names.filter(|name| !known.contains(name)).collect()
    }

    fn channel_request(&self, request: &Request) -> Result<ChannelRequest, Refusal> {
        let headers = request.headers();
        let key: String = request.path_params().map_err(|_| Refusal::NOT_FOUND)?;
        // Unreadable parameters are ignored; the client gets a snapshot.
        let Query {
            after,
            epoch,
            ticket,
        } = request.params().unwrap_or_default();
        let epoch = epoch.and_then(|epoch| epoch.parse().ok());
        let mut after = after.map(|after| ResumePoint { after, epoch });
        let mut credentials = ticket.map(Credentials::Ticket);
        if self.transport == Transport::EventStream {
            // A browser that comes back sends its first URL again, and its newest number in the header.
            let last = last_event_id(headers).map(|last| ResumePoint {
                epoch: last.epoch.or(epoch),
                ..last
            });
            after = last.or(after);
            if credentials.is_none() && self.kind != Kind::Session {
                let bearer = bearer(headers, &self.notifier.0.tokens);
                credentials = Some(bearer.ok_or(Close::Revoked)?);
            }
        }
        let subject = match (self.kind, key.parse::<Uuid>()) {
            (Kind::Session, _) => {
                let guest_key = header_text(headers, "expediter-guest");
                return Ok(ChannelRequest::Session {
                    code: key,
                    after,
                    guest_key: guest_key.map(str::to_owned),
                });
            }
            (Kind::Order, Ok(id)) => TicketSubject::Order(id.into()),
            (Kind::Store, Ok(id)) => TicketSubject::Store(id.into()),
            (_, Err(_)) => return Err(Refusal::NOT_FOUND),
        };
        Ok(ChannelRequest::Ticketed {
            subject,
            credentials,
            after,
        })
    }

    /// Checks the origin and the limits, and reads what is requested.
    fn admit(&self, request: &Request) -> Result<(ChannelRequest, Held), Refusal> {
        let inner = &self.notifier.0;
        if !is_allowed(request.headers(), &inner.settings.allowed_origins) {
            return Err(Refusal::ORIGIN);
        }
        if inner.stopping.is_cancelled() {
            return Err(Refusal::OVERLOADED);
        }
        let channel_request = self.channel_request(request)?;
        let client = inner
            .proxies
            .client(request.remote_addr(), request.headers());
        let held = Held {
            _connection: inner.connection_limit.take(client)?,
            _counted: OpenChannelGuard::new(
                &inner.metrics,
                self.transport == Transport::EventStream,
            ),
        };
        Ok((channel_request, held))
    }

    fn upgrade(
        &self,
        request: &Request,
        channel_request: ChannelRequest,
        held: Held,
    ) -> Result<Response, Refusal> {
        let (response, upgrading) = accept(request)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            // Each frame is flushed before the next one is accepted.
            .write_buffer_size(0)
            .max_message_size(Some(MAX_READ_BYTES))
            .max_frame_size(Some(MAX_READ_BYTES));
        let notifier = self.notifier.clone();
        // From here on shutdown waits for this socket.
        let tracked = notifier.0.channels.token();
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrading.await {
                let (role, config) = (Role::Server, Some(config));
                let stream = WebSocketStream::from_raw_socket(upgraded, role, config).await;
                socket::run(notifier, stream, channel_request).await;
            }
            drop(held);
            drop(tracked);
        });
        Ok(response)
    }

    /// Opens the channel before the response begins, so that a refusal is its status.
    async fn stream(
        &self,
        channel_request: ChannelRequest,
        held: Held,
    ) -> Result<Response, Refusal> {
        let inner = &self.notifier.0;
        // From here on shutdown waits for this stream.
        let tracked = inner.channels.token();
        let is_session = self.kind == Kind::Session;
        let opened = tokio::select! {
            opened = handshake::open(&self.notifier, channel_request) => opened,
            () = inner.stopping.cancelled() => Err(Close::Restart),
        };
        let (channel, hello) = opened.map_err(|close| match close {
            Close::NotFound if is_session => Refusal::SESSION_NOT_FOUND,
            close => close.into(),
        })?;
        // What is held stays with the response: a connection that does not take its end still counts.
        let (response, stream) = event_stream::begin(inner.ledger.chance().fraction(), held);
        let notifier = self.notifier.clone();
        tokio::spawn(async move {
            serve(notifier, stream, channel, hello).await;
            drop(tracked);
        });
        Ok(response)
    }
}

/// Guards of an open channel, released on drop.
#[derive(Debug)]
struct Held {
    _connection: ConnectionGuard,
    _counted: OpenChannelGuard,
}

impl Endpoint for LiveChannel {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let refused = |refusal: Refusal| refusal.answer(request.headers());
        let query: Vec<(String, String)> = request.params().unwrap_or_default();
        let unknown = self.unknown_parameters(&query);
        if !unknown.is_empty() {
            return Ok(Refusal::unknown_parameters(&unknown, request.headers()));
        }
        let (channel_request, held) = match self.admit(&request) {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(refused(refusal)),
        };
        match self.transport {
            Transport::Socket => {
                let upgraded = self.upgrade(&request, channel_request, held);
                Ok(upgraded.unwrap_or_else(refused))
            }
            Transport::EventStream => {
                let streamed = self.stream(channel_request, held).await;
                Ok(streamed.unwrap_or_else(refused))
            }
        }
    }
}

/// Returns the request's API key, or the account of its access token if that is valid.
fn bearer(headers: &HeaderMap, tokens: &AccessTokens) -> Option<Credentials> {
    let value = header_text(headers, header::AUTHORIZATION.as_str())?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let token = token.trim();
    let key = key_hash(token).map(Credentials::Key);
    key.or_else(|| tokens.check(token).map(Credentials::Account))
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
