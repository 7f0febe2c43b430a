//! Permits to wait for a row that others hold. Without them, work on a session that orders keep busy would try again and
//! again and never have its turn; with more of them, one held session would use up the pool.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Permits to wait for a row that others hold, which takes a connection each.
#[derive(Debug)]
pub(crate) struct HeldRowPermits(Semaphore);

pub(crate) type HeldRowPermit<'p> = SemaphorePermit<'p>;

impl HeldRowPermits {
    const COUNT: usize = 2;

    pub(crate) fn take(&self) -> Option<HeldRowPermit<'_>> {
        self.0.try_acquire().ok()
    }
}

impl Default for HeldRowPermits {
    fn default() -> Self {
        Self(Semaphore::new(Self::COUNT))
    }
}
