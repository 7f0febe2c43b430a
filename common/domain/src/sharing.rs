//! How workers share what an integrator allows: which of them speak to it, and how much each may. Nobody is asked:
//! whoever sees the same workers comes to the same shares.
//!
//! For moments two workers see different ones. What then holds:
//! - A worker that **joins** beside others takes nothing for [`SETTLES`], within which the others have looked
//!   ([`LOOKS_EVERY`]) and made room. Requests that were under way above their new shares still end by themselves: less
//!   than twice the cap is open at once, and no longer than one attempt lasts.
//! - One that **leaves** in order has no request under way any more; its share is used again after one look.
//! - One that **dies** is counted until [`DEAD_AFTER`]. So long its share lies idle, and the work of an integrator
//!   that it alone spoke to waits: less long than the leases of what it was sending.
//! - One that is **taken for dead** and lives (stopped, or cut off from the database) finds out when it next looks,
//!   and joins anew. Until then the others may have its share too: again less than twice the cap.
//! - Where the **clock** is set back, what was seen later than now says nothing: everyone joins anew.
//! - While the database is away, everyone goes on with what it knew; then nobody can claim anything either.
//!
//! None of these ends in a standstill: a share that nobody has is somebody's after [`DEAD_AFTER`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};

use super::ids::{IntegratorId, WorkerId};

/// How often a worker says that it is there.
pub const BEATS_EVERY: Duration = Duration::from_secs(5);
/// How often it looks who else is.
pub const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// Not heard of for so long, it is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);
/// Beside others it takes no share before this.
pub const SETTLES: Duration = Duration::from_secs(2);

/// A rate is divided into parts of no less than this. Each part may send one request at once whatever the time, so
/// that ten workers with a tenth of 1/s each would begin with ten.
const LEAST_RATE_PER_S: u32 = 10;

/// A worker as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: WorkerId,
    /// Host and process, for people.
    pub label: String,
    /// When it joined, the last time.
    pub started_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
}

/// What an integrator allows over all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub concurrency: u32,
    pub rate_per_s: Option<u32>,
}

/// One worker's part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Requests at one time; 0: it does not speak to this integrator.
    pub concurrency: u32,
    pub rate_per_s: Option<f64>,
}

impl Share {
    pub const NONE: Self = Self {
        concurrency: 0,
        rate_per_s: None,
    };
}

/// What `me` has of it, among `sharing`; nothing, if it is not one of them. All shares together are the whole.
#[must_use]
pub fn share(
    limits: Limits,
    integrator: IntegratorId,
    me: WorkerId,
    sharing: &[WorkerId],
) -> Share {
    let concurrency = limits.concurrency.max(1);
    let Some(place) = place(integrator, me, sharing) else {
        return Share::NONE;
    };
    let holders = holders(limits, sharing.len());
    if place >= holders {
        return Share::NONE;
    }
    Share {
        concurrency: concurrency / holders + u32::from(place < concurrency % holders),
        rate_per_s: limits
            .rate_per_s
            .map(|rate| f64::from(rate.max(1)) / f64::from(holders)),
    }
}

/// Those that were heard of lately, by id. Of whom the time to come was written, nothing is known: the clock was set
/// back, and who lives says so anew at once.
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

/// How many workers speak to it: no more than it has places or parts of its rate.
fn holders(limits: Limits, workers: usize) -> u32 {
    let by_rate = limits
        .rate_per_s
        .map_or(u32::MAX, |rate| (rate / LEAST_RATE_PER_S).max(1));
    u32::try_from(workers)
        .unwrap_or(u32::MAX)
        .min(limits.concurrency.max(1))
        .min(by_rate)
}

/// Rendezvous order, another for each integrator, so that not one worker has all that is left over; and a worker that
/// comes or goes changes no other's place by more than one.
fn place(integrator: IntegratorId, me: WorkerId, sharing: &[WorkerId]) -> Option<u32> {
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

/// The same in every process and version; the id decides where two digests begin alike.
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
            for (place, share) in places.iter_mut().zip(shares(limits, integrator, &sharing)) {
                *place += share.concurrency;
            }
        }
        assert_eq!(places.iter().sum::<u32>(), 400);
        assert!(
            places.iter().all(|place| (60..=140).contains(place)),
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
            })
            .collect();
        assert_eq!(alive(&members, noon()), [ids[1]]);
    }
}
