//! Reasons why a change did not happen.

use store::StoreError;
use uuid::Uuid;

/// Why a change did not happen: its own refusal `R`, or a failure.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<R> {
    #[error("{0}")]
    Refused(R),
    #[error(transparent)]
    Failed(Failure),
}

/// Failure that any change and any read can meet.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a stored secret can't be decrypted: {0}")]
    Undecryptable(String),
    /// Intake's queue is full, or the process is about to stop.
    #[error("overloaded: too many requests at once")]
    Overloaded,
    /// A request with the same idempotency key made or changed this resource before: see [`crate::Ledger::once`].
    #[error("the request was already processed, for resource {0}")]
    AlreadyDone(Uuid),
    #[error("the idempotency key was used for a different request")]
    KeyReused,
    #[error("a request with this idempotency key is still in progress")]
    KeyInProgress,
}

impl Failure {
    /// Returns true if another transaction holds a row that was needed.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_lock_lost())
    }
}

impl<R> ChangeError<R> {
    /// Converts the refusal, and keeps a failure.
    pub fn map_refused<Q>(self, convert: impl FnOnce(R) -> Q) -> ChangeError<Q> {
        match self {
            Self::Refused(refusal) => ChangeError::Refused(convert(refusal)),
            Self::Failed(failure) => ChangeError::Failed(failure),
        }
    }
}

impl<R> From<Failure> for ChangeError<R> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<R> From<StoreError> for ChangeError<R> {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Error of a read or a change: a [`Failure`], or a [`ChangeError`] that may hold one.
pub trait MaybeFailure {
    fn failure(&self) -> Option<&Failure>;
}

impl MaybeFailure for Failure {
    fn failure(&self) -> Option<&Failure> {
        Some(self)
    }
}

impl<R> MaybeFailure for ChangeError<R> {
    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Refused(_) => None,
            Self::Failed(failure) => Some(failure),
        }
    }
}

/// A reason to refuse a change. `?` and `into` make a [`ChangeError`] of it, also of one that embeds it.
pub trait Refusal {}

impl<Q: Refusal, R: From<Q>> From<Q> for ChangeError<R> {
    fn from(refusal: Q) -> Self {
        Self::Refused(refusal.into())
    }
}
