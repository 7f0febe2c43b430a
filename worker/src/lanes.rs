//! Lanes, one per integrator: each claims handoffs at its own pace, so that a slow integrator delays no other.
//!
//! All workers share an integrator's limits (`common/domain/src/sharing.rs`); a lane keeps to this worker's share.
//! A worker without a share forwards a hint through the work queue until it reaches a worker that has one, at most
//! [`MAX_HOPS`] times; after that, the sweep of such a worker finds the work.

mod bell;
mod lag;
mod lane;
mod places;
mod rate;

use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

use broker::Broker;
use domain::ids::IntegratorId;
use runtime::lifecycle::Shutdown;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    lane::Lane,
    places::{Places, Start},
};
use crate::{attempt::Attempts, membership::Membership};

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
    /// Running lanes, and the integrators that wait for one. Shared because `wake_lane` adds lanes from the consumer's
    /// and the sweep's task, and each lane removes itself. Guarded by this mutex, under which bells are rung too: a lane
    /// that finds its bell silent while it holds the lock can leave without missing a hint.
    places: Mutex<Places>,
}

impl Lanes {
    /// Creates the set without any lane, for at most `max` at one time. `lease` is the lifetime of a claim.
    pub(crate) fn new(
        attempts: Attempts,
        lease: Duration,
        max: usize,
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
            places: Mutex::new(Places::new(max)),
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
        let start = self.0.places.lock().wake(integrator, hops);
        if let Some(start) = start {
            start_lane(&self.0, start);
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.places.lock().count()
    }
}

fn start_lane(lanes: &Arc<Inner>, start: Start) {
    let lane = Lane::new(start.integrator, start.bell, Arc::clone(lanes));
    let run = lanes.running.track_future(lane.run());
    lanes.shutdown.spawn("lane", run);
}
