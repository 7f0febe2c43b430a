//! The port through which a commit tells that the outbox has something.

pub use store::outbox::OutboxRow;

/// Offered every outbox row right after its commit. Must not wait: what it can't take now, the sweep finds later.
pub trait Wake: Send + Sync + std::fmt::Debug + 'static {
    fn offer(&self, row: OutboxRow);
}

/// Leaves everything to the sweep: for administration commands and tests.
#[derive(Clone, Copy, Debug)]
pub struct NoWake;

impl Wake for NoWake {
    fn offer(&self, _: OutboxRow) {}
}
