//! Who listens to what. Every stream that somebody listens to has a head: the number up to which all events are known
//! here; it moves on only when nothing is missing before the next, and what is missing is read from the ledger once for
//! all who listen.

use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::{
    domain::{event::Event, ids::StreamId},
    ledger::Ledger,
    metrics::Metrics,
};
use tokio::sync::{Notify, watch};

use crate::{protocol::Told, stores::Stores};

/// Events that one stream keeps at hand; a listener further behind reads the ledger itself.
const KEPT_EVENTS: usize = 32;
/// Events that came too early and wait for those before them; the rest is read from the ledger.
const MOST_EARLY: usize = 256;
/// Two commits' messages may overtake each other: what is missing gets this long to come by itself.
const PATIENCE: Duration = Duration::from_millis(10);
/// Events of one read.
const PAGE: u32 = 200;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    metrics: Arc<Metrics>,
    /// Those that somebody listens to; bounded by the number of sockets.
    streams: Mutex<HashMap<StreamId, Arc<Stream>>>,
    stores: Stores,
    missed: Notify,
}

impl Hub {
    pub(crate) fn new(ledger: Ledger, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Inner {
            ledger,
            metrics,
            streams: Mutex::default(),
            stores: Stores::default(),
            missed: Notify::new(),
        }))
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    pub(crate) fn stores(&self) -> &Stores {
        &self.0.stores
    }

    /// From now on nothing of the stream is missed. Its head is known only after [`Listener::starts_at`].
    pub(crate) fn listen(&self, id: StreamId, is_session: bool) -> Listener {
        let mut streams = self.streams();
        let stream = streams
            .entry(id)
            .or_insert_with(|| Arc::new(Stream::new(id, is_session)));
        Listener {
            news: stream.news.subscribe(),
            stream: Arc::clone(stream),
            hub: self.clone(),
        }
    }

    /// Something came over the feed.
    pub(crate) fn hear(&self, event: &Event) {
        self.0.metrics.feed_messages.inc();
        self.0.stores.hear(event);
        let stream = self.streams().get(&event.stream).cloned();
        if let Some(stream) = stream {
            stream.take(Told::new(event));
            self.fill_if_behind(&stream);
        }
    }

    /// The ledger says that the stream has come to this number.
    pub(crate) fn reached(&self, stream: &Arc<Stream>, seq: i64) {
        stream.reached(seq);
        self.fill_if_behind(stream);
    }

    /// Makes [`Self::missed`] return.
    pub(crate) fn something_was_missed(&self) {
        self.0.missed.notify_one();
    }

    pub(crate) async fn missed(&self) {
        self.0.missed.notified().await;
    }

    pub(crate) fn listened(&self) -> Vec<Arc<Stream>> {
        self.streams().values().cloned().collect()
    }

    fn fill_if_behind(&self, stream: &Arc<Stream>) {
        if stream.begin_to_fill() {
            tokio::spawn(self.clone().fill(Arc::clone(stream)));
        }
    }

    /// Reads what is missing until nothing is.
    async fn fill(self, stream: Arc<Stream>) {
        tokio::time::sleep(PATIENCE).await;
        while let Some(head) = stream.missing_after() {
            match self.0.ledger.events_after(stream.id, head, PAGE).await {
                Ok(events) if !events.is_empty() => {
                    self.0.metrics.feed_gaps_filled.inc();
                    for event in &events {
                        stream.take(Told::new(event));
                    }
                    // Pruned since: nobody who waits for these would ever get them. Each socket finds that out.
                    if events[0].seq > head + 1 {
                        stream.skip_to(events[0].seq);
                    }
                }
                Ok(_) => {
                    stream.stop_filling();
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "what a live stream missed could not be read; the next check tries again");
                    stream.stop_filling();
                    return;
                }
            }
        }
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<StreamId, Arc<Stream>>> {
        // No code that holds the lock can leave it half-changed.
        self.0
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What listeners are woken for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct News {
    /// All up to this number is known; `None` until somebody said where to begin.
    head: Option<i64>,
    /// As the ledger last had it; `None` until the first look.
    session: Option<SessionNow>,
}

/// What ends a session's channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SessionNow {
    pub(crate) code: String,
    pub(crate) ended: bool,
}

