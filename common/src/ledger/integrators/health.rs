//! How an integrator has answered lately: for people.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

use crate::{
    domain::{breaker::Breaker, handoff::AttemptOutcome, ids::IntegratorId},
    ledger::{Ledger, Result},
    store,
};

/// The success rate is of so many attempts.
const ATTEMPTS: u32 = 100;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    pub breaker: Breaker,
    /// The part of its last hundred attempts that it acknowledged; `None` without any.
    pub success_rate: Option<f64>,
    pub last_success_at: Option<DateTime<Utc>>,
    /// Of its last hundred attempts.
    pub last_failure: Option<LastFailure>,
}

/// An attempt that was not acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct LastFailure {
    pub at: DateTime<Utc>,
    /// What it answered, if it did.
    pub http_status: Option<u16>,
    pub error: Option<String>,
}

impl Ledger {
    /// Of each of them, in their order; of one that does not exist, as of one that was sent nothing yet.
    pub async fn health_of(&self, integrators: &[IntegratorId]) -> Result<Vec<Health>> {
        let mut tx = self.inner.db.read().await?;
        let mut healths = Vec::new();
        for id in integrators {
            let breaker = store::integrators::breaker(&mut tx, *id).await?;
            let attempts = store::integrators::latest_attempts(&mut tx, *id, ATTEMPTS).await?;
            let acknowledged =
                |one: &&store::integrators::Heard| one.outcome == AttemptOutcome::Acknowledged;
            let successes = attempts.iter().filter(acknowledged).count();
            let last_success_at = match attempts.iter().find(acknowledged) {
                Some(success) => Some(success.at),
                None => store::integrators::last_success_at(&mut tx, *id).await?,
            };
            let failure = attempts.iter().find(|one| !acknowledged(one));
            healths.push(Health {
                breaker: breaker.unwrap_or_default(),
                success_rate: share(successes, attempts.len()),
                last_success_at,
                last_failure: failure.map(|failure| LastFailure {
                    at: failure.at,
                    http_status: failure.http_status,
                    error: failure.error.clone(),
                }),
            });
        }
        Ok(healths)
    }
}

/// `None` of nothing.
fn share(part: usize, whole: usize) -> Option<f64> {
    let exactly = |count: usize| u32::try_from(count).map(f64::from).ok();
    (whole > 0)
        .then(|| Some(exactly(part)? / exactly(whole)?))
        .flatten()
}
