//! Claims due handoffs of one integrator under a lease, with their attempts on record before any request is sent.

mod begin;

use std::time::Duration;

use self::begin::begin_attempts;
pub(super) use self::begin::render_body;
use super::{
    Claims,
    available::{self, Due},
    breaker,
    pressure::limits,
};
use crate::{
    ChangeError, ChangeResult, CrashPoints, Failure, Ledger, Refusal, Result, in_one_transaction,
};
use domain::{
    breaker::Allowance,
    ids::{HandoffId, IntegratorId},
};
use platform::crash;
use store::{
    StoreError,
    handoffs::{Candidate, Place},
};

/// Maximum number of handoffs in one claim.
const MAX_PER_CLAIM: usize = 64;
/// Delay before a handoff whose claim failed is tried again.
pub(crate) const FAILED_CLAIM_DELAY: Duration = Duration::from_secs(30);

/// Selection of the handoffs that a claim tries to take.
#[derive(Clone, Copy)]
enum Selection {
    Due { limit: u32 },
    One(Candidate),
}

impl Selection {
    /// Returns true if as many were claimed as were asked for.
    fn is_used_up_by(self, claims: &Claims) -> bool {
        match self {
            Self::Due { limit } => claims.claimed.len() >= limit as usize,
            Self::One(_) => false,
        }
    }
}

/// Caller of a claim. A worker claims the handoffs of all integrators but listeners, and a listening command only those of
/// its listener, so that neither takes the other's messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claimer {
    Worker,
    Listener,
}

/// Refusal of a claim because another one holds the breaker's single probe; the claim is rolled back.
#[derive(Debug, thiserror::Error)]
#[error("another claim has the probe")]
struct ProbeTaken;

impl Refusal for ProbeTaken {}

impl Ledger {
    /// Claims due handoffs of an integrator: first attempts before retries, then by due time, and one at a time per
    /// order. Each has its attempt on record and belongs to the caller until the lease ends. While the integrator is
    /// paused or its breaker is open, nothing but a test is claimed. After the breaker's wait one handoff is claimed as a
    /// probe: the one with the fewest attempts.
    #[crate::boxed]
    pub async fn claim_handoffs(
        &self,
        integrator: IntegratorId,
        limit: usize,
        lease: Duration,
    ) -> Result<Claims> {
        self.claim_as(Claimer::Worker, integrator, limit, lease)
            .await
    }

