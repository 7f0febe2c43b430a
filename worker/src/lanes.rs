//! A lane per integrator: each claims for itself and at its own pace, so that a slow integrator holds up no other.
//!
//! What an integrator allows is shared by all workers (`common/src/domain/sharing.rs`); a lane keeps to this worker's
//! share. Where that is nothing, a hint is handed on through the work queue until it comes to a worker that has one,
//! [`MOST_HOPS`] times at most; what got no further, such a worker's own sweep finds.

mod lane;
mod rate;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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
use crate::{attempt::Attempts, crew::Crew};

/// Integrators that are spoken to at one time; further ones wait for the sweep.
const MOST_LANES: usize = 4096;
/// How often a hint is handed on. It goes to whoever is next: of two workers the right one is not found with a chance of
/// one in 2^24, of ten with one in 12.
const MOST_HOPS: u8 = 24;

/// Cheap to clone; all clones are the same lanes.
#[derive(Clone, Debug)]
pub(crate) struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    attempts: Attempts,
    lease: Duration,
    shutdown: Shutdown,
    stopping: CancellationToken,
    broker: Arc<dyn Broker>,
    crew: watch::Receiver<Crew>,
    running: TaskTracker,
    lanes: Mutex<HashMap<IntegratorId, Arc<Bell>>>,
}

impl Lanes {
    /// `lease`: how long a claimed handoff is ours.
    pub(crate) fn new(
        attempts: Attempts,
        lease: Duration,
        shutdown: Shutdown,
        broker: Arc<dyn Broker>,
        crew: watch::Receiver<Crew>,
    ) -> Self {
        Self(Arc::new(Inner {
            attempts,
            lease,
            stopping: shutdown.stopping(),
            shutdown,
            broker,
            crew,
            running: TaskTracker::new(),
            lanes: Mutex::default(),
        }))
    }

    /// Notes that this integrator has work, of which every worker finds out by itself; returns at once.
    pub(crate) fn wake(&self, integrator: IntegratorId) {
        self.tell(integrator, None);
    }

    /// The same, said by a hint that came here and nowhere else; it was handed on so often before.
    pub(crate) fn hear(&self, integrator: IntegratorId, hops: u8) {
        self.tell(integrator, Some(hops));
    }

    /// After the stop, when nothing is under way any more.
    pub(crate) async fn ended(&self) {
        self.0.running.close();
        self.0.running.wait().await;
    }

    fn tell(&self, integrator: IntegratorId, hops: Option<u8>) {
        if self.0.stopping.is_cancelled() {
            return;
        }
        let mut lanes = self.0.lanes();
        if let Some(bell) = lanes.get(&integrator) {
            bell.ring(hops);
            return;
        }
        if lanes.len() >= MOST_LANES {
            tracing::warn!(%integrator, "all {MOST_LANES} lanes are in use; the sweep will ask again");
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
        self.0.lanes().len()
    }
}

impl Inner {
    fn lanes(&self) -> MutexGuard<'_, HashMap<IntegratorId, Arc<Bell>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a lane is told; rung twice before it looks is rung once.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    /// Of the hints that rang, the fewest.
    hops: AtomicU8,
    notify: Notify,
}

/// No hint rang.
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

    /// Before looking: whatever rings from now on wants another look.
    fn hush(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    /// The hops of the hint that rang since this was asked last.
    fn hops(&self) -> Option<u8> {
        let hops = self.hops.swap(NO_HINT, Ordering::AcqRel);
        (hops != NO_HINT).then_some(hops)
    }

    /// May return once too often; never too seldom.
    async fn heard(&self) {
        self.notify.notified().await;
    }
}
