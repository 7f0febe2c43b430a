//! Connection of one client: sends its channel's frames, answers its messages, and decides when to close.

use std::{convert::Infallible, iter, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use platform::{crash, metrics::Metrics};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    error::CapacityError,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::{
    Notifier,
    accept::ClientStream,
    frame::Frame,
    handshake::{self, ChannelRequest, OpenChannel},
    protocol::{self, ClientMessage, Close, End},
};

/// Maximum length of a client's message in bytes.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Time after which a client that is too far behind and has not taken the current frame is too slow.
const STUCK_AFTER: Duration = Duration::from_secs(1);
/// Timeout for a slow client to read what was sent and the close frame.
const SLOW_CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for any other client to read the close frame; shutdown waits for it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Time in which a client's guest keys are counted.
const GUEST_WINDOW: Duration = Duration::from_secs(60);

/// Serves the connection until either side closes it.
pub(crate) async fn serve(
    notifier: Notifier,
    mut stream: ClientStream,
    channel_request: ChannelRequest,
) {
    let opened = tokio::select! {
        opened = handshake::open(&notifier, &mut stream, channel_request) => opened,
        () = notifier.0.stopping.cancelled() => Err(Close::Restart.into()),
    };
    let end = match opened {
        Err(end) => end,
        Ok((channel, hello)) => {
            let mut socket = Socket {
                stream: &mut stream,
                channel,
                last_received_at: Instant::now(),
                guest_keys: (Instant::now(), 0),
            };
            match socket.run(&notifier, hello).await {
                Err(end) => end,
                Ok(never) => match never {},
            }
        }
    };
    let End::Close(close) = end else { return };
    if close == Close::TooSlow {
        notifier.0.metrics.slow_clients.inc();
    }
    close_stream(stream, close).await;
}

struct Socket<'s> {
    stream: &'s mut ClientStream,
    channel: OpenChannel,
    last_received_at: Instant,
    /// Begin of the current [`GUEST_WINDOW`], and the guest keys received since.
    guest_keys: (Instant, u32),
}

impl Socket<'_> {
    async fn run(&mut self, notifier: &Notifier, hello: Frame) -> Result<Infallible, End> {
        let every = notifier.0.settings.ping_interval;
        let mut ping = tokio::time::interval_at(Instant::now() + every, every);
        self.send(notifier, hello).await?;
        loop {
            while let Some(frame) = self.channel.next().await? {
                crash::point("feed.before_send");
                self.send(notifier, frame).await?;
            }
            tokio::select! {
                () = notifier.0.stopping.cancelled() => return Err(Close::Restart.into()),
                () = self.channel.changed() => {}
                message = self.stream.next() => self.handle_message(notifier, message).await?,
                _ = ping.tick() => {
                    if self.last_received_at.elapsed() > every * 2 {
                        // If this process was blocked, a message that the client sent in the meantime is still unread.
                        let waits = self.stream.next().now_or_never();
                        self.handle_message(notifier, waits.ok_or(Close::Away)?).await?;
                    }
                    self.channel.check_still_allowed().await?;
                    self.send(notifier, iter::once(Message::Ping(Bytes::new()))).await?;
                }
            }
        }
    }

    async fn handle_message(
        &mut self,
        notifier: &Notifier,
        message: Option<Result<Message, Error>>,
    ) -> Result<(), End> {
        self.last_received_at = Instant::now();
        match self.answer(notifier, message).await? {
            Some(answer) => self.send(notifier, answer).await,
            None => Ok(()),
        }
    }

    async fn answer(
        &mut self,
        notifier: &Notifier,
        message: Option<Result<Message, Error>>,
    ) -> Result<Option<Frame>, End> {
        let text = match message {
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
        Ok(match serde_json::from_str(&text) {
            Ok(ClientMessage::Ping) => Some(protocol::pong().into()),
            Ok(ClientMessage::Guest { key }) => {
                self.count_guest_key(notifier.0.settings.guest_messages_per_minute)?;
                self.channel.set_guest(&key).await?
            }
            Ok(ClientMessage::Ticket { .. }) | Err(_) => None,
        })
    }

    /// Refuses a guest key beyond the limit, because each is answered with a snapshot.
    fn count_guest_key(&mut self, max: u32) -> Result<(), Close> {
        let (since, count) = &mut self.guest_keys;
        if since.elapsed() >= GUEST_WINDOW {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        if *count > max {
            Err(Close::TooMany)
        } else {
            Ok(())
        }
    }

    /// Sends the messages, each after the connection has taken the one before it, so that few bytes per client are
    /// buffered. Gives up if the client falls too far behind.
    async fn send(
        &mut self,
        notifier: &Notifier,
        messages: impl Iterator<Item = Message>,
    ) -> Result<(), End> {
        let settings = &notifier.0.settings;
        let capacity = i64::try_from(settings.client_queue_capacity).unwrap_or(i64::MAX);
        let fell_behind = self.channel.fell_behind(capacity);
        let stream = &mut self.stream;
        let sending = async {
            for message in messages {
                stream.send(message).await.map_err(|_| End::Gone)?;
            }
            Ok(())
        };
        tokio::select! {
            biased;
            done = sending => done,
            () = notifier.0.stopping.cancelled() => Err(Close::Restart.into()),
            () = async {
                fell_behind.await;
                tokio::time::sleep(STUCK_AFTER).await;
            } => Err(Close::TooSlow.into()),
            () = tokio::time::sleep(settings.ping_interval * 2) => Err(Close::TooSlow.into()),
        }
    }
}

/// Sends the close frame and waits for the client's, because closing with unread input could discard the frame.
async fn close_stream(mut stream: ClientStream, close: Close) {
    let within = if close == Close::TooSlow {
        SLOW_CLOSE_TIMEOUT
    } else {
        CLOSE_TIMEOUT
    };
    let code = CloseCode::from(close.code());
    let reason = close.reason().into();
    let frame = Message::Close(Some(CloseFrame { code, reason }));
    let _ = timeout(within, async {
        stream.send(frame).await?;
        while let Some(Ok(_)) = stream.next().await {}
        Ok::<_, Error>(())
    })
    .await;
}

/// Guard that counts an open socket until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenSocketGuard(Arc<Metrics>);

impl OpenSocketGuard {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.sockets_open.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for OpenSocketGuard {
    fn drop(&mut self) {
        self.0.sockets_open.dec();
    }
}
