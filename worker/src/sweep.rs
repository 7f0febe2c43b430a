//! The reconciler: finds due work that nobody holds, whatever was lost. It always runs, with or without a broker; its
//! steps are idempotent and independent of each other.

mod gauges;
mod retention;

use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};

use broker::{Broker, BrokerState, Message};
use chrono::{DateTime, Utc};
use domain::{
    hint::Hint,
    ids::{CallbackId, IntegratorId, OrderId, StoreId},
};
use ledger::{
    Ledger,
    retention::Retained,
    sweep::{MAX_PRUNED, Part, Walk},
};
use platform::metrics::Metrics;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use self::gauges::Pace;
use crate::{lanes::Lanes, membership::Membership};

/// Minimum time between two hints about the same integrator.
const HINT_INTERVAL: Duration = Duration::from_secs(5);
const ANCHOR_INTERVAL: Duration = Duration::from_secs(30);
/// Interval at which a worker sweeps the other workers' parts too.
const WHOLE_INTERVAL: Duration = Duration::from_secs(10);
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);
const DELIVERY_INTERVAL: Duration = Duration::from_secs(60);
const TALLY_INTERVAL: Duration = Duration::from_secs(30);
/// Interval of the look for listeners that nobody claims for any more; it reads all integrators.
const LISTENERS_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum callbacks without an order, and orders of each status after a sweep that settled some, that one sweep
/// examines without knowing that there is something to do.
const MAX_EXAMINED: u32 = 2048;
/// Maximum orders of each status that a sweep examines otherwise: from where the last one ended, and of the newest.
const EXAMINED_IN_TURN: u32 = 512;
const EXAMINED_NEWEST: u32 = 256;

#[derive(Debug)]
pub(crate) struct Sweep {
    pub(crate) ledger: Ledger,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) lanes: Lanes,
    pub(crate) membership: watch::Receiver<Membership>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) interval: Duration,
    /// Maximum number of rows that each step of a sweep takes.
    pub(crate) batch: u32,
    /// Shared because `sweep_once` also runs beside the periodic sweep; never held across an await.
    pub(crate) memory: Mutex<Memory>,
}

/// State that one sweep leaves to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    hinted_at: HashMap<IntegratorId, DateTime<Utc>>,
    /// [`Membership::since`] of the last hints. A new membership has new shares, so everything is hinted again.
    hinted_membership: Option<DateTime<Utc>>,
    /// Cursor over the integrators, if there are more than one sweep reads.
    hinted_last: Option<IntegratorId>,
    /// Cursor over the orders that wait for acceptance, if there are more than one sweep examines.
    settled_last: Option<OrderId>,
    /// True if the last sweep settled orders, so that there may be more.
    has_settled: bool,
    /// Cursor over the callbacks that wait for their reference, if there are more than one sweep examines.
    matched_last: Option<CallbackId>,
    /// Time of the last sweep that took the other workers' parts too.
    whole_at: Option<DateTime<Utc>>,
    anchored_at: Option<DateTime<Utc>>,
    pruned_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    listeners_at: Option<DateTime<Utc>>,
    tallied_at: Option<DateTime<Utc>>,
    /// Cursor over the stores, if there are more than one sweep tallies.
    tallied_last: Option<StoreId>,
    retention: retention::Memory,
    gauges: Pace,
}

/// Counts of what one sweep changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCounts {
    pub leases_freed: u32,
    pub callbacks_applied: u32,
    pub integrators_disabled: u32,
    pub listeners_archived: u32,
    pub handoffs_withdrawn: u32,
    pub handoffs_overdue: u32,
    pub orders_ended: u32,
    pub orders_settled: u32,
    pub orders_delivered: u32,
    pub references_matched: u32,
    pub integrators_hinted: u32,
    pub rows_pruned: u64,
    pub orders_tallied: u64,
    pub retained: Retained,
    pub orders_erased: u64,
}

