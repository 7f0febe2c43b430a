//! The in-process broker: the same behaviour as RabbitMQ, without a server and without a disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    house: Arc<House>,
    state: watch::Sender<BrokerState>,
}

/// State shared by the broker, its consumers and their deliveries.
#[derive(Debug)]
struct House {
    capacity: usize,
    inside: Mutex<Inside>,
    /// Notified when a hint was queued or acknowledged, or the broker closed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    queue: VecDeque<Hint>,
    subscribers: Vec<Arc<Mailbox>>,
    closed: bool,
}

#[derive(Debug, Clone)]
struct Hint {
    body: Bytes,
    /// Number of times it came back unacknowledged.
    returns: u16,
}

impl Embedded {
    /// Creates a broker. `capacity` bounds the work queue, and the messages queued for one subscriber.
    pub fn new(capacity: usize) -> Self {
        let house = House {
            capacity: capacity.max(1),
            inside: Mutex::default(),
            changed: Notify::new(),
        };
        Self {
            house: Arc::new(house),
            state: watch::Sender::new(BrokerState::Connected),
        }
    }
}

#[async_trait]
impl Broker for Embedded {
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), PublishError>> {
        let results = {
            let mut inside = self.house.lock();
            messages
                .into_iter()
                .map(|message| inside.take(message, self.house.capacity))
                .collect()
        };
        self.house.changed.notify_waiters();
        results
    }

    async fn work(&self, prefetch: u16) -> Box<dyn Deliveries> {
        Box::new(Worker {
            house: self.house.clone(),
            prefetch: usize::from(prefetch.max(1)),
            held: Arc::default(),
            next_tag: 0,
        })
    }

    async fn feed(&self) -> Box<dyn Subscription> {
        let mailbox = Arc::new(Mailbox::new(self.house.capacity));
        let mut inside = self.house.lock();
        if inside.closed {
            mailbox.close();
        } else {
            inside.subscribers.push(mailbox.clone());
        }
        drop(inside);
        Box::new(Subscriber {
            house: self.house.clone(),
            mailbox,
        })
    }

    fn state(&self) -> watch::Receiver<BrokerState> {
        self.state.subscribe()
    }

    async fn close(&self) {
        {
            let mut inside = self.house.lock();
            inside.closed = true;
            for subscriber in inside.subscribers.drain(..) {
                subscriber.close();
            }
        }
        self.house.changed.notify_waiters();
        self.state.send_replace(BrokerState::Away {
            since: Instant::now(),
            error: PublishError::Closed.to_string(),
        });
    }
}

impl Inside {
    fn take(&mut self, message: Message, capacity: usize) -> Result<(), PublishError> {
        if self.closed {
            return Err(PublishError::Closed);
        }
        match message.topic {
            Topic::Work if self.queue.len() >= capacity => return Err(PublishError::Full),
            Topic::Work => self.queue.push_back(Hint {
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

impl House {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        // No code that holds the lock can leave it half-changed.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Worker {
    house: Arc<House>,
    prefetch: usize,
    held: Arc<Mutex<BTreeMap<u64, Hint>>>,
    next_tag: u64,
}

#[async_trait]
impl Deliveries for Worker {
    async fn next(&mut self) -> Option<Delivery> {
        let house = self.house.clone();
        loop {
            let changed = house.changed.notified();
            tokio::pin!(changed);
            // Registered before the check below, so that no change is missed.
            changed.as_mut().enable();
            {
                let mut inside = house.lock();
                if inside.closed {
                    return None;
                }
                if lock(&self.held).len() < self.prefetch
                    && let Some(hint) = inside.queue.pop_front()
                {
                    return Some(self.hand_out(hint));
                }
            }
            changed.await;
        }
    }
}

impl Worker {
    fn hand_out(&mut self, hint: Hint) -> Delivery {
        let tag = self.next_tag;
        self.next_tag += 1;
        let delivery = Delivery {
            body: hint.body.clone(),
            redelivered: hint.returns > 0,
            acknowledge: Box::new({
                let (house, held) = (self.house.clone(), self.held.clone());
                move || {
                    lock(&held).remove(&tag);
                    house.changed.notify_waiters();
                }
            }),
        };
        lock(&self.held).insert(tag, hint);
        delivery
    }
}

impl Drop for Worker {
    /// Returns unacknowledged hints to the front of the queue, even if it is full.
    fn drop(&mut self) {
        let held = std::mem::take(&mut *lock(&self.held));
        let mut inside = self.house.lock();
        for mut hint in held.into_values().rev() {
            hint.returns += 1;
            if hint.returns <= DELIVERY_LIMIT {
                inside.queue.push_front(hint);
            } else {
                tracing::warn!(
                    returns = hint.returns,
                    "hint dropped: it came back unacknowledged too often"
                );
            }
        }
        drop(inside);
        self.house.changed.notify_waiters();
    }
}

#[derive(Debug)]
struct Subscriber {
    house: Arc<House>,
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
        self.house
            .lock()
            .subscribers
            .retain(|other| !Arc::ptr_eq(other, &self.mailbox));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
