//! Duties for single orders: applies their callbacks and settles their acceptance, one duty at a time per order.

use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use domain::ids::OrderId;
use ledger::{ChangeError, Ledger};
use platform::metrics::Metrics;
use runtime::lifecycle::Shutdown;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Maximum number of orders whose callbacks are applied concurrently: the ledger applies those of as many in one
/// transaction, and those of as many again wait for the next one.
const APPLYING: usize = 128;
/// Maximum number of orders that are settled concurrently, each in a transaction of its own.
const SETTLING: usize = 8;
/// Maximum number of queued duties; the sweep finds what does not fit.
const MAX_QUEUED: usize = 10_000;
/// Delay before a duty whose order others hold is tried again, doubled each time.
const HELD_DELAY: Duration = Duration::from_millis(10);
/// Maximum number of such tries, all within a second.
const MAX_TRIES: u32 = 6;

/// Queue of duties and its runners; clones are cheap and share one queue.
#[derive(Clone, Debug)]
pub(crate) struct OrderDuties(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    metrics: Arc<Metrics>,
    /// Shared because the consumer adds duties, and the runners take them and free their orders. All writes go through
    /// this mutex, which is never held across an await.
    duties: Mutex<DutyQueue>,
    /// Wakes one idle runner of a kind: notified after a duty was added, and after an order was freed while duties are
    /// queued.
    changed: PerKind<Notify>,
}

/// Kind of a duty. Each has its own runners, so that neither waits for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Apply,
    Settle,
}

#[derive(Debug, Default)]
struct PerKind<T> {
    apply: T,
    settle: T,
}

#[derive(Debug, Default)]
struct DutyQueue {
    queues: PerKind<VecDeque<Duty>>,
    /// Same duties as in `queues`, so that none is queued twice.
    queued: HashSet<Duty>,
    /// Orders that a runner works on; their further duties stay queued.
    busy: HashSet<OrderId>,
    /// Number of tries of the duties whose orders others hold.
    tries: HashMap<Duty, u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Duty {
    ApplyCallbacks(OrderId),
    Settle(OrderId),
}

impl OrderDuties {
    pub(crate) fn start(ledger: Ledger, metrics: Arc<Metrics>, shutdown: &Shutdown) -> Self {
        let order_duties = Self(Arc::new(Inner {
            ledger,
            metrics,
            duties: Mutex::default(),
            changed: PerKind::default(),
        }));
        for (kind, runners) in [(Kind::Apply, APPLYING), (Kind::Settle, SETTLING)] {
            for _ in 0..runners {
                shutdown.spawn_vital(
                    "order duties",
                    order_duties.clone().run(kind, shutdown.stopping()),
                );
            }
        }
        order_duties
    }

    /// Queues a duty and returns at once; drops it if the queue is full, and the sweep finds it later.
    pub(crate) fn note(&self, duty: Duty) {
        if self.0.duties.lock().add(duty) {
            self.0.changed.of(duty.kind()).notify_one();
        }
    }

    async fn run(self, kind: Kind, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            let next = self.0.duties.lock().next(kind);
            let Some(duty) = next else {
                tokio::select! {
                    () = self.0.changed.of(kind).notified() => {}
                    () = stopping.cancelled() => {}
                }
                continue;
            };
            let is_held = {
                let _order_is_busy = Busy(&self.0, duty.order());
                self.0.perform(duty).await
            };
            if let Some(delay) = self.0.duties.lock().delay(duty, is_held) {
                let duties = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    duties.note(duty);
                });
            }
        }
    }
}

impl Duty {
    const fn order(self) -> OrderId {
        match self {
            Self::ApplyCallbacks(order) | Self::Settle(order) => order,
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::ApplyCallbacks(_) => Kind::Apply,
            Self::Settle(_) => Kind::Settle,
        }
    }
}

impl<T> PerKind<T> {
    const fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Apply => &self.apply,
            Kind::Settle => &self.settle,
        }
    }

    const fn of_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Apply => &mut self.apply,
            Kind::Settle => &mut self.settle,
        }
    }
}

impl DutyQueue {
    fn add(&mut self, duty: Duty) -> bool {
        let is_new = self.queued.len() < MAX_QUEUED && self.queued.insert(duty);
        if is_new {
            self.queues.of_mut(duty.kind()).push_back(duty);
        }
        is_new
    }