impl Sweep {
    pub(crate) async fn run(self: Arc<Self>, stopping: CancellationToken) {
        let mut took = Duration::ZERO;
        loop {
            // A sweep that left much to the next one took as long as the pause.
            tokio::select! {
                () = self.ledger.clock().sleep(self.interval.saturating_sub(took)) => {}
                () = stopping.cancelled() => return,
            }
            let begun_at = Instant::now();
            // Not aborted at shutdown: each step is a transaction.
            self.sweep_once().await;
            took = begun_at.elapsed();
        }
    }

    pub(crate) async fn sweep_once(&self) -> SweepCounts {
        self.anchor_if_due().await;
        let ledger = &self.ledger;
        let part = self.part();
        let walk = Walk {
            part,
            limit: self.batch,
        };
        // Callbacks before overdue orders: a callback received in time may still save its order.
        let swept = SweepCounts {
            leases_freed: ok_or_default("expired_leases", ledger.free_expired_leases(walk).await),
            callbacks_applied: ok_or_default(
                "callbacks_left",
                ledger.apply_leftover_callbacks(walk).await,
            ),
            integrators_disabled: ok_or_default(
                "given_up_integrators",
                ledger.disable_failing_integrators(walk).await,
            ),
            listeners_archived: self.archive_listeners_if_due().await,
            handoffs_withdrawn: ok_or_default(
                "archived_integrators",
                ledger.withdraw_from_archived(walk).await,
            ),
            handoffs_overdue: ok_or_default(
                "overdue_handoffs",
                ledger.fail_overdue_handoffs(walk).await,
            ),
            orders_ended: ok_or_default("overdue_orders", ledger.end_overdue_orders(walk).await),
            orders_settled: self.settle_orders(part).await,
            orders_delivered: self.deliver_if_due().await,
            references_matched: self.match_references(part).await,
            integrators_hinted: ok_or_default("due_work", self.hint_due_work().await),
            rows_pruned: self.prune_if_due().await,
            orders_tallied: self.tally_if_due().await,
            // After the tally, which keeps the counts of orders that are deleted.
            retained: self.retain_if_due().await,
            orders_erased: self.erase(part).await,
        };
        self.count(&swept);
        self.set_gauges_if_due().await;
        swept
    }

    /// Looks for orders to settle that are to be found by examining all that wait. One worker does so, and the others now
    /// and then: it costs the database about as much for orders that wait as for those to settle. With many waiting,
    /// the newest are examined each time, and the others in turn.
    async fn settle_orders(&self, part: Part) -> u32 {
        if part.rank > 0 {
            return 0;
        }
        let (after, is_quick) = {
            let memory = self.memory.lock();
            (memory.settled_last, memory.has_settled)
        };
        let examined = if is_quick {
            MAX_EXAMINED
        } else {
            EXAMINED_IN_TURN
        };
        let in_turn = self
            .ledger
            .settle_unsettled_orders(after, examined, Part::WHOLE);
        let (mut settled, last) = ok_or_default("unsettled_orders", in_turn.await);
        if after.is_some() || last.is_some() {
            // The turn did not have all of them.
            let newest = self
                .ledger
                .settle_newest_orders(EXAMINED_NEWEST, Part::WHOLE);
            settled += ok_or_default("newest_unsettled_orders", newest.await);
        }
        let mut memory = self.memory.lock();
        (memory.settled_last, memory.has_settled) = (last, settled > 0);
        settled
    }

    /// Matches references in the same way.
    async fn match_references(&self, part: Part) -> u32 {
        if part.rank > 0 {
            return 0;
        }
        let after = self.memory.lock().matched_last;
        let matched = self
            .ledger
            .match_references(after, MAX_EXAMINED, Part::WHOLE);
        let (matched, last) = ok_or_default("references", matched.await);
        self.memory.lock().matched_last = last;
        matched
    }

    /// Goes on with the erasing of persons' data. One worker does so, and the others now and then.
    async fn erase(&self, part: Part) -> u64 {
        if part.rank > 0 {
            return 0;
        }
        ok_or_default("erasures", self.ledger.continue_erasures().await)
    }

