//! The server's side of the opening handshake (RFC 6455, section 4.2). poem's own extractor sends whole messages only,
//! and each from a copy of its own.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use poem::{Body, OnUpgrade, Request, Response, Result, Upgraded, error::WebSocketError};
use tokio_tungstenite::{WebSocketStream, tungstenite::handshake::derive_accept_key};

/// Connection of one client.
pub(crate) type ClientStream = WebSocketStream<Upgraded>;

/// Returns the response that accepts the upgrade, and the connection once the response was sent.
pub(crate) fn accept(request: &Request) -> Result<(Response, OnUpgrade)> {
    let headers = request.headers();
    let is_upgrade = request.method() == Method::GET
        && has(headers, &header::UPGRADE, "websocket")
        && has(headers, &header::CONNECTION, "upgrade")
        && has(headers, &header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key
        .filter(|_| is_upgrade)
        .ok_or(WebSocketError::InvalidProtocol)?;
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(
            header::SEC_WEBSOCKET_ACCEPT,
            derive_accept_key(key.as_bytes()),
        )
        .body(Body::empty());
    Ok((response, request.take_upgrade()?))
}

/// Returns true if the header's list has the word.
fn has(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter();
    let mut words = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    words.any(|one| one.trim().eq_ignore_ascii_case(word))
}
