//! Tests of the relay over a fresh ledger and a broker connection that can be cut.

mod full_queue;
mod messages;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use tokio::{sync::watch, time::Instant};

use super::*;
use broker::{Deliveries, Embedded, FeedItem, Message, Subscription, Topic};
use domain::{
    event::{Event, EventKind, in_feed_message},
    hint::{Announcement, Hint},
    ids::{IntegratorId, OrderId, StoreId},
};
use ledger::testing::{TestLedger, on_sqlite};
use store::testing::TEST_TIMEOUT;

/// The embedded broker behind a connection that a test can cut; records the batches that it was given.
#[derive(Debug)]
struct CuttableBroker {
    broker: Embedded,
    state: watch::Sender<BrokerState>,
    loses_confirms: AtomicBool,
    unroutable: Option<Topic>,
    published: Mutex<Vec<Vec<Message>>>,
}

impl CuttableBroker {
    fn new(capacity: usize) -> Self {
        Self {
            broker: Embedded::new(capacity),
            state: watch::Sender::new(BrokerState::Connected),
            loses_confirms: AtomicBool::new(false),
            unroutable: None,
            published: Mutex::default(),
        }
    }

    fn cut(&self) {
        self.state.send_replace(BrokerState::Away {
            since: Instant::now(),
            error: "cut".to_owned(),
        });
    }

    fn mend(&self) {
        self.state.send_replace(BrokerState::Connected);
    }

    fn published(&self) -> Vec<Vec<Message>> {
        self.published.lock().unwrap().clone()
    }
}

#[async_trait]
impl Broker for CuttableBroker {
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), PublishError>> {
        if let BrokerState::Away { error, .. } = &*self.state.borrow() {
            let error = PublishError::Away {
                error: error.clone(),
            };
            return vec![Err(error); messages.len()];
        }
        self.published.lock().unwrap().push(messages.clone());
        let topics: Vec<Topic> = messages.iter().map(|message| message.topic).collect();
        let arrived = self.broker.publish(messages).await;
        let told = arrived.into_iter().zip(topics).map(|(result, topic)| {
            if self.loses_confirms.load(Ordering::Relaxed) {
                Err(PublishError::TimedOut)
            } else if self.unroutable == Some(topic) {
                Err(PublishError::Unroutable)
            } else {
                result
            }
        });
        told.collect()
    }

    async fn work(&self, prefetch: u16) -> Box<dyn Deliveries> {
        self.broker.work(prefetch).await
    }

    async fn feed(&self) -> Box<dyn Subscription> {
        self.broker.feed().await
    }

    fn state(&self) -> watch::Receiver<BrokerState> {
        self.state.subscribe()
    }

    async fn close(&self) {
        self.broker.close().await;
    }
}

struct Fixture {
    house: TestLedger,
    line: Arc<CuttableBroker>,
    relay: Relay,
}

impl Fixture {
    fn new(house: TestLedger) -> Self {
        Self::over(house, CuttableBroker::new(100))
    }

    fn over(house: TestLedger, line: CuttableBroker) -> Self {
        let line = Arc::new(line);
        let relay = Relay {
            ledger: house.ledger.clone(),
            broker: line.clone(),
            metrics: Metrics::new(),
            sweep_batch: 4,
            drops_hints: Arc::default(),
        };
        Self { house, line, relay }
    }

