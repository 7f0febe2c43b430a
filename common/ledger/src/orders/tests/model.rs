//! Random sequences of drafts, edits, placements and cancels by concurrent callers, compared with a model.

use each_database::each_database;
use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{items, line};
use crate::{
    ChangeError, Ledger, NoWake,
    intake::{PlaceRefused, Placer},
    orders::{EditRefused, ItemsEdit, OrderRefused},
    scene::{STOCK, Scene},
    testing::TestLedger,
};
use domain::{
    ids::OrderId,
    order::{Item, Order},
    status::{By, OrderStatus},
};

const CALLERS: u64 = 4;
const STEPS: u32 = 40;

/// A concurrent caller with the orders that only it touches: their state must be as it was told.
struct Caller<'s> {
    scene: &'s Scene,
    ledger: Ledger,
    random: StdRng,
    orders: Vec<Order>,
}

impl Caller<'_> {
    async fn act(&mut self) {
        let quantity = self.random.random_range(1..15);
        let known = self.orders.len();
        match self.random.random_range(0..10) {
            0 | 1 => self.begin(quantity, true).await,
            2 => self.begin(quantity, false).await,
            _ if known == 0 => {}
            what => {
                let at = self.random.random_range(0..known);
                match what {
                    3..=6 => self.edit(at, quantity).await,
                    7 | 8 => self.place(at).await,
                    _ => self.remove(at).await,
                }
            }
        }
    }

    async fn begin(&mut self, quantity: u32, as_draft: bool) {
        let house = &self.scene.house;
        let account = house.chance.id(house.clock.now());
        let mut wanted = self.scene.wanted(Placer::Account(account));
        wanted.lines = vec![line(self.scene.product, quantity)];
        if as_draft {
            self.orders
                .push(self.ledger.draft_order(&wanted).await.unwrap());
            return;
        }
        match self.ledger.place_order(wanted).await {
            Ok(placed) => self.orders.push(placed.order),
            Err(ChangeError::Refused(PlaceRefused::InsufficientStock { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn edit(&mut self, at: usize, quantity: u32) {
        let before = &self.orders[at];
        let one = line(self.scene.product, quantity);
        let some_item = before.items.first().map(|item| item.id);
        let edit = match (self.random.random_range(0..4), some_item) {
            (0, _) | (_, None) => ItemsEdit::Replace(vec![one]),
            (1, _) => ItemsEdit::Add(one),
            (2, Some(item)) => ItemsEdit::Change {
                item,
                quantity: Some(quantity),
                options: None,
                note: None,
            },
            (_, Some(item)) => ItemsEdit::Remove(item),
        };
        let edited = self
            .ledger
            .edit_order(before.id, Some(before.version), &items(edit))
            .await;
        let is_editable = matches!(before.status, OrderStatus::Draft | OrderStatus::Pending);
        match edited {
            Ok(order) => {
                assert!(is_editable);
                self.orders[at] = order;
            }
            Err(ChangeError::Refused(EditRefused::NotEditable { status })) => {
                assert_eq!((is_editable, status), (false, before.status));
            }
            Err(ChangeError::Refused(EditRefused::Place(refused))) => {
                let why = matches!(
                    refused,
                    PlaceRefused::InsufficientStock { .. } | PlaceRefused::NoItems
                );
                assert!(why && before.status == OrderStatus::Pending, "{refused}");
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn place(&mut self, at: usize) {
        let before = &self.orders[at];
        match self.ledger.place_draft(before.id, By::Owner, None).await {
            Ok(order) => self.orders[at] = order,
            Err(ChangeError::Refused(OrderRefused::Move(_))) => assert!(before.status.is_final()),
            Err(ChangeError::Refused(OrderRefused::Place(_))) => {
                assert_eq!(before.status, OrderStatus::Draft);
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn remove(&mut self, at: usize) {
        let was_draft = self.orders[at].status == OrderStatus::Draft;
        match self
            .ledger
            .remove_order(self.orders[at].id, By::Owner, None)
            .await
            .unwrap()
        {
            Some(order) => self.orders[at] = order,
            None => {
                assert!(was_draft);
                self.orders.swap_remove(at);
            }
        }
    }
}

fn held(orders: &[Order]) -> i64 {
    let holding = orders
        .iter()
        .filter(|order| order.status == OrderStatus::Pending);
    let items = holding.flat_map(|order| &order.items);
    items.map(|item: &Item| i64::from(item.quantity)).sum()
}

#[each_database]
async fn whatever_several_callers_do_at_once_stock_is_what_there_was_less_what_is_held(
    house: TestLedger,
) {
    for seed in [7, 2026] {
        let scene = Scene::new(&house).await;
        let other = house.ledger_with_wake(std::sync::Arc::new(NoWake));
        let callers = (0..CALLERS).map(|n| Caller {
            scene: &scene,
            ledger: if n % 2 == 0 {
                house.ledger.clone()
            } else {
                other.clone()
            },
            random: StdRng::seed_from_u64(seed * CALLERS + n),
            orders: Vec::new(),
        });
        let acts = callers.map(async |mut caller| {
            for _ in 0..STEPS {
                caller.act().await;
            }
            caller.orders
        });
        let mut expected: Vec<Order> = join_all(acts).await.into_iter().flatten().collect();
        assert_eq!(scene.stock().await, STOCK - held(&expected), "seed {seed}");
        let mut kept = scene.all_orders().await;
        let by_id = |order: &Order| -> OrderId { order.id };
        expected.sort_by_key(by_id);
        kept.sort_by_key(by_id);
        assert_eq!(kept, expected, "seed {seed}");
        assert!(
            kept.iter()
                .any(|order| order.status == OrderStatus::Pending && order.version > 1)
        );
        scene.assert_audit_clean().await;
    }
}
