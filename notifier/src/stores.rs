//! Screens of each store, with a bounded queue of feed events for each screen.

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Deref,
    sync::Arc,
};

use domain::{
    event::Event,
    ids::{StoreId, StreamId},
};
use tokio::sync::{Notify, watch};

use crate::protocol::EventFrame;

/// Number of streams of a store that are known beyond those of its screens' snapshots. With more, the screens begin
/// anew with snapshots, which no longer have those that have ended.
const MAX_LATER_STREAMS: usize = 5000;

/// Stores that a screen shows. Shared because channels add and remove queues, the feed task fills them, and the
/// reconcile task compares the streams with the ledger; guarded by the mutex, never held across an await. Cheap to
/// clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores(Arc<Mutex<HashMap<StoreId, ShownStore>>>);

/// Store with a screen.
#[derive(Debug, Default)]
struct ShownStore {
    screens: Vec<Arc<ScreenQueue>>,
    known: KnownStreams,
}

/// Streams of a store as its screens know them, or have them queued: compared with the ledger once for all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownStreams {
    /// Highest number of each stream that every screen has or was queued.
    pub(crate) heads: HashMap<StreamId, i64>,
    /// Order number up to which `heads` has the stream of every order that had not ended at the snapshots; `None`
    /// before the first one.
    pub(crate) numbered: Option<i64>,
    /// Number of streams of the largest snapshot.
    of_snapshot: usize,
    /// Shared with the copies that the reconcile task compares, to tell them from those that replaced these.
    token: Arc<()>,
}

impl Stores {
    /// Subscribes to a store; no later event is missed unless the feed loses it. Of events that find no room only the
    /// number is queued.
    pub(crate) fn listen(&self, store: StoreId, room: QueueRoom) -> StoreListener {
        let queue = Arc::new(ScreenQueue::new(room));
        let mut stores = self.0.lock();
        let shown = stores.entry(store).or_default();
        shown.screens.push(Arc::clone(&queue));
        StoreListener {
            stores: self.clone(),
            store,
            queue,
        }
    }

    /// Queues an event from the feed for each screen of its store; its frame is made if there is one.
    pub(crate) fn handle_event(
        &self,
        event: &Event,
        event_frame: &impl Deref<Target = Arc<EventFrame>>,
    ) {
        let mut stores = self.0.lock();
        let Some(shown) = stores.get_mut(&event.store_id) else {
            return;
        };
        shown.known.reach(event.stream, event.seq);
        for screen in &shown.screens {
            screen.push(event.stream, Arc::clone(event_frame));
        }
    }

    /// Returns the stores with a screen that has its snapshot, and their streams.
    pub(crate) fn known(&self) -> Vec<(StoreId, KnownStreams)> {
        let stores = self.0.lock();
        let known = stores
            .iter()
            .filter(|(_, shown)| shown.known.numbered.is_some());
        known
            .map(|(store, shown)| (*store, shown.known.clone()))
            .collect()
    }

    /// Notes the last numbers of streams that were read from the ledger after `known` was taken, and the order number
    /// up to which they are complete, and tells the screens of those that are ahead.
    pub(crate) fn compare(
        &self,
        store: StoreId,
        known: &KnownStreams,
        heads: impl IntoIterator<Item = (StreamId, i64)>,
        numbered: i64,
    ) {
        let mut stores = self.0.lock();
        let Some(shown) = stores.get_mut(&store) else {
            return;
        };
        if !Arc::ptr_eq(&shown.known.token, &known.token) {
            return;
        }
        for (stream, seq) in heads {
            if shown.known.reach(stream, seq) {
                for screen in &shown.screens {
                    screen.queued.lock().reach(stream, seq);
                    screen.arrived.notify_one();
                }
            }
        }
        if let Some(known) = &mut shown.known.numbered {
            *known = numbered.max(*known);
        }
        if shown.known.heads.len() > shown.known.of_snapshot + MAX_LATER_STREAMS {
            shown.known = KnownStreams::default();
            for screen in &shown.screens {
                screen.queued.lock().begins_anew = true;
                screen.arrived.notify_one();
            }
        }
    }

    /// Forgets all numbers, because they count no more; the screens' next snapshots bring new ones.
    pub(crate) fn forget_numbers(&self) {
        for shown in self.0.lock().values_mut() {
            shown.known = KnownStreams::default();
        }
    }
}

impl KnownStreams {
    /// Notes that a stream has reached a number; returns false if that was known.
    fn reach(&mut self, stream: StreamId, seq: i64) -> bool {
        let known = self.heads.entry(stream).or_insert(0);
        let is_news = *known < seq;
        *known = seq.max(*known);
        is_news
    }
}

/// Subscription of one screen to one store.
#[derive(Debug)]
pub(crate) struct StoreListener {
    stores: Stores,
    store: StoreId,
    queue: Arc<ScreenQueue>,
}

/// Room of one screen's queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueRoom {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct ScreenQueue {
    room: QueueRoom,
    queued: Mutex<Queued>,
    arrived: Notify,
    /// Number of events that did not fit in the queue.
    dropped: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Queued {
    events: VecDeque<(StreamId, Arc<EventFrame>)>,
    /// Bytes of the events.
    bytes: usize,
    /// Highest number of each stream up to which events must be read from the ledger.
    reached: BTreeMap<StreamId, i64>,
    /// True if the screen has to begin anew with a snapshot.
    begins_anew: bool,
}

