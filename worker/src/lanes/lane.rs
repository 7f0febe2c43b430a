//! Lane of one integrator: claims handoffs when it is woken, when a slot becomes free, and when one becomes due.

use std::{sync::Arc, time::Duration};

use broker::Message;
use chrono::{DateTime, Utc};
use domain::{
    hint::{Hint, ReceivedHint},
    ids::IntegratorId,
    sharing::Limits,
};
use ledger::handoffs::{Claimed, Claims};
use platform::clock::Clock;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

use super::{
    Inner, MAX_HOPS,
    bell::Bell,
    lag::Lag,
    places::{Rest, Start},
    rate::Rate,
    start_lane,
};
use crate::membership::Membership;

/// Maximum number of handoffs per claim.
const MAX_CLAIM: usize = 32;
/// How long an idle lane stays, with the limits that it has learned.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time after which a busy lane gives its place up if others wait for one.
const TURN: Duration = Duration::from_secs(1);
/// Furthest due time that a lane waits for itself; the sweep wakes it for later ones.
const MAX_TIMER: Duration = Duration::from_secs(600);
/// Delay after a failed claim; the database may be unavailable.
const ERROR_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Delay before rows that another claim had locked are claimed again, plus up to as much jitter.
const BUSY_RETRY_DELAY: Duration = Duration::from_millis(25);
/// Maximum doublings of that delay, while others hold everything that is due.
const MAX_BUSY_DOUBLINGS: u32 = 5;
/// Minimum time between two claims, whatever the database reports as due.
const MIN_CLAIM_INTERVAL: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Lane {
    integrator: IntegratorId,
    /// Shared with `Lanes`, which rings it; this lane clears it. Its fields are atomic.
    bell: Arc<Bell>,
    /// Shared by all lanes. This lane writes only what concerns its own place, under the mutex of `Inner::places`.
    lanes: Arc<Inner>,
    clock: Clock,
    /// Written by the membership task only; this lane reads it in `apply_share`.
    membership: watch::Receiver<Membership>,
    /// The integrator's limits for all workers together; `None` until they are known.
    limits: Option<Limits>,
    /// Maximum number of concurrent attempts: one until the limits are known, zero if this worker has no share.
    width: usize,
    rate: Rate,
    /// Number of claims in a row that found only what others hold.
    held_claims: u32,
    /// Not shared: only this lane starts and joins its attempts, so that `width` needs no lock.
    in_flight: JoinSet<Duration>,
    lag: Lag,
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
        let clock = lanes.attempts.ledger.clock().clone();
        Self {
            integrator,
            bell,
            lag: Lag::new(clock.now()),
            clock,
            membership: lanes.membership.clone(),
            lanes,
            limits: None,
            width: 1,
            rate: Rate::default(),
            held_claims: 0,
            in_flight: JoinSet::new(),
        }
    }

    /// Runs until the lane has been idle for [`IDLE_TIMEOUT`], others need its place, or the process stops; then waits for
    /// its attempts.
    pub(super) async fn run(mut self) {
        let stopping = self.lanes.stopping.clone();
        let mut next_claim_at = None;
        let begun_at = self.clock.now();
        let mut idle_until = begun_at + IDLE_TIMEOUT;
        while !stopping.is_cancelled() {
            let now = self.clock.now();
            let turn_is_over = begun_at + TURN <= now && self.lanes.places.lock().are_wanted();
            let is_used_up = self.rate.full_at(now).is_some();
            if turn_is_over && self.in_flight.is_empty() && !is_used_up {
                let next = self
                    .lanes
                    .places
                    .lock()
                    .end_turn(self.integrator, &self.bell);
                return self.hand_over(next);
            }
            let is_due = next_claim_at.is_some_and(|at| at <= now);
            if !turn_is_over && (self.bell.clear() || is_due) {
                next_claim_at = self.claim_due().await;
                idle_until = self.clock.now() + IDLE_TIMEOUT;
            }
            next_claim_at = next_claim_at.filter(|at| *at <= idle_until + MAX_TIMER);
            let is_idle = self.in_flight.is_empty() && next_claim_at.is_none();
            let is_over = is_idle && (self.width == 0 || idle_until <= self.clock.now());
            let full_at = self.rate.full_at(self.clock.now());
            match self.rest(next_claim_at, full_at, is_over) {
                Rest::Continue => continue,
                Rest::Left(next) => return self.hand_over(next),
                Rest::Stay => {}
            }
            let next_claim = next_claim_at.filter(|_| !turn_is_over);
            let wakes_at = [next_claim, full_at].into_iter().flatten().min();
            let waits_for_time = is_idle || wakes_at.is_some();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.bell.wait_for_ring() => {}
                Some(ended) = self.in_flight.join_next() => {
                    self.note_ended(ended);
                    while let Some(ended) = self.in_flight.try_join_next() {
                        self.note_ended(ended);
                    }
                    next_claim_at = Some(self.clock.now());
                }
                Ok(()) = self.membership.changed() => {
                    self.apply_share();
                    next_claim_at = Some(self.clock.now());
                }
                () = self.clock.sleep_until(wakes_at.unwrap_or(idle_until)),
                    if waits_for_time => {}
            }
            if !self.lanes.places.lock().resume(self.integrator, &self.bell) {
                return;
            }
        }
        while self.in_flight.join_next().await.is_some() {}
    }

    /// Offers this lane's place to others while it has nothing to do. One whose rate is used up keeps it: the
    /// integrator's next lane would not know how much of the rate is left.
    fn rest(
        &self,
        next_claim_at: Option<DateTime<Utc>>,
        full_at: Option<DateTime<Utc>>,
        is_over: bool,
    ) -> Rest {
        let is_soon = next_claim_at.is_some_and(|at| at <= self.clock.now() + TURN);
        if !self.in_flight.is_empty() || is_soon || full_at.is_some() {
            return Rest::Stay;
        }
        let mut places = self.lanes.places.lock();
        places.rest(
            self.integrator,
            &self.bell,
            next_claim_at.is_some(),
            is_over,
        )
    }

    /// Starts the lane that got this one's place.
    fn hand_over(&self, next: Option<Start>) {
        if let Some(next) = next {
            start_lane(&self.lanes, next);
        }
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
                limits,
                longest_wait,
                is_held_back,
            } = claims;
            if let Some(limits) = limits {
                self.update_limits(limits);
            }
            let claimed_all = claimed.len() < limit;
            if is_held_back {
                self.lag.note_limit();
            } else if !claimed_all {
                self.lag.note_full_claim(longest_wait);
            } else if !retry_soon {
                self.lag.note_caught_up();
            }
            let has_none = claimed.is_empty();
            if !has_none {
                let waited = longest_wait.as_secs_f64();
                self.lanes
                    .attempts
                    .metrics
                    .claim_wait_seconds
                    .observe(waited);
            }
            for one in claimed {
                self.start_attempt(one);
            }
            self.held_claims = if retry_soon && has_none {
                self.held_claims.saturating_add(1)
            } else {
                0
            };
            let soon = retry_soon.then(|| self.busy_retry_at());
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
            0 => {
                self.lag.note_limit();
                Allowance::NotBefore(self.rate.next_at(now))
            }
            available => Allowance::Now(free.min(available).min(MAX_CLAIM)),
        }
    }

    /// Notes the time that an attempt's request took, and tells how far the lane is behind.
    fn note_ended(&mut self, ended: Result<Duration, JoinError>) {
        self.lag.note_sent(ended.unwrap_or_default());
        if let Some(behind) = self.lag.judge(self.clock.now(), self.width) {
            self.lanes.attempts.ledger.note_lag(self.integrator, behind);
        }
    }

    fn start_attempt(&mut self, claimed: Claimed) {
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
        if let Some(limits) = ledger.limits_of(self.integrator).await? {
            self.update_limits(limits);
        }
        Ok(())
    }

    /// Updates the limits, which may have changed since the last claim.
    fn update_limits(&mut self, limits: Limits) {
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

    fn busy_retry_at(&self) -> DateTime<Utc> {
        let doubled = self.held_claims.min(MAX_BUSY_DOUBLINGS);
        self.retry_at(BUSY_RETRY_DELAY * 2_u32.pow(doubled))
    }
}

impl Drop for Lane {
    /// Removes the lane also after a panic; otherwise wake-ups would go to a lane that does not run.
    fn drop(&mut self) {
        let next = self.lanes.places.lock().leave(self.integrator, &self.bell);
        if !self.lanes.stopping.is_cancelled() {
            self.hand_over(next);
        }
    }
}
