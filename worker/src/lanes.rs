//! A lane per integrator: each claims for itself and at its own pace, so that a slow integrator holds up no other.

mod lane;
mod rate;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{domain::ids::IntegratorId, lifecycle::Shutdown};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::lane::Lane;
use crate::attempt::Attempts;

/// Integrators that are spoken to at one time; further ones wait for the sweep.
const MOST_LANES: usize = 4096;

/// Cheap to clone; all clones are the same lanes.
#[derive(Clone, Debug)]
pub(crate) struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    attempts: Attempts,
    lease: Duration,
    shutdown: Shutdown,
    stopping: CancellationToken,
    lanes: Mutex<HashMap<IntegratorId, Arc<Bell>>>,
}

impl Lanes {
    /// `lease`: how long a claimed handoff is ours.
    pub(crate) fn new(attempts: Attempts, lease: Duration, shutdown: Shutdown) -> Self {
        Self(Arc::new(Inner {
            attempts,
            lease,
            stopping: shutdown.stopping(),
            shutdown,
            lanes: Mutex::default(),
        }))
    }

    /// Notes that this integrator has work; returns at once.
    pub(crate) fn wake(&self, integrator: IntegratorId) {
        if self.0.stopping.is_cancelled() {
            return;
        }
        let mut lanes = self.0.lanes();
        if let Some(bell) = lanes.get(&integrator) {
            bell.ring();
            return;
        }
        if lanes.len() >= MOST_LANES {
            tracing::warn!(%integrator, "all {MOST_LANES} lanes are in use; the sweep will ask again");
            return;
        }
        let bell = Arc::new(Bell::default());
        bell.ring();
        lanes.insert(integrator, Arc::clone(&bell));
        drop(lanes);
        let lane = Lane::new(integrator, bell, Arc::clone(&self.0));
        self.0.shutdown.spawn("lane", lane.run());
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
#[derive(Debug, Default)]
struct Bell {
    rung: AtomicBool,
    notify: Notify,
}

impl Bell {
    fn ring(&self) {
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

    /// May return once too often; never too seldom.
    async fn heard(&self) {
        self.notify.notified().await;
    }
}
