//! Recent health of an integrator, for people.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::{Ledger, Result};
use domain::{breaker::Breaker, ids::IntegratorId, pressure::Pressure};
use store::integrators::RecentOutcomes;

/// Number of most recent attempts that the success rate is computed from.
const RECENT_ATTEMPTS: u32 = 100;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    pub breaker: Breaker,
    pub pressure: Pressure,
    /// Fraction of its last hundred attempts that count which it acknowledged; `None` without any.
    pub success_rate: Option<f64>,
    pub last_success_at: Option<DateTime<Utc>>,
    /// Last failure among its last hundred attempts.
    pub last_failure: Option<LastFailure>,
}

/// An attempt that was not acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct LastFailure {
    pub at: DateTime<Utc>,
    /// Status of its response, if there was one.
    pub http_status: Option<u16>,
    pub error: Option<String>,
}

impl Ledger {
    /// Returns the health of each of these integrators, in the given sequence. An unknown one is like one that was sent
    /// nothing yet.
    #[crate::boxed]
    pub async fn health_of(&self, integrators: &[IntegratorId]) -> Result<Vec<Health>> {
        let mut tx = self.inner.db.read().await?;
        let breakers = store::integrators::breakers(&mut tx, integrators).await?;
        let pressures = store::integrators::pressures(&mut tx, integrators).await?;
        let answered =
            store::integrators::recent_outcomes(&mut tx, integrators, RECENT_ATTEMPTS).await?;
        drop(tx);
        let mut breakers: HashMap<IntegratorId, Breaker> = breakers.into_iter().collect();
        let mut pressures: HashMap<IntegratorId, Pressure> = pressures.into_iter().collect();
        let mut answered: HashMap<IntegratorId, RecentOutcomes> = answered
            .into_iter()
            .map(|one| (one.integrator, one))
            .collect();
        let healths = integrators.iter().map(|id| {
            let breaker = breakers.remove(id).unwrap_or_default();
            Health {
                pressure: pressures.remove(id).unwrap_or_default(),
                ..health(breaker, answered.remove(id))
            }
        });
        Ok(healths.collect())
    }
}

fn health(breaker: Breaker, answered: Option<RecentOutcomes>) -> Health {
    let Some(answered) = answered else {
        return Health {
            breaker,
            ..Health::default()
        };
    };
    Health {
        breaker,
        pressure: Pressure::default(),
        success_rate: ratio(answered.acknowledged, answered.attempts),
        last_success_at: answered.last_success_at,
        last_failure: answered.last_failure.map(|failure| LastFailure {
            at: failure.at,
            http_status: failure.http_status,
            error: failure.error,
        }),
    }
}

/// Returns `part / whole`, or `None` if `whole` is 0.
fn ratio(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}