    /// Returns the part of the work that this sweep takes: this worker's, and now and then the whole, in case that
    /// another one does not do its part.
    fn part(&self) -> Part {
        let now = self.ledger.clock().now();
        if is_due(&mut self.memory.lock().whole_at, now, WHOLE_INTERVAL) {
            return Part::WHOLE;
        }
        self.membership.borrow().part()
    }

    /// Wakes this worker's lanes directly, and those of other workers through the broker if it is connected. A lane
    /// without a share ends without claiming anything.
    async fn hint_due_work(&self) -> ledger::Result<u32> {
        let now = self.ledger.clock().now();
        let after = self.memory.lock().hinted_last;
        let due = self
            .ledger
            .integrators_with_due_work(after, self.batch)
            .await?;
        let membership = self.membership.borrow().since;
        let unhinted = {
            let mut memory = self.memory.lock();
            if memory.hinted_membership.replace(membership) != Some(membership) {
                memory.hinted_at.clear();
            }
            memory.hinted_last = due.continue_after;
            memory.unhinted(due.integrators, now)
        };
        for integrator in &unhinted {
            self.lanes.wake(*integrator);
        }
        self.hint_other_workers(&unhinted).await;
        Ok(u32::try_from(unhinted.len()).unwrap_or(u32::MAX))
    }

    async fn hint_other_workers(&self, integrators: &[IntegratorId]) {
        let is_connected = *self.broker.state().borrow() == BrokerState::Connected;
        if integrators.is_empty() || !is_connected {
            return;
        }
        let messages = integrators.iter().map(|integrator| {
            let hint = Hint::Handoffs {
                integrator: *integrator,
            };
            Message::work(serde_json::to_vec(&hint).expect("a hint has text keys only"))
        });
        for result in self.broker.publish(messages.collect()).await {
            if let Err(error) = result {
                tracing::debug!(%error, "hint to the other workers failed: {error}");
            }
        }
    }

    async fn anchor_if_due(&self) {
        let now = self.ledger.clock().now();
        if !is_due(&mut self.memory.lock().anchored_at, now, ANCHOR_INTERVAL) {
            return;
        }
        if let Err(error) = self.ledger.db().anchor(self.ledger.clock()).await {
            tracing::warn!(%error, "synchronizing the clock with the database failed: {error}");
        }
        if self.ledger.clock().is_in_doubt() {
            // The next sweep asks for a second opinion.
            self.memory.lock().anchored_at = None;
        }
    }

    /// Prunes periodically, or in the next sweep if one batch was not enough, so that pruning keeps up with new rows.
    async fn prune_if_due(&self) -> u64 {
        let now = self.ledger.clock().now();
        if !is_due(&mut self.memory.lock().pruned_at, now, PRUNE_INTERVAL) {
            return 0;
        }
        let pruned = ok_or_default("prune", self.ledger.prune().await);
        if pruned >= u64::from(MAX_PRUNED) {
            self.memory.lock().pruned_at = None;
        }
        pruned
    }

    /// Delivers forgotten orders periodically, or in the next sweep if one batch was not enough.
    async fn deliver_if_due(&self) -> u32 {
        let now = self.ledger.clock().now();
        if !is_due(&mut self.memory.lock().delivered_at, now, DELIVERY_INTERVAL) {
            return 0;
        }
        let delivered = ok_or_default(
            "accepted_orders",
            self.ledger.deliver_accepted_orders(self.batch).await,
        );
        if delivered >= self.batch {
            self.memory.lock().delivered_at = None;
        }
        delivered
    }

    async fn archive_listeners_if_due(&self) -> u32 {
        let now = self.ledger.clock().now();
        if !is_due(
            &mut self.memory.lock().listeners_at,
            now,
            LISTENERS_INTERVAL,
        ) {
            return 0;
        }
        let archived = self.ledger.archive_expired_listeners(self.batch);
        ok_or_default("expired_listeners", archived.await)
    }

