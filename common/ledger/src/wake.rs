//! The port that announces new outbox rows after a commit.

pub use store::outbox::OutboxRow;

/// Receiver of every outbox row right after its commit. It must not block: the sweep later finds the rows it can't
/// take.
pub trait Wake: Send + Sync + std::fmt::Debug + 'static {
    fn offer(&self, row: OutboxRow);
}

/// A port that leaves every row to the sweep, for administration commands and tests.
#[derive(Clone, Copy, Debug)]
pub struct NoWake;

impl Wake for NoWake {
    fn offer(&self, _: OutboxRow) {}
}
