//! The server's side of the opening handshake (RFC 6455, section 4.2). poem's own extractor sends whole messages only,
//! and each from a copy of its own.

use http::{HeaderMap, HeaderName, Method, StatusCode, Version, header};
use poem::{Body, OnUpgrade, Request, Response, Upgraded};
use tokio_tungstenite::{WebSocketStream, tungstenite::handshake::derive_accept_key};

use crate::refusal::Refusal;

/// The WebSocket subprotocol of the live channels. A client need not ask for it.
pub(crate) const SUBPROTOCOL: &str = "expediter.live.v1";

/// Connection of one client.
pub(crate) type ClientStream = WebSocketStream<Upgraded>;

/// Returns the response that accepts the upgrade, and the connection once the response was sent. It names our subprotocol
/// if that is among those that the client asks for; otherwise it names none, and the client ends the handshake itself
/// (RFC 6455, section 4.1).
pub(crate) fn accept(request: &Request) -> Result<(Response, OnUpgrade), Refusal> {
    let headers = request.headers();
    // An upgrade needs HTTP/1.1: a proxy in between speaks HTTP/1.0 unless it is told otherwise.
    let is_upgrade = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has(headers, &header::UPGRADE, "websocket")
        && has(headers, &header::CONNECTION, "upgrade")
        && has(headers, &header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.filter(|_| is_upgrade).ok_or(Refusal::HANDSHAKE)?;
    let upgrade = request.take_upgrade().map_err(|_| Refusal::HANDSHAKE)?;
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(
            header::SEC_WEBSOCKET_ACCEPT,
            derive_accept_key(key.as_bytes()),
        );
    if words(headers, &header::SEC_WEBSOCKET_PROTOCOL).any(|one| one == SUBPROTOCOL) {
        response = response.header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
    }
    Ok((response.body(Body::empty()), upgrade))
}

/// Returns true if the header's list has the word.
fn has(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    words(headers, name).any(|one| one.eq_ignore_ascii_case(word))
}

/// Returns the words of the header's list, which may take several lines.
fn words<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}
