//! Orders whose COMMIT gets no response, because it, or its response, is delayed on the way. They have no keys, so only
//! the look-up keeps them from being placed twice.

use std::time::Duration;

use super::{an_order, create_product};
use crate::{
    ChangeResult,
    intake::{PlaceRefused, Placed},
    testing::TestLedger,
};
use domain::ids::{AccountId, ProductId, StoreId};
use store::{
    Db, DbOptions,
    testing::{FreshDb, fresh_mysql},
};
use test_line::{CommitFault, Line};

/// Timeout of a statement; that of a lock is one second.
const PATIENCE: Duration = Duration::from_millis(1500);

struct Shop {
    house: TestLedger,
    line: Line,
    store: StoreId,
    product: ProductId,
    anna: AccountId,
}

impl Shop {
    async fn behind_a_line(fresh: &FreshDb) -> Self {
        let line = Line::before(&fresh.url()).await;
        let options = DbOptions {
            statement_timeout: PATIENCE,
            lock_timeout: Duration::from_secs(1),
            allow_weak_durability: true,
            ..DbOptions::new(line.through(&fresh.url()))
        };
        let house = TestLedger::new(Db::connect(&options).await.unwrap());
        let store = house.create_store().await;
        Self {
            product: create_product(&house, store, Some(9)).await,
            anna: house.new_account_id(),
            store,
            house,
            line,
        }
    }

    async fn places(&self) -> ChangeResult<Placed, PlaceRefused> {
        let order = an_order(self.store, self.anna, &[(self.product, 1)]);
        self.house.ledger.place_order(order).await
    }

    async fn left(&self) -> Option<i64> {
        let product = self.house.ledger.product(self.product).await;
        product.unwrap().unwrap().stock
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_answered_and_placed_once_whatever_became_of_its_commit() {
    let Some(fresh) = fresh_mysql().await else {
        return;
    };
    for mishap in [
        CommitFault::AnswerLost,
        // The commit arrives during the look-up.
        CommitFault::Late(PATIENCE + Duration::from_millis(300)),
        // The commit arrives after the look-up has timed out.
        CommitFault::Late(PATIENCE * 5 / 2),
        CommitFault::Lost,
    ] {
        let shop = Shop::behind_a_line(&fresh).await;
        shop.line.fail_next_commit(mishap);
        let placed = shop.places().await;
        let placed = placed.unwrap_or_else(|error| panic!("{mishap:?}: {error:?}"));
        assert!(shop.line.has_failed_commit(), "{mishap:?}");
        let first = (placed.order.number, shop.left().await);
        assert_eq!(first, (Some(1), Some(8)), "{mishap:?}");
        assert!(!placed.replayed, "{mishap:?}");
        let next = shop.places().await.unwrap().order.number;
        assert_eq!((next, shop.left().await), (Some(2), Some(7)), "{mishap:?}");
        let kept = shop.house.ledger.order(placed.order.id).await.unwrap();
        assert_eq!(kept, Some(placed.order), "{mishap:?}");
        shop.house.db.close().await;
    }
    fresh.end().await;
}
