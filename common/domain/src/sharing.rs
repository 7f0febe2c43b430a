//! Division of an integrator's limits among workers: which workers send to it, and how much each may send. No
//! coordination is needed: workers that see the same members compute the same shares.
//!
//! For a moment two workers may see different members. The guarantees then:
//! - A worker that **joins** others takes no share for [`JOIN_DELAY`]; within that time the others have looked
//!   ([`MEMBERSHIP_INTERVAL`]) and made room. Requests under way above their new shares still end normally: fewer than twice
//!   the cap are open at once, for no longer than one attempt lasts.
//! - A worker that **leaves** gracefully has no requests under way; its share is used again after one look.
//! - A worker that **dies** is counted until [`DEAD_AFTER`]. Until then its share is idle, and the work of an
//!   integrator that only it sent to waits; that is shorter than the leases of what it was sending.
//! - A worker that is **taken for dead** but lives (stopped, or cut off from the database) notices at its next look and
//!   joins again. Until then the others may have its share too: again fewer than twice the cap.
//! - If the **clock** is set back, a `seen_at` later than now says nothing: every worker joins again.
//! - While the database is away, every worker goes on with what it last saw; nobody can claim anything then either.
//!
//! None of these ends in a standstill: an unused share is reassigned after [`DEAD_AFTER`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};

use super::ids::{IntegratorId, WorkerId};

/// Interval of a worker's heartbeat.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// Interval at which a worker reads the list of workers.
pub const MEMBERSHIP_INTERVAL: Duration = Duration::from_secs(1);
/// Time without a heartbeat after which a worker counts as dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);
/// Time that a worker waits before it takes a share beside others.
pub const JOIN_DELAY: Duration = Duration::from_secs(2);

/// Minimum part into which a rate is divided. Each part may send its first request at once, so ten workers with a tenth
/// of 1/s each would start with ten requests.
const MIN_RATE_PER_S: u32 = 10;

/// A worker as recorded in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: WorkerId,
    /// Host and process, for people.
    pub label: String,
    /// Time at which it last joined.
    pub started_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
    /// How far it is behind through no fault of the integrator, in milliseconds, for the integrators with the largest.
    pub lags: Vec<(IntegratorId, u32)>,
}

/// Limits of an integrator, over all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub concurrency: u32,
    pub rate_per_s: Option<u32>,
}

/// One worker's share of the limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Maximum number of concurrent requests; 0 means that it does not send to this integrator.
    pub concurrency: u32,
    pub rate_per_s: Option<f64>,
}

impl Share {
    pub const NONE: Self = Self {
        concurrency: 0,
        rate_per_s: None,
    };
}

/// Returns the share of `me` among `sharing`, or [`Share::NONE`] if it is not one of them. All shares together are the
/// whole.
#[must_use]
pub fn share(
    limits: Limits,
    integrator: IntegratorId,
    me: WorkerId,
    sharing: &[WorkerId],
) -> Share {
    let concurrency = limits.concurrency.max(1);
    let Some(rank) = rank(integrator, me, sharing) else {
        return Share::NONE;
    };
    let holders = holders(limits, sharing.len());
    if rank >= holders {
        return Share::NONE;
    }
    Share {
        concurrency: concurrency / holders + u32::from(rank < concurrency % holders),
        rate_per_s: limits
            .rate_per_s
            .map(|rate| f64::from(rate.max(1)) / f64::from(holders)),
    }
}

/// Returns the workers that are alive, sorted by id. A `seen_at` too far in the future does not count: the clock was
/// set back, and a worker that lives records a new one at once.
#[must_use]
pub fn alive(members: &[Member], now: DateTime<Utc>) -> Vec<WorkerId> {
    let mut alive: Vec<WorkerId> = members
        .iter()
        .filter(|member| now < member.seen_at + DEAD_AFTER && member.seen_at < now + DEAD_AFTER)
        .map(|member| member.id)
        .collect();
    alive.sort_unstable();
    alive
}

/// Returns the number of workers that send to an integrator: at most its concurrency, and the parts of its rate.
fn holders(limits: Limits, workers: usize) -> u32 {
    let by_rate = limits
        .rate_per_s
        .map_or(u32::MAX, |rate| (rate / MIN_RATE_PER_S).max(1));
    u32::try_from(workers)
        .unwrap_or(u32::MAX)
        .min(limits.concurrency.max(1))
        .min(by_rate)
}

/// Returns the rank of `me` in rendezvous order. That order differs for each integrator, so that the remainders do not
/// all go to one worker; and a worker that comes or goes changes no other rank by more than one.
fn rank(integrator: IntegratorId, me: WorkerId, sharing: &[WorkerId]) -> Option<u32> {
    if !sharing.contains(&me) {
        return None;
    }
    if sharing.len() == 1 {
        return Some(0);
    }
    let mine = weight(integrator, me);
    let before_me = sharing
        .iter()
        .filter(|other| weight(integrator, **other) > mine);
    u32::try_from(before_me.count()).ok()
}

