//! Statistics: the numbers always equal a count of all orders, whatever happens in whichever sequence.

use each_database::each_database;
use std::time::Duration;

use super::*;
use crate::{
    intake::{PlaceOrder, ProductRef},
    scene::Scene,
    testing::TestLedger,
};
use domain::{
    ids::ProductId,
    status::{self, By, Facts, OrderStatus},
};
use platform::chance::Chance;

const STEPS: u32 = 90;
const HOUR: Duration = Duration::from_secs(3600);

/// Several stores, each with a product, and their orders.
struct Town {
    scene: Scene,
    shops: Vec<(StoreId, ProductId)>,
    orders: Vec<OrderId>,
}

impl Town {
    async fn new(house: &TestLedger, shops: usize) -> Self {
        let scene = Scene::new(house).await;
        let mut made = Vec::new();
        for _ in 0..shops {
            let store = house.create_store().await;
            made.push((store, house.create_product(store).await));
        }
        Self {
            scene,
            shops: made,
            orders: Vec::new(),
        }
    }

    async fn order(&mut self, shop: usize) -> OrderId {
        let (store, product) = self.shops[shop];
        let at = |order: &mut PlaceOrder| {
            order.store_id = store;
            order.lines[0].product = ProductRef::Id(product);
        };
        let order = self.scene.order_with(at).await.id;
        self.orders.push(order);
        order
    }

    async fn orders(&mut self, shop: usize, many: usize) {
        for _ in 0..many {
            self.order(shop).await;
        }
    }

    /// Makes one of the moves that people may make, if there is one.
    async fn move_on(&self, order: OrderId, chance: &Chance) {
        let stands = self.scene.status(order).await;
        let people = [By::Staff, By::Operator].into_iter();
        let moves: Vec<(By, OrderStatus)> = people
            .flat_map(|by| {
                let next = status::next(stands, by, Facts::default());
                next.into_iter().map(move |to| (by, to))
            })
            .collect();
        if !moves.is_empty() {
            let (by, to) = moves[any(chance, moves.len())];
            let ledger = &self.scene.house.ledger;
            let moved = ledger.move_order(order, to, by, Some("lost")).await;
            assert_eq!(moved.unwrap().status, to);
        }
    }

    /// Compares the reported numbers with the real ones, for each store and for all.
    async fn numbers_are_exact(&self, after: &str) {
        let house = &self.scene.house;
        let mut tx = house.db.read().await.unwrap();
        let all = store::stats::placed_orders(&mut tx).await.unwrap();
        drop(tx);
        let count = |of: Option<StoreId>| {
            let theirs = all
                .iter()
                .filter(|(store, _)| of.is_none_or(|of| of == *store));
            Tally::of(&theirs.map(|(_, order)| *order).collect::<Vec<_>>())
        };
        for (store, _) in &self.shops {
            let told = house.ledger.stats(Some(&[*store])).await.unwrap();
            assert_eq!(told, count(Some(*store)), "store {store} after {after}");
        }
        assert_eq!(
            house.ledger.stats(None).await.unwrap(),
            count(None),
            "after {after}"
        );
    }

    async fn sweep(&self) -> u64 {
        let swept = self
            .scene
            .house
            .ledger
            .tally_orders(None, 10)
            .await
            .unwrap();
        assert_eq!(swept.last, None);
        swept.orders
    }

    /// Runs a sweep whose process is killed before it commits.
    async fn killed_sweep(&self, shop: usize) {
        let (house, store) = (&self.scene.house, self.shops[shop].0);
        let mut tx = house.db.read().await.unwrap();
        let tallied = store::stats::tallied(&mut tx, &[store]).await.unwrap();
        let up_to = tallied[0].up_to;
        let next = store::stats::untallied(&mut tx, store, up_to.unwrap_or(0), 10)
            .await
            .unwrap();
        drop(tx);
        if next.is_empty() {
            return;
        }
        let mut change = Change::begin(&house.ledger.inner).await.unwrap();
        let tallied = tally(&mut change, store, up_to, &next).await.unwrap();
        assert_eq!(tallied, next.last().map(|last| last.number));
        change.rollback().await;
    }
}

