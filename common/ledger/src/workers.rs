//! The registry of workers, kept by their heartbeats.

use chrono::{DateTime, Utc};

use super::{CrashPoints, Ledger, Result, in_one_transaction};
use domain::{
    ids::WorkerId,
    sharing::{DEAD_AFTER, Member},
};

impl Ledger {
    /// Records a heartbeat of a worker that has run since `started_at`, and how far it is behind.
    #[crate::boxed]
    pub async fn record_heartbeat(
        &self,
        id: WorkerId,
        label: &str,
        started_at: DateTime<Utc>,
    ) -> Result<()> {
        let lags = self.largest_lags();
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let member = Member {
                id,
                label: label.to_owned(),
                started_at,
                seen_at: change.now,
                lags: lags.clone(),
            };
            if !store::workers::update(&mut change.tx, &member).await? {
                store::workers::insert(&mut change.tx, &member).await?;
            }
            Ok(())
        })
    }

    /// Lists all registered workers by id; dead ones too, until they are pruned.
    #[crate::boxed]
    pub async fn workers(&self) -> Result<Vec<Member>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::workers::all(&mut tx).await?)
    }

    /// Removes a worker that is about to stop and has nothing in progress.
    #[crate::boxed]
    pub async fn remove_worker(&self, id: WorkerId) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            store::workers::delete(&mut change.tx, id).await?;
            Ok(())
        })
    }

    /// Deletes dead workers; returns their number. One that lives after all comes back with its next heartbeat.
    #[crate::boxed]
    pub async fn prune_workers(&self) -> Result<u64> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let seen_before = change.now - DEAD_AFTER;
            Ok(store::workers::prune(&mut change.tx, seen_before).await?)
        })
    }
}

#[cfg(test)]
mod tests {
    use each_database::each_database;
    use std::time::Duration;

    use crate::testing::TestLedger;
    use domain::{
        ids::WorkerId,
        sharing::{Member, alive},
    };

    fn known(id: WorkerId, house: &TestLedger, started_ago_s: u64, seen_ago_s: u64) -> Member {
        let now = house.clock.now();
        Member {
            id,
            label: "host, 7".to_owned(),
            started_at: now - Duration::from_secs(started_ago_s),
            seen_at: now - Duration::from_secs(seen_ago_s),
            lags: Vec::new(),
        }
    }

    #[each_database]
    async fn workers_are_known_from_their_first_word_until_they_leave(house: TestLedger) {
        let (first, second) = (
            house.chance.id(house.clock.now()),
            house.chance.id(house.clock.now()),
        );
        let ledger = &house.ledger;
        let began_at = house.clock.now();
        ledger
            .record_heartbeat(first, "host, 7", began_at)
            .await
            .unwrap();
        house.clock.advance(Duration::from_secs(4));
        ledger
            .record_heartbeat(second, "host, 7", house.clock.now())
            .await
            .unwrap();
        assert_eq!(
            ledger.workers().await.unwrap(),
            [known(first, &house, 4, 4), known(second, &house, 0, 0)]
        );
        ledger
            .record_heartbeat(first, "host, 7", began_at)
            .await
            .unwrap();
        assert_eq!(
            ledger.workers().await.unwrap(),
            [known(first, &house, 4, 0), known(second, &house, 0, 0)]
        );
        ledger.remove_worker(first).await.unwrap();
        assert_eq!(
            ledger.workers().await.unwrap(),
            [known(second, &house, 0, 0)]
        );
    }

    #[each_database]
    async fn a_worker_that_is_heard_of_no_more_is_dead_and_pruned_and_may_come_back(
        house: TestLedger,
    ) {
        let (silent, talking) = (
            house.chance.id(house.clock.now()),
            house.chance.id(house.clock.now()),
        );
        let ledger = &house.ledger;
        let began_at = house.clock.now();
        for id in [silent, talking] {
            ledger
                .record_heartbeat(id, "host, 7", began_at)
                .await
                .unwrap();
        }
        house.clock.advance(Duration::from_secs(14));
        ledger
            .record_heartbeat(talking, "host, 7", began_at)
            .await
            .unwrap();
        assert_eq!(ledger.prune_workers().await.unwrap(), 0);
        house.clock.advance(Duration::from_secs(1));
        assert_eq!(
            alive(&ledger.workers().await.unwrap(), house.clock.now()),
            [talking]
        );
        assert_eq!(ledger.prune_workers().await.unwrap(), 1);
        let now = house.clock.now();
        ledger
            .record_heartbeat(silent, "host, 7", now)
            .await
            .unwrap();
        assert_eq!(
            ledger.workers().await.unwrap(),
            [known(silent, &house, 0, 0), known(talking, &house, 15, 1)]
        );
    }
}
