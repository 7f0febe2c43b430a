//! Intake: many concurrent orders, one commit.

use std::sync::Arc;

use super::Inner;

/// Bounds of a batch.
#[derive(Clone, Copy, Debug)]
pub struct IntakeSettings {
    pub max_batch_orders: usize,
    pub max_batch_bytes: usize,
    /// Batches that commit side by side.
    pub writers: usize,
    /// Orders that may wait for a writer; more are refused as overload.
    pub queue_capacity: usize,
}

pub(super) type Queue = ();
pub(super) fn queue(_: &IntakeSettings) -> (Queue, ()) {
    ((), ())
}
pub(super) fn start_writers(_: &Arc<Inner>, _: ()) {}
