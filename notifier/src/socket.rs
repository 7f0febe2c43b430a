//! WebSocket of one client.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    error::CapacityError,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::{
    Notifier,
    accept::ClientStream,
    channel::ResumePoint,
    frame::Frame,
    handshake::{self, ChannelRequest, Credentials},
    protocol::{ClientMessage, Close, End},
    serve::{Transport, end_with, serve},
};

/// Maximum length of a client's message in bytes.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Timeout for the ticket of a client that does not send it in the URL.
const TICKET_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the requested channel and serves it until either side closes the connection.
pub(crate) async fn run(
    notifier: Notifier,
    stream: ClientStream,
    mut channel_request: ChannelRequest,
) {
    let mut socket = Socket(Box::new(stream));
    // Boxed, so that its memory is free again once the channel is open.
    let opened = tokio::select! {
        opened = Box::pin(async {
            if let ChannelRequest::Ticketed { credentials, .. } = &mut channel_request
                && credentials.is_none()
            {
                let ticket = timeout(TICKET_TIMEOUT, socket.first_ticket()).await;
                *credentials = Some(ticket.unwrap_or(Err(Close::Revoked.into()))?);
            }
            handshake::open(&notifier, channel_request).await.map_err(End::from)
        }) => opened,
        () = notifier.0.stopping.cancelled() => Err(Close::Restart.into()),
    };
    match opened {
        Ok((channel, hello)) => serve(notifier, socket, channel, hello).await,
        Err(End::Close(close)) => end_with(&notifier, socket, close).await,
        Err(End::Gone) => {}
    }
}

/// Boxed, because futures keep room for each place that they move it through.
struct Socket(Box<ClientStream>);

impl Socket {
    /// Reads the client's first message, which must be its ticket.
    async fn first_ticket(&mut self) -> Result<Credentials, End> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(text))) => {
                    return match serde_json::from_str(&text) {
                        Ok(ClientMessage::Ticket { ticket }) => Ok(Credentials::Ticket(ticket)),
                        _ => Err(Close::Revoked.into()),
                    };
                }
                Some(Ok(Message::Binary(_))) => return Err(Close::Revoked.into()),
                _ => return Err(End::Gone),
            }
        }
    }
}

impl Transport for Socket {
    const ANSWERS_PINGS: bool = true;

    async fn send(&mut self, frame: Frame, _: Option<ResumePoint>) -> Result<(), End> {
        for fragment in frame {
            self.0.send(fragment).await.map_err(|_| End::Gone)?;
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), End> {
        let ping = Message::Ping(Bytes::new());
        self.0.send(ping).await.map_err(|_| End::Gone)
    }

    async fn receive(&mut self) -> Result<Option<ClientMessage>, End> {
        let text = match self.0.next().await {
            None | Some(Ok(Message::Close(_))) => return Err(End::Gone),
            // The WebSocket library has a higher limit of its own; messages beyond that arrive as an error.
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                return Err(Close::TooLong.into());
            }
            Some(Err(_)) => return Err(End::Gone),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(None),
            Some(Ok(Message::Binary(bytes))) if bytes.len() > MAX_MESSAGE_BYTES => {
                return Err(Close::TooLong.into());
            }
            Some(Ok(Message::Binary(_))) => return Ok(None),
            Some(Ok(Message::Text(text))) => text,
        };
        if text.len() > MAX_MESSAGE_BYTES {
            return Err(Close::TooLong.into());
        }
        Ok(serde_json::from_str(&text).ok())
    }

    /// Sends the close frame and waits for the client's, because closing with unread input could discard the frame.
    async fn close(mut self, close: Close, within: Duration) {
        let code = CloseCode::from(close.code());
        let reason = close.reason().into();
        let frame = Message::Close(Some(CloseFrame { code, reason }));
        let _ = timeout(within, async {
            self.0.send(frame).await?;
            while let Some(Ok(_)) = self.0.next().await {}
            Ok::<_, Error>(())
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Tens of thousands of sockets are idle. The largest part of their memory was room for reads of the ledger.
    #[test]
    fn an_idle_socket_keeps_no_room_for_opening_or_reading() {
        let bytes = future_size(run);
        assert!(bytes <= 3072, "{bytes}");
    }
}
