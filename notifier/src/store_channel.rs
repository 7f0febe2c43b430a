//! Channel of a store: a snapshot of its open sessions and orders, then every event of all its streams.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    account::Account,
    ids::{StoreId, StreamId},
};
use tokio::sync::watch;

use crate::{
    Notifier,
    connection_limit::{ConnectionGuard, Holder},
    frame::Frame,
    protocol::{self, Close, EventFrame},
    stores::{Next, QueueRoom, StoreListener},
    ticket_holder::TicketHolder,
};

/// Maximum number of streams tracked beside those of the snapshot; beyond it the channel starts over with a snapshot.
const MAX_LATER_STREAMS: usize = 5000;
/// Maximum number of events per read.
const PAGE: u32 = 100;
/// Margin for clock differences between processes, for events of orders and sessions that had ended.
const MARGIN: TimeDelta = TimeDelta::seconds(10);

#[derive(Debug)]
pub(crate) struct StoreChannel {
    notifier: Notifier,
    _place: ConnectionGuard<Holder>,
    listener: StoreListener,
    store: StoreId,
    ticket_holder: TicketHolder,
    /// Written by the hub when the epoch ended in which the snapshot was made.
    restarts: watch::Receiver<u64>,
    /// The store's last order number in the snapshot: `progress` has the stream of every order up to it that had not
    /// ended. A stream without progress began after it, or had ended: judged by numbers, because a commit may take any
    /// time.
    numbered: i64,
    /// Time of the snapshot minus [`MARGIN`]; on streams that had ended before it, only newer events are sent.
    since: DateTime<Utc>,
    progress: HashMap<StreamId, StreamProgress>,
    /// Number of streams beyond which the channel starts over.
    max_streams: usize,
    page: VecDeque<(StreamId, EventFrame)>,
}

/// Progress of one stream on this channel.
#[derive(Clone, Copy, Debug, Default)]
struct StreamProgress {
    position: i64,
    sent: i64,
    /// True if the stream had ended before the snapshot.
    had_ended: bool,
}

impl StoreChannel {
    /// Opens the channel and returns it with its first frame, a snapshot.
    pub(crate) async fn open(
        notifier: &Notifier,
        store: StoreId,
        account: &Account,
    ) -> Result<(Self, Frame), Close> {
        let ticket_holder = TicketHolder::for_store(account, store).ok_or(Close::Revoked)?;
        let settings = &notifier.0.settings;
        let room = QueueRoom {
            events: settings.client_queue_capacity,
            bytes: settings.client_queue_bytes,
        };
        let mut channel = Self {
            listener: notifier.0.hub.stores().listen(store, room),
            notifier: notifier.clone(),
            _place: notifier.place_for(Holder::Account(account.id))?,
            store,
            ticket_holder,
            restarts: notifier.0.hub.restarts(),
            numbered: 0,
            since: DateTime::UNIX_EPOCH,
            progress: HashMap::new(),
            max_streams: MAX_LATER_STREAMS,
            page: VecDeque::new(),
        };
        let hello = channel.snapshot().await?;
        Ok((channel, hello))
    }

