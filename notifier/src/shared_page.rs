//! Events of a stream that were read for a client that was behind, for the others that are: after a restart all of them
//! are behind by about the same.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::protocol::EventFrame;

/// The events that were read last. Whoever reads others holds the lock, so that clients which are as far behind wait
/// for those.
#[derive(Debug, Default)]
pub(crate) struct SharedPage(Mutex<Page>);

#[derive(Debug, Default)]
struct Page {
    /// One after another.
    event_frames: Vec<Arc<EventFrame>>,
    /// True if it was there at the last check already.
    is_old: bool,
}

impl SharedPage {
    /// Returns events after number `after`: those that were read for another client if the next one is among them, else
    /// those that `read` returns.
    pub(crate) async fn after<E>(
        &self,
        after: i64,
        read: impl Future<Output = Result<Vec<Arc<EventFrame>>, E>>,
    ) -> Result<Vec<Arc<EventFrame>>, E> {
        let mut page = self.0.lock().await;
        let is_next = |event_frame: &Arc<EventFrame>| event_frame.seq == after + 1;
        if let Some(next) = page.event_frames.iter().position(is_next) {
            return Ok(page.event_frames[next..].to_vec());
        }
        let event_frames = read.await?;
        *page = Page {
            event_frames: event_frames.clone(),
            is_old: false,
        };
        Ok(event_frames)
    }

    /// Drops the events if they have been there since the last call. Called at each check.
    pub(crate) fn drop_if_old(&self) {
        // Locked means in use.
        if let Ok(mut page) = self.0.try_lock() {
            if page.is_old {
                *page = Page::default();
            }
            page.is_old = !page.event_frames.is_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::fixtures::event;

    fn event_frame(seq: i64) -> Arc<EventFrame> {
        Arc::new(EventFrame::new(&event(seq)))
    }

    #[tokio::test]
    async fn events_are_read_once_for_all_who_are_behind_and_kept_for_nobody() {
        let shared = SharedPage::default();
        let reads = AtomicUsize::new(0);
        let page = async |after: i64| {
            let read = async {
                reads.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok::<_, ()>((after + 1..=9).map(event_frame).collect())
            };
            let page = shared.after(after, read).await.unwrap();
            let seqs: Vec<i64> = page.iter().map(|event_frame| event_frame.seq).collect();
            seqs
        };
        let pages = join_all([4, 4, 6, 4, 8].map(page)).await;
        let first: Vec<_> = pages.iter().map(|page| page[0]).collect();
        assert_eq!(first, [5, 5, 7, 5, 9]);
        assert!(pages.iter().all(|page| page.last() == Some(&9)));
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        // Those that are further behind need others.
        assert_eq!(page(2).await, (3..=9).collect::<Vec<_>>());
        shared.drop_if_old();
        assert_eq!(page(4).await[0], 5);
        assert_eq!(reads.load(Ordering::SeqCst), 2);
        shared.drop_if_old();
        assert_eq!(page(4).await[0], 5);
        assert_eq!(reads.load(Ordering::SeqCst), 3);
    }
}