    /// Tallies periodically, or in the next sweep if this one did not reach the end.
    async fn tally_if_due(&self) -> u64 {
        let now = self.ledger.clock().now();
        let after = self.memory.lock().tallied_last;
        let goes_on = after.is_some();
        if !goes_on && !is_due(&mut self.memory.lock().tallied_at, now, TALLY_INTERVAL) {
            return 0;
        }
        let walk = ok_or_default("tallies", self.ledger.tally_orders(after, self.batch).await);
        let mut memory = self.memory.lock();
        memory.tallied_last = walk.last;
        if walk.is_behind {
            memory.tallied_at = None;
        }
        walk.orders
    }

    fn count(&self, swept: &SweepCounts) {
        for (kind, found) in [
            ("expired_lease", swept.leases_freed),
            ("callback_left", swept.callbacks_applied),
            ("given_up_integrator", swept.integrators_disabled),
            ("withdrawn_handoff", swept.handoffs_withdrawn),
            ("overdue_handoff", swept.handoffs_overdue),
            ("overdue_order", swept.orders_ended),
            ("unsettled_order", swept.orders_settled),
            ("reference_matched", swept.references_matched),
            ("due_work", swept.integrators_hinted),
        ] {
            let findings = self.metrics.sweep_findings.with_label_values(&[kind]);
            findings.inc_by(u64::from(found));
        }
    }
}

impl Memory {
    /// Returns the integrators that were not hinted recently, and marks them as hinted now.
    fn unhinted(&mut self, mut due: Vec<IntegratorId>, now: DateTime<Utc>) -> Vec<IntegratorId> {
        // A time in the future means that the clock was set back.
        self.hinted_at
            .retain(|_, at| *at <= now && now < *at + HINT_INTERVAL);
        due.retain(|integrator| !self.hinted_at.contains_key(integrator));
        self.hinted_at
            .extend(due.iter().map(|integrator| (*integrator, now)));
        due
    }
}

/// Returns the result of a step; logs an error and returns the default, so that the other steps go on.
fn ok_or_default<T: Default>(step: &'static str, result: ledger::Result<T>) -> T {
    result.unwrap_or_else(|error| {
        tracing::warn!(step, %error, "sweep step {step} failed: {error}");
        T::default()
    })
}

/// Returns true and sets `last` to `now` if `every` has passed since then, or if the clock was set back.
fn is_due(last: &mut Option<DateTime<Utc>>, now: DateTime<Utc>, every: Duration) -> bool {
    let is_due = last.is_none_or(|last| now < last || now >= last + every);
    if is_due {
        *last = Some(now);
    }
    is_due
}

#[cfg(test)]
mod tests {
    use platform::chance::Chance;
    use store::testing::noon;

    use super::*;

    const EVERY: Duration = Duration::from_secs(60);

    #[test]
    fn an_integrator_is_told_of_again_after_a_while_and_at_once_when_the_clock_was_set_back() {
        let integrator = Chance::system().id(noon());
        let mut memory = Memory::default();
        let mut is_told = |at| !memory.unhinted(vec![integrator], at).is_empty();
        assert!(is_told(noon()));
        assert!(!is_told(noon() + HINT_INTERVAL / 2));
        assert!(is_told(noon() + HINT_INTERVAL));
        assert!(is_told(noon() - EVERY));
        assert!(!is_told(noon() - EVERY));
    }

    #[test]
    fn what_is_done_now_and_then_does_not_wait_for_a_time_that_was_before() {
        let mut last = None;
        assert!(is_due(&mut last, noon(), EVERY));
        assert!(!is_due(&mut last, noon() + EVERY / 2, EVERY));
        assert!(is_due(&mut last, noon() - EVERY, EVERY));
        assert!(!is_due(&mut last, noon() - EVERY / 2, EVERY));
        assert!(is_due(&mut last, noon(), EVERY));
    }
}