fn any(chance: &Chance, of: usize) -> usize {
    (chance.fraction() * of as f64) as usize
}

async fn a_history(house: &TestLedger, seed: u64) {
    let chance = Chance::seeded(seed);
    let mut town = Town::new(house, 3).await;
    for step in 1..=STEPS {
        let shop = any(&chance, 3);
        let what = match any(&chance, 12) {
            0..3 => {
                let many = 1 + any(&chance, 4);
                town.orders(shop, many).await;
                "orders were placed"
            }
            3..7 if !town.orders.is_empty() => {
                for _ in 0..3 {
                    let order = town.orders[any(&chance, town.orders.len())];
                    town.move_on(order, &chance).await;
                }
                "orders were moved"
            }
            7 => {
                house.clock.advance(Duration::from_micros(
                    1 + any(&chance, 2_000_000_000) as u64,
                ));
                "a while"
            }
            8 => {
                let day = house.clock.now().date_naive().succ_opt().unwrap();
                house.clock.set(day.and_hms_opt(0, 0, 0).unwrap().and_utc());
                "midnight"
            }
            9 => {
                town.killed_sweep(shop).await;
                "a sweep that was killed"
            }
            _ => {
                town.sweep().await;
                "a sweep"
            }
        };
        town.numbers_are_exact(&format!("{what}, step {step} of seed {seed}"))
            .await;
    }
    house.clock.advance(HOUR);
    town.sweep().await;
    assert_eq!(town.sweep().await, 0);
    town.numbers_are_exact(&format!("all of seed {seed}")).await;
    town.scene.assert_audit_clean().await;
}

#[each_database]
async fn whatever_happens_the_numbers_are_those_of_a_count_of_all_orders(house: TestLedger) {
    a_history(&house, 1).await;
}

#[each_database]
async fn another_history_has_the_same_numbers(house: TestLedger) {
    a_history(&house, 20).await;
}

#[each_database]
async fn an_order_of_long_ago_that_moves_is_counted_where_it_stands_then(house: TestLedger) {
    let mut town = Town::new(&house, 1).await;
    let (store, _) = town.shops[0];
    let old = town.order(0).await;
    house.clock.advance(HOUR);
    assert_eq!(town.sweep().await, 1);
    town.order(0).await;
    house.clock.advance(HOUR * 24 * 40);
    house
        .ledger
        .move_order(old, OrderStatus::Accepted, By::Staff, None)
        .await
        .unwrap();
    let told = house.ledger.stats(Some(&[store])).await.unwrap();
    assert_eq!(
        (told.orders(), told.in_status(OrderStatus::Pending)),
        (2, 1)
    );
    assert_eq!(
        (told.in_status(OrderStatus::Accepted), told.ever_accepted()),
        (1, 1)
    );
    assert_eq!(told.mean_acceptance_s(), (41 * 24 - 23) as f64 * 3600.0);
    town.numbers_are_exact("a late move").await;
    assert_eq!(town.sweep().await, 1);
    town.numbers_are_exact("the next sweep").await;
}

#[each_database]
async fn a_store_without_orders_and_one_that_is_not_there_have_zeros(house: TestLedger) {
    let store = house.create_store().await;
    let nobody: StoreId = house.chance.id(house.clock.now());
    for stores in [Some(&[store, nobody][..]), Some(&[][..]), None] {
        assert_eq!(house.ledger.stats(stores).await.unwrap(), Tally::default());
    }
}

