//! Membership: sends this worker's heartbeats and tracks which other workers are alive.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{
    ids::{IntegratorId, WorkerId},
    sharing::{
        self, DEAD_AFTER, HEARTBEAT_INTERVAL, JOIN_DELAY, Limits, MEMBERSHIP_INTERVAL, Member,
        Share,
    },
};
use ledger::{Ledger, sweep::Part};
use platform::metrics::Metrics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Workers that share the integrators, as this worker knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    me: WorkerId,
    /// Sorted by id; does not contain `me` while this worker has no share.
    sharing: Vec<WorkerId>,
    /// Time of the last change; before it, this worker's share may have been another worker's.
    pub(crate) since: DateTime<Utc>,
}

/// Task that sends heartbeats and reads those of the others; nothing else changes the membership.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    ledger: Ledger,
    metrics: Arc<Metrics>,
    label: String,
    membership: watch::Sender<Membership>,
    joined: Option<Joined>,
}

#[derive(Clone, Copy, Debug)]
struct Joined {
    at: DateTime<Utc>,
    /// Time of the last heartbeat that was written.
    seen_at: DateTime<Utc>,
    /// Time from which this worker takes its share; `None` until it has read the other members.
    takes_share_at: Option<DateTime<Utc>>,
    is_rejoining: bool,
}

impl Membership {
    /// Returns the membership of a worker that is the only one by configuration.
    pub(crate) fn single(me: WorkerId) -> Self {
        Self {
            me,
            sharing: vec![me],
            since: DateTime::UNIX_EPOCH,
        }
    }

    pub(crate) fn share(&self, integrator: IntegratorId, limits: Limits) -> Share {
        sharing::share(limits, integrator, self.me, &self.sharing)
    }

    /// Returns this worker's part of what all workers sweep; the whole if it does not know the others.
    pub(crate) fn part(&self) -> Part {
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        let rank = self.sharing.iter().position(|id| *id == self.me);
        rank.map_or(Part::WHOLE, |rank| Part {
            rank: count(rank),
            of: count(self.sharing.len()),
        })
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.sharing == [self.me]
    }

    #[cfg(test)]
    pub(crate) fn is_shared_by(&self, workers: usize) -> bool {
        self.sharing.len() == workers && self.sharing.contains(&self.me)
    }
}

impl Heartbeat {
    /// Creates the task; this worker has no share until the first [`Self::call`].
    pub(crate) fn new(ledger: Ledger, metrics: Arc<Metrics>) -> Self {
        let now = ledger.clock().now();
        let nobody = Membership {
            me: ledger.chance().id(now),
            sharing: Vec::new(),
            since: now,
        };
        Self {
            ledger,
            metrics,
            label: label(),
            membership: watch::Sender::new(nobody),
            joined: None,
        }
    }

    pub(crate) fn membership(&self) -> watch::Receiver<Membership> {
        self.membership.subscribe()
    }

    /// Runs until `stopping` is cancelled and the lanes have no attempt in flight; only then may the other workers take
    /// over this worker's share.
    pub(crate) async fn run(
        mut self,
        lanes_ended: impl Future<Output = ()>,
        stopping: CancellationToken,
    ) {
        let clock = self.ledger.clock().clone();
        while !stopping.is_cancelled() {
            tokio::select! {
                () = clock.sleep(MEMBERSHIP_INTERVAL) => self.call().await,
                () = stopping.cancelled() => {}
            }
        }
        let mut ended = std::pin::pin!(lanes_ended);
        loop {
            tokio::select! {
                () = &mut ended => break,
                () = clock.sleep(MEMBERSHIP_INTERVAL) => self.call().await,
            }
        }
        let me = self.membership.borrow().me;
        if let Err(error) = self.ledger.remove_worker(me).await {
            tracing::warn!(%error, "removing this worker from the list failed; the others will time it out: {error}");
        }
    }

    pub(crate) async fn call(&mut self) {
        if let Err(error) = self.beat().await {
            tracing::warn!(%error, "heartbeat failed: {error}");
            let now = self.ledger.clock().now();
            if self
                .joined
                .is_none_or(|joined| is_presumed_dead(joined, now))
            {
                self.set_sharing(Vec::new());
            }
            return;
        }
        match self.ledger.workers().await {
            Ok(members) => self.look(&members).await,
            Err(error) => {
                tracing::warn!(%error, "reading the list of workers failed: {error}");
            }
        }
    }

