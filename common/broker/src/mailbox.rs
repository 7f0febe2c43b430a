//! The queue of one feed subscriber: bounded, the oldest message dropped first, and the drop reported as a gap.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::Notify;

use super::FeedItem;

/// A bounded queue for one reader; writers never wait.
#[derive(Debug)]
pub(super) struct Mailbox {
    capacity: usize,
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Bytes>,
    gap: bool,
    closed: bool,
}

impl Mailbox {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            queue: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    pub(super) fn push(&self, message: Bytes) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        if queue.messages.len() >= self.capacity {
            queue.messages.pop_front();
            queue.gap = true;
        }
        queue.messages.push_back(message);
        drop(queue);
        self.arrived.notify_one();
    }

    /// Reports a gap: messages were missed before they came here.
    pub(super) fn gap(&self) {
        self.lock().gap = true;
        self.arrived.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Returns the next item; a gap comes before the messages that were kept. `None` once closed and empty.
    pub(super) async fn next(&self) -> Option<FeedItem> {
        loop {
            {
                let mut queue = self.lock();
                if std::mem::take(&mut queue.gap) {
                    return Some(FeedItem::Gap);
                }
                if let Some(message) = queue.messages.pop_front() {
                    return Some(FeedItem::Message(message));
                }
                if queue.closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that holds the lock can leave it half-changed.
        self.queue.lock()
    }
}