#[derive(Debug)]
pub(crate) struct Stream {
    id: StreamId,
    is_session: bool,
    kept: Mutex<Kept>,
    news: watch::Sender<News>,
}

#[derive(Debug, Default)]
struct Kept {
    head: Option<i64>,
    /// The highest number that is known to exist.
    reached: i64,
    /// The last ones up to the head, without a gap.
    recent: VecDeque<Arc<Told>>,
    early: BTreeMap<i64, Arc<Told>>,
    filling: bool,
}

impl Stream {
    fn new(id: StreamId, is_session: bool) -> Self {
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

    pub(crate) fn session_is(&self, now: SessionNow) {
        self.news.send_if_modified(|news| {
            let changed = news.session.as_ref() != Some(&now);
            news.session = Some(now);
            changed
        });
    }

    fn take(&self, told: Told) {
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

    fn reached(&self, seq: i64) {
        let mut kept = self.kept();
        kept.reached = kept.reached.max(seq);
    }

    fn starts_at(&self, seq: i64) {
        let mut kept = self.kept();
        if kept.head.is_none() {
            kept.head = Some(seq);
            kept.early = kept.early.split_off(&(seq + 1));
        }
        kept.reached = kept.reached.max(seq);
        self.advance(kept);
    }

    fn skip_to(&self, seq: i64) {
        let mut kept = self.kept();
        if kept.head.is_some_and(|head| head < seq - 1) {
            kept.head = Some(seq - 1);
            kept.recent.clear();
        }
        self.advance(kept);
    }

    /// Moves the head over all that follows it without a gap, and says so.
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

    /// Whether something is missing and nobody reads it yet; then the caller does.
    fn begin_to_fill(&self) -> bool {
        let mut kept = self.kept();
        let begins = kept.is_behind() && !kept.filling;
        kept.filling |= begins;
        begins
    }

    /// The head, if something after it is missing; else the filling is over.
    fn missing_after(&self) -> Option<i64> {
        let mut kept = self.kept();
        kept.filling = kept.is_behind();
        kept.head.filter(|_| kept.filling)
    }

    fn stop_filling(&self) {
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

/// One channel's ear on one stream; the stream is forgotten with its last listener.
#[derive(Debug)]
pub(crate) struct Listener {
    hub: Hub,
    stream: Arc<Stream>,
    news: watch::Receiver<News>,
}

impl Listener {
    /// Where the stream stood when it was read after [`Hub::listen`].
    pub(crate) fn starts_at(&self, seq: i64) {
        self.stream.starts_at(seq);
        self.hub.fill_if_behind(&self.stream);
    }

    pub(crate) fn stream(&self) -> StreamId {
        self.stream.id
    }

    pub(crate) fn head(&self) -> i64 {
        self.news.borrow().head.unwrap_or(0)
    }

    pub(crate) fn session(&self) -> Option<SessionNow> {
        self.news.borrow().session.clone()
    }

    /// The event of this number, if it is still at hand.
    pub(crate) fn recent(&self, seq: i64) -> Option<Arc<Told>> {
        let kept = self.stream.kept();
        let first = kept.recent.front()?.seq;
        let index = usize::try_from(seq - first).ok()?;
        kept.recent.get(index).cloned()
    }

    /// Returns when there is news since the last look. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        // The stream, and with it the sender, lives as long as this.
        let _ = self.news.changed().await;
    }

    /// Returns when the head has passed this number.
    pub(crate) fn passed(&self, seq: i64) -> impl Future<Output = ()> + use<> {
        let mut news = self.news.clone();
        async move {
            let _ = news
                .wait_for(|news| news.head.is_some_and(|head| head > seq))
                .await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut streams = self.hub.streams();
        if let Entry::Occupied(entry) = streams.entry(self.stream.id)
            && Arc::ptr_eq(entry.get(), &self.stream)
            // This one's own still counts.
            && self.stream.news.receiver_count() <= 1
        {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::domain::event::EventKind;

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
        assert!(!stream.begin_to_fill(), "one reader is enough");
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
        // A later listener's older snapshot does not take the head back.
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
