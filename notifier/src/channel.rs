//! Channel of a session or an order: a snapshot or the missed events, then every event that the client may see.

use std::{collections::VecDeque, sync::Arc};

use domain::{
    account::Account,
    actor::Viewer,
    event::EventKind,
    ids::{EpochId, OrderId, StoreId},
    session::Session,
};
use ledger::events::OrderSnapshot;
use platform::secrets::{same, sha256};

use crate::{
    Notifier,
    connection_limit::{ConnectionGuard, Holder},
    frame::Frame,
    hub::Listener,
    protocol::{self, Close, EventFrame, SessionHello},
    store_signals::StoreSignal,
    ticket_holder::TicketHolder,
};

/// Maximum number of missed events that are resent; a client that missed more gets a snapshot.
const MAX_MISSED: i64 = 1000;
/// Maximum number of events per read.
const PAGE: u32 = 100;

#[derive(Debug)]
pub(crate) struct Channel {
    notifier: Notifier,
    _place: ConnectionGuard<Holder>,
    listener: Listener,
    subject: Subject,
    /// Holder of the ticket that opened the channel, if there was one.
    ticket_holder: Option<TicketHolder>,
    /// Head when the channel was opened; a client is not slow while it catches up to it.
    caught_up_at: i64,
    /// Number up to which every event was sent, or is not visible to this client.
    position: i64,
    /// Number of the event that was sent last.
    sent: i64,
    /// Epoch in which the numbers count, as the client was told last.
    epoch: Option<EpochId>,
    /// Events read ahead from the ledger.
    page: VecDeque<Arc<EventFrame>>,
    /// Hash of the client's guest key, if it gave one.
    guest_hash: Option<[u8; 32]>,
    /// Signals of the session's store, if the client asked for them.
    store_signal: Option<StoreSignal>,
}

/// Place in a stream at which a client goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResumePoint {
    /// Number of the last event that the client has.
    pub(crate) after: i64,
    /// Epoch that the client was told last.
    pub(crate) epoch: Option<EpochId>,
}

/// Subject of a channel.
#[derive(Debug)]
enum Subject {
    /// A session as guests see it.
    Session { code: String, store: StoreId },
    /// One order, on a stream of its own or on its session's.
    Order { id: OrderId, viewer: Viewer },
}

impl Channel {
    /// Opens the channel of a session and returns it with its first frame, which resumes `after` or is a snapshot.
    pub(crate) async fn for_session(
        notifier: &Notifier,
        code: &str,
        after: Option<ResumePoint>,
        guest_key: Option<&str>,
    ) -> Result<(Self, Frame), Close> {
        let inner = &notifier.0;
        let read = inner
            .sessions
            .read(sha256(code.as_bytes()), &inner.reads, async || {
                read_or_close(inner.ledger.session_by_code(code).await)
            });
        let session = readable(notifier, read.await?)?;
        let place = notifier.place_for(Holder::Session(session.id))?;
        // Subscribed before the first frame is read, so that no event is lost in between.
        let listener = notifier.0.hub.listen(session.id.into(), true);
        let subject = Subject::Session {
            code: code.to_owned(),
            store: session.store_id,
        };
        let mut channel = Self::new(notifier, place, listener, subject);
        channel.guest_hash = guest_key.map(|key| sha256(key.as_bytes()));
        channel.begin(after).await
    }

    /// Opens the channel of an order in the same way. It resumes only if the order has a stream of its own.
    pub(crate) async fn for_order(
        notifier: &Notifier,
        id: OrderId,
        account: &Account,
        after: Option<ResumePoint>,
    ) -> Result<(Self, Frame), Close> {
        let read = notifier.read(async |ledger| ledger.order(id).await);
        let order = read.await?.ok_or(Close::NotFound)?;
        let ticket_holder = TicketHolder::for_order(account, &order).ok_or(Close::Revoked)?;
        let place = notifier.place_for(Holder::Account(account.id))?;
        let in_session = order.session.is_some();
        let listener = notifier.0.hub.listen(order.stream(), in_session);
        let viewer = if ticket_holder.is_staff() {
            Viewer::Staff
        } else {
            Viewer::Owner(account.id)
        };
        let subject = Subject::Order { id, viewer };
        let mut channel = Self::new(notifier, place, listener, subject);
        channel.ticket_holder = Some(ticket_holder);
        channel.begin(after.filter(|_| !in_session)).await
    }

    fn new(
        notifier: &Notifier,
        place: ConnectionGuard<Holder>,
        listener: Listener,
        subject: Subject,
    ) -> Self {
        Self {
            notifier: notifier.clone(),
            _place: place,
            listener,
            subject,
            ticket_holder: None,
            caught_up_at: 0,
            position: 0,
            sent: 0,
            epoch: None,
            page: VecDeque::new(),
            guest_hash: None,
            store_signal: None,
        }
    }

    async fn begin(mut self, after: Option<ResumePoint>) -> Result<(Self, Frame), Close> {
        let hello = match after {
            Some(after) => self.resume(after).await?,
            None => self.snapshot().await?,
        };
        self.caught_up_at = self.listener.head();
        Ok((self, hello))
    }

