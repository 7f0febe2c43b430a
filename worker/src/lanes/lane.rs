//! Lane of one integrator: claims handoffs when it is woken, when a slot becomes free, and when one becomes due.

use std::{sync::Arc, time::Duration};

use broker::Message;
use chrono::{DateTime, Utc};
use domain::{
    hint::{Hint, ReceivedHint},
    ids::IntegratorId,
    integrator::Integrator,
    sharing::Limits,
};
use ledger::handoffs::{Claimed, Claims};
use platform::clock::Clock;
use tokio::{sync::watch, task::JoinSet};

use super::{Bell, Inner, MAX_HOPS, rate::Rate};
use crate::membership::Membership;

/// Maximum number of handoffs per claim.
const MAX_CLAIM: usize = 32;
/// How long an idle lane stays, with the limits that it has learned.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Furthest due time that a lane waits for itself; the sweep wakes it for later ones.
const MAX_TIMER: Duration = Duration::from_secs(600);
/// Delay after a failed claim; the database may be unavailable.
const ERROR_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Delay before rows that another claim had locked are claimed again, plus up to as much jitter.
const BUSY_RETRY_DELAY: Duration = Duration::from_millis(25);
/// Minimum time between two claims, whatever the database reports as due.
const MIN_CLAIM_INTERVAL: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Lane {
    integrator: IntegratorId,
    /// Shared with `Lanes`, which rings it; this lane clears it. Its fields are atomic.
    bell: Arc<Bell>,
    /// Shared by all lanes. This lane writes only its own removal, under the mutex of `Inner::lanes`.
    lanes: Arc<Inner>,
    clock: Clock,
    /// Written by the membership task only; this lane reads it in `apply_share`.
    membership: watch::Receiver<Membership>,
    /// The integrator's limits for all workers together; `None` until they are known.
    limits: Option<Limits>,
    /// Maximum number of concurrent attempts: one until the limits are known, zero if this worker has no share.
    width: usize,
    rate: Rate,
    /// Not shared: only this lane starts and joins its attempts, so that `width` needs no lock.
    in_flight: JoinSet<()>,
}

/// Number of handoffs that may be claimed, and when.
#[derive(Debug)]
enum Allowance {
    Now(usize),
    NotBefore(DateTime<Utc>),
    WhenASlotIsFree,
}

impl Lane {
    pub(super) fn new(integrator: IntegratorId, bell: Arc<Bell>, lanes: Arc<Inner>) -> Self {
        Self {
            integrator,
            bell,
            clock: lanes.attempts.ledger.clock().clone(),
            membership: lanes.membership.clone(),
            lanes,
            limits: None,
            width: 1,
            rate: Rate::default(),
            in_flight: JoinSet::new(),
        }
    }

