//! Places for lanes: a bounded number, so that memory is, and fair, so that no number of integrators is a cliff.
//!
//! A lane that has nothing to do keeps its place until another integrator needs it; then the one that was idle longest
//! goes. If all are busy, integrators wait in a queue, and each lane gives its place up after a turn
//! (`lane::TURN`). A lane and its hints are never lost in between: all of it happens under one lock.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use domain::ids::IntegratorId;

use super::bell::Bell;

/// Maximum number of integrators that wait for a place, for each place; further ones are left to the sweep.
const MAX_QUEUED_PER_PLACE: usize = 16;

/// All lanes that run, and the integrators that wait for one.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    running: HashMap<IntegratorId, Place>,
    /// Lanes that have nothing to do now, in the order in which they go.
    idle: BTreeMap<IdleKey, IntegratorId>,
    queue: VecDeque<IntegratorId>,
    /// Fewest hops of the hints about each integrator in the queue.
    queued: HashMap<IntegratorId, Option<u8>>,
    last_ticket: u64,
    was_full: bool,
}

#[derive(Debug)]
struct Place {
    bell: Arc<Bell>,
    idle: Option<IdleKey>,
}

/// Lanes without a next claim go first, then the others; each by the time since which it is idle.
type IdleKey = (bool, u64);

/// A lane that must now be started.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) integrator: IntegratorId,
    pub(super) bell: Arc<Bell>,
}

/// What a lane without anything to do does next.
#[derive(Debug)]
pub(super) enum Rest {
    /// Its bell has rung.
    Continue,
    /// It keeps its place until it wakes, or is evicted.
    Stay,
    /// It has left, and the next one is started.
    Left(Option<Start>),
}

