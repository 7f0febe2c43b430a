//! Stream with listeners: its head, the events that arrived too early, and the most recent events.

use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Weak},
};

use domain::ids::StreamId;
use tokio::sync::watch;

use crate::{
    protocol::{EventFrame, SessionHello},
    shared_page::SharedPage,
};

/// Number of recent events held in memory; a listener further behind reads the ledger itself.
const MAX_RECENT: usize = 32;
/// Maximum number of their bytes, which all listeners share.
const MAX_RECENT_BYTES: usize = 256 << 10;
/// Maximum number of events that wait for earlier ones; the rest is read from the ledger.
const MAX_EARLY: usize = 256;
/// Maximum number of their bytes.
const MAX_EARLY_BYTES: usize = 1 << 20;

/// Stream of events; its head advances only when no event is missing before the next one.
#[derive(Debug)]
pub(crate) struct Stream {
    id: StreamId,
    is_session: bool,
    state: Mutex<StreamState>,
    updates: watch::Sender<StreamUpdate>,
    /// The session's snapshot that is being sent to some clients. Whoever makes a newer one holds the lock, so that all
    /// others wait for that one.
    hello: tokio::sync::Mutex<Weak<SessionHello>>,
    /// Events for clients that are behind.
    page: SharedPage,
}

/// State whose changes wake the listeners.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StreamUpdate {
    /// Number up to which all events are known; `None` until [`Stream::set_start`].
    pub(crate) head: Option<i64>,
    /// State of the session when the ledger was last read; `None` before that.
    pub(crate) session: Option<SessionState>,
}

/// State of a session that can end its channels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SessionState {
    pub(crate) code: String,
    pub(crate) ended: bool,
}

#[derive(Debug, Default)]
struct StreamState {
    head: Option<i64>,
    /// Highest number that is known to exist.
    reached: i64,
    /// Most recent events up to the head, without a gap.
    recent: VecDeque<Arc<EventFrame>>,
    early: BTreeMap<i64, Arc<EventFrame>>,
    filling: bool,
}

impl Stream {
    pub(crate) fn new(id: StreamId, is_session: bool) -> Self {
        Self {
            id,
            is_session,
            state: Mutex::default(),
            updates: watch::Sender::default(),
            hello: tokio::sync::Mutex::default(),
            page: SharedPage::default(),
        }
    }

    /// Returns the events that were read for a client that was behind.
    pub(crate) fn page(&self) -> &SharedPage {
        &self.page
    }

    /// Returns a snapshot of the session that is not behind the head; makes one by `make` if no client is being sent one.
    pub(crate) async fn hello<E>(
        &self,
        make: impl Future<Output = Result<SessionHello, E>>,
    ) -> Result<Arc<SessionHello>, E> {
        let mut hello = self.hello.lock().await;
        let head = self.state.lock().head;
        if let Some(hello) = hello
            .upgrade()
            .filter(|hello| head.is_none_or(|head| hello.seq >= head))
        {
            return Ok(hello);
        }
        let made = Arc::new(make.await?);
        *hello = Arc::downgrade(&made);
        // Before the next one asks, so that it finds this one current.
        self.set_start(made.seq);
        Ok(made)
    }

    pub(crate) fn id(&self) -> StreamId {
        self.id
    }

    pub(crate) fn is_session(&self) -> bool {
        self.is_session
    }

    pub(crate) fn updates(&self) -> watch::Receiver<StreamUpdate> {
        self.updates.subscribe()
    }

    /// Returns the number up to which all events are known; 0 if it is not known yet.
    pub(crate) fn head(&self) -> i64 {
        self.state.lock().head.unwrap_or(0)
    }

    /// Returns the event of this number if it is still in memory.
    pub(crate) fn recent(&self, seq: i64) -> Option<Arc<EventFrame>> {
        let state = self.state.lock();
        let first = state.recent.front()?.seq;
        let index = usize::try_from(seq - first).ok()?;
        state.recent.get(index).cloned()
    }

