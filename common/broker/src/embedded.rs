//! The in-process broker: the same behaviour as RabbitMQ, without a server and without a disk.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::mailbox::Mailbox;
use super::{
    Broker, BrokerState, DELIVERY_LIMIT, Deliveries, Delivery, FeedItem, Message, PublishError,
    Subscription, Topic,
};

/// The in-process broker. Publishing never waits: a full work queue is an error, and the sweep finds what was not
/// announced.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    state: watch::Sender<BrokerState>,
}

/// State shared by the broker, its consumers and their deliveries.
#[derive(Debug)]
struct Shared {
    capacity: usize,
    inner: Mutex<Inner>,
    /// Notified when a hint was queued or acknowledged, or the broker closed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<QueuedHint>,
    subscribers: Vec<Arc<Mailbox>>,
    closed: bool,
}

#[derive(Debug, Clone)]
struct QueuedHint {
    body: Bytes,
    /// Number of times it came back unacknowledged.
    returns: u16,
}

impl Embedded {
    /// Creates a broker. `capacity` bounds the work queue, and the messages queued for one subscriber.
    pub fn new(capacity: usize) -> Self {
        let shared = Shared {
            capacity: capacity.max(1),
            inner: Mutex::default(),
            changed: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            state: watch::Sender::new(BrokerState::Connected),
        }
    }
}

#[async_trait]
impl Broker for Embedded {
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), PublishError>> {
        let results = {
            let mut inner = self.shared.lock();
            messages
                .into_iter()
                .map(|message| inner.take(message, self.shared.capacity))
                .collect()
        };
        self.shared.changed.notify_waiters();
        results
    }

    async fn work(&self, prefetch: u16) -> Box<dyn Deliveries> {
        Box::new(Worker {
            shared: self.shared.clone(),
            prefetch: usize::from(prefetch.max(1)),
            unacknowledged: Arc::default(),
            next_tag: 0,
        })
    }

    async fn feed(&self) -> Box<dyn Subscription> {
        let mailbox = Arc::new(Mailbox::new(self.shared.capacity));
        let mut inner = self.shared.lock();
        if inner.closed {
            mailbox.close();
        } else {
            inner.subscribers.push(mailbox.clone());
        }
        drop(inner);
        Box::new(Subscriber {
            shared: self.shared.clone(),
            mailbox,
        })
    }

    fn state(&self) -> watch::Receiver<BrokerState> {
        self.state.subscribe()
    }

    async fn close(&self) {
        {
            let mut inner = self.shared.lock();
            inner.closed = true;
            for subscriber in inner.subscribers.drain(..) {
                subscriber.close();
            }
        }
        self.shared.changed.notify_waiters();
        self.state.send_replace(BrokerState::Away {
            since: Instant::now(),
            error: PublishError::Closed.to_string(),
        });
    }
}

impl Inner {
    fn take(&mut self, message: Message, capacity: usize) -> Result<(), PublishError> {
        if self.closed {
            return Err(PublishError::Closed);
        }
        match message.topic {
            Topic::Work if self.queue.len() >= capacity => return Err(PublishError::Full),
            Topic::Work => self.queue.push_back(QueuedHint {
                body: message.body,
                returns: 0,
            }),
            Topic::Feed => {
                for subscriber in &self.subscribers {
                    subscriber.push(message.body.clone());
                }
            }
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code that holds the lock can leave it half-changed.
        self.inner.lock()
    }
}

#[derive(Debug)]
struct Worker {
    shared: Arc<Shared>,
    prefetch: usize,
    unacknowledged: Arc<Mutex<BTreeMap<u64, QueuedHint>>>,
    next_tag: u64,
}

#[async_trait]
impl Deliveries for Worker {
    async fn next(&mut self) -> Option<Delivery> {
        let shared = self.shared.clone();
        loop {
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            // Registered before the check below, so that no change is missed.
            changed.as_mut().enable();
            {
                let mut inner = shared.lock();
                if inner.closed {
                    return None;
                }
                if lock(&self.unacknowledged).len() < self.prefetch
                    && let Some(hint) = inner.queue.pop_front()
                {
                    return Some(self.deliver(hint));
                }
            }
            changed.await;
        }
    }
}

impl Worker {
    fn deliver(&mut self, hint: QueuedHint) -> Delivery {
        let tag = self.next_tag;
        self.next_tag += 1;
        let delivery = Delivery {
            body: hint.body.clone(),
            redelivered: hint.returns > 0,
            acknowledge: Box::new({
                let (shared, unacknowledged) = (self.shared.clone(), self.unacknowledged.clone());
                move || {
                    lock(&unacknowledged).remove(&tag);
                    shared.changed.notify_waiters();
                }
            }),
        };
        lock(&self.unacknowledged).insert(tag, hint);
        delivery
    }
}

impl Drop for Worker {
    /// Returns unacknowledged hints to the front of the queue, even if it is full.
    fn drop(&mut self) {
        let unacknowledged = std::mem::take(&mut *lock(&self.unacknowledged));
        let mut inner = self.shared.lock();
        for mut hint in unacknowledged.into_values().rev() {
            hint.returns += 1;
            if hint.returns <= DELIVERY_LIMIT {
                inner.queue.push_front(hint);
            } else {
                tracing::warn!(
                    returns = hint.returns,
                    "hint dropped: it came back unacknowledged too often"
                );
            }
        }
        drop(inner);
        self.shared.changed.notify_waiters();
    }
}

#[derive(Debug)]
struct Subscriber {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
}

#[async_trait]
impl Subscription for Subscriber {
    async fn next(&mut self) -> Option<FeedItem> {
        self.mailbox.next().await
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.shared
            .lock()
            .subscribers
            .retain(|other| !Arc::ptr_eq(other, &self.mailbox));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