    /// Returns the next frame for this client; `None` when it is up to date.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Close> {
        loop {
            self.check()?;
            if self.listener.is_void() {
                self.listener = self.listener.again();
                self.caught_up_at = 0;
                return Ok(Some(self.snapshot().await?));
            }
            if let Some(signal) = &mut self.store_signal
                && signal.has_changed().unwrap_or(false)
            {
                signal.mark_unchanged();
                return Ok(Some(protocol::store_changed().into()));
            }
            if self.position >= self.listener.head() {
                return Ok(None);
            }
            let event_frame = match self.take_in_memory() {
                Some(event_frame) => event_frame,
                None if self.read_ahead().await? => continue,
                // The event was pruned from the ledger.
                None => return Ok(Some(self.snapshot().await?)),
            };
            self.position = event_frame.seq;
            if event_frame.kind == EventKind::SessionCodeRenewed {
                self.recheck_code().await?;
            }
            if !self.shows(&event_frame) {
                continue;
            }
            let mine = self.is_mine(event_frame.order_id).await?;
            let frame = event_frame.frame(self.sent, mine, self.viewer());
            self.sent = event_frame.seq;
            return Ok(Some(frame));
        }
    }

    /// Checks the ticket's holder; called periodically. A guest's code is checked with every frame instead.
    pub(crate) async fn check_still_allowed(&self) -> Result<(), Close> {
        match &self.ticket_holder {
            Some(ticket_holder) => ticket_holder.check_still_allowed(&self.notifier).await,
            None => Ok(()),
        }
    }

    /// Waits until [`Self::next`] may have a frame or closes the channel. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        // A clone, so that `next` sees the signal too.
        let signal = self.store_signal.clone();
        let signalled = async move {
            let Some(mut signal) = signal else {
                return std::future::pending().await;
            };
            // Fails only if the hub has forgotten the store, which it does without listeners.
            let _ = signal.changed().await;
        };
        tokio::select! {
            () = self.listener.changed() => {}
            () = signalled => {}
        }
    }

    /// Waits until the client is more than `capacity` events behind.
    pub(crate) fn fell_behind(&self, capacity: i64) -> impl Future<Output = ()> + use<> {
        let furthest = self
            .caught_up_at
            .max(self.position)
            .saturating_add(capacity);
        self.listener.passed(furthest)
    }

    /// Returns the place at which the client goes on after the last frame of [`Self::next`].
    pub(crate) fn resume_point(&self) -> ResumePoint {
        ResumePoint {
            after: self.sent,
            epoch: self.epoch,
        }
    }

    /// Sets the guest's key and returns a new snapshot that marks the guest's orders; `None` on an order's channel. From
    /// then on the client is told of changes of the `store` or not.
    pub(crate) async fn set_guest(
        &mut self,
        key: &str,
        store: bool,
    ) -> Result<Option<Frame>, Close> {
        let Subject::Session { store: id, .. } = &self.subject else {
            return Ok(None);
        };
        let signals = self.notifier.0.hub.store_signals();
        self.store_signal = store.then(|| signals.listen(*id));
        self.guest_hash = Some(sha256(key.as_bytes()));
        self.snapshot().await.map(Some)
    }

    /// Checks the client's code against the last known state of the session.
    fn check(&self) -> Result<(), Close> {
        let Subject::Session { code, .. } = &self.subject else {
            return Ok(());
        };
        match self.listener.session() {
            Some(now) if now.code != *code => Err(Close::Revoked),
            Some(now) if now.ended => Err(Close::Ended),
            _ => Ok(()),
        }
    }

    /// Checks the client's code in the ledger when the renewal comes in the stream, so that a client with a revoked
    /// code gets no later event.
    async fn recheck_code(&self) -> Result<(), Close> {
        let Subject::Session { code, .. } = &self.subject else {
            return Ok(());
        };
        let read = self
            .notifier
            .read(async |ledger| ledger.session_by_code(code).await);
        read.await?.map(drop).ok_or(Close::Revoked)
    }

    /// Returns who is told who caused an event.
    fn viewer(&self) -> Viewer {
        match self.subject {
            Subject::Session { .. } => Viewer::Guest,
            Subject::Order { viewer, .. } => viewer,
        }
    }

    fn shows(&self, event_frame: &EventFrame) -> bool {
        match self.subject {
            Subject::Session { .. } => event_frame.kind.is_for_guests(),
            Subject::Order { id, viewer } => {
                event_frame.order_id == Some(id)
                    && (viewer == Viewer::Staff || event_frame.kind.is_for_guests())
            }
        }
    }

    async fn resume(&mut self, point: ResumePoint) -> Result<Frame, Close> {
        let (stream, after) = (self.listener.stream(), point.after);
        let (head, epoch) = match self.listener.position_from(after) {
            Some(position) => position,
            None => {
                let read = self
                    .notifier
                    .read(async |ledger| ledger.stream_position(stream).await);
                read.await?.ok_or(Close::NotFound)?
            }
        };
        // From the beginning on, no number has to count.
        let counts = after == 0 || (epoch.is_some() && point.epoch == epoch);
        // Also for a number that was never assigned.
        if !counts || after < 0 || !(0..=MAX_MISSED).contains(&head.saturating_sub(after)) {
            return self.snapshot().await;
        }
        self.listener.set_start(head);
        (self.position, self.sent, self.epoch) = (after, after, epoch);
        let hello = protocol::resumed(stream, after);
        Ok(protocol::with_epoch(hello, epoch).into())
    }

    async fn snapshot(&mut self) -> Result<Frame, Close> {
        let (seq, epoch, hello) = match &self.subject {
            Subject::Session { code, .. } => self.session_snapshot(code).await?,
            Subject::Order { id, .. } => self.order_snapshot(*id).await?,
        };
        self.listener.set_start(seq);
        (self.position, self.sent, self.epoch) = (seq, seq, epoch);
        self.page.clear();
        Ok(hello)
    }

    /// Returns the session's snapshot, which is made once for all clients that are sent it at this time.
    async fn session_snapshot(&self, code: &str) -> Result<(i64, Option<EpochId>, Frame), Close> {
        let make = async {
            let read = self
                .notifier
                .read(async |ledger| ledger.session_snapshot(code).await);
            let snapshot = read.await?.ok_or(Close::NotFound)?;
            Ok(SessionHello::new(&snapshot))
        };
        let hello = self.listener.hello(make).await?;
        let frame = match &self.guest_hash {
            Some(hash) => hello.frame(Some(&|author: Option<&[u8]>| placed_by(hash, author))),
            None => hello.frame(None),
        };
        Ok((hello.seq, hello.epoch, frame))
    }

    async fn order_snapshot(&self, id: OrderId) -> Result<(i64, Option<EpochId>, Frame), Close> {
        let read = self
            .notifier
            .read(async |ledger| ledger.order_snapshot(id).await);
        let OrderSnapshot { epoch, order, seq } = read.await?.ok_or(Close::NotFound)?;
        let hello = protocol::order_snapshot(order.stream(), seq, &order);
        Ok((seq, epoch, protocol::with_epoch(hello, epoch).into()))
    }

    /// Returns the event after the position if it is in memory.
    fn take_in_memory(&mut self) -> Option<Arc<EventFrame>> {
        let wanted = self.position + 1;
        while let Some(event_frame) = self.page.pop_front() {
            if event_frame.seq == wanted {
                return Some(event_frame);
            }
        }
        self.listener.recent(wanted)
    }

    /// Reads events after the position from the ledger; returns true if the next one is among them.
    async fn read_ahead(&mut self) -> Result<bool, Close> {
        let (stream, position) = (self.listener.stream(), self.position);
        let max_bytes = self.notifier.0.settings.client_queue_bytes;
        let read = async {
            let read = self.notifier.read(async |ledger| {
                let events = ledger.events_within(stream, position, PAGE, max_bytes);
                events.await
            });
            let event_frames = read.await?;
            let event_frames = event_frames.iter().map(EventFrame::new).map(Arc::new);
            Ok::<_, Close>(event_frames.collect())
        };
        self.page = self.listener.page(position, read).await?.into();
        let first = self.page.front();
        Ok(first.is_some_and(|event| event.seq == position + 1))
    }

    async fn is_mine(&self, order: Option<OrderId>) -> Result<Option<bool>, Close> {
        let (Some(guest_hash), Some(order)) = (&self.guest_hash, order) else {
            return Ok(None);
        };
        let guest_orders = &self.notifier.0.guest_orders;
        let read = self
            .notifier
            .read(async |ledger| guest_orders.of(order, ledger).await);
        Ok(Some(placed_by(guest_hash, read.await?.as_deref())))
    }
}

fn placed_by(guest_hash: &[u8; 32], author: Option<&[u8]>) -> bool {
    author.is_some_and(|author| same(author, guest_hash))
}

fn readable(notifier: &Notifier, session: Option<Session>) -> Result<Session, Close> {
    let session = session.ok_or(Close::NotFound)?;
    if session.is_readable_at(notifier.0.ledger.clock().now()) {
        Ok(session)
    } else {
        Err(Close::Ended)
    }
}

impl Notifier {
    /// Reads from the ledger, limited to `max_reads` concurrent reads.
    pub(crate) async fn read<T>(
        &self,
        read: impl AsyncFnOnce(&ledger::Ledger) -> ledger::Result<T>,
    ) -> Result<T, Close> {
        let _permit = self.0.reads.acquire().await.map_err(|_| Close::Restart)?;
        read_or_close(read(&self.0.ledger).await)
    }
}

fn read_or_close<T>(read: ledger::Result<T>) -> Result<T, Close> {
    read.map_err(|error| {
        tracing::warn!(%error, "reading the ledger for a live channel failed");
        Close::TryAgain
    })
}