    pub(crate) fn set_session(&self, now: SessionState) {
        self.updates.send_if_modified(|updates| {
            let changed = updates.session.as_ref() != Some(&now);
            updates.session = Some(now);
            changed
        });
    }

    pub(crate) fn take(&self, event_frame: Arc<EventFrame>) {
        let mut state = self.state.lock();
        state.reached = state.reached.max(event_frame.seq);
        if state.head.is_none_or(|head| event_frame.seq > head) {
            state.early.insert(event_frame.seq, event_frame);
            while state.early.len() > MAX_EARLY
                || state.early.len() > 1 && bytes(state.early.values()) > MAX_EARLY_BYTES
            {
                state.early.pop_last();
            }
        }
        self.advance(state);
    }

    pub(crate) fn reached(&self, seq: i64) {
        let mut state = self.state.lock();
        state.reached = state.reached.max(seq);
    }

    pub(crate) fn set_start(&self, seq: i64) {
        let mut state = self.state.lock();
        if state.head.is_none() {
            state.head = Some(seq);
            state.early = state.early.split_off(&(seq + 1));
        }
        state.reached = state.reached.max(seq);
        self.advance(state);
    }

    pub(crate) fn skip_to(&self, seq: i64) {
        let mut state = self.state.lock();
        if state.head.is_some_and(|head| head < seq - 1) {
            state.head = Some(seq - 1);
            state.recent.clear();
        }
        self.advance(state);
    }

    /// Advances the head over the events that follow it without a gap, and wakes the listeners.
    fn advance(&self, mut state: MutexGuard<'_, StreamState>) {
        let Some(mut head) = state.head else { return };
        while let Some(event_frame) = state.early.remove(&(head + 1)) {
            head += 1;
            if state.recent.len() == MAX_RECENT {
                state.recent.pop_front();
            }
            state.recent.push_back(event_frame);
            while state.recent.len() > 1 && bytes(&state.recent) > MAX_RECENT_BYTES {
                state.recent.pop_front();
            }
        }
        state.head = Some(head);
        // Under the lock, so that the head never goes back.
        self.updates.send_if_modified(|updates| {
            let moved = updates.head != Some(head);
            updates.head = Some(head);
            moved
        });
    }

    /// Returns true if events are missing and nobody reads them yet; the caller must read them then.
    pub(crate) fn start_filling(&self) -> bool {
        let mut state = self.state.lock();
        let begins = state.is_behind() && !state.filling;
        state.filling |= begins;
        begins
    }

    /// Returns the head if events after it are missing, else ends the filling.
    pub(crate) fn missing_after(&self) -> Option<i64> {
        let mut state = self.state.lock();
        state.filling = state.is_behind();
        state.head.filter(|_| state.filling)
    }

    pub(crate) fn stop_filling(&self) {
        self.state.lock().filling = false;
    }
}

fn bytes<'f>(event_frames: impl IntoIterator<Item = &'f Arc<EventFrame>>) -> usize {
    let event_frames = event_frames.into_iter();
    event_frames.map(|event_frame| event_frame.bytes()).sum()
}