/// Next item for a screen.
#[derive(Debug)]
pub(crate) enum Next {
    Event(StreamId, Arc<EventFrame>),
    Reached(StreamId, i64),
}

impl StoreListener {
    /// Takes the next item: events in order of arrival, then the streams that must be read from the ledger.
    pub(crate) fn next(&self) -> Option<Next> {
        let mut queued = self.queue.queued.lock();
        if let Some((stream, event_frame)) = queued.events.pop_front() {
            queued.bytes -= event_frame.bytes();
            return Some(Next::Event(stream, event_frame));
        }
        let (stream, seq) = queued.reached.pop_first()?;
        Some(Next::Reached(stream, seq))
    }

    /// Records that the ledger has more events, up to `seq`, on a stream.
    pub(crate) fn reached(&self, stream: StreamId, seq: i64) {
        self.queue.queued.lock().reach(stream, seq);
    }

    /// Returns true if the screen has to begin anew with a snapshot.
    pub(crate) fn begins_anew(&self) -> bool {
        self.queue.queued.lock().begins_anew
    }

    /// Empties the queue.
    pub(crate) fn clear(&self) {
        *self.queue.queued.lock() = Queued::default();
    }

    /// Notes the streams of the screen's snapshot, and the store's last order number in it.
    pub(crate) fn note_snapshot(&self, heads: &[(StreamId, i64)], numbered: i64) {
        let mut stores = self.stores.0.lock();
        let Some(shown) = stores.get_mut(&self.store) else {
            return;
        };
        for (stream, seq) in heads {
            shown.known.reach(*stream, *seq);
        }
        // An older one stays: the streams after it are not complete, and screens may lack them.
        shown.known.numbered.get_or_insert(numbered);
        shown.known.of_snapshot = shown.known.of_snapshot.max(heads.len());
    }

    /// Waits for an event. Cancel-safe.
    pub(crate) async fn arrived(&self) {
        self.queue.arrived.notified().await;
    }

    /// Waits until an event does not fit in the queue.
    pub(crate) fn overflowed(&self) -> impl Future<Output = ()> + use<> {
        let mut dropped = self.queue.dropped.subscribe();
        let queue = Arc::clone(&self.queue);
        async move {
            let _ = dropped.changed().await;
            drop(queue);
        }
    }
}

impl Drop for StoreListener {
    fn drop(&mut self) {
        let mut stores = self.stores.0.lock();
        if let Some(shown) = stores.get_mut(&self.store) {
            let screens = &mut shown.screens;
            screens.retain(|screen| !Arc::ptr_eq(screen, &self.queue));
            if screens.is_empty() {
                stores.remove(&self.store);
            }
        }
    }
}

impl ScreenQueue {
    fn new(room: QueueRoom) -> Self {
        Self {
            room,
            queued: Mutex::default(),
            arrived: Notify::new(),
            dropped: watch::Sender::new(0),
        }
    }

    fn push(&self, stream: StreamId, event_frame: Arc<EventFrame>) {
        let mut queued = self.queued.lock();
        let bytes = queued.bytes + event_frame.bytes();
        if queued.events.len() < self.room.events && bytes <= self.room.bytes {
            queued.bytes = bytes;
            queued.events.push_back((stream, event_frame));
        } else {
            queued.reach(stream, event_frame.seq);
            self.dropped.send_modify(|dropped| *dropped += 1);
        }
        drop(queued);
        self.arrived.notify_one();
    }
}

impl Queued {
    fn reach(&mut self, stream: StreamId, seq: i64) {
        let reached = self.reached.entry(stream).or_insert(seq);
        *reached = seq.max(*reached);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::fixtures;

    fn event(seq: i64, bytes: usize) -> Event {
        Event {
            data: json!("x".repeat(bytes)),
            ..fixtures::event(seq)
        }
    }

    #[test]
    fn a_screens_queue_has_room_for_so_many_events_and_bytes_and_keeps_numbers_of_the_rest() {
        let one = EventFrame::new(&event(1, 500)).bytes();
        let told = |room: QueueRoom| {
            let stores = Stores::default();
            let listener = stores.listen(Uuid::nil().into(), room);
            let handle = |event: &Event| {
                stores.handle_event(event, &Box::new(Arc::new(EventFrame::new(event))));
            };
            for seq in 1..=9 {
                handle(&event(seq, 500));
            }
            let mut told = Vec::new();
            while let Some(next) = listener.next() {
                told.push(match next {
                    Next::Event(_, event_frame) => event_frame.seq,
                    Next::Reached(_, seq) => -seq,
                });
            }
            // Taking events makes room again.
            handle(&event(10, 500));
            assert!(matches!(listener.next(), Some(Next::Event(..))));
            told
        };
        let room = |events, bytes| QueueRoom { events, bytes };
        assert_eq!(told(room(3, 100 * one)), [1, 2, 3, -9]);
        assert_eq!(told(room(100, 3 * one)), [1, 2, 3, -9]);
        assert_eq!(told(room(100, 3 * one - 1)), [1, 2, -9]);
    }
}