    async fn beat(&mut self) -> ledger::Result<()> {
        let now = self.ledger.clock().now();
        let joined = match self.joined {
            Some(joined) if is_presumed_dead(joined, now) || clock_went_back(joined, now) => {
                newly_joined(now, true)
            }
            Some(joined)
                if now < joined.seen_at + HEARTBEAT_INTERVAL && self.ledger.lags().is_empty() =>
            {
                return Ok(());
            }
            Some(joined) => Joined {
                seen_at: now,
                ..joined
            },
            None => newly_joined(now, false),
        };
        let me = self.membership.borrow().me;
        let said = self.ledger.record_heartbeat(me, &self.label, joined.at);
        said.await?;
        self.joined = Some(joined);
        Ok(())
    }

    async fn look(&mut self, members: &[Member]) {
        let Some(joined) = &mut self.joined else {
            return;
        };
        // Read after the list: the others can have seen this worker only since its heartbeat was written.
        let now = self.ledger.clock().now();
        let me = self.membership.borrow().me;
        let others_may_send = joined.is_rejoining || members.iter().any(|member| member.id != me);
        let takes_share_at = *joined.takes_share_at.get_or_insert(if others_may_send {
            now + JOIN_DELAY
        } else {
            now
        });
        let mut alive = sharing::alive(members, now);
        if !alive.contains(&me) {
            alive.push(me);
            alive.sort_unstable();
        }
        let count = i64::try_from(alive.len()).unwrap_or(i64::MAX);
        self.metrics.workers_live.set(count);
        if now < takes_share_at {
            alive.retain(|id| *id != me);
        }
        self.set_sharing(alive);
        if members
            .iter()
            .any(|member| member.seen_at + DEAD_AFTER <= now)
        {
            self.prune().await;
        }
    }

    fn set_sharing(&self, sharing: Vec<WorkerId>) {
        let now = self.ledger.clock().now();
        self.membership.send_if_modified(|membership| {
            let is_newer = membership.sharing != sharing;
            if is_newer {
                tracing::debug!(workers = sharing.len(), "shares of the integrators changed");
                membership.sharing = sharing;
                membership.since = now;
            }
            is_newer
        });
    }

    async fn prune(&self) {
        match self.ledger.prune_workers().await {
            Ok(0) => {}
            Ok(dead) => tracing::info!(dead, "removed workers that sent no heartbeat for too long"),
            Err(error) => {
                tracing::debug!(%error, "removing dead workers failed; retrying later: {error}")
            }
        }
    }
}

fn newly_joined(now: DateTime<Utc>, is_rejoining: bool) -> Joined {
    Joined {
        at: now,
        seen_at: now,
        takes_share_at: None,
        is_rejoining,
    }
}

fn is_presumed_dead(joined: Joined, now: DateTime<Utc>) -> bool {
    joined.seen_at + DEAD_AFTER <= now
}

/// Returns true if the clock went back by more than an ordinary correction.
fn clock_went_back(joined: Joined, now: DateTime<Utc>) -> bool {
    now + HEARTBEAT_INTERVAL <= joined.seen_at
}

/// Returns a label for operators who read the table.
fn label() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().take(200).collect();
    format!("{host}, process {}", std::process::id())
}

#[cfg(test)]
mod tests {
    use each_database::each_database;
    use std::time::Duration;

    use ledger::testing::TestLedger;

    use super::*;

    fn heartbeat(house: &TestLedger) -> Heartbeat {
        Heartbeat::new(house.ledger.clone(), Metrics::new())
    }

    fn shares_with(heartbeat: &Heartbeat, workers: usize) -> bool {
        heartbeat.membership.borrow().is_shared_by(workers)
    }

    fn counted(heartbeat: &Heartbeat) -> i64 {
        heartbeat.metrics.workers_live.get()
    }

    #[each_database]
    async fn the_first_worker_has_everything_at_once(house: TestLedger) {
        let mut first = heartbeat(&house);
        assert!(!shares_with(&first, 1), "it has not sent a heartbeat yet");
        first.call().await;
        assert!(shares_with(&first, 1));
        assert_eq!(counted(&first), 1);
    }

