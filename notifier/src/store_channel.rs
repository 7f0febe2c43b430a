//! Channel of a store: a snapshot of its open sessions and orders, then every event of all its streams.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    account::Account,
    ids::{StoreId, StreamId},
};
use tokio::time::Instant;

use crate::{
    Notifier,
    frame::Frame,
    protocol::{self, Close, EventFrame},
    stores::{Next, QueueRoom, StoreListener},
    ticket_holder::TicketHolder,
};

/// Maximum number of tracked streams; beyond it the channel starts over with a snapshot.
const MAX_STREAMS: usize = 5000;
/// Maximum number of events per read.
const PAGE: u32 = 100;
/// Margin for clock differences between processes and for the duration of a commit.
const MARGIN: TimeDelta = TimeDelta::seconds(10);

#[derive(Debug)]
pub(crate) struct StoreChannel {
    notifier: Notifier,
    listener: StoreListener,
    store: StoreId,
    ticket_holder: TicketHolder,
    /// Time of the snapshot minus [`MARGIN`]; on streams that it did not contain, only newer events are sent.
    since: DateTime<Utc>,
    progress: HashMap<StreamId, StreamProgress>,
    page: VecDeque<(StreamId, EventFrame)>,
    check_at: Instant,
}

/// Progress of one stream on this channel.
#[derive(Clone, Copy, Debug, Default)]
struct StreamProgress {
    position: i64,
    sent: i64,
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
            store,
            ticket_holder,
            since: DateTime::UNIX_EPOCH,
            progress: HashMap::new(),
            page: VecDeque::new(),
            check_at: Instant::now(),
        };
        let hello = channel.snapshot().await?;
        Ok((channel, hello))
    }

    /// Returns the next frame for this screen; `None` when it is up to date.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Close> {
        loop {
            if self.progress.len() > MAX_STREAMS {
                return Ok(Some(self.snapshot().await?));
            }
            if self.check_at <= Instant::now() {
                self.check().await?;
            }
            if let Some((stream, event_frame)) = self.page.pop_front() {
                match self.pass(stream, &event_frame) {
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
                    if let Some(frame) = self.pass(stream, &event_frame) {
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
        tokio::select! {
            () = self.listener.arrived() => {}
            () = tokio::time::sleep_until(self.check_at) => {}
        }
    }

    /// Waits until the next event overflows this screen's queue.
    pub(crate) fn fell_behind(&self) -> impl Future<Output = ()> + use<> {
        self.listener.overflowed()
    }

    /// Returns the frame of a stream's next event; `None` for an event of a stream that had ended before the snapshot.
    fn pass(&mut self, stream: StreamId, event_frame: &EventFrame) -> Option<Frame> {
        let place = self.progress.entry(stream).or_default();
        place.position = event_frame.seq;
        if event_frame.at < self.since && place.sent == 0 {
            return None;
        }
        let frame = event_frame.frame(place.sent, None);
        place.sent = event_frame.seq;
        Some(frame)
    }

    async fn snapshot(&mut self) -> Result<Frame, Close> {
        let store = self.store;
        self.since = self.notifier.0.ledger.clock().now() - MARGIN;
        // The snapshot contains everything that was queued until now.
        self.listener.clear();
        self.page.clear();
        let read = self
            .notifier
            .read(async |ledger| ledger.store_snapshot(store).await);
        let snapshot = read.await?.ok_or(Close::NotFound)?;
        let heads = snapshot.heads.iter();
        let place = |seq: i64| StreamProgress {
            position: seq,
            sent: seq,
        };
        self.progress = heads.map(|(stream, seq)| (*stream, place(*seq))).collect();
        self.check_at = Instant::now() + self.notifier.0.settings.check_interval;
        Ok(protocol::store_snapshot(&snapshot).into())
    }

    /// Compares the streams with the ledger, to find events that the feed lost.
    async fn check(&mut self) -> Result<(), Close> {
        self.check_at = Instant::now() + self.notifier.0.settings.check_interval;
        let (store, since) = (self.store, self.since);
        let known: Vec<StreamId> = self.progress.keys().copied().collect();
        let read = self.notifier.read(async |ledger| {
            let mut heads = ledger.stream_heads(&known).await?;
            heads.extend(ledger.heads_of_store_since(store, since).await?);
            Ok(heads)
        });
        let heads = match read.await {
            // The next check finds the same; the channel stays open while the ledger is unavailable.
            Err(Close::TryAgain) => return Ok(()),
            heads => heads?,
        };
        for (stream, seq) in heads {
            if self
                .progress
                .get(&stream)
                .is_none_or(|place| place.position < seq)
            {
                self.listener.reached(stream, seq);
            }
        }
        Ok(())
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