    /// Commits rows as changes do, without offering them.
    async fn commit(&self, announcements: Vec<Announcement>) -> Vec<OutboxRow> {
        let now = self.house.clock.now();
        let rows: Vec<OutboxRow> = announcements
            .into_iter()
            .map(|announcement| OutboxRow {
                id: self.house.chance.id(now),
                announcement,
            })
            .collect();
        let mut tx = self.house.db.begin().await.unwrap();
        let not_before = now + Duration::from_secs(10);
        for row in &rows {
            store::events::insert(&mut tx, &row.announcement.events)
                .await
                .unwrap();
        }
        store::outbox::insert(&mut tx, &rows, not_before, now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        rows
    }

    async fn waiting(&self) -> i64 {
        self.house.ledger.outbox_backlog().await.unwrap().0
    }

    async fn until_empty(&self) {
        tokio::time::timeout(TEST_TIMEOUT, async {
            while self.waiting().await > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the outbox is emptied soon");
    }

    async fn hints(&self, count: usize) -> Vec<Hint> {
        let mut work = self.line.work(100).await;
        let mut hints = Vec::new();
        while hints.len() < count {
            let delivery = tokio::time::timeout(TEST_TIMEOUT, work.next())
                .await
                .unwrap()
                .unwrap();
            hints.push(serde_json::from_slice(&delivery.body).unwrap());
            delivery.ack();
        }
        hints
    }
}

fn hint(house: &TestLedger) -> Hint {
    Hint::Handoffs {
        integrator: house.chance.id::<IntegratorId>(house.clock.now()),
    }
}

fn hinting(hint: &Hint) -> Announcement {
    Announcement {
        events: vec![],
        hints: vec![hint.clone()],
    }
}

fn event(house: &TestLedger, seq: i64, note: &str) -> Event {
    let now = house.clock.now();
    let order_id: OrderId = house.chance.id(now);
    Event {
        stream: order_id.into(),
        seq,
        store_id: house.chance.id::<StoreId>(now),
        order_id: Some(order_id),
        kind: EventKind::OrderPlaced,
        at: now,
        actor: None,
        data: serde_json::json!({ "note": note }),
    }
}

#[tokio::test]
async fn what_is_offered_is_published_at_once_and_forgotten() {
    on_sqlite(|house| async move {
        let fixture = Fixture::new(house.clone());
        let mut feed = fixture.line.feed().await;
        let (wake, queue) = channel(10);
        let stopping = CancellationToken::new();
        let running = tokio::spawn(fixture.relay.clone().run(queue, stopping.clone()));
        let (told, placed) = (hint(&house), event(&house, 1, "at once"));
        let announcement = Announcement {
            events: vec![placed.clone()],
            hints: vec![told.clone()],
        };
        for row in fixture.commit(vec![announcement]).await {
            wake.offer(row);
        }
        assert_eq!(fixture.hints(1).await, [told]);
        let Some(FeedItem::Message(body)) = feed.next().await else {
            panic!("the event was published before the hint");
        };
        assert_eq!(in_feed_message(&body).unwrap(), [placed]);
        fixture.until_empty().await;
        stopping.cancel();
        running.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_stop_publishes_what_was_offered_before() {
    on_sqlite(|house| async move {
        let fixture = Fixture::new(house.clone());
        let (wake, queue) = channel(10);
        for row in fixture.commit(vec![hinting(&hint(&house))]).await {
            wake.offer(row);
        }
        let stopping = CancellationToken::new();
        stopping.cancel();
        fixture.relay.clone().run(queue, stopping).await;
        assert_eq!(fixture.waiting().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_keeps_nobody_waiting_and_the_sweep_finds_the_rest() {
    on_sqlite(|house| async move {
        let fixture = Fixture::new(house.clone());
        let (wake, queue) = channel(1);
        let announcements = (0..3).map(|_| hinting(&hint(&house))).collect();
        for row in fixture.commit(announcements).await {
            wake.offer(row);
        }
        let stopping = CancellationToken::new();
        let running = tokio::spawn(fixture.relay.clone().run(queue, stopping.clone()));
        fixture.hints(1).await;
        house.clock.wait_for_sleepers(1).await;
        house.clock.advance(Duration::from_secs(10));
        assert_eq!(fixture.hints(2).await.len(), 2);
        fixture.until_empty().await;
        stopping.cancel();
        running.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_outage_loses_nothing_and_ends_in_bounded_batches_with_each_hint_once() {
    on_sqlite(|house| async move {
        let fixture = Fixture::new(house.clone());
        fixture.line.cut();
        let told = hint(&house);
        fixture.commit(vec![hinting(&told); 10]).await;
        house.clock.advance(Duration::from_secs(10));
        assert_eq!(fixture.relay.sweep_once().await.unwrap(), Backlog::Waiting);
        assert_eq!(fixture.waiting().await, 10);
        assert_eq!(fixture.relay.metrics.outbox_waiting.get(), 10);
        assert_eq!(fixture.relay.metrics.outbox_oldest_seconds.get(), 10);

        fixture.line.mend();
        assert_eq!(fixture.relay.sweep_once().await.unwrap(), Backlog::More);
        assert_eq!(fixture.relay.sweep_once().await.unwrap(), Backlog::More);
        assert_eq!(fixture.relay.sweep_once().await.unwrap(), Backlog::Waiting);
        assert_eq!(fixture.relay.sweep_once().await.unwrap(), Backlog::Empty);
        let published = fixture.line.published();
        assert_eq!(published.len(), 3, "{published:?}");
        assert!(
            published.iter().all(|batch| batch.len() == 1),
            "{published:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn the_sweep_begins_anew_as_soon_as_the_broker_is_back() {
    on_sqlite(|house| async move {
        let fixture = Fixture::new(house.clone());
        fixture.line.cut();
        let told = hint(&house);
        fixture.commit(vec![hinting(&told)]).await;
        house.clock.advance(Duration::from_secs(10));
        let (_wake, queue) = channel(1);
        let stopping = CancellationToken::new();
        let running = tokio::spawn(fixture.relay.clone().run(queue, stopping.clone()));
        house.clock.wait_for_sleepers(1).await;
        fixture.line.mend();
        assert_eq!(fixture.hints(1).await, [told]);
        stopping.cancel();
        running.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_lost_confirm_publishes_again_and_not_before_its_time() {
    on_sqlite(|house| async move {
        let fixture = Fixture::new(house.clone());
        fixture.line.loses_confirms.store(true, Ordering::Relaxed);
        fixture.commit(vec![hinting(&hint(&house))]).await;
        house.clock.advance(Duration::from_secs(10));
        assert_eq!(fixture.relay.sweep_once().await.unwrap(), Backlog::Waiting);
        fixture.line.loses_confirms.store(false, Ordering::Relaxed);
        assert_eq!(fixture.relay.sweep_once().await.unwrap(), Backlog::Waiting);
        assert_eq!(fixture.line.published().len(), 1);
        house.clock.advance(Duration::from_secs(10));
        fixture.relay.sweep_once().await.unwrap();
        assert_eq!(fixture.line.published().len(), 2);
        assert_eq!(fixture.waiting().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_row_of_its_own_trouble_is_parked_after_five_failures_and_its_neighbours_are_published() {
    on_sqlite(|house| async move {
        let mut line = CuttableBroker::new(100);
        line.unroutable = Some(Topic::Work);
        let fixture = Fixture::over(house.clone(), line);
        let fine = Announcement {
            events: vec![event(&house, 1, "fine")],
            hints: vec![],
        };
        fixture.commit(vec![hinting(&hint(&house)), fine]).await;
        for failures in 1..=5 {
            assert_eq!(fixture.waiting().await, if failures == 1 { 2 } else { 1 });
            house.clock.advance(Duration::from_secs(10));
            fixture.relay.sweep_once().await.unwrap();
        }
        assert_eq!(fixture.waiting().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_start_in_one_process_publishes_all_that_was_left_without_waiting() {
    on_sqlite(|house| async move {
        let fixture = Fixture::new(house.clone());
        let hints: Vec<Hint> = (0..9).map(|_| hint(&house)).collect();
        fixture.commit(hints.iter().map(hinting).collect()).await;
        fixture.relay.start_embedded().await.unwrap();
        assert_eq!(fixture.waiting().await, 0);
        let told: BTreeMap<String, ()> = fixture
            .hints(9)
            .await
            .iter()
            .map(|hint| (format!("{hint:?}"), ()))
            .collect();
        assert_eq!(told.len(), 9);
    })
    .await;
}