    /// Returns the next frame for this screen; `None` when it is up to date.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Close> {
        loop {
            if self.progress.len() > self.max_streams
                || self.listener.begins_anew()
                || self.restarts.has_changed().unwrap_or(false)
            {
                return Ok(Some(self.snapshot().await?));
            }
            if let Some((stream, event_frame)) = self.page.pop_front() {
                self.know(stream, &event_frame).await?;
                match self.pass(stream, &event_frame).await? {
                    Some(frame) => return Ok(Some(frame)),
                    None => continue,
                }
            }
            let Some(next) = self.listener.next() else {
                return Ok(None);
            };
            let (stream, seq) = match &next {
                Next::Event(stream, event_frame) => (*stream, event_frame.seq),
                Next::Reached(stream, seq) => (*stream, *seq),
            };
            let position = self.progress.get(&stream).map_or(0, |place| place.position);
            match next {
                _ if seq <= position => {}
                Next::Event(_, event_frame) if seq == position + 1 => {
                    self.know(stream, &event_frame).await?;
                    if let Some(frame) = self.pass(stream, &event_frame).await? {
                        return Ok(Some(frame));
                    }
                }
                _ => self.read_ahead(stream, position, seq).await?,
            }
        }
    }

    pub(crate) async fn check_still_allowed(&self) -> Result<(), Close> {
        self.ticket_holder.check_still_allowed(&self.notifier).await
    }

    /// Waits until [`Self::next`] may have a frame. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        // A clone, so that `next` sees the change too.
        let mut restarts = self.restarts.clone();
        tokio::select! {
            _ = restarts.changed() => {}
            () = self.listener.arrived() => {}
        }
    }

    /// Waits until the next event overflows this screen's queue.
    pub(crate) fn fell_behind(&self) -> impl Future<Output = ()> + use<> {
        self.listener.overflowed()
    }

    /// Begins the progress of a stream that the snapshot did not have: it began later, or had ended before. An order
    /// that had not ended, or an open session, would be in the snapshot if it had been committed.
    async fn know(&mut self, stream: StreamId, event_frame: &EventFrame) -> Result<(), Close> {
        if self.progress.contains_key(&stream) {
            return Ok(());
        }
        let numbered = self.numbered;
        let began_later = match event_frame.order_number {
            Some(number) => number > numbered,
            None => {
                let read = self
                    .notifier
                    .read(async |ledger| ledger.began_after_number(stream, numbered).await);
                read.await?
            }
        };
        let place = StreamProgress {
            had_ended: !began_later,
            ..StreamProgress::default()
        };
        self.progress.insert(stream, place);
        Ok(())
    }

    /// Returns the frame of a stream's next event; `None` for an old event of a stream that had ended before the
    /// snapshot.
    async fn pass(
        &mut self,
        stream: StreamId,
        event_frame: &EventFrame,
    ) -> Result<Option<Frame>, Close> {
        let place = self.progress.entry(stream).or_default();
        place.position = event_frame.seq;
        if place.had_ended && event_frame.at < self.since && place.sent == 0 {
            return Ok(None);
        }
        let prev = place.sent;
        place.sent = event_frame.seq;
        let fields = self.staff_fields(event_frame).await?;
        Ok(Some(event_frame.frame_for_staff(prev, fields)))
    }

    /// Reads the facts of an event's order that only staff see.
    async fn staff_fields(&self, event_frame: &EventFrame) -> Result<Bytes, Close> {
        let (Some(order), Some(status)) = (event_frame.order_id, event_frame.order_status) else {
            return Ok(Bytes::new());
        };
        let facts = &self.notifier.0.staff_facts;
        let read = self.notifier.read(async |ledger| {
            let facts = facts.of(order, event_frame.seq, status, ledger);
            facts.await
        });
        read.await
    }

    async fn snapshot(&mut self) -> Result<Frame, Close> {
        let store = self.store;
        self.restarts.mark_unchanged();
        self.since = self.notifier.0.ledger.clock().now() - MARGIN;
        // The snapshot contains everything that was queued until now.
        self.listener.clear();
        self.page.clear();
        let read = self
            .notifier
            .read(async |ledger| ledger.store_snapshot(store).await);
        let snapshot = read.await?.ok_or(Close::NotFound)?;
        let place = |position: i64, sent: i64| StreamProgress {
            position,
            sent,
            had_ended: false,
        };
        let shown = snapshot.heads.iter();
        let shown = shown.map(|(stream, seq)| (*stream, place(*seq, *seq)));
        // The client does not know these streams' numbers: the first frame of each has a `prev` of 0.
        let others = snapshot.other_heads.iter();
        let others = others.map(|(stream, seq)| (*stream, place(*seq, 0)));
        self.progress = others.chain(shown).collect();
        self.max_streams = self.progress.len() + MAX_LATER_STREAMS;
        self.numbered = snapshot.last_number;
        let heads: Vec<(StreamId, i64)> = snapshot
            .heads
            .iter()
            .chain(&snapshot.other_heads)
            .copied()
            .collect();
        self.listener.note_snapshot(&heads, snapshot.last_number);
        let hello = protocol::store_snapshot(&snapshot);
        Ok(protocol::with_epoch(hello, snapshot.epoch).into())
    }

    async fn read_ahead(&mut self, stream: StreamId, position: i64, seq: i64) -> Result<(), Close> {
        let max_bytes = self.notifier.0.settings.client_queue_bytes;
        let read = self.notifier.read(async |ledger| {
            let events = ledger.events_within(stream, position, PAGE, max_bytes);
            events.await
        });
        let events = read.await?;
        let event_frames = events.iter().map(|event| (stream, EventFrame::new(event)));
        self.page = event_frames.collect();
        match self.page.back() {
            // The rest is read later.
            Some((_, last)) if last.seq < seq => self.listener.reached(stream, seq),
            _ => {}
        }
        Ok(())
    }
}
