//! Work that is due and not done yet, for operators: a growing age means that a process is away or too slow.

use super::{Ledger, Result};

pub use store::backlog::Waiting;

/// Work that waits in all stores, as of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Announcements that the broker has not confirmed.
    pub outbox: Waiting,
    /// Handoffs that a worker should send now.
    pub handoffs: Waiting,
    /// Callbacks of known orders that are not applied.
    pub callbacks: Waiting,
}

impl Ledger {
    /// Counts the work that is due and not done yet, in one snapshot.
    #[crate::boxed]
    pub async fn backlog(&self) -> Result<Backlog> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.db.read().await?;
        Ok(Backlog {
            outbox: store::outbox::backlog(&mut tx).await?,
            handoffs: store::backlog::handoffs(&mut tx, now).await?,
            callbacks: store::backlog::callbacks(&mut tx).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use each_database::each_database;

    use crate::{scene::Scene, testing::TestLedger};

    #[each_database]
    async fn handoffs_wait_from_their_time_on_unless_their_system_is_off(house: TestLedger) {
        let scene = Scene::new(&house).await;
        let none = house.ledger.backlog().await.unwrap();
        assert_eq!((none.handoffs, none.callbacks), ((0, None), (0, None)));
        let kitchen = scene.kitchen().await;
        let placed_at = house.clock.now();
        scene.order().await;
        scene.order().await;
        house.clock.advance(Duration::from_secs(7));
        let backlog = house.ledger.backlog().await.unwrap();
        assert_eq!(backlog.handoffs, (2, Some(placed_at)));
        assert_eq!(backlog.outbox, house.ledger.outbox_backlog().await.unwrap());
        scene.disable(kitchen.id).await;
        assert_eq!(house.ledger.backlog().await.unwrap().handoffs, (0, None));
    }

    #[each_database]
    async fn a_handoff_that_is_being_sent_does_not_wait(house: TestLedger) {
        let scene = Scene::new(&house).await;
        let kitchen = scene.kitchen().await;
        scene.order().await;
        assert_eq!(house.ledger.backlog().await.unwrap().handoffs.0, 1);
        scene.claim(&kitchen).await;
        assert_eq!(house.ledger.backlog().await.unwrap().handoffs, (0, None));
    }
}
