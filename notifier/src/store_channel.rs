//! Channel of a store: a snapshot of its open sessions and orders, then every event of all its streams.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    account::Account,
    event::Event,
    ids::{StoreId, StreamId},
};
use tokio::time::Instant;

use crate::{
    Notifier,
    protocol::{self, Close, Told},
    stores::{Next, StoreListener},
    ticket_holder::Bearer,
};

/// Maximum number of tracked streams; beyond it the channel starts over with a snapshot.
const MOST_PLACES: usize = 5000;
/// Maximum number of events per read.
const PAGE: u32 = 100;
/// Margin for clock differences between processes and for the duration of a commit.
const MARGIN: TimeDelta = TimeDelta::seconds(10);

#[derive(Debug)]
pub(crate) struct StoreChannel {
    notifier: Notifier,
    listener: StoreListener,
    store: StoreId,
    bearer: Bearer,
    /// Time of the snapshot minus [`MARGIN`]; on streams that it did not contain, only newer events are sent.
    since: DateTime<Utc>,
    places: HashMap<StreamId, Place>,
    page: VecDeque<Event>,
    check_at: Instant,
}

/// Progress of one stream on this channel.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    position: i64,
    sent: i64,
}

impl StoreChannel {
    /// Opens the channel and returns it with its first frame, a snapshot.
    pub(crate) async fn open(
        notifier: &Notifier,
        store: StoreId,
        listens: &Account,
    ) -> Result<(Self, String), Close> {
        let bearer = Bearer::of_store(listens, store).ok_or(Close::Revoked)?;
        let capacity = notifier.0.settings.client_queue_capacity;
        let mut channel = Self {
            listener: notifier.0.hub.stores().listen(store, capacity),
            notifier: notifier.clone(),
            store,
            bearer,
            since: DateTime::UNIX_EPOCH,
            places: HashMap::new(),
            page: VecDeque::new(),
            check_at: Instant::now(),
        };
        let hello = channel.snapshot().await?;
        Ok((channel, hello))
    }

    /// Returns the next frame for this screen; `None` when it is up to date.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, Close> {
        loop {
            if self.places.len() > MOST_PLACES {
                return Ok(Some(self.snapshot().await?));
            }
            if self.check_at <= Instant::now() {
                self.check().await?;
            }
            if let Some(event) = self.page.pop_front() {
                match self.pass(event.stream, &Told::new(&event)) {
                    Some(frame) => return Ok(Some(frame)),
                    None => continue,
                }
            }
            let Some(next) = self.listener.next() else {
                return Ok(None);
            };
            let (stream, seq) = match &next {
                Next::Event(stream, told) => (*stream, told.seq),
                Next::Reached(stream, seq) => (*stream, *seq),
            };
            let position = self.places.get(&stream).map_or(0, |place| place.position);
            match next {
                _ if seq <= position => {}
                Next::Event(_, told) if seq == position + 1 => {
                    if let Some(frame) = self.pass(stream, &told) {
                        return Ok(Some(frame));
                    }
                }
                _ => self.read_ahead(stream, position, seq).await?,
            }
        }
    }

    pub(crate) async fn must_still_be_allowed(&self) -> Result<(), Close> {
        self.bearer.must_still_be_allowed(&self.notifier).await
    }

    /// Waits until [`Self::next`] may have a frame. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            () = self.listener.arrived() => {}
            () = tokio::time::sleep_until(self.check_at) => {}
        }
    }

    /// Waits until the next event overflows this screen's queue.
    pub(crate) fn too_far(&self) -> impl Future<Output = ()> + use<> {
        self.listener.overflowed()
    }

    /// Returns the frame of a stream's next event; `None` for an event of a stream that had ended before the snapshot.
    fn pass(&mut self, stream: StreamId, told: &Told) -> Option<String> {
        let place = self.places.entry(stream).or_default();
        place.position = told.seq;
        if told.at < self.since && place.sent == 0 {
            return None;
        }
        let frame = told.frame(place.sent, None);
        place.sent = told.seq;
        Some(frame)
    }

    async fn snapshot(&mut self) -> Result<String, Close> {
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
        let place = |seq: i64| Place {
            position: seq,
            sent: seq,
        };
        self.places = heads.map(|(stream, seq)| (*stream, place(*seq))).collect();
        self.check_at = Instant::now() + self.notifier.0.settings.check_every;
        Ok(protocol::store_snapshot(&snapshot))
    }

    /// Compares the streams with the ledger, to find events that the feed lost.
    async fn check(&mut self) -> Result<(), Close> {
        self.check_at = Instant::now() + self.notifier.0.settings.check_every;
        let (store, since) = (self.store, self.since);
        let known: Vec<StreamId> = self.places.keys().copied().collect();
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
                .places
                .get(&stream)
                .is_none_or(|place| place.position < seq)
            {
                self.listener.reached(stream, seq);
            }
        }
        Ok(())
    }

    async fn read_ahead(&mut self, stream: StreamId, position: i64, seq: i64) -> Result<(), Close> {
        let read = self
            .notifier
            .read(async |ledger| ledger.events_after(stream, position, PAGE).await);
        self.page = read.await?.into();
        match self.page.back() {
            // The rest is read later.
            Some(last) if last.seq < seq => self.listener.reached(stream, seq),
            _ => {}
        }
        Ok(())
    }
}
