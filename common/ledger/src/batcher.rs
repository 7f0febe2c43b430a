//! Batches of requests that share a commit. Those that arrive during a commit go into the next one; there is no timer,
//! so an idle system adds no delay.

use std::sync::{Arc, Weak};

use tokio::sync::{Mutex, mpsc};

use super::Inner;

/// Limits of batches and of their queue.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    pub max_requests: usize,
    pub max_bytes: usize,
    /// Number of batches that commit concurrently.
    pub writers: usize,
    /// Maximum number of requests that wait for a writer.
    pub queue_capacity: usize,
}

/// Starts the writers of one kind of request, `name` in logs; returns the queue that they take batches from. Each batch
/// is given to `commit`. The writers hold the ledger weakly, so that they stop with the last [`super::Ledger`].
pub(crate) fn start_writers<Q: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    inner: &Weak<Inner>,
    name: &'static str,
    limits: BatchLimits,
    size_bytes: fn(&Q) -> usize,
    commit: fn(Arc<Inner>, Vec<Q>) -> F,
) -> mpsc::Sender<Q> {
    let (queue, queued) = mpsc::channel(limits.queue_capacity.max(1));
    let queued = Arc::new(Mutex::new(queued));
    for _ in 0..limits.writers.max(1) {
        let (inner, queued) = (inner.clone(), queued.clone());
        tokio::spawn(async move {
            loop {
                // The next writer takes over while this one commits.
                let batch = take(&mut *queued.lock().await, limits, size_bytes).await;
                let (Some(batch), Some(inner)) = (batch, inner.upgrade()) else {
                    break;
                };
                // This runs in a task of its own, so that a panic loses this batch's results but never a writer.
                if let Err(error) = tokio::spawn(commit(inner, batch)).await {
                    tracing::error!(%error, "{name} batch panicked; its callers get an error");
                }
            }
        });
    }
    queue
}

/// Waits for the first request, and takes what is queued behind it.
async fn take<Q>(
    queued: &mut mpsc::Receiver<Q>,
    limits: BatchLimits,
    size_bytes: fn(&Q) -> usize,
) -> Option<Vec<Q>> {
    let first = queued.recv().await?;
    let mut bytes = size_bytes(&first);
    let mut batch = vec![first];
    while batch.len() < limits.max_requests && bytes < limits.max_bytes {
        let Ok(next) = queued.try_recv() else { break };
        bytes += size_bytes(&next);
        batch.push(next);
    }
    Some(batch)
}
