//! The outbox as its publishers see it.

use chrono::{DateTime, Utc};

use super::{CrashPoints, Ledger, OutboxRow, Result, in_one_transaction};
use domain::ids::OutboxId;

impl Ledger {
    /// Deletes rows whose messages the broker has confirmed.
    #[crate::boxed]
    pub async fn delete_published(&self, rows: &[OutboxId]) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            store::outbox::delete(&mut change.tx, rows).await?;
            Ok(())
        })
    }

    /// Claims rows that nobody has published in time; other claimers then leave them alone for the same time.
    #[crate::boxed]
    pub async fn claim_outbox(&self, limit: u32) -> Result<Vec<OutboxRow>> {
        let claim_after = self.inner.settings.outbox_claim_after;
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let now = change.now;
            Ok(store::outbox::claim(&mut change.tx, now, now + claim_after, limit).await?)
        })
    }

    /// Claims rows as [`Self::claim_outbox`] does, but ignores `not_before`: for the start of the embedded mode, whose
    /// broker remembers nothing and which no other process shares.
    #[crate::boxed]
    pub async fn claim_outbox_at_start(&self, limit: u32) -> Result<Vec<OutboxRow>> {
        let claim_after = self.inner.settings.outbox_claim_after;
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let now = change.now;
            Ok(store::outbox::claim(
                &mut change.tx,
                now + claim_after,
                now + claim_after * 2,
                limit,
            )
            .await?)
        })
    }

    /// Records that a row can't be published for a reason of its own (not because the broker is down).
    #[crate::boxed]
    pub async fn record_publish_failure(&self, row: OutboxId, error: &str) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            store::outbox::record_failure(&mut change.tx, row, error).await?;
            Ok(())
        })
    }

    /// Returns the row that was written first of those that are not published, parked ones included, and its time.
    #[crate::boxed]
    pub async fn oldest_unpublished(&self) -> Result<Option<(OutboxId, DateTime<Utc>)>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::outbox::oldest(&mut tx).await?)
    }

    /// Returns the number of waiting rows, at most [`store::outbox::MAX_COUNTED`], and since when the oldest waits.
    #[crate::boxed]
    pub async fn outbox_backlog(&self) -> Result<(i64, Option<DateTime<Utc>>)> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::outbox::backlog(&mut tx).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scene::Scene, testing::TestLedger};
    use domain::{
        event::Event,
        hint::{Announcement, Hint},
        ids::{OrderId, StreamId},
        status::OrderStatus,
    };
    use each_database::each_database;

    #[each_database]
    async fn a_row_that_cannot_be_read_stops_no_other_and_is_parked_at_the_fifth_failure(
        house: TestLedger,
    ) {
        let good: OutboxId = house.chance.id(house.clock.now());
        let hint = Hint::Accept {
            order: house.chance.id(house.clock.now()),
        };
        let row = OutboxRow {
            id: good,
            announcement: Announcement {
                events: vec![],
                hints: vec![hint],
            },
        };
        let mut change = crate::Change::begin(&house.ledger.inner).await.unwrap();
        let now = change.now;
        store::outbox::insert(&mut change.tx, &[row.clone()], now, now)
            .await
            .unwrap();
        store::testing::run(
            &mut change.tx,
            "INSERT INTO outbox (id, announcement, not_before, failures, parked, created_at) \
             SELECT x'00000000000000000000000000000001', '{\"hints\": 7}', not_before, 0, FALSE, created_at FROM outbox",
        )
        .await
        .unwrap();
        change.commit(CrashPoints::NONE).await.unwrap();

        for _ in 0..6 {
            assert_eq!(house.ledger.claim_outbox(10).await.unwrap(), [row.clone()]);
            house.clock.advance(std::time::Duration::from_secs(10));
        }
        assert_eq!(
            house.ledger.outbox_backlog().await.unwrap().0,
            1,
            "the faulty row is parked"
        );
    }

    async fn claimed_later(house: &TestLedger) -> Vec<OutboxRow> {
        house.clock.advance(std::time::Duration::from_secs(10));
        house.ledger.claim_outbox(100).await.unwrap()
    }

    async fn run(house: &TestLedger, statement: &str) {
        let mut tx = house.db.begin().await.unwrap();
        store::testing::run(&mut tx, statement).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[each_database]
    async fn a_row_names_its_events_and_is_claimed_with_them(house: TestLedger) {
        let scene = Scene::new(&house).await;
        scene.kitchen().await;
        let order = scene.order().await;
        scene.staff_move(order.id, OrderStatus::Rejected).await;
        let mut told = Vec::new();
        for stream in [StreamId::from(order.id), scene.store.into()] {
            told.extend(house.ledger.events_after(stream, 0, 100).await.unwrap());
        }
        let mut tx = house.db.read().await.unwrap();
        let copies = "SELECT COUNT(*) FROM outbox WHERE announcement LIKE '%accept_by%'";
        assert_eq!(store::testing::count(&mut tx, copies).await.unwrap(), 0);
        drop(tx);
        let rows = claimed_later(&house).await;
        let events = rows.into_iter().flat_map(|row| row.announcement.events);
        let mut events: Vec<Event> = events.collect();
        let by_name = |event: &Event| (event.stream.uuid(), event.seq);
        events.sort_by_key(by_name);
        told.sort_by_key(by_name);
        assert!(told.len() >= 2);
        assert_eq!(events, told);
    }

    #[each_database]
    async fn a_row_is_claimed_without_events_that_are_gone_and_parked_for_one_that_cannot_be_read(
        house: TestLedger,
    ) {
        let scene = Scene::new(&house).await;
        scene.kitchen().await;
        let (gone, odd, good) = (
            scene.order().await,
            scene.order().await,
            scene.order().await,
        );
        let of = |order: OrderId| format!("WHERE order_id = x'{}'", order.uuid().simple());
        run(&house, &format!("DELETE FROM events {}", of(gone.id))).await;
        run(
            &house,
            &format!("UPDATE events SET kind = 'odd' {}", of(odd.id)),
        )
        .await;
        for _ in 0..5 {
            let rows = claimed_later(&house).await;
            let orders = |row: &OutboxRow| {
                row.announcement
                    .events
                    .iter()
                    .filter_map(|event| event.order_id)
                    .collect::<Vec<_>>()
            };
            let told: Vec<OrderId> = rows.iter().flat_map(orders).collect();
            assert_eq!(told, [good.id]);
            // The hints of the first one are told all the same.
            assert!(rows.iter().any(
                |row| row.announcement.events.is_empty() && !row.announcement.hints.is_empty()
            ));
        }
        let mut tx = house.db.read().await.unwrap();
        let parked = "SELECT COUNT(*) FROM outbox WHERE parked = TRUE AND error LIKE '%events%'";
        assert_eq!(store::testing::count(&mut tx, parked).await.unwrap(), 1);
    }

    #[each_database]
    async fn a_row_of_the_previous_release_has_its_events_in_itself(house: TestLedger) {
        let scene = Scene::new(&house).await;
        scene.kitchen().await;
        scene.order().await;
        let rows = claimed_later(&house).await;
        assert!(rows.iter().any(|row| !row.announcement.events.is_empty()));
        for row in &rows {
            let text = serde_json::to_string(&row.announcement).unwrap();
            let id = row.id.uuid().simple();
            run(
                &house,
                &format!("UPDATE outbox SET announcement = '{text}' WHERE id = x'{id}'"),
            )
            .await;
        }
        run(&house, "DELETE FROM events").await;
        assert_eq!(claimed_later(&house).await, rows);
    }
}
