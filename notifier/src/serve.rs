//! Conversation with one client over any transport: sends its channel's frames, answers its messages, and decides when
//! to close.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::FutureExt;
use platform::{crash, metrics::Metrics};
use tokio::time::Instant;

use crate::{
    Notifier,
    channel::ResumePoint,
    frame::Frame,
    handshake::OpenChannel,
    protocol::{self, ClientMessage, Close, End},
};

/// Time after which a client that is too far behind and has not taken the current frame is too slow.
const STUCK_AFTER: Duration = Duration::from_secs(1);
/// Timeout for a slow client to read what was sent and the reason of the close.
const SLOW_CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for any other client to read the reason of the close; shutdown waits for it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time in which a client's guest keys are counted.
const GUEST_WINDOW: Duration = Duration::from_secs(60);

/// Connection to one client.
pub(crate) trait Transport: Send {
    /// True if a client that is there answers each ping.
    const ANSWERS_PINGS: bool;

    /// Sends a frame; `place` is where the client goes on after it. Returns when the connection has taken it, so that
    /// few bytes per client are buffered.
    fn send(
        &mut self,
        frame: Frame,
        place: Option<ResumePoint>,
    ) -> impl Future<Output = Result<(), End>> + Send;

    fn ping(&mut self) -> impl Future<Output = Result<(), End>> + Send;

    /// Waits for the client's next sign of life, and returns its message if it was one. Cancel-safe.
    fn receive(&mut self) -> impl Future<Output = Result<Option<ClientMessage>, End>> + Send;

    /// Tells the client why the channel ends, and waits at most this long until it was told.
    fn close(self, close: Close, within: Duration) -> impl Future<Output = ()> + Send;
}

/// Serves an open channel until either side closes it.
pub(crate) async fn serve<T: Transport>(
    notifier: Notifier,
    transport: T,
    channel: OpenChannel,
    hello: Frame,
) {
    let mut connection = Connection {
        transport,
        channel,
        last_received_at: Instant::now(),
        guest_keys: (Instant::now(), 0),
    };
    let end = match connection.run(&notifier, hello).await {
        Err(end) => end,
        Ok(never) => match never {},
    };
    if let End::Close(close) = end {
        end_with(&notifier, connection.transport, close).await;
    }
}

/// Closes a connection for a reason.
pub(crate) async fn end_with<T: Transport>(notifier: &Notifier, transport: T, close: Close) {
    let within = if close == Close::TooSlow {
        notifier.0.metrics.slow_clients.inc();
        SLOW_CLOSE_TIMEOUT
    } else {
        CLOSE_TIMEOUT
    };
    transport.close(close, within).await;
}

struct Connection<T> {
    transport: T,
    channel: OpenChannel,
    last_received_at: Instant,
    /// Begin of the current [`GUEST_WINDOW`], and the guest keys received since.
    guest_keys: (Instant, u32),
}

impl<T: Transport> Connection<T> {
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
                message = self.transport.receive() => self.handle_message(notifier, message?).await?,
                _ = ping.tick() => {
                    if T::ANSWERS_PINGS && self.last_received_at.elapsed() > every * 2 {
                        // If this process was blocked, a message that the client sent in the meantime is still unread.
                        let waits = self.transport.receive().now_or_never();
                        self.handle_message(notifier, waits.ok_or(Close::Away)??).await?;
                    }
                    self.channel.check_still_allowed().await?;
                    self.ping(notifier).await?;
                }
            }
        }
    }

    async fn handle_message(
        &mut self,
        notifier: &Notifier,
        message: Option<ClientMessage>,
    ) -> Result<(), End> {
        self.last_received_at = Instant::now();
        let answer = match message {
            Some(ClientMessage::Ping) => Some(protocol::pong().into()),
            Some(ClientMessage::Guest { key, store }) => {
                self.count_guest_key(notifier.0.settings.guest_messages_per_minute)?;
                self.channel.set_guest(&key, store).await?
            }
            Some(ClientMessage::Ticket { .. }) | None => None,
        };
        match answer {
            Some(answer) => self.send(notifier, answer).await,
            None => Ok(()),
        }
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

    async fn send(&mut self, notifier: &Notifier, frame: Frame) -> Result<(), End> {
        let slow = is_slow(notifier, &self.channel);
        let sending = self.transport.send(frame, self.channel.resume_point());
        unless_slow(notifier, sending, slow).await
    }

    async fn ping(&mut self, notifier: &Notifier) -> Result<(), End> {
        let slow = is_slow(notifier, &self.channel);
        unless_slow(notifier, self.transport.ping(), slow).await
    }
}

/// Sends unless the process stops or the client falls too far behind.
async fn unless_slow(
    notifier: &Notifier,
    sending: impl Future<Output = Result<(), End>>,
    slow: impl Future<Output = ()>,
) -> Result<(), End> {
    tokio::select! {
        biased;
        done = sending => done,
        () = notifier.0.stopping.cancelled() => Err(Close::Restart.into()),
        () = slow => Err(Close::TooSlow.into()),
    }
}

/// Returns a future that is ready when the client falls too far behind while it does not take what it is sent.
fn is_slow(notifier: &Notifier, channel: &OpenChannel) -> impl Future<Output = ()> + use<> {
    let settings = &notifier.0.settings;
    let capacity = i64::try_from(settings.client_queue_capacity).unwrap_or(i64::MAX);
    let fell_behind = channel.fell_behind(capacity);
    let taken_within = settings.ping_interval * 2;
    async move {
        tokio::select! {
            () = async {
                fell_behind.await;
                tokio::time::sleep(STUCK_AFTER).await;
            } => {}
            () = tokio::time::sleep(taken_within) => {}
        }
    }
}

/// Guard that counts an open channel until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenChannelGuard {
    metrics: Arc<Metrics>,
    is_event_stream: bool,
}

impl OpenChannelGuard {
    pub(crate) fn new(metrics: &Arc<Metrics>, is_event_stream: bool) -> Self {
        metrics.sockets_open.inc();
        if is_event_stream {
            metrics.event_streams_open.inc();
        }
        Self {
            metrics: Arc::clone(metrics),
            is_event_stream,
        }
    }
}

impl Drop for OpenChannelGuard {
    fn drop(&mut self) {
        self.metrics.sockets_open.dec();
        if self.is_event_stream {
            self.metrics.event_streams_open.dec();
        }
    }
}