impl StreamState {
    fn is_behind(&self) -> bool {
        self.head.is_some_and(|head| head < self.reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::event;
    use domain::{event::Event, session::Session};
    use ledger::events::SessionSnapshot;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn event_frame(seq: i64) -> Arc<EventFrame> {
        Arc::new(EventFrame::new(&event(seq)))
    }

    fn snapshot(seq: i64) -> SessionSnapshot {
        SessionSnapshot {
            epoch: None,
            session: Session {
                id: uuid::Uuid::nil().into(),
                store_id: uuid::Uuid::nil().into(),
                code: String::new(),
                name: "1".to_owned(),
                state: domain::session::SessionState::Open,
                opened_at: chrono::DateTime::UNIX_EPOCH,
                closed_at: None,
                seq,
            },
            orders: Vec::new(),
            next: None,
        }
    }

    fn stream() -> Stream {
        Stream::new(uuid::Uuid::nil().into(), true)
    }

    fn state(stream: &Stream) -> (Option<i64>, Vec<i64>) {
        let state = stream.state.lock();
        (
            state.head,
            state
                .recent
                .iter()
                .map(|event_frame| event_frame.seq)
                .collect(),
        )
    }

    #[test]
    fn an_event_is_passed_on_only_when_all_before_it_were() {
        let stream = stream();
        stream.set_start(3);
        stream.take(event_frame(6));
        stream.take(event_frame(5));
        assert_eq!(state(&stream), (Some(3), vec![]));
        assert!(stream.start_filling());
        assert!(!stream.start_filling(), "there is a reader already");
        stream.take(event_frame(4));
        assert_eq!(state(&stream), (Some(6), vec![4, 5, 6]));
        assert_eq!(stream.missing_after(), None);
        assert_eq!(stream.updates.borrow().head, Some(6));
    }

    #[test]
    fn what_comes_twice_is_passed_on_once() {
        let stream = stream();
        stream.set_start(0);
        for seq in [1, 1, 2, 1, 2, 3] {
            stream.take(event_frame(seq));
        }
        assert_eq!(state(&stream), (Some(3), vec![1, 2, 3]));
    }

    #[test]
    fn what_comes_before_the_snapshot_is_known_waits_for_it() {
        let stream = stream();
        for seq in 4..=8 {
            stream.take(event_frame(seq));
        }
        assert_eq!(state(&stream), (None, vec![]));
        stream.set_start(5);
        assert_eq!(state(&stream), (Some(8), vec![6, 7, 8]));
        // A later listener's older snapshot does not move the head back.
        stream.set_start(2);
        assert_eq!(state(&stream).0, Some(8));
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_too() {
        let long = |seq| {
            Arc::new(EventFrame::new(&Event {
                data: serde_json::json!("x".repeat(100 << 10)),
                ..event(seq)
            }))
        };
        let stream = stream();
        stream.set_start(0);
        for seq in 1..=10 {
            stream.take(long(seq));
        }
        assert_eq!(state(&stream), (Some(10), vec![9, 10]));
        for seq in 12..=40 {
            stream.take(long(seq));
        }
        let early: Vec<i64> = stream.state.lock().early.keys().copied().collect();
        assert_eq!(early, (12..=21).collect::<Vec<_>>());
        assert_eq!(stream.missing_after(), Some(10), "the rest is read");
    }

    #[tokio::test]
    async fn a_snapshot_is_made_once_for_all_who_are_sent_it_until_the_stream_goes_on() {
        let stream = stream();
        let made = AtomicUsize::new(0);
        let hello = async |seq: i64| {
            let make = async {
                made.fetch_add(1, Ordering::SeqCst);
                Ok::<_, ()>(SessionHello::new(&snapshot(seq)))
            };
            stream.hello(make).await.unwrap()
        };
        let frames: Vec<_> = [(); 12].map(|()| hello(3)).into();
        let hellos = futures_util::future::join_all(frames).await;
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert!(hellos.iter().all(|one| Arc::ptr_eq(one, &hellos[0])));
        // A frame that waits for its client keeps it, too.
        let frame = hellos[0].frame(None);
        drop(hellos);
        drop(hello(3).await);
        assert_eq!(made.load(Ordering::SeqCst), 1);
        stream.take(event_frame(4));
        drop(hello(4).await);
        assert_eq!(made.load(Ordering::SeqCst), 2);
        drop(frame);
        drop(hello(4).await);
        assert_eq!(made.load(Ordering::SeqCst), 3, "nothing is kept for nobody");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let stream = stream();
        stream.set_start(0);
        for seq in 1..=100 {
            stream.take(event_frame(seq));
        }
        let (head, recent) = state(&stream);
        assert_eq!((head, recent.len(), recent[0]), (Some(100), MAX_RECENT, 69));
        for seq in 1000..2000 {
            stream.take(event_frame(seq));
        }
        assert_eq!(stream.state.lock().early.len(), MAX_EARLY);
        assert_eq!(stream.missing_after(), Some(100));
    }
}
