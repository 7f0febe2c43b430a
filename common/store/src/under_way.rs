//! The mark of a statement that has begun and not ended.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::error::{Result, StoreError};

/// A mark that is set from the beginning of a statement to its end, and stays if the statement does not end: its caller
/// is gone, its time is up, or its host is given up. An error is an end too: one of the server is an answer, and one of
/// the line is met again by the rollback.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay(Arc<AtomicBool>);

impl UnderWay {
    /// Runs a statement; refuses to after one that did not end.
    pub(crate) async fn during<T, E: Into<StoreError>>(
        &self,
        asked: impl Future<Output = std::result::Result<T, E>>,
    ) -> Result<T> {
        if self.0.swap(true, Ordering::Relaxed) {
            let why = "a statement before it on the same connection did not end";
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        let done = asked.await.map_err(Into::into);
        self.0.store(false, Ordering::Relaxed);
        done
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