    #[each_database]
    async fn one_that_joins_waits_until_the_others_have_made_room(house: TestLedger) {
        let (mut old, mut new) = (heartbeat(&house), heartbeat(&house));
        old.call().await;
        house.clock.advance(Duration::from_millis(300));
        new.call().await;
        assert_eq!((shares_with(&new, 2), counted(&new)), (false, 2));
        assert!(shares_with(&old, 1));
        house.clock.advance(MEMBERSHIP_INTERVAL);
        old.call().await;
        assert_eq!((shares_with(&old, 2), counted(&old)), (true, 2));
        new.call().await;
        assert!(!shares_with(&new, 2));
        house.clock.advance(MEMBERSHIP_INTERVAL);
        new.call().await;
        assert!(shares_with(&new, 2));
    }

    #[each_database]
    async fn who_looks_every_second_says_that_it_is_there_every_five(house: TestLedger) {
        let mut worker = heartbeat(&house);
        let mut seen = Vec::new();
        for _ in 0..7 {
            worker.call().await;
            let now = house.clock.now();
            let seen_at = house.ledger.workers().await.unwrap()[0].seen_at;
            seen.push((now - seen_at).num_seconds());
            house.clock.advance(MEMBERSHIP_INTERVAL);
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 0, 1]);
    }

    #[each_database]
    async fn the_dead_are_counted_no_more_and_their_rows_go(house: TestLedger) {
        let (mut living, mut dead) = (heartbeat(&house), heartbeat(&house));
        dead.call().await;
        living.call().await;
        for _ in 0..14 {
            house.clock.advance(MEMBERSHIP_INTERVAL);
            living.call().await;
        }
        assert!(shares_with(&living, 2));
        house.clock.advance(MEMBERSHIP_INTERVAL);
        living.call().await;
        assert_eq!((shares_with(&living, 1), counted(&living)), (true, 1));
        assert_eq!(house.ledger.workers().await.unwrap().len(), 1);
    }

    #[each_database]
    async fn all_that_were_taken_for_dead_join_anew_and_wait_for_each_other(house: TestLedger) {
        let (mut one, mut other) = (heartbeat(&house), heartbeat(&house));
        one.call().await;
        other.call().await;
        // Like a database that was unavailable for a while.
        house.clock.advance(DEAD_AFTER);
        one.call().await;
        assert!(
            !shares_with(&one, 1),
            "it has to wait although it sees no other worker"
        );
        house.clock.advance(MEMBERSHIP_INTERVAL);
        other.call().await;
        assert!(!shares_with(&other, 2));
        house.clock.advance(MEMBERSHIP_INTERVAL);
        one.call().await;
        assert!(shares_with(&one, 2));
        house.clock.advance(MEMBERSHIP_INTERVAL);
        other.call().await;
        assert!(shares_with(&other, 2));
    }

    #[each_database]
    async fn after_the_clock_was_set_back_all_join_anew_and_the_dead_are_not_waited_for(
        house: TestLedger,
    ) {
        let (mut one, mut other, mut dead) =
            (heartbeat(&house), heartbeat(&house), heartbeat(&house));
        for worker in [&mut one, &mut other, &mut dead] {
            worker.call().await;
        }
        drop(dead);
        house
            .clock
            .set(house.clock.now() - Duration::from_secs(3600));
        for _ in 0..3 {
            one.call().await;
            other.call().await;
            house.clock.advance(MEMBERSHIP_INTERVAL);
        }
        assert!(shares_with(&one, 2) && shares_with(&other, 2));
        assert_eq!(counted(&one), 2);
    }

    #[each_database]
    async fn without_its_database_a_worker_gives_up_its_share_when_others_must_take_it_for_dead(
        house: TestLedger,
    ) {
        let mut worker = heartbeat(&house);
        worker.call().await;
        house.db.close().await;
        house.clock.advance(DEAD_AFTER - MEMBERSHIP_INTERVAL);
        worker.call().await;
        assert!(shares_with(&worker, 1));
        house.clock.advance(MEMBERSHIP_INTERVAL);
        worker.call().await;
        assert!(!shares_with(&worker, 1));
    }
}