    /// Claims due handoffs of a listener, like [`Self::claim_handoffs`], for the command that listens; opens a transaction
    /// only if something is due.
    #[crate::boxed]
    pub async fn claim_for_listener(
        &self,
        listener: IntegratorId,
        limit: usize,
        lease: Duration,
    ) -> Result<Claims> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.db.read().await?;
        let due = store::handoffs::candidates(&mut tx, listener, now, Place::START, 1).await?;
        drop(tx);
        if due.candidates.is_empty() {
            return Ok(Claims::default());
        }
        self.claim_as(Claimer::Listener, listener, limit, lease)
            .await
    }

    async fn claim_as(
        &self,
        by: Claimer,
        integrator: IntegratorId,
        limit: usize,
        lease: Duration,
    ) -> Result<Claims> {
        let limit = u32::try_from(limit.min(MAX_PER_CLAIM)).expect("it is small");
        match self
            .claim(by, integrator, Selection::Due { limit }, lease)
            .await
        {
            Err(Failure::Store(error)) if error.is_row_fault() || error.is_unknown() => {
                tracing::warn!(%integrator, %error, "batch claim failed; claiming the handoffs one by one");
                self.claim_one_by_one(by, integrator, limit, lease).await
            }
            done => done,
        }
    }

    /// Claims each candidate in its own transaction, so that a faulty one stops no other: it is postponed, and parked
    /// at its fifth failure.
    async fn claim_one_by_one(
        &self,
        by: Claimer,
        integrator: IntegratorId,
        limit: u32,
        lease: Duration,
    ) -> Result<Claims> {
        let candidates = {
            let mut tx = self.inner.db.read().await?;
            let now = self.inner.clock.now();
            store::handoffs::candidates(&mut tx, integrator, now, Place::START, limit).await?
        };
        let mut all = Claims::default();
        let mut unknown: Option<StoreError> = None;
        for candidate in candidates.candidates {
            match self
                .claim(by, integrator, Selection::One(candidate), lease)
                .await
            {
                Ok(claims) => {
                    all.claimed.extend(claims.claimed);
                    all.limits = claims.limits;
                    all.next_due_at = claims.next_due_at;
                    all.retry_soon |= claims.retry_soon;
                    all.is_held_back |= claims.is_held_back;
                    all.longest_wait = all.longest_wait.max(claims.longest_wait);
                }
                Err(Failure::Store(error)) if error.is_row_fault() => {
                    tracing::error!(handoff = %candidate.id, %error, "handoff can't be claimed");
                    self.record_failed_claim(candidate.id, &error).await?;
                }
                // Nobody knows whether the row is at fault, so it neither stops the others nor is parked.
                Err(Failure::Store(error)) if error.is_unknown() => unknown = Some(error),
                // The handoffs claimed so far must still be sent.
                Err(error) if all.claimed.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(%integrator, %error, "claim interrupted; only some due handoffs were claimed");
                    all.retry_soon = true;
                    break;
                }
            }
        }
        match unknown {
            Some(error) if all.claimed.is_empty() => Err(error.into()),
            _ => Ok(all),
        }
    }

    pub(crate) async fn record_failed_claim(
        &self,
        handoff: HandoffId,
        error: &StoreError,
    ) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let not_before = change.now + FAILED_CLAIM_DELAY;
            let error = error.public_message();
            store::handoffs::record_claim_failure(&mut change.tx, handoff, &error, not_before)
                .await?;
            Ok(())
        })
    }

    async fn claim(
        &self,
        by: Claimer,
        integrator: IntegratorId,
        wanted: Selection,
        lease: Duration,
    ) -> Result<Claims> {
        match self.try_claim(by, integrator, wanted, lease).await {
            Ok(claims) => Ok(claims),
            Err(ChangeError::Refused(ProbeTaken)) => Ok(Claims {
                retry_soon: true,
                ..Claims::default()
            }),
            Err(ChangeError::Failed(failure)) => Err(failure),
        }
    }

    async fn try_claim(
        &self,
        by: Claimer,
        integrator: IntegratorId,
        wanted: Selection,
        lease: Duration,
    ) -> ChangeResult<Claims, ProbeTaken> {
        in_one_transaction!(&self.inner, CrashPoints::CLAIM, |change| {
            let Some(to) = store::integrators::get(&mut change.tx, integrator).await? else {
                return Ok(Claims::default());
            };
            if !to.integrator.enabled || to.given_up.is_some() || to.archived_at.is_some() {
                return Ok(Claims::default());
            }
            if to.integrator.is_listener() != (by == Claimer::Listener) {
                return Ok(Claims::default());
            }
            let now = change.now;
            let mut claims = Claims {
                limits: Some(limits(&to.integrator, &to.pressure)),
                ..Claims::default()
            };
            if let Some(until) = to.pressure.pause(now) {
                claims.next_due_at = Some(until);
                claims.is_held_back = true;
                return Ok(claims);
            }
            let pace = to.breaker.pace(now);
            claims.is_held_back = pace != Allowance::Free || !to.pressure.is_none();
            let Due { locked, any_held } = match (wanted, pace) {
                (Selection::Due { .. }, Allowance::NotBefore(_)) => {
                    available::lock_test(change, integrator).await?
                }
                (Selection::Due { .. }, Allowance::OneProbe) => {
                    available::lock_probe(change, integrator).await?
                }
                (Selection::Due { limit }, Allowance::Free) => {
                    let limit = limit.min(to.pressure.max_per_claim());
                    available::lock_due(change, integrator, limit).await?
                }
                (Selection::One(_), Allowance::NotBefore(_)) => Due::default(),
                (Selection::One(candidate), Allowance::OneProbe | Allowance::Free) => {
                    available::lock_one(change, candidate).await?
                }
            };
            claims.retry_soon = any_held;
            if !locked.is_empty() {
                crash::point("claim.after_locks");
                begin_attempts(change, &to, locked, lease, &mut claims).await?;
            }
            if let (Allowance::OneProbe, Some(probe)) = (pace, claims.claimed.first()) {
                let is_ours = breaker::begin_probe(change, probe).await;
                if !is_ours? {
                    return Err(ProbeTaken.into());
                }
            }
            claims.next_due_at = match pace {
                Allowance::NotBefore(at) => Some(at),
                // More may be due now.
                Allowance::Free if wanted.is_used_up_by(&claims) => None,
                Allowance::OneProbe | Allowance::Free => {
                    store::handoffs::next_due_at(&mut change.tx, integrator, now).await?
                }
            };
            Ok(claims)
        })
    }
}
