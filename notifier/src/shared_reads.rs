//! Reads of the ledger that clients share which ask for the same at about the same time, as all of a stream do after a
//! restart.

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::{Instant, sleep_until},
};

use crate::protocol::Close;

/// Shortest time between the beginnings of two reads of the same. The first one never waits.
const PAUSE: Duration = Duration::from_millis(20);
/// Number of keys from which on those that are not in use are removed.
const MAX_KEYS: usize = 1000;

/// Reads in progress by what they read. Shared by all channels that open; guarded by the mutex, never held across an
/// await.
#[derive(Debug)]
pub(crate) struct SharedReads<K, V> {
    lines: Mutex<HashMap<K, Line<V>>>,
    pause: Duration,
}

/// Reads of one key.
#[derive(Debug)]
struct Line<V> {
    begun_at: Option<Instant>,
    /// Read that has not begun; whoever asks before that gets its result.
    next: Option<Arc<OnceCell<V>>>,
}

impl<K, V> Default for SharedReads<K, V> {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            pause: PAUSE,
        }
    }
}

impl<V> Default for Line<V> {
    fn default() -> Self {
        Self {
            begun_at: None,
            next: None,
        }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> SharedReads<K, V> {
    /// Returns the result of a read that begins after this call: its own, or that of another caller who asked for the
    /// same meanwhile. A permit of `permits` is held while it lasts. A failed read is not shared.
    pub(crate) async fn read(
        &self,
        key: K,
        permits: &Semaphore,
        read: impl AsyncFnOnce() -> Result<V, Close>,
    ) -> Result<V, Close> {
        let (cell, last) = self.join(&key);
        let begun = cell.get_or_try_init(|| async {
            if let Some(last) = last {
                sleep_until(last + self.pause).await;
            }
            let _permit = permits.acquire().await.map_err(|_| Close::Restart)?;
            self.begin(&key, &cell);
            read().await
        });
        begun.await.cloned()
    }

    /// Returns the next read of the key, and the beginning of the one before it.
    fn join(&self, key: &K) -> (Arc<OnceCell<V>>, Option<Instant>) {
        let mut lines = self.lines.lock();
        if lines.len() >= MAX_KEYS {
            let is_recent = |at: Instant| at.elapsed() < self.pause;
            lines.retain(|_, line| line.next.is_some() || line.begun_at.is_some_and(is_recent));
        }
        let line = lines.entry(key.clone()).or_default();
        let next = line.next.get_or_insert_with(Arc::default);
        (Arc::clone(next), line.begun_at)
    }

    /// Notes that a read begins, so that whoever asks from now on gets a later one.
    fn begin(&self, key: &K, cell: &Arc<OnceCell<V>>) {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get_mut(key)
            && line
                .next
                .as_ref()
                .is_some_and(|next| Arc::ptr_eq(next, cell))
        {
            line.next = None;
            line.begun_at = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    fn without_pause<K, V>() -> SharedReads<K, V> {
        SharedReads {
            pause: Duration::ZERO,
            ..SharedReads::default()
        }
    }

    #[tokio::test]
    async fn whoever_comes_before_a_read_begins_shares_it_and_who_comes_later_does_not() {
        let (reads, permits) = (without_pause::<u8, usize>(), Semaphore::new(1));
        let begun = AtomicUsize::new(0);
        let ask = |key: u8| {
            reads.read(key, &permits, async || {
                let number = begun.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(number)
            })
        };
        // The first has begun when the others come.
        let first = ask(7);
        tokio::pin!(first);
        let none = futures_util::poll!(&mut first);
        assert!(none.is_pending());
        let others = join_all((0..50).map(|_| ask(7)));
        let (first, others) = tokio::join!(first, others);
        assert_eq!(first, Ok(0));
        assert!(others.iter().all(|one| *one == Ok(1)), "{others:?}");
        assert_eq!(ask(8).await, Ok(2));
        assert_eq!(ask(7).await, Ok(3));
    }

    #[tokio::test]
    async fn whoever_leaves_or_fails_takes_no_other_along() {
        let (reads, permits) = (without_pause::<u8, u8>(), Semaphore::new(1));
        let never = reads.read(7, &permits, async || std::future::pending().await);
        let fails = reads.read(7, &permits, async || Err(Close::TryAgain));
        let reads_it = reads.read(7, &permits, async || Ok(3));
        let mut never = Box::pin(never);
        assert!(futures_util::poll!(&mut never).is_pending());
        drop(never);
        let (failed, read) = tokio::join!(fails, reads_it);
        assert_eq!((failed, read), (Err(Close::TryAgain), Ok(3)));
    }

    #[tokio::test]
    async fn keys_that_nobody_asks_for_any_more_are_forgotten() {
        let (reads, permits) = (without_pause::<usize, ()>(), Semaphore::new(1));
        for key in 0..3 * MAX_KEYS {
            reads.read(key, &permits, async || Ok(())).await.unwrap();
            assert!(reads.lines.lock().len() <= MAX_KEYS);
        }
    }
}
