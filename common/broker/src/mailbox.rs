//! The queue of one feed subscriber: bounded, the oldest message dropped first, and the drop reported as a gap.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::Notify;

use super::FeedItem;

/// Bytes of all messages from which the oldest are dropped.
pub(super) const MAX_BYTES: usize = 64 << 20;

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
    bytes: usize,
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
        queue.bytes += message.len();
        queue.messages.push_back(message);
        while queue.messages.len() > self.capacity || queue.bytes > MAX_BYTES {
            queue.pop();
            queue.gap = true;
        }
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
                if let Some(message) = queue.pop() {
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

impl Queue {
    fn pop(&mut self) -> Option<Bytes> {
        let oldest = self.messages.pop_front()?;
        self.bytes -= oldest.len();
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_messages_are_dropped_from_a_number_and_from_a_size() {
        let many = Mailbox::new(2);
        for letter in ["a", "b", "c"] {
            many.push(Bytes::from(letter));
        }
        assert_eq!(kept(&many).await, (true, vec![1, 1]));

        let large = Mailbox::new(100);
        for size in [MAX_BYTES / 2, MAX_BYTES / 2, 3, 2] {
            large.push(Bytes::from(vec![0; size]));
        }
        assert_eq!(kept(&large).await, (true, vec![MAX_BYTES / 2, 3, 2]));
        large.push(Bytes::from(vec![0; MAX_BYTES]));
        assert_eq!(kept(&large).await, (false, vec![MAX_BYTES]));
    }

    /// Returns whether there was a gap, and the sizes of the messages behind it.
    async fn kept(mailbox: &Mailbox) -> (bool, Vec<usize>) {
        let (mut gap, mut sizes) = (false, Vec::new());
        while mailbox.lock().gap || !mailbox.lock().messages.is_empty() {
            match mailbox.next().await {
                Some(FeedItem::Gap) => gap = true,
                Some(FeedItem::Message(message)) => sizes.push(message.len()),
                None => panic!("it is not closed"),
            }
        }
        (gap, sizes)
    }
}
