//! Orders found by number, by a search, and by the time of their last change.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    order::{Order, search::Search},
    status::{By, OrderStatus},
};
use each_database::each_database;

use super::{line, pieces};
use crate::{intake::Placer, orders::OrderFilter, scene::Scene, testing::TestLedger};

impl Scene {
    async fn of_customer(&self, name: &str, phone: &str) -> Order {
        let mut wanted = self.wanted(Placer::Account(self.house.new_account_id()));
        wanted.customer.name = Some(name.to_owned());
        wanted.customer.phone = Some(phone.to_owned());
        let placed = self.house.ledger.place_order(wanted).await.unwrap();
        self.house.clock.advance(Duration::from_secs(1));
        placed.order
    }

    /// Returns the numbers of the orders on each page.
    async fn pages(&self, filter: &OrderFilter, limit: u32) -> Vec<Vec<i64>> {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = self
                .house
                .ledger
                .orders(filter, after, limit)
                .await
                .unwrap();
            pages.push(
                page.orders
                    .iter()
                    .map(|order| order.number.unwrap())
                    .collect(),
            );
            after = page.next;
            if after.is_none() {
                return pages;
            }
        }
    }

    fn found(&self, text: &str) -> OrderFilter {
        OrderFilter {
            stores: Some(vec![self.store]),
            search: Search::new(text),
            ..OrderFilter::default()
        }
    }

    /// Reads all changes since a time in pages of two, and does something after each page.
    async fn changed_since(
        &self,
        since: DateTime<Utc>,
        mut between: impl AsyncFnMut(),
    ) -> Vec<(i64, OrderStatus)> {
        let mut filter = OrderFilter {
            stores: Some(vec![self.store]),
            updated_after: Some(since),
            ..OrderFilter::default()
        };
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = self.house.ledger.orders(&filter, after, 2).await.unwrap();
            let shown = page.orders.iter();
            seen.extend(shown.map(|order| (order.number.unwrap(), order.status)));
            after = page.next;
            if after.is_none() {
                return seen;
            }
            filter.updated_after = page.next_updated_at;
            between().await;
        }
    }
}

#[each_database]
async fn a_search_lists_the_order_with_that_number_first_and_every_match_once(house: TestLedger) {
    let scene = Scene::new(&house).await;
    for n in 1..=9 {
        let name = if n % 2 == 0 { "Anna Sun" } else { "Ben Moon" };
        scene.of_customer(name, &format!("+49 40 222{n}")).await;
    }
    assert_eq!(
        scene.pages(&scene.found("anna"), 3).await,
        [vec![8, 6, 4], vec![2]]
    );
    assert_eq!(scene.pages(&scene.found("4"), 3).await, [vec![4], vec![]]);
    assert_eq!(scene.pages(&scene.found("0402223"), 1).await, [vec![3]]);
    // Number 2226 does not exist, but a phone has these digits.
    assert_eq!(scene.pages(&scene.found("2226"), 1).await, [vec![6]]);
    scene.of_customer("Cy 7", "7777").await;
    assert_eq!(scene.pages(&scene.found("7"), 1).await, [vec![7], vec![10]]);
    let nowhere = OrderFilter {
        stores: Some(Vec::new()),
        ..scene.found("7")
    };
    assert_eq!(scene.pages(&nowhere, 1).await, [vec![0; 0]]);
    let number = OrderFilter {
        search: None,
        number: Some(4),
        ..scene.found("")
    };
    assert_eq!(scene.pages(&number, 1).await, [[4]]);
}

#[each_database]
async fn whoever_follows_the_changes_misses_none_that_happens_meanwhile(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let ledger = &scene.house.ledger;
    let mut orders = Vec::new();
    for n in 0..6 {
        orders.push(scene.of_customer("Anna", &format!("{n}")).await);
    }
    let began = scene.house.clock.now();
    // Placed before; the first one changes now.
    let accept = async |order: &Order| {
        scene.house.clock.advance(Duration::from_secs(1));
        let to = OrderStatus::Accepted;
        ledger
            .move_order(order.id, to, By::Staff, None)
            .await
            .unwrap();
    };
    for order in &orders[..3] {
        accept(order).await;
    }
    let mut left = orders[3..].iter();
    let seen = scene
        .changed_since(began, async || {
            for order in left.by_ref().take(2) {
                accept(order).await;
            }
        })
        .await;
    let accepted = OrderStatus::Accepted;
    let mut numbers: Vec<_> = seen.iter().map(|(number, _)| *number).collect();
    assert!(
        seen.iter().all(|(_, status)| *status == accepted),
        "{seen:?}"
    );
    assert!(
        numbers.is_sorted(),
        "in the sequence of the changes: {numbers:?}"
    );
    numbers.dedup();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let latest = ledger.order(orders[5].id).await.unwrap().unwrap();
    let since = latest.updated_at.unwrap();
    assert_eq!(
        scene.changed_since(since, async || {}).await,
        [(6, accepted)]
    );
    let later = since + TimeDelta::microseconds(1);
    assert_eq!(scene.changed_since(later, async || {}).await, []);
}

#[each_database]
async fn every_change_of_an_order_moves_its_time(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let ledger = &scene.house.ledger;
    let draft = scene.draft(vec![line(scene.product, 1)]).await;
    let mut times = vec![draft.updated_at.unwrap()];
    let mut changed = async |order: Order| {
        scene.house.clock.advance(Duration::from_secs(1));
        let stored = ledger.order(order.id).await.unwrap().unwrap();
        assert_eq!(stored.updated_at, order.updated_at);
        times.push(order.updated_at.unwrap());
    };
    scene.house.clock.advance(Duration::from_secs(1));
    changed(scene.edit(draft.id, &pieces(&scene, 2)).await.unwrap()).await;
    changed(scene.place(draft.id).await).await;
    changed(scene.edit(draft.id, &pieces(&scene, 3)).await.unwrap()).await;
    for to in [
        OrderStatus::Accepted,
        OrderStatus::Preparing,
        OrderStatus::Delivered,
    ] {
        changed(
            ledger
                .move_order(draft.id, to, By::Staff, None)
                .await
                .unwrap(),
        )
        .await;
    }
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}
