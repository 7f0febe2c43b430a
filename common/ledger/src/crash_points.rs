//! The crash points of each kind of change: where tests end the process.

/// Two crash points, just before and just after a commit.
#[derive(Clone, Copy)]
pub(crate) struct CrashPoints(pub(crate) Option<(&'static str, &'static str)>);

impl CrashPoints {
    pub(crate) const NONE: Self = Self(None);
    pub(crate) const ORDERS: Self = Self(Some(("orders.before_commit", "orders.after_commit")));
    pub(crate) const INTAKE: Self = Self(Some(("intake.before_commit", "intake.after_commit")));
    pub(crate) const CLAIM: Self = Self(Some(("claim.before_commit", "claim.after_commit")));
    pub(crate) const OUTCOME: Self = Self(Some((
        "attempt.before_outcome_commit",
        "attempt.after_outcome_commit",
    )));
    pub(crate) const CALLBACK_STORED: Self = Self(Some((
        "callback.before_store_commit",
        "callback.after_store",
    )));
    pub(crate) const CALLBACK_APPLIED: Self = Self(Some((
        "callback.before_apply_commit",
        "callback.after_apply",
    )));
    pub(crate) const SWEEP: Self = Self(Some(("sweep.before_commit", "sweep.after_commit")));
}
