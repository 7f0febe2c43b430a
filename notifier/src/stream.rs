//! Stream with listeners: its head, the events that arrived too early, and the most recent events.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::ids::StreamId;
use tokio::sync::watch;

use crate::protocol::Told;

/// Number of recent events held in memory; a listener further behind reads the ledger itself.
const KEPT_EVENTS: usize = 32;
/// Maximum number of events that wait for earlier ones; the rest is read from the ledger.
const MOST_EARLY: usize = 256;

/// Stream of events; its head advances only when no event is missing before the next one.
#[derive(Debug)]
pub(crate) struct Stream {
    id: StreamId,
    is_session: bool,
    kept: Mutex<Kept>,
    news: watch::Sender<News>,
}

/// State whose changes wake the listeners.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct News {
    /// Number up to which all events are known; `None` until [`Stream::starts_at`].
    pub(crate) head: Option<i64>,
    /// State of the session when the ledger was last read; `None` before that.
    pub(crate) session: Option<SessionNow>,
}

/// State of a session that can end its channels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SessionNow {
    pub(crate) code: String,
    pub(crate) ended: bool,
}

#[derive(Debug, Default)]
struct Kept {
    head: Option<i64>,
    /// Highest number that is known to exist.
    reached: i64,
    /// Most recent events up to the head, without a gap.
    recent: VecDeque<Arc<Told>>,
    early: BTreeMap<i64, Arc<Told>>,
    filling: bool,
}

impl Stream {
    pub(crate) fn new(id: StreamId, is_session: bool) -> Self {
        Self {
            id,
            is_session,
            kept: Mutex::default(),
            news: watch::Sender::default(),
        }
    }

    pub(crate) fn id(&self) -> StreamId {
        self.id
    }

    pub(crate) fn is_session(&self) -> bool {
        self.is_session
    }

    pub(crate) fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    /// Returns the event of this number if it is still in memory.
    pub(crate) fn recent(&self, seq: i64) -> Option<Arc<Told>> {
        let kept = self.kept();
        let first = kept.recent.front()?.seq;
        let index = usize::try_from(seq - first).ok()?;
        kept.recent.get(index).cloned()
    }

    pub(crate) fn session_is(&self, now: SessionNow) {
        self.news.send_if_modified(|news| {
            let changed = news.session.as_ref() != Some(&now);
            news.session = Some(now);
            changed
        });
    }

    pub(crate) fn take(&self, told: Told) {
        let mut kept = self.kept();
        kept.reached = kept.reached.max(told.seq);
        if kept.head.is_none_or(|head| told.seq > head) {
            kept.early.insert(told.seq, Arc::new(told));
            if kept.early.len() > MOST_EARLY {
                kept.early.pop_last();
            }
        }
        self.advance(kept);
    }

    pub(crate) fn reached(&self, seq: i64) {
        let mut kept = self.kept();
        kept.reached = kept.reached.max(seq);
    }

    pub(crate) fn starts_at(&self, seq: i64) {
        let mut kept = self.kept();
        if kept.head.is_none() {
            kept.head = Some(seq);
            kept.early = kept.early.split_off(&(seq + 1));
        }
        kept.reached = kept.reached.max(seq);
        self.advance(kept);
    }

    pub(crate) fn skip_to(&self, seq: i64) {
        let mut kept = self.kept();
        if kept.head.is_some_and(|head| head < seq - 1) {
            kept.head = Some(seq - 1);
            kept.recent.clear();
        }
        self.advance(kept);
    }

    /// Advances the head over the events that follow it without a gap, and wakes the listeners.
    fn advance(&self, mut kept: MutexGuard<'_, Kept>) {
        let Some(mut head) = kept.head else { return };
        while let Some(told) = kept.early.remove(&(head + 1)) {
            head += 1;
            if kept.recent.len() == KEPT_EVENTS {
                kept.recent.pop_front();
            }
            kept.recent.push_back(told);
        }
        kept.head = Some(head);
        // Under the lock, so that the head never goes back.
        self.news.send_if_modified(|news| {
            let moved = news.head != Some(head);
            news.head = Some(head);
            moved
        });
    }

    /// Returns true if events are missing and nobody reads them yet; the caller must read them then.
    pub(crate) fn begin_to_fill(&self) -> bool {
        let mut kept = self.kept();
        let begins = kept.is_behind() && !kept.filling;
        kept.filling |= begins;
        begins
    }

    /// Returns the head if events after it are missing, else ends the filling.
    pub(crate) fn missing_after(&self) -> Option<i64> {
        let mut kept = self.kept();
        kept.filling = kept.is_behind();
        kept.head.filter(|_| kept.filling)
    }

    pub(crate) fn stop_filling(&self) {
        self.kept().filling = false;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_behind(&self) -> bool {
        self.head.is_some_and(|head| head < self.reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::{Event, EventKind};

    fn told(seq: i64) -> Told {
        Told::new(&Event {
            stream: uuid::Uuid::nil().into(),
            seq,
            store_id: uuid::Uuid::nil().into(),
            order_id: None,
            kind: EventKind::OrderPlaced,
            at: chrono::DateTime::UNIX_EPOCH,
            data: serde_json::json!({}),
        })
    }

    fn stream() -> Stream {
        Stream::new(uuid::Uuid::nil().into(), true)
    }

    fn kept(stream: &Stream) -> (Option<i64>, Vec<i64>) {
        let kept = stream.kept();
        (kept.head, kept.recent.iter().map(|told| told.seq).collect())
    }

    #[test]
    fn an_event_is_passed_on_only_when_all_before_it_were() {
        let stream = stream();
        stream.starts_at(3);
        stream.take(told(6));
        stream.take(told(5));
        assert_eq!(kept(&stream), (Some(3), vec![]));
        assert!(stream.begin_to_fill());
        assert!(!stream.begin_to_fill(), "there is a reader already");
        stream.take(told(4));
        assert_eq!(kept(&stream), (Some(6), vec![4, 5, 6]));
        assert_eq!(stream.missing_after(), None);
        assert_eq!(stream.news.borrow().head, Some(6));
    }

    #[test]
    fn what_comes_twice_is_passed_on_once() {
        let stream = stream();
        stream.starts_at(0);
        for seq in [1, 1, 2, 1, 2, 3] {
            stream.take(told(seq));
        }
        assert_eq!(kept(&stream), (Some(3), vec![1, 2, 3]));
    }

    #[test]
    fn what_comes_before_the_snapshot_is_known_waits_for_it() {
        let stream = stream();
        for seq in 4..=8 {
            stream.take(told(seq));
        }
        assert_eq!(kept(&stream), (None, vec![]));
        stream.starts_at(5);
        assert_eq!(kept(&stream), (Some(8), vec![6, 7, 8]));
        // A later listener's older snapshot does not move the head back.
        stream.starts_at(2);
        assert_eq!(kept(&stream).0, Some(8));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let stream = stream();
        stream.starts_at(0);
        for seq in 1..=100 {
            stream.take(told(seq));
        }
        let (head, recent) = kept(&stream);
        assert_eq!(
            (head, recent.len(), recent[0]),
            (Some(100), KEPT_EVENTS, 69)
        );
        for seq in 1000..2000 {
            stream.take(told(seq));
        }
        assert_eq!(stream.kept().early.len(), MOST_EARLY);
        assert_eq!(stream.missing_after(), Some(100));
    }
}