    /// Runs until the lane has been idle for [`IDLE_TIMEOUT`] or the process stops; then waits for its attempts.
    pub(super) async fn run(mut self) {
        let stopping = self.lanes.stopping.clone();
        let mut next_claim_at = None;
        let mut idle_until = self.clock.now() + IDLE_TIMEOUT;
        while !stopping.is_cancelled() {
            let now = self.clock.now();
            if self.bell.clear() || next_claim_at.is_some_and(|at| at <= now) {
                next_claim_at = self.claim_due().await;
                idle_until = self.clock.now() + IDLE_TIMEOUT;
            }
            next_claim_at = next_claim_at.filter(|at| *at <= idle_until + MAX_TIMER);
            let is_idle = self.in_flight.is_empty() && next_claim_at.is_none();
            let is_over = self.width == 0 || idle_until <= self.clock.now();
            if is_idle && is_over && self.try_leave() {
                return;
            }
            let wakes_at = next_claim_at.unwrap_or(idle_until);
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.bell.wait_for_ring() => {}
                Some(_) = self.in_flight.join_next() => {
                    while self.in_flight.try_join_next().is_some() {}
                    next_claim_at = Some(self.clock.now());
                }
                Ok(()) = self.membership.changed() => {
                    self.apply_share();
                    next_claim_at = Some(self.clock.now());
                }
                () = self.clock.sleep_until(wakes_at), if is_idle || next_claim_at.is_some() => {}
            }
        }
        while self.in_flight.join_next().await.is_some() {}
    }

    /// Claims as many due handoffs as allowed; returns the time of the next claim if nothing wakes the lane before.
    async fn claim_due(&mut self) -> Option<DateTime<Utc>> {
        let hops = self.bell.hops();
        if let Err(error) = self.load_limits().await {
            tracing::warn!(integrator = %self.integrator, %error, "reading the integrator's limits failed; retrying after {ERROR_RETRY_DELAY:?} or more: {error}");
            return Some(self.retry_at(ERROR_RETRY_DELAY));
        }
        if self.width == 0 {
            self.forward_hint(hops).await;
            return None;
        }
        loop {
            let limit = match self.allowance() {
                Allowance::Now(limit) => limit,
                Allowance::NotBefore(at) => return Some(at),
                Allowance::WhenASlotIsFree => return None,
            };
            let claimed_at = self.clock.now();
            let ledger = &self.lanes.attempts.ledger;
            let claim = ledger.claim_handoffs(self.integrator, limit, self.lanes.lease);
            let claims = match claim.await {
                Ok(claims) => claims,
                Err(error) => {
                    tracing::warn!(integrator = %self.integrator, %error, "claim failed; retrying after {ERROR_RETRY_DELAY:?} or more: {error}");
                    return Some(self.retry_at(ERROR_RETRY_DELAY));
                }
            };
            let Claims {
                claimed,
                next_due_at,
                retry_soon,
            } = claims;
            let claimed_all = claimed.len() < limit;
            for one in claimed {
                self.start_attempt(one);
            }
            let soon = retry_soon.then(|| self.retry_at(BUSY_RETRY_DELAY));
            if claimed_all || retry_soon {
                // Prevents a busy loop, whatever the database says is due.
                let earliest = claimed_at + MIN_CLAIM_INTERVAL;
                let due_at = next_due_at.map(|at| at.max(earliest));
                return [soon, due_at].into_iter().flatten().min();
            }
        }
    }

    /// Returns how many handoffs may be claimed now; the only place that applies slots, rate and any future limit.
    fn allowance(&mut self) -> Allowance {
        let free = self.width.saturating_sub(self.in_flight.len());
        if free == 0 {
            return Allowance::WhenASlotIsFree;
        }
        let now = self.clock.now();
        match self.rate.available(now) {
            0 => Allowance::NotBefore(self.rate.next_at(now)),
            available => Allowance::Now(free.min(available).min(MAX_CLAIM)),
        }
    }

    fn start_attempt(&mut self, claimed: Claimed) {
        self.update_limits(&claimed.integrator);
        self.rate.take(1);
        let attempts = self.lanes.attempts.clone();
        self.in_flight.spawn(attempts.make(claimed));
    }

    /// Reads the integrator's limits if they are unknown. A worker that is alone need not: every limit allows the one
    /// request that it sends before its first claim has told the limits.
    async fn load_limits(&mut self) -> ledger::Result<()> {
        if self.limits.is_some() || self.membership.borrow().is_alone() {
            return Ok(());
        }
        let ledger = &self.lanes.attempts.ledger;
        if let Some(integrator) = ledger.integrator(self.integrator).await? {
            self.update_limits(&integrator);
        }
        Ok(())
    }

    /// Updates the limits, which may have changed since the last claim.
    fn update_limits(&mut self, integrator: &Integrator) {
        let limits = Limits {
            concurrency: integrator.concurrency,
            rate_per_s: integrator.rate_per_s,
        };
        if self.limits != Some(limits) {
            self.limits = Some(limits);
            self.apply_share();
        }
    }

    /// Applies this worker's current share. Attempts in flight above the new width are left to end by themselves.
    fn apply_share(&mut self) {
        let membership = self.membership.borrow_and_update();
        let Some(limits) = self.limits else { return };
        let share = membership.share(self.integrator, limits);
        self.width = share.concurrency as usize;
        let now = self.clock.now();
        self.rate.limit(share.rate_per_s, membership.since, now);
    }

    /// Forwards a hint to the next consumer of the work queue, which may be this worker again.
    async fn forward_hint(&self, hops: Option<u8>) {
        let Some(hops) = hops.filter(|hops| *hops < MAX_HOPS) else {
            return;
        };
        let told = ReceivedHint {
            hint: Hint::Handoffs {
                integrator: self.integrator,
            },
            hops: hops + 1,
        };
        let message = Message::work(serde_json::to_vec(&told).expect("a hint has text keys only"));
        for result in self.lanes.broker.publish(vec![message]).await {
            if let Err(error) = result {
                tracing::debug!(integrator = %self.integrator, %error, "forwarding a hint failed: {error}");
            }
        }
    }

    /// Returns a time after the delay, or up to twice as late, so that lanes that failed together do not try again
    /// together.
    fn retry_at(&self, delay: Duration) -> DateTime<Utc> {
        let jitter = self.lanes.attempts.ledger.chance().fraction();
        self.clock.now() + delay.mul_f64(1.0 + jitter)
    }

    /// Removes this lane and returns true, unless its bell has rung in the meantime.
    fn try_leave(&self) -> bool {
        let mut lanes = self.lanes.lanes.lock();
        let stays = self.bell.is_rung();
        if !stays {
            lanes.remove(&self.integrator);
        }
        !stays
    }
}

impl Drop for Lane {
    /// Removes the lane also after a panic; otherwise wake-ups would go to a lane that does not run.
    fn drop(&mut self) {
        let mut lanes = self.lanes.lanes.lock();
        if lanes
            .get(&self.integrator)
            .is_some_and(|bell| Arc::ptr_eq(bell, &self.bell))
        {
            lanes.remove(&self.integrator);
        }
    }
}
