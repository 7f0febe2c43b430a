//! Lanes, one per integrator: each claims handoffs at its own pace, so that a slow integrator delays no other.
//!
//! All workers share an integrator's limits (`common/domain/src/sharing.rs`); a lane keeps to this worker's share.
//! A worker without a share forwards a hint through the work queue until it reaches a worker that has one, at most
//! [`MAX_HOPS`] times; after that, the sweep of such a worker finds the work.

mod lane;
mod rate;

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use broker::Broker;
use domain::ids::IntegratorId;
use runtime::lifecycle::Shutdown;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::lane::Lane;
use crate::{attempt::Attempts, membership::Membership};

/// Maximum number of concurrent lanes; further integrators wait for the sweep.
const MAX_LANES: usize = 4096;
/// Maximum number of times a hint is forwarded. It goes to the next consumer, whichever that is: with two workers it
/// misses the right one with a probability of 1 in 2^24, with ten of 1 in 12.
const MAX_HOPS: u8 = 24;

/// Lanes of this worker; clones are cheap and share them.
#[derive(Clone, Debug)]
pub(crate) struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    attempts: Attempts,
    lease: Duration,
    shutdown: Shutdown,
    stopping: CancellationToken,
    broker: Arc<dyn Broker>,
    /// Shared with the sweep; only the membership task writes it, the lanes read it.
    membership: watch::Receiver<Membership>,
    /// Shared because `wake_lane` adds each lane's task and [`Lanes::ended`] waits for all; synchronized inside.
    running: TaskTracker,
    /// Running lanes. Shared because `wake_lane` adds lanes from the consumer's and the sweep's task, and each lane
    /// removes itself. Guarded by this mutex, under which bells are rung too: a lane that finds its bell silent
    /// while it holds the lock can leave without missing a hint.
    lanes: Mutex<HashMap<IntegratorId, Arc<Bell>>>,
}

impl Lanes {
    /// Creates the set without any lane. `lease` is the lifetime of a claim.
    pub(crate) fn new(
        attempts: Attempts,
        lease: Duration,
        shutdown: Shutdown,
        broker: Arc<dyn Broker>,
        membership: watch::Receiver<Membership>,
    ) -> Self {
        Self(Arc::new(Inner {
            attempts,
            lease,
            stopping: shutdown.stopping(),
            shutdown,
            broker,
            membership,
            running: TaskTracker::new(),
            lanes: Mutex::default(),
        }))
    }

    /// Wakes the integrator's lane for work that every worker finds by itself; never waits.
    pub(crate) fn wake(&self, integrator: IntegratorId) {
        self.wake_lane(integrator, None);
    }

    /// Wakes the integrator's lane for a hint that only this worker received and that was forwarded `hops` times.
    pub(crate) fn note_hint(&self, integrator: IntegratorId, hops: u8) {
        self.wake_lane(integrator, Some(hops));
    }

    /// Waits until all lanes have ended; call it after the shutdown has begun.
    pub(crate) async fn ended(&self) {
        self.0.running.close();
        self.0.running.wait().await;
    }

    fn wake_lane(&self, integrator: IntegratorId, hops: Option<u8>) {
        if self.0.stopping.is_cancelled() {
            return;
        }
        let mut lanes = self.0.lanes.lock();
        if let Some(bell) = lanes.get(&integrator) {
            bell.ring(hops);
            return;
        }
        if lanes.len() >= MAX_LANES {
            tracing::warn!(%integrator, "all {MAX_LANES} lanes are in use; the sweep will retry this integrator");
            return;
        }
        let bell = Arc::new(Bell::new());
        bell.ring(hops);
        lanes.insert(integrator, Arc::clone(&bell));
        drop(lanes);
        let lane = Lane::new(integrator, bell, Arc::clone(&self.0));
        let run = self.0.running.track_future(lane.run());
        self.0.shutdown.spawn("lane", run);
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.lanes.lock().len()
    }
}

impl Inner {}

/// Wake-up signal of a lane, shared by the lane and the tasks that wake it. Rings are not counted: several before the
/// lane claims are one.
#[derive(Debug)]
struct Bell {
    /// Set by the tasks that ring, cleared by the lane before it claims; atomic, so that reading it needs no lock.
    rung: AtomicBool,
    /// Fewest hops among the hints that rang, else [`NO_HINT`]. Lowered by the tasks that ring, reset by the lane;
    /// each in one atomic operation.
    hops: AtomicU8,
    /// Wakes the lane; notified after the two fields above were written.
    notify: Notify,
}

/// Value of a bell's `hops` if no hint rang.
const NO_HINT: u8 = u8::MAX;

impl Bell {
    fn new() -> Self {
        Self {
            rung: AtomicBool::new(false),
            hops: AtomicU8::new(NO_HINT),
            notify: Notify::new(),
        }
    }

    fn ring(&self, hops: Option<u8>) {
        let hops = hops.map_or(NO_HINT, |hops| hops.min(NO_HINT - 1));
        self.hops.fetch_min(hops, Ordering::AcqRel);
        self.rung.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Clears the bell and returns true if it had rung. Call it before claiming, so that a later ring is not lost.
    fn clear(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    /// Takes the hops of the hint that rang since the last call.
    fn hops(&self) -> Option<u8> {
        let hops = self.hops.swap(NO_HINT, Ordering::AcqRel);
        (hops != NO_HINT).then_some(hops)
    }

    /// Waits for a ring; may return without one, but never misses one.
    async fn wait_for_ring(&self) {
        self.notify.notified().await;
    }
}
