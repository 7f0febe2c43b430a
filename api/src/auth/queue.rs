//! Queues by name: a limited number of attempts run at once, and the others wait in order.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::problem::{Problem, Reason};

/// Maximum number of waiting attempts in one queue; more are refused.
pub(super) const MAX_WAITING: usize = 64;

/// Name of a queue: a hash of 32 bytes.
type Name = [u8; 32];

/// The queues that somebody is in. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Queues(Arc<Mutex<HashMap<Name, Queue>>>);

#[derive(Debug)]
struct Queue {
    inside: usize,
    turns: Arc<Semaphore>,
}

/// A position in a queue, given up on drop. [`QueuePosition::front`] waits until it reaches the front.
#[derive(Debug)]
pub(super) struct QueuePosition {
    queues: Queues,
    name: Name,
    turns: Arc<Semaphore>,
    turn: Option<OwnedSemaphorePermit>,
}

impl Queues {
    /// Joins the queue of that name; 503 if it is full. `at_once` must be the same for every caller of one queue.
    pub(super) fn join(&self, name: Name, at_once: usize) -> Result<QueuePosition, Problem> {
        let mut all = self.0.lock();
        let queue = all.entry(name).or_insert_with(|| Queue {
            inside: 0,
            turns: Arc::new(Semaphore::new(at_once)),
        });
        if queue.inside >= at_once + MAX_WAITING {
            return Err(Problem::new(Reason::Overloaded));
        }
        queue.inside += 1;
        Ok(QueuePosition {
            queues: self.clone(),
            name,
            turns: Arc::clone(&queue.turns),
            turn: None,
        })
    }

    /// Joins the queue of that name and waits for the turn, which lasts until the position is dropped.
    pub(super) async fn turn(&self, name: Name, at_once: usize) -> Result<QueuePosition, Problem> {
        let mut position = self.join(name, at_once)?;
        position.front().await?;
        Ok(position)
    }
}

impl QueuePosition {
    /// Waits for its turn, which lasts until the position is dropped.
    async fn front(&mut self) -> Result<(), Problem> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        self.turn = Some(turn.map_err(Problem::internal)?);
        Ok(())
    }
}

impl Drop for QueuePosition {
    fn drop(&mut self) {
        self.turn = None;
        let mut all = self.queues.0.lock();
        let Some(queue) = all.get_mut(&self.name) else {
            return;
        };
        queue.inside -= 1;
        if queue.inside == 0 {
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
        let queues = Queues::default();
        let first = queues.turn([1; 32], 2).await.unwrap();
        let _second = queues.turn([1; 32], 2).await.unwrap();
        let mut third = Box::pin(queues.turn([1; 32], 2));
        assert!((&mut third).now_or_never().is_none());
        assert!(queues.turn([2; 32], 2).now_or_never().is_some());
        drop(first);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_queue_is_only_so_long_and_leaves_nothing_behind() {
        for at_once in [1, 30] {
            let queues = Queues::default();
            let mut crowd: Vec<_> = (0..at_once + MAX_WAITING)
                .map(|_| queues.join([1; 32], at_once).unwrap())
                .collect();
            let refused = queues.join([1; 32], at_once).unwrap_err();
            assert_eq!(refused.reason(), Reason::Overloaded);
            queues.join([2; 32], at_once).unwrap();
            crowd.pop();
            queues.join([1; 32], at_once).unwrap();
            assert_eq!(queues.0.lock().len(), 1);
            crowd.clear();
            assert_eq!(queues.0.lock().len(), 0);
        }
    }

    #[tokio::test]
    async fn one_that_goes_while_it_waits_leaves_its_place_to_the_next() {
        let queues = Queues::default();
        let first = queues.turn([1; 32], 1).await.unwrap();
        let mut second = Box::pin(queues.turn([1; 32], 1));
        let mut third = Box::pin(queues.turn([1; 32], 1));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(second);
        drop(first);
        assert!(third.now_or_never().is_some());
        assert_eq!(queues.0.lock().len(), 0);
    }
}