/// Returns a weight that is the same in every process and version; the worker's id breaks ties.
fn weight(integrator: IntegratorId, worker: WorkerId) -> (u64, WorkerId) {
    let both = [integrator.uuid().into_bytes(), worker.uuid().into_bytes()].concat();
    let digest = digest(&SHA256, &both);
    let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
    (u64::from_be_bytes(first), worker)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::noon;
    use platform::chance::Chance;

    fn workers(count: usize) -> Vec<WorkerId> {
        let chance = Chance::seeded(7);
        (0..count).map(|_| chance.id(noon())).collect()
    }

    fn integrators(count: usize) -> Vec<IntegratorId> {
        let chance = Chance::seeded(8);
        (0..count).map(|_| chance.id(noon())).collect()
    }

    fn shares(limits: Limits, integrator: IntegratorId, sharing: &[WorkerId]) -> Vec<Share> {
        sharing
            .iter()
            .map(|me| share(limits, integrator, *me, sharing))
            .collect()
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_cap_and_the_rate_and_differ_by_one_place_at_most(
            concurrency in 1_u32..100, rate in proptest::option::of(1_u32..2000), count in 1_usize..12,
        ) {
            let limits = Limits { concurrency, rate_per_s: rate };
            let sharing = workers(count);
            let shares = shares(limits, integrators(1)[0], &sharing);
            prop_assert_eq!(shares.iter().map(|share| share.concurrency).sum::<u32>(), concurrency);
            let holders: Vec<&Share> = shares.iter().filter(|share| share.concurrency > 0).collect();
            let least = holders.iter().map(|share| share.concurrency).min().unwrap();
            prop_assert!(holders.iter().all(|share| share.concurrency <= least + 1));
            match rate {
                None => prop_assert!(shares.iter().all(|share| share.rate_per_s.is_none())),
                Some(rate) => {
                    let parts: Vec<f64> = holders.iter().map(|share| share.rate_per_s.unwrap()).collect();
                    prop_assert!((parts.iter().sum::<f64>() - f64::from(rate)).abs() < 1e-6);
                    prop_assert!(parts.len() == 1 || parts.iter().all(|part| *part >= 10.0));
                }
            }
        }
    }

    #[test]
    fn one_worker_has_everything() {
        let limits = Limits {
            concurrency: 8,
            rate_per_s: Some(3),
        };
        let whole = Share {
            concurrency: 8,
            rate_per_s: Some(3.0),
        };
        assert_eq!(shares(limits, integrators(1)[0], &workers(1)), [whole]);
    }

    #[test]
    fn a_worker_that_is_not_among_them_has_nothing() {
        let all = workers(3);
        let limits = Limits {
            concurrency: 8,
            rate_per_s: None,
        };
        assert_eq!(
            share(limits, integrators(1)[0], all[0], &all[1..]),
            Share::NONE
        );
    }

    #[test]
    fn what_is_left_over_goes_to_every_worker_for_some_integrators() {
        let limits = Limits {
            concurrency: 1,
            rate_per_s: None,
        };
        let sharing = workers(4);
        let mut places = vec![0; sharing.len()];
        for integrator in integrators(400) {
            for (rank, share) in places.iter_mut().zip(shares(limits, integrator, &sharing)) {
                *rank += share.concurrency;
            }
        }
        assert_eq!(places.iter().sum::<u32>(), 400);
        assert!(
            places.iter().all(|rank| (60..=140).contains(rank)),
            "{places:?}"
        );
    }

    #[test]
    fn when_one_goes_only_its_integrators_move() {
        let limits = Limits {
            concurrency: 1,
            rate_per_s: None,
        };
        let all = workers(4);
        let holder = |integrator, sharing: &[WorkerId]| {
            let has = |me: &&WorkerId| share(limits, integrator, **me, sharing).concurrency == 1;
            *sharing.iter().find(has).unwrap()
        };
        for integrator in integrators(100) {
            let before = holder(integrator, &all);
            if before != all[3] {
                assert_eq!(holder(integrator, &all[..3]), before);
            }
        }
    }

    #[test]
    fn a_small_rate_is_not_divided() {
        let limits = |rate| Limits {
            concurrency: 8,
            rate_per_s: Some(rate),
        };
        for (rate, speak) in [(1, 1), (19, 1), (20, 2), (35, 3), (1000, 5)] {
            let shares = shares(limits(rate), integrators(1)[0], &workers(5));
            let holders = shares.iter().filter(|share| share.concurrency > 0);
            assert_eq!(holders.count(), speak, "{rate}");
        }
    }

    #[test]
    fn who_was_not_heard_of_for_fifteen_seconds_is_dead() {
        let ids = workers(2);
        let members: Vec<Member> = ids
            .iter()
            .zip([15, 14])
            .map(|(id, ago_s)| Member {
                id: *id,
                label: String::new(),
                started_at: noon(),
                seen_at: noon() - Duration::from_secs(ago_s),
                lags: Vec::new(),
            })
            .collect();
        assert_eq!(alive(&members, noon()), [ids[1]]);
    }
}
