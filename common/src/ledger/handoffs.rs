//! Handoffs as workers see them: claimed under a lease, and concluded once.

mod claim;
mod conclude;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{Ledger, Result};
use crate::{
    domain::{
        handoff::{AttemptOutcome, Handoff, Verdict},
        integrator::{Integrator, OutboundAuth},
        signature::SigningSecret,
    },
};

pub(crate) use conclude::judge_lost;

/// What one claim took.
#[derive(Debug, Default)]
pub struct Claims {
    pub claimed: Vec<Claimed>,
    /// When the integrator's next handoff falls due that is not due yet.
    pub next_due_at: Option<DateTime<Utc>>,
    /// Some that are due are locked by somebody else: worth another claim soon.
    pub some_were_busy: bool,
}

/// One attempt that must now be made: everything that its request is written from.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// In the state `sending`.
    pub handoff: Handoff,
    /// The attempt's number in its round, from 1.
    pub n: u32,
    /// An outcome counts only while the handoff still has this.
    pub fence: i64,
    pub started_at: DateTime<Utc>,
    /// Without an outcome by then, the sweep takes it as unknown.
    pub leased_until: DateTime<Utc>,
    pub integrator: Integrator,
    pub auth: OutboundAuth,
    /// The newest first; two during a rotation.
    pub signing: Vec<SigningSecret>,
    /// The same bytes on every attempt.
    pub body: Bytes,
    /// The order's number in its store, for logs.
    pub order_number: Option<i64>,
}

/// What became of an attempt's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concluded {
    Recorded {
        outcome: AttemptOutcome,
        verdict: Verdict,
    },
    /// The lease ran out before, and the attempt stands as unknown: nothing was changed.
    Fenced,
}