    /// Returns when to try a duty again whose order others hold; after [`MAX_TRIES`] the sweep does it.
    fn delay(&mut self, duty: Duty, is_held: bool) -> Option<Duration> {
        let tries = self.tries.get(&duty).copied().unwrap_or(0);
        if !is_held || tries >= MAX_TRIES {
            self.tries.remove(&duty);
            return None;
        }
        self.tries.insert(duty, tries + 1);
        Some(HELD_DELAY * 2_u32.pow(tries))
    }

    /// Takes the first duty of this kind whose order is not busy, and marks that order busy.
    fn next(&mut self, kind: Kind) -> Option<Duty> {
        let free = |duty: &Duty| !self.busy.contains(&duty.order());
        let queue = self.queues.of_mut(kind);
        let at = queue.iter().position(free)?;
        let duty = queue.remove(at)?;
        self.queued.remove(&duty);
        self.busy.insert(duty.order());
        Some(duty)
    }
}

impl Inner {
    /// Performs a duty; if it fails, the sweep retries it. Returns true if others hold the order.
    async fn perform(&self, duty: Duty) -> bool {
        match duty {
            Duty::ApplyCallbacks(order) => match self.ledger.apply_callbacks(order).await {
                Ok(applied) => self.count_applied(applied),
                Err(error) if error.is_held() => return true,
                Err(error) => {
                    tracing::warn!(%order, %error, "applying callbacks failed; the sweep will retry: {error}");
                }
            },
            Duty::Settle(order) => match self.ledger.settle_order(order).await {
                Ok(_) | Err(ChangeError::Refused(_)) => {}
                Err(ChangeError::Failed(error)) if error.is_held() => return true,
                Err(error) => {
                    tracing::warn!(%order, %error, "settling the order failed; the sweep will retry: {error}")
                }
            },
        }
        false
    }

    fn count_applied(&self, applied: u32) {
        let callbacks = &self.metrics.callbacks;
        callbacks
            .with_label_values(&["applied"])
            .inc_by(u64::from(applied));
    }
}

/// Guard that frees its order when dropped, also after a panic.
struct Busy<'a>(&'a Inner, OrderId);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut duties = self.0.duties.lock();
        duties.busy.remove(&self.1);
        let more = [Kind::Apply, Kind::Settle].map(|kind| !duties.queues.of(kind).is_empty());
        drop(duties);
        // A runner may have skipped this order's next duty while it was busy.
        for (kind, more) in [Kind::Apply, Kind::Settle].into_iter().zip(more) {
            if more {
                self.0.changed.of(kind).notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use platform::chance::Chance;
    use store::testing::noon;

    use super::*;

    fn order() -> OrderId {
        Chance::system().id(noon())
    }

    #[test]
    fn an_orders_duties_are_done_one_after_the_other_and_other_orders_do_not_wait() {
        let (first, second) = (order(), order());
        let mut duties = DutyQueue::default();
        for duty in [
            Duty::ApplyCallbacks(first),
            Duty::Settle(first),
            Duty::Settle(second),
        ] {
            assert!(duties.add(duty));
        }
        assert_eq!(duties.next(Kind::Apply), Some(Duty::ApplyCallbacks(first)));
        assert_eq!(duties.next(Kind::Settle), Some(Duty::Settle(second)));
        assert_eq!(duties.next(Kind::Settle), None);
        duties.busy.remove(&first);
        assert_eq!(duties.next(Kind::Settle), Some(Duty::Settle(first)));
    }
    #[test]
    fn a_duty_whose_order_is_held_comes_back_ever_later_until_the_sweep_has_it() {
        let duty = Duty::Settle(order());
        let mut duties = DutyQueue::default();
        let delays: Vec<Duration> = std::iter::from_fn(|| duties.delay(duty, true)).collect();
        assert_eq!(delays.len(), MAX_TRIES as usize);
        assert!(delays.is_sorted() && delays.iter().sum::<Duration>() < Duration::from_secs(1));
        assert!(duties.tries.is_empty());
        duties.delay(duty, true);
        assert_eq!(duties.delay(duty, false), None);
        assert!(duties.tries.is_empty());
    }

    #[test]
    fn a_duty_waits_once_and_no_more_wait_than_there_is_room_for() {
        let first = order();
        let mut duties = DutyQueue::default();
        assert!(duties.add(Duty::Settle(first)));
        assert!(!duties.add(Duty::Settle(first)));
        while duties.queued.len() < MAX_QUEUED {
            assert!(duties.add(Duty::Settle(order())));
        }
        assert!(!duties.add(Duty::Settle(order())));
        assert_eq!(duties.next(Kind::Settle), Some(Duty::Settle(first)));
        assert!(duties.add(Duty::Settle(order())));
    }
}