#[each_database]
async fn numbers_stay_exact_while_two_sweeps_and_moves_run_at_once(house: TestLedger) {
    let mut town = Town::new(&house, 1).await;
    town.orders(0, 40).await;
    house.clock.advance(HOUR);
    let (ledger, other) = (
        &house.ledger,
        house.ledger_with_wake(std::sync::Arc::new(house.woken.clone())),
    );
    let moves = async {
        for to in [
            OrderStatus::Accepted,
            OrderStatus::Preparing,
            OrderStatus::Ready,
        ] {
            for order in &town.orders {
                ledger
                    .move_order(*order, to, By::Staff, None)
                    .await
                    .unwrap();
            }
        }
    };
    let sweeps = async {
        for _ in 0..30 {
            let (a, b) = tokio::join!(ledger.tally_orders(None, 10), other.tally_orders(None, 10));
            a.unwrap();
            b.unwrap();
        }
    };
    let looks = async {
        for _ in 0..60 {
            assert_eq!(ledger.stats(None).await.unwrap().orders(), 40);
        }
    };
    tokio::join!(moves, sweeps, looks);
    town.sweep().await;
    let told = ledger.stats(None).await.unwrap();
    assert_eq!(
        (told.in_status(OrderStatus::Ready), told.ever_accepted()),
        (40, 40)
    );
    town.numbers_are_exact("all that").await;
    town.scene.assert_audit_clean().await;
}

#[each_database]
async fn stores_have_their_turn_page_by_page(house: TestLedger) {
    let mut town = Town::new(&house, 3).await;
    for shop in 0..3 {
        town.orders(shop, 2).await;
    }
    house.clock.advance(HOUR);
    let (mut after, mut walks) = (None, Vec::new());
    loop {
        let walk = house.ledger.tally_orders(after, 2).await.unwrap();
        walks.push(walk.orders);
        after = walk.last;
        if after.is_none() {
            break;
        }
    }
    // The first store is the scene's own.
    assert_eq!(walks, [2, 4, 0]);
    town.numbers_are_exact("all walks").await;
}

#[each_database]
async fn a_walk_ends_after_some_transactions_and_the_next_goes_on_there(house: TestLedger) {
    let mut town = Town::new(&house, 3).await;
    for shop in 0..3 {
        town.orders(shop, 5).await;
    }
    house.clock.advance(HOUR);
    let bounds = WalkLimits {
        orders_per_transaction: 1,
        transactions_per_store: 2,
        transactions: 3,
    };
    let (mut after, mut walks, mut is_behind) = (None, Vec::new(), false);
    loop {
        let walk = house.ledger.walk(after, 10, bounds).await.unwrap();
        walks.push((walk.orders, walk.is_behind));
        town.numbers_are_exact(&format!("{} walks", walks.len()))
            .await;
        after = walk.last;
        is_behind |= walk.is_behind;
        if after.is_none() && !std::mem::take(&mut is_behind) {
            break;
        }
    }
    let orders: u64 = walks.iter().map(|(orders, _)| orders).sum();
    assert_eq!(orders, 15, "{walks:?}");
    assert!(walks.iter().all(|(orders, _)| *orders <= 3), "{walks:?}");
    // Two orders of the first shop and one of the second; then it is the third shop's turn.
    assert_eq!(walks[..2], [(3, true), (2, true)]);
}

#[test]
fn orders_are_tallied_when_they_are_old_or_when_enough_have_ended() {
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
    let order = |minutes: i64, has_ended: bool| Untallied {
        id: uuid::Uuid::nil().into(),
        number: 1,
        placed_at: Some(now - TimeDelta::minutes(minutes)),
        has_ended,
    };
    assert_eq!(count_ready(&[], now), 0);
    assert_eq!(count_ready(&[order(59, false)], now), 0);
    assert_eq!(count_ready(&[order(59, true)], now), 0);
    assert_eq!(
        count_ready(&[order(60, false), order(59, true), order(58, false)], now),
        2
    );
    let mut ended = vec![order(5, true); MIN_BATCH];
    ended.push(order(4, false));
    assert_eq!(count_ready(&ended, now), MIN_BATCH);
    assert_eq!(count_ready(&ended[1..], now), 0);
}
