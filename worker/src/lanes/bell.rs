//! The bell by which a lane is woken.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::sync::Notify;

/// Wake-up signal of a lane, shared by the lane and the tasks that wake it. Rings are not counted: several before the
/// lane claims are one.
#[derive(Debug)]
pub(super) struct Bell {
    /// Set by the tasks that ring, cleared by the lane before it claims; atomic, so that reading it needs no lock.
    rung: AtomicBool,
    /// Fewest hops among the hints that rang, else [`NO_HINT`]. Lowered by the tasks that ring, reset by the lane;
    /// each in one atomic operation.
    hops: AtomicU8,
    /// Wakes the lane; notified after the fields above were written.
    notify: Notify,
}

/// Value of a bell's `hops` if no hint rang.
const NO_HINT: u8 = u8::MAX;

impl Bell {
    pub(super) fn new() -> Self {
        Self {
            rung: AtomicBool::new(false),
            hops: AtomicU8::new(NO_HINT),
            notify: Notify::new(),
        }
    }

    pub(super) fn ring(&self, hops: Option<u8>) {
        let hops = hops.map_or(NO_HINT, |hops| hops.min(NO_HINT - 1));
        self.hops.fetch_min(hops, Ordering::AcqRel);
        self.rung.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// Wakes the lane because it has lost its place.
    pub(super) fn evict(&self) {
        self.notify.notify_one();
    }

    pub(super) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Clears the bell and returns true if it had rung. Call it before claiming, so that a later ring is not lost.
    pub(super) fn clear(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    /// Takes the hops of the hint that rang since the last call.
    pub(super) fn hops(&self) -> Option<u8> {
        let hops = self.hops.swap(NO_HINT, Ordering::AcqRel);
        (hops != NO_HINT).then_some(hops)
    }

    /// Waits for a ring; may return without one, but never misses one.
    pub(super) async fn wait_for_ring(&self) {
        self.notify.notified().await;
    }
}
