//! Conversion of ledger and store errors to problems.

use ledger::{ChangeError, Failure};
use store::StoreError;

use super::{Problem, Reason};

impl<R: Into<Problem>> From<ChangeError<R>> for Problem {
    fn from(error: ChangeError<R>) -> Self {
        match error {
            ChangeError::Refused(refusal) => refusal.into(),
            ChangeError::Failed(failure) => failure.into(),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error.into(),
            Failure::Undecryptable(why) => Self::internal(format_args!("unsealable: {why}")),
            Failure::Overloaded => Self::new(Reason::Overloaded),
            Failure::KeyReused => Self::new(Reason::IdempotencyKeyReused),
            Failure::KeyInProgress => Self::new(Reason::IdempotencyInProgress).retry_after_s(1),
            Failure::AlreadyDone(_) => {
                Self::internal("a request without an idempotency key was reported as a replay")
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::LockLost(_) => {
                Self::new(Reason::DatabaseUnavailable).caused_by(error)
            }
            StoreError::CommitUnknown(_) => Self::new(Reason::DatabaseUnavailable)
                .detail("The outcome is unknown: check the resource, or retry with the same Idempotency-Key.")
                .caused_by(error),
            StoreError::UniqueKeyTaken | StoreError::Corrupt { .. } | StoreError::Other(_) => {
                Self::internal(error)
            }
        }
    }
}
