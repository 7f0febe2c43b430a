//! One integrator's lane: looks when told, when a slot is free again, and when something falls due.

use std::{sync::Arc, time::Duration};

use broker::Message;
use chrono::{DateTime, Utc};
use domain::{
    hint::{Hint, Told},
    ids::IntegratorId,
    integrator::Integrator,
    sharing::Limits,
};
use ledger::handoffs::{Claimed, Claims};
use platform::clock::Clock;
use tokio::{sync::watch, task::JoinSet};

use super::{Bell, Inner, MOST_HOPS, rate::Rate};
use crate::crew::Crew;

/// Handoffs of one claim at most.
const MOST_A_CLAIM: usize = 32;
/// A lane without work stays this long, with what it knows.
const STAYS: Duration = Duration::from_secs(30);
/// What falls due later than this, the sweep tells of.
const REMEMBERS: Duration = Duration::from_secs(600);
/// After a claim that failed: the database may be away.
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);
/// What somebody else holds locked is mostly free again after so long, and as much again by chance.
const BUSY: Duration = Duration::from_millis(25);
/// However often it is told, a lane claims no more often than this when nothing new is said.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Lane {
    integrator: IntegratorId,
    bell: Arc<Bell>,
    lanes: Arc<Inner>,
    clock: Clock,
    crew: watch::Receiver<Crew>,
    /// Of the integrator, over all workers; `None` until we are told.
    limits: Option<Limits>,
    /// Attempts at one time. One, until the first claim has told more; none, where this worker has no share.
    width: usize,
    rate: Rate,
    in_flight: JoinSet<()>,
}