impl Places {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            running: HashMap::new(),
            idle: BTreeMap::new(),
            queue: VecDeque::new(),
            queued: HashMap::new(),
            last_ticket: 0,
            was_full: false,
        }
    }

    /// Rings the integrator's lane, or gives it a place, or lets it wait for one.
    pub(super) fn wake(&mut self, integrator: IntegratorId, hops: Option<u8>) -> Option<Start> {
        if let Some(place) = self.running.get_mut(&integrator) {
            if let Some(key) = place.idle.take() {
                self.idle.remove(&key);
            }
            place.bell.ring(hops);
            return None;
        }
        if self.running.len() < self.max {
            return Some(self.start(integrator, hops));
        }
        self.warn_once();
        if let Some((_, longest_idle)) = self.idle.pop_first() {
            if let Some(place) = self.running.remove(&longest_idle) {
                place.bell.evict();
            }
            return Some(self.start(integrator, hops));
        }
        self.enqueue(integrator, hops);
        None
    }

    /// Records that a lane has nothing to do. It leaves if others wait, or if `is_over`.
    pub(super) fn rest(
        &mut self,
        integrator: IntegratorId,
        bell: &Arc<Bell>,
        has_next_claim: bool,
        is_over: bool,
    ) -> Rest {
        if bell.is_rung() {
            return Rest::Continue;
        }
        if is_over || !self.queue.is_empty() {
            return Rest::Left(self.leave(integrator, bell));
        }
        self.last_ticket += 1;
        let key = (has_next_claim, self.last_ticket);
        if let Some(place) = self.running.get_mut(&integrator) {
            if let Some(before) = place.idle.replace(key) {
                self.idle.remove(&before);
                // It has been idle since then.
                let key = (has_next_claim, before.1);
                place.idle = Some(key);
                self.idle.insert(key, integrator);
            } else {
                self.idle.insert(key, integrator);
            }
        }
        Rest::Stay
    }

    /// Records that a lane may have something to do again. Returns false if it was evicted meanwhile.
    pub(super) fn resume(&mut self, integrator: IntegratorId, bell: &Arc<Bell>) -> bool {
        match self.running.get_mut(&integrator) {
            Some(place) if Arc::ptr_eq(&place.bell, bell) => {
                if let Some(key) = place.idle.take() {
                    self.idle.remove(&key);
                }
                true
            }
            _ => false,
        }
    }

    /// Returns true if integrators wait for a place.
    pub(super) fn are_wanted(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Gives a lane's place to the integrator that waits longest, and lets the lane's own wait for another turn.
    pub(super) fn end_turn(&mut self, integrator: IntegratorId, bell: &Arc<Bell>) -> Option<Start> {
        if !self.resume(integrator, bell) {
            return None;
        }
        self.running.remove(&integrator);
        self.queue.push_back(integrator);
        self.queued.insert(integrator, bell.hops());
        self.start_next()
    }

    /// Removes a lane, if it still has its place, and starts the next one.
    pub(super) fn leave(&mut self, integrator: IntegratorId, bell: &Arc<Bell>) -> Option<Start> {
        if !self.resume(integrator, bell) {
            return None;
        }
        self.running.remove(&integrator);
        self.start_next()
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    fn start_next(&mut self) -> Option<Start> {
        let next = self.queue.pop_front()?;
        let hops = self.queued.remove(&next).flatten();
        Some(self.start(next, hops))
    }

    fn start(&mut self, integrator: IntegratorId, hops: Option<u8>) -> Start {
        let bell = Arc::new(Bell::new());
        bell.ring(hops);
        let place = Place {
            bell: Arc::clone(&bell),
            idle: None,
        };
        self.running.insert(integrator, place);
        Start { integrator, bell }
    }

    fn enqueue(&mut self, integrator: IntegratorId, hops: Option<u8>) {
        if let Some(known) = self.queued.get_mut(&integrator) {
            *known = [*known, hops].into_iter().flatten().min();
        } else if self.queue.len() < self.max.saturating_mul(MAX_QUEUED_PER_PLACE) {
            self.queue.push_back(integrator);
            self.queued.insert(integrator, hops);
        }
    }

    fn warn_once(&mut self) {
        if !std::mem::replace(&mut self.was_full, true) {
            tracing::warn!(
                max = self.max,
                "all {} lanes are in use, and integrators now take turns; raise worker.max_lanes if there is memory for more",
                self.max
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use platform::chance::Chance;

    use super::*;

    fn integrators(count: usize) -> Vec<IntegratorId> {
        let (chance, now) = (Chance::seeded(3), DateTime::UNIX_EPOCH);
        (0..count).map(|_| chance.id(now)).collect()
    }

    fn started(start: Option<Start>) -> Option<IntegratorId> {
        start.map(|start| start.integrator)
    }

    /// Wakes an integrator that gets a place, and clears its bell as its lane does.
    fn runs(places: &mut Places, integrator: IntegratorId) -> Arc<Bell> {
        let start = places.wake(integrator, None).unwrap();
        assert_eq!(start.integrator, integrator);
        assert!(start.bell.clear());
        start.bell
    }

    fn rests(places: &mut Places, integrator: IntegratorId, bell: &Arc<Bell>, has_next: bool) {
        let rest = places.rest(integrator, bell, has_next, false);
        assert!(matches!(rest, Rest::Stay), "{rest:?}");
    }

    #[test]
    fn the_lane_that_was_idle_longest_makes_room_and_one_with_a_next_claim_last() {
        let mut places = Places::new(3);
        let ids = integrators(6);
        let bells: Vec<_> = ids[..3].iter().map(|id| runs(&mut places, *id)).collect();
        rests(&mut places, ids[0], &bells[0], true);
        rests(&mut places, ids[2], &bells[2], false);
        rests(&mut places, ids[1], &bells[1], false);
        // Resting again does not make it younger.
        rests(&mut places, ids[2], &bells[2], false);
        for (newcomer, evicted) in [(3, 2), (4, 1), (5, 0)] {
            runs(&mut places, ids[newcomer]);
            assert!(!places.resume(ids[evicted], &bells[evicted]));
            assert_eq!(places.count(), 3);
        }
        assert!(places.wake(ids[0], None).is_none(), "all are busy");
        assert!(places.are_wanted());
    }

    #[test]
    fn a_lane_that_was_woken_is_not_evicted() {
        let mut places = Places::new(1);
        let ids = integrators(2);
        let bell = runs(&mut places, ids[0]);
        rests(&mut places, ids[0], &bell, false);
        assert!(places.wake(ids[0], Some(2)).is_none());
        assert!(places.wake(ids[1], None).is_none());
        assert!(bell.is_rung() && places.resume(ids[0], &bell));
        assert!(matches!(
            places.rest(ids[0], &bell, false, true),
            Rest::Continue
        ));
        assert!(bell.clear());
        let Rest::Left(next) = places.rest(ids[0], &bell, false, false) else {
            panic!("others wait");
        };
        assert_eq!(started(next), Some(ids[1]));
    }

    #[test]
    fn busy_lanes_take_turns_in_order_of_arrival_and_keep_the_fewest_hops() {
        let mut places = Places::new(1);
        let ids = integrators(3);
        let mut bell = runs(&mut places, ids[0]);
        for (of, hops) in [(1, Some(7)), (2, None), (1, Some(3)), (1, None)] {
            assert!(places.wake(ids[of], hops).is_none());
        }
        bell.ring(Some(5));
        for (from, to, hops) in [(0, 1, Some(3)), (1, 2, None), (2, 0, Some(5)), (0, 1, None)] {
            let start = places.end_turn(ids[from], &bell).unwrap();
            assert_eq!((start.integrator, places.count()), (ids[to], 1));
            assert_eq!(start.bell.hops(), hops, "{to}");
            bell = start.bell;
        }
    }

    #[test]
    fn the_queue_is_bounded_too() {
        let mut places = Places::new(2);
        let ids = integrators(100);
        for id in &ids {
            drop(places.wake(*id, None));
        }
        assert_eq!((places.count(), places.queue.len()), (2, 32));
        assert_eq!(places.queued.len(), 32);
    }
}
