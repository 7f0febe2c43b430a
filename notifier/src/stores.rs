//! Screens of each store, with a bounded queue of feed events for each screen.

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use domain::{
    event::Event,
    ids::{StoreId, StreamId},
};
use tokio::sync::{Notify, watch};

use crate::protocol::EventFrame;

/// Stores that a screen shows, with their screens' queues. Shared because channels add and remove queues and the feed
/// task fills them; guarded by the mutex, never held across an await. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores(Arc<Mutex<HashMap<StoreId, Vec<Arc<ScreenQueue>>>>>);

impl Stores {
    /// Subscribes to a store; no later event is missed unless the feed loses it. Of events that find no room only the
    /// number is queued.
    pub(crate) fn listen(&self, store: StoreId, room: QueueRoom) -> StoreListener {
        let queue = Arc::new(ScreenQueue::new(room));
        self.0
            .lock()
            .entry(store)
            .or_default()
            .push(Arc::clone(&queue));
        StoreListener {
            stores: self.clone(),
            store,
            queue,
        }
    }

    /// Queues an event from the feed for each screen of its store.
    pub(crate) fn handle_event(&self, event: &Event) {
        let stores = self.0.lock();
        let Some(screens) = stores.get(&event.store_id) else {
            return;
        };
        let event_frame = Arc::new(EventFrame::new(event));
        for screen in screens {
            screen.push(event.stream, Arc::clone(&event_frame));
        }
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

    /// Records that the ledger has events up to `seq` on a stream.
    pub(crate) fn reached(&self, stream: StreamId, seq: i64) {
        self.queue.queued.lock().reach(stream, seq);
    }

    /// Empties the queue.
    pub(crate) fn clear(&self) {
        *self.queue.queued.lock() = Queued::default();
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
        if let Some(screens) = stores.get_mut(&self.store) {
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
    use domain::event::EventKind;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn event(seq: i64, bytes: usize) -> Event {
        Event {
            stream: Uuid::nil().into(),
            seq,
            store_id: Uuid::nil().into(),
            order_id: None,
            kind: EventKind::OrderPlaced,
            at: chrono::DateTime::UNIX_EPOCH,
            actor: None,
            data: json!("x".repeat(bytes)),
        }
    }

    #[test]
    fn a_screens_queue_has_room_for_so_many_events_and_bytes_and_keeps_numbers_of_the_rest() {
        let one = EventFrame::new(&event(1, 500)).bytes();
        let told = |room: QueueRoom| {
            let stores = Stores::default();
            let listener = stores.listen(Uuid::nil().into(), room);
            for seq in 1..=9 {
                stores.handle_event(&event(seq, 500));
            }
            let mut told = Vec::new();
            while let Some(next) = listener.next() {
                told.push(match next {
                    Next::Event(_, event_frame) => event_frame.seq,
                    Next::Reached(_, seq) => -seq,
                });
            }
            // Taking events makes room again.
            stores.handle_event(&event(10, 500));
            assert!(matches!(listener.next(), Some(Next::Event(..))));
            told
        };
        let room = |events, bytes| QueueRoom { events, bytes };
        assert_eq!(told(room(3, 100 * one)), [1, 2, 3, -9]);
        assert_eq!(told(room(100, 3 * one)), [1, 2, 3, -9]);
        assert_eq!(told(room(100, 3 * one - 1)), [1, 2, -9]);
    }
}