/// How much may be claimed.
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
            crew: lanes.crew.clone(),
            lanes,
            limits: None,
            width: 1,
            rate: Rate::default(),
            in_flight: JoinSet::new(),
        }
    }

    /// Until there is nothing to do for a while, or the process stops: then until its attempts have ended.
    pub(super) async fn run(mut self) {
        let stopping = self.lanes.stopping.clone();
        let mut look_at = None;
        let mut leaves_at = self.clock.now() + STAYS;
        while !stopping.is_cancelled() {
            let now = self.clock.now();
            if self.bell.hush() || look_at.is_some_and(|at| at <= now) {
                look_at = self.look().await;
                leaves_at = self.clock.now() + STAYS;
            }
            look_at = look_at.filter(|at| *at <= leaves_at + REMEMBERS);
            let is_idle = self.in_flight.is_empty() && look_at.is_none();
            let is_over = self.width == 0 || leaves_at <= self.clock.now();
            if is_idle && is_over && self.leave() {
                return;
            }
            let wakes_at = look_at.unwrap_or(leaves_at);
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.bell.heard() => {}
                Some(_) = self.in_flight.join_next() => {
                    while self.in_flight.try_join_next().is_some() {}
                    look_at = Some(self.clock.now());
                }
                Ok(()) = self.crew.changed() => {
                    self.share_anew();
                    look_at = Some(self.clock.now());
                }
                () = self.clock.sleep_until(wakes_at), if is_idle || look_at.is_some() => {}
            }
        }
        while self.in_flight.join_next().await.is_some() {}
    }

    /// Claims as much as there is and may be; returns when to look again without being told.
    async fn look(&mut self) -> Option<DateTime<Utc>> {
        let hops = self.bell.hops();
        if let Err(error) = self.learn_before_the_first_claim().await {
            tracing::warn!(integrator = %self.integrator, %error, "what an integrator allows could not be read: {error}");
            return Some(self.clock.now() + AFTER_AN_ERROR);
        }
        if self.width == 0 {
            self.hand_on(hops).await;
            return None;
        }
        loop {
            let limit = match self.allowance() {
                Allowance::Now(limit) => limit,
                Allowance::NotBefore(at) => return Some(at),
                Allowance::WhenASlotIsFree => return None,
            };
            let looked_at = self.clock.now();
            let ledger = &self.lanes.attempts.ledger;
            let claim = ledger.claim_handoffs(self.integrator, limit, self.lanes.lease);
            let claims = match claim.await {
                Ok(claims) => claims,
                Err(error) => {
                    tracing::warn!(integrator = %self.integrator, %error, "handoffs could not be claimed: {error}");
                    return Some(self.clock.now() + AFTER_AN_ERROR);
                }
            };
            let Claims {
                claimed,
                next_due_at,
                some_were_busy,
            } = claims;
            let was_all = claimed.len() < limit;
            for one in claimed {
                self.begin(one);
            }
            let soon = some_were_busy.then(|| self.after_the_busy());
            if was_all || some_were_busy {
                // Never in a tight circle, whatever the database says is due.
                let earliest = looked_at + SHORTEST_WAIT;
                let due_at = next_due_at.map(|at| at.max(earliest));
                return [soon, due_at].into_iter().flatten().min();
            }
        }
    }

    /// The one place that says how much may go out: slots and rate, and whatever else will have a say.
    fn allowance(&mut self) -> Allowance {
        let free = self.width.saturating_sub(self.in_flight.len());
        if free == 0 {
            return Allowance::WhenASlotIsFree;
        }
        let now = self.clock.now();
        match self.rate.available(now) {
            0 => Allowance::NotBefore(self.rate.next_at(now)),
            available => Allowance::Now(free.min(available).min(MOST_A_CLAIM)),
        }
    }

    fn begin(&mut self, claimed: Claimed) {
        self.learn(&claimed.integrator);
        self.rate.take(1);
        let attempts = self.lanes.attempts.clone();
        self.in_flight.spawn(attempts.make(claimed));
    }

    /// Whoever is alone need not ask: one request at most is no more than is allowed.
    async fn learn_before_the_first_claim(&mut self) -> ledger::Result<()> {
        if self.limits.is_some() || self.crew.borrow().is_alone() {
            return Ok(());
        }
        let ledger = &self.lanes.attempts.ledger;
        if let Some(integrator) = ledger.integrator(self.integrator).await? {
            self.learn(&integrator);
        }
        Ok(())
    }

    /// Its settings may have changed since the last claim.
    fn learn(&mut self, integrator: &Integrator) {
        let limits = Limits {
            concurrency: integrator.concurrency,
            rate_per_s: integrator.rate_per_s,
        };
        if self.limits != Some(limits) {
            self.limits = Some(limits);
            self.share_anew();
        }
    }

    /// Attempts under way above the new width end by themselves.
    fn share_anew(&mut self) {
        let crew = self.crew.borrow_and_update();
        let Some(limits) = self.limits else { return };
        let share = crew.share(self.integrator, limits);
        self.width = share.concurrency as usize;
        let now = self.clock.now();
        self.rate.limit(share.rate_per_s, crew.since, now);
    }

    /// To whoever hears it next; perhaps to us again.
    async fn hand_on(&self, hops: Option<u8>) {
        let Some(hops) = hops.filter(|hops| *hops < MOST_HOPS) else {
            return;
        };
        let told = Told {
            hint: Hint::Handoffs {
                integrator: self.integrator,
            },
            hops: hops + 1,
        };
        let message = Message::work(serde_json::to_vec(&told).expect("a hint has text keys only"));
        for result in self.lanes.broker.publish(vec![message]).await {
            if let Err(error) = result {
                tracing::debug!(integrator = %self.integrator, %error, "a hint was not handed on: {error}");
            }
        }
    }

    fn after_the_busy(&self) -> DateTime<Utc> {
        let jitter = self.lanes.attempts.ledger.chance().fraction();
        self.clock.now() + BUSY.mul_f64(1.0 + jitter)
    }

    /// Unless somebody has rung meanwhile.
    fn leave(&self) -> bool {
        let mut lanes = self.lanes.lanes();
        let stays = self.bell.is_rung();
        if !stays {
            lanes.remove(&self.integrator);
        }
        !stays
    }
}

impl Drop for Lane {
    /// Also after a panic: a lane that is listed and does not run would keep its integrator waiting for ever.
    fn drop(&mut self) {
        let mut lanes = self.lanes.lanes();
        if lanes
            .get(&self.integrator)
            .is_some_and(|bell| Arc::ptr_eq(bell, &self.bell))
        {
            lanes.remove(&self.integrator);
        }
    }
}
