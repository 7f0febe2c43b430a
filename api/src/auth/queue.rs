//! Queues by name: a limited number of attempts run at once, and the others wait in order.

use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::problem::{Problem, Reason};

/// Maximum number of waiting attempts in one queue; more are refused.
const MAX_WAITING: usize = 64;

/// Name of a queue: a hash of 32 bytes.
type Name = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Queues(Mutex<HashMap<Name, Arc<Semaphore>>>);

/// A position in a queue, given up on drop. [`QueuePosition::front`] waits until it reaches the front.
#[derive(Debug)]
pub(super) struct QueuePosition<'a> {
    lines: &'a Queues,
    name: Name,
    line: Arc<Semaphore>,
}

impl Queues {
    /// Joins the queue of that name; 503 if it is full. `at_once` must be the same for every caller of one queue.
    pub(super) fn join(&self, name: Name, at_once: usize) -> Result<QueuePosition<'_>, Problem> {
        let mut all = self.0.lock();
        let line = all
            .entry(name)
            .or_insert_with(|| Arc::new(Semaphore::new(at_once)));
        // The table itself holds one reference.
        if Arc::strong_count(line) > at_once + MAX_WAITING {
            return Err(Problem::new(Reason::Overloaded));
        }
        let line = Arc::clone(line);
        drop(all);
        Ok(QueuePosition {
            lines: self,
            name,
            line,
        })
    }
}

impl QueuePosition<'_> {
    /// Waits for its turn, which lasts until the returned permit is dropped.
    pub(super) async fn front(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.line.acquire().await.map_err(Problem::internal)
    }
}

impl Drop for QueuePosition<'_> {
    fn drop(&mut self) {
        let mut all = self.lines.0.lock();
        // Only the table and this value hold a reference, so the queue is otherwise empty.
        if Arc::strong_count(&self.line) <= 2 {
            all.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn so_many_of_one_name_are_at_the_front_at_once_and_other_names_do_not_wait() {
        let lines = Queues::default();
        let places = [lines.join([1; 32], 2), lines.join([1; 32], 2)].map(Result::unwrap);
        let first = places[0].front().await.unwrap();
        let _second = places[1].front().await.unwrap();
        let third = lines.join([1; 32], 2).unwrap();
        assert!(third.front().now_or_never().is_none());
        let other = lines.join([2; 32], 2).unwrap();
        assert!(other.front().now_or_never().is_some());
        drop(first);
        assert!(third.front().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_line_is_only_so_long_and_leaves_nothing_behind() {
        let lines = Queues::default();
        let mut crowd: Vec<_> = (0..=MAX_WAITING)
            .map(|_| lines.join([1; 32], 1).unwrap())
            .collect();
        let refused = lines.join([1; 32], 1).unwrap_err();
        assert_eq!(refused.reason(), Reason::Overloaded);
        crowd.pop();
        lines.join([1; 32], 1).unwrap();
        assert_eq!(lines.0.lock().len(), 1);
        crowd.clear();
        assert_eq!(lines.0.lock().len(), 0);
    }
}
