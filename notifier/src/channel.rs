//! What one client is told: a snapshot or what it missed, then every event of its stream that is for it.

use std::{collections::VecDeque, sync::Arc};

use common::{
    domain::{
        event::Event,
        ids::{OrderId, StreamId},
        order::Order,
        session::Session,
    },
    ledger::{self, events::SessionSnapshot},
    secrets::{same, sha256},
};

use crate::{
    Notifier,
    hub::Listener,
    protocol::{self, Close, Told},
};

/// A client that missed more is given a snapshot instead.
const MOST_MISSED: i64 = 1000;
/// Events of one read.
const PAGE: u32 = 100;

#[derive(Debug)]
pub(crate) struct Channel {
    notifier: Notifier,
    listener: Listener,
    code: String,
    /// All up to this number was sent, or is not for this client.
    position: i64,
    /// The number that was sent last.
    sent: i64,
    /// Read ahead from the ledger.
    page: VecDeque<Event>,
    /// Of the client's guest key, if it gave one.
    guest_hash: Option<[u8; 32]>,
}

impl Channel {
    /// The channel and its first frame: what follows `after`, or a snapshot.
    pub(crate) async fn of_session(
        notifier: &Notifier,
        code: &str,
        after: Option<i64>,
        guest_key: Option<&str>,
    ) -> Result<(Self, String), Close> {
        let found = notifier.read(async |ledger| ledger.session_by_code(code).await);
        let session = readable(notifier, found.await?)?;
        // Read again below, after this: what happens in between is heard.
        let listener = notifier.0.hub.listen(session.id.into(), true);
        let mut channel = Self {
            notifier: notifier.clone(),
            listener,
            code: code.to_owned(),
            position: 0,
            sent: 0,
            page: VecDeque::new(),
            guest_hash: guest_key.map(|key| sha256(key.as_bytes())),
        };
        let hello = match after {
            Some(after) => channel.resume(after).await?,
            None => channel.snapshot().await?,
        };
        Ok((channel, hello))
    }

    /// The next frame for this client; `None` when it has all there is.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, Close> {
        loop {
            self.check()?;
            if self.position >= self.listener.head() {
                return Ok(None);
            }
            let told = match self.at_hand() {
                Some(told) => told,
                None if self.read_ahead().await? => continue,
                // The ledger keeps it no more.
                None => return Ok(Some(self.snapshot().await?)),
            };
            self.position = told.seq;
            if !told.kind.is_for_guests() {
                continue;
            }
            let mine = self.is_mine(told.order_id).await?;
            let frame = told.frame(self.sent, mine);
            self.sent = told.seq;
            return Ok(Some(frame));
        }
    }

    /// Returns when [`Self::next`] may have something, or when the channel is to be closed. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        self.listener.changed().await;
    }

    /// Returns when the stream is further than this number.
    pub(crate) fn passed(&self, seq: i64) -> impl Future<Output = ()> + use<> {
        self.listener.passed(seq)
    }

    /// All up to this number was sent, or is not for this client.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// The last number that there is to be sent.
    pub(crate) fn head(&self) -> i64 {
        self.listener.head()
    }

    /// From now on the client is told what is its own: a fresh snapshot.
    pub(crate) async fn guest_is(&mut self, key: &str) -> Result<String, Close> {
        self.guest_hash = Some(sha256(key.as_bytes()));
        self.snapshot().await
    }

    /// Whether the client's code still opens the session, as far as is known.
    fn check(&self) -> Result<(), Close> {
        match self.listener.session() {
            Some(now) if now.code != self.code => Err(Close::Revoked),
            Some(now) if now.ended => Err(Close::Ended),
            _ => Ok(()),
        }
    }

    async fn resume(&mut self, after: i64) -> Result<String, Close> {
        let code = &self.code;
        let found = self
            .notifier
            .read(async |ledger| ledger.session_by_code(code).await);
        let session = readable(&self.notifier, found.await?)?;
        let missed = session.seq - after;
        // A number that was never given out: the client speaks of something else.
        if !(0..=MOST_MISSED).contains(&missed) || after < 0 {
            return self.snapshot().await;
        }
        self.listener.starts_at(session.seq);
        (self.position, self.sent) = (after, after);
        Ok(protocol::resumed(self.listener.stream(), after))
    }

    async fn snapshot(&mut self) -> Result<String, Close> {
        let code = &self.code;
        let read = self
            .notifier
            .read(async |ledger| ledger.session_snapshot(code).await);
        let SessionSnapshot { session, orders } = read.await?.ok_or(Close::NotFound)?;
        self.listener.starts_at(session.seq);
        (self.position, self.sent) = (session.seq, session.seq);
        self.page.clear();
        let is_mine = |order: &Order| {
            let guest_hash = self.guest_hash.as_ref()?;
            Some(placed_by(guest_hash, order.guest_key_hash.as_deref()))
        };
        Ok(protocol::session_snapshot(&session, &orders, is_mine))
    }

    /// The event after the position, without asking the ledger.
    fn at_hand(&mut self) -> Option<Arc<Told>> {
        let wanted = self.position + 1;
        while let Some(event) = self.page.pop_front() {
            if event.seq == wanted {
                return Some(Arc::new(Told::new(&event)));
            }
        }
        self.listener.recent(wanted)
    }

    /// Whether the ledger has the event after the position; then it is at hand.
    async fn read_ahead(&mut self) -> Result<bool, Close> {
        let (stream, position): (StreamId, i64) = (self.listener.stream(), self.position);
        let read = self
            .notifier
            .read(async |ledger| ledger.events_after(stream, position, PAGE).await);
        self.page = read.await?.into();
        Ok(self
            .page
            .front()
            .is_some_and(|event| event.seq == position + 1))
    }

    async fn is_mine(&self, order: Option<OrderId>) -> Result<Option<bool>, Close> {
        let (Some(guest_hash), Some(order)) = (&self.guest_hash, order) else {
            return Ok(None);
        };
        let authors = &self.notifier.0.authors;
        let read = self
            .notifier
            .read(async |ledger| authors.of(order, ledger).await);
        Ok(Some(placed_by(guest_hash, read.await?.as_deref())))
    }
}

fn placed_by(guest_hash: &[u8; 32], author: Option<&[u8]>) -> bool {
    author.is_some_and(|author| same(author, guest_hash))
}

fn readable(notifier: &Notifier, session: Option<Session>) -> Result<Session, Close> {
    let session = session.ok_or(Close::NotFound)?;
    if session.reads_at(notifier.0.ledger.clock().now()) {
        Ok(session)
    } else {
        Err(Close::Ended)
    }
}

impl Notifier {
    /// One of few reads at a time.
    async fn read<T>(
        &self,
        read: impl AsyncFnOnce(&ledger::Ledger) -> ledger::Result<T>,
    ) -> Result<T, Close> {
        let _one_of_few = self.0.reads.acquire().await.map_err(|_| Close::Restart)?;
        read(&self.0.ledger).await.map_err(|error| {
            tracing::warn!(%error, "a live channel could not be read from the ledger");
            Close::TryAgain
        })
    }
}
