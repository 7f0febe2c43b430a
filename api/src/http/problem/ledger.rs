//! Conversion of ledger and store errors to problems.

use std::convert::Infallible;

use ledger::LedgerError;
use store::StoreError;

use super::{Problem, Reason};

impl<R: Into<Problem>> From<LedgerError<R>> for Problem {
    fn from(error: LedgerError<R>) -> Self {
        match error {
            LedgerError::Refused(refusal) => refusal.into(),
            LedgerError::Store(error) => error.into(),
            LedgerError::Undecryptable(why) => Self::internal(format_args!("unsealable: {why}")),
            LedgerError::Overloaded => Self::new(Reason::Overloaded),
            LedgerError::KeyReused => Self::new(Reason::IdempotencyKeyReused),
            LedgerError::KeyInProgress => Self::new(Reason::IdempotencyInProgress).retry_after_s(1),
            LedgerError::AlreadyDone(_) => {
                Self::internal("a request without an idempotency key was reported as a replay")
            }
        }
    }
}

impl From<Infallible> for Problem {
    fn from(never: Infallible) -> Self {
        match never {}
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
