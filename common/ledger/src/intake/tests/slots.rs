//! Capacity: a slot takes what it has room for, whatever happens at once, and gets it back once.

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;

use super::*;
use crate::{
    categories::NewCategory,
    orders::{EditRefused, ItemsEdit, OrderEdit, OrderRefused},
    products::ProductEdit,
    stores::RulesEdit,
};
use domain::{
    capacity::{Busy, BusyRule, Capacity, CapacityRule, Slot},
    menu::Placement,
    order::Fulfilment,
    status::By,
    translations::Translations,
};
use store::testing::noon;

fn rule(minutes: u32) -> CapacityRule {
    CapacityRule {
        fulfilments: None,
        minutes,
        orders: None,
        items: None,
        weight: None,
    }
}

/// Limits the orders of each quarter of an hour.
fn orders(limit: u32) -> RulesEdit {
    capacity(vec![CapacityRule {
        orders: Some(limit),
        ..rule(15)
    }])
}

fn items(limit: u32) -> RulesEdit {
    capacity(vec![CapacityRule {
        items: Some(limit),
        ..rule(15)
    }])
}

fn capacity(rules: Vec<CapacityRule>) -> RulesEdit {
    let busy = BusyRule::default();
    RulesEdit::Capacity(Capacity { rules, busy })
}

fn minutes(n: i64) -> DateTime<Utc> {
    noon() + TimeDelta::minutes(n)
}

fn full(next_free_at: DateTime<Utc>) -> PlaceRefused {
    let next_free_at = Some(next_free_at);
    PlaceRefused::SlotFull { next_free_at }
}

fn edit_to(scene: &Scene, quantity: u32) -> OrderEdit {
    OrderEdit {
        items: ItemsEdit::Replace(vec![line(scene.product, quantity)]),
        ..OrderEdit::default()
    }
}

impl Scene {
    /// Returns the orders that still fit into each slot of the next hour.
    async fn left(&self) -> Vec<Option<i64>> {
        let range = Slot {
            from: self.house.clock.now(),
            to: self.house.clock.now() + TimeDelta::hours(1),
        };
        let ledger = &self.house.ledger;
        let slots = ledger.slots(self.store, Fulfilment::Pickup, range, 100);
        let slots = slots.await.unwrap().unwrap();
        slots.iter().map(|(_, room)| room.orders).collect()
    }

    async fn staff_cancel(&self, order: OrderId) -> bool {
        let ledger = &self.house.ledger;
        let (to, reason) = (OrderStatus::Cancelled, Some("called off"));
        let moved = ledger.move_order(order, to, By::Staff, reason);
        moved.await.is_ok()
    }
}

#[each_database]
async fn two_hundred_guests_for_the_last_slot_with_room_for_seven_leave_exactly_seven(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    scene.rule(orders(7)).await;
    let processes = [
        house.ledger.clone(),
        house.ledger_with_wake(Arc::new(NoWake)),
    ];
    let asked = (0..200).map(|n| {
        let order = scene.wanted(Placer::Account(house.new_account_id()));
        processes[n % 2].place_order(order)
    });
    let (placed, refused): (Vec<_>, Vec<_>) =
        join_all(asked).await.into_iter().partition(Result::is_ok);
    assert_eq!((placed.len(), refused.len()), (7, 193));
    for refused in refused {
        assert_eq!(refusal(refused), full(minutes(30)));
    }
    assert_eq!(scene.left().await, [Some(7), Some(0), Some(7), Some(7)]);
    assert_eq!(scene.stock().await, crate::scene::STOCK - 21);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_place_is_given_back_once_and_only_before_its_time(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.rule(orders(2)).await;
    let (first, second) = (scene.order().await.id, scene.order().await.id);
    assert_eq!(scene.try_order(|_| {}).await, Err(full(minutes(30))));

    let cancels = (0..4).map(|_| scene.staff_cancel(first));
    join_all(cancels).await;
    scene.order().await;
    assert_eq!(scene.try_order(|_| {}).await, Err(full(minutes(30))));

    // Once its time has come, the kitchen has cooked it.
    house.clock.set(minutes(15));
    assert!(scene.staff_cancel(second).await);
    house.clock.set(noon());
    assert_eq!(scene.try_order(|_| {}).await, Err(full(minutes(30))));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_draft_takes_its_place_when_it_is_placed(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.rule(orders(1)).await;
    let draft = |account| scene.wanted(Placer::Account(account));
    let mut drafts = Vec::new();
    for _ in 0..8 {
        let draft = draft(house.new_account_id());
        drafts.push(house.ledger.draft_order(&draft).await.unwrap().id);
    }
    assert_eq!(scene.left().await[1], Some(1));
    let ledger = &house.ledger;
    let places = drafts
        .iter()
        .map(|id| ledger.place_draft(*id, By::Owner, None));
    let (placed, refused): (Vec<_>, Vec<_>) =
        join_all(places).await.into_iter().partition(Result::is_ok);
    assert_eq!(placed.len(), 1);
    for refused in refused {
        let expected = OrderRefused::Place(full(minutes(30)));
        assert_eq!(refusal(refused), expected);
    }
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_edit_moves_what_the_order_holds_or_is_refused(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.rule(items(10)).await;
    let ledger = &house.ledger;
    let order = scene.order().await.id;
    let other = scene.order().await.id;
    let edit = async |order, quantity| {
        let edit = edit_to(&scene, quantity);
        ledger.edit_order(order, None, &edit).await
    };
    edit(order, 7).await.unwrap();
    let refused = refusal(edit(other, 4).await);
    assert_eq!(refused, EditRefused::Place(full(minutes(30))));
    edit(order, 1).await.unwrap();
    edit(other, 9).await.unwrap();

    // A limit that was lowered keeps nobody from taking less, and from staying.
    scene.rule(items(5)).await;
    edit(other, 8).await.unwrap();
    let refused = refusal(edit(other, 9).await);
    let never = PlaceRefused::SlotFull { next_free_at: None };
    assert_eq!(refused, EditRefused::Place(never));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn fulfilments_have_slots_of_their_own_unless_a_rule_names_both(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let only = |fulfilment| CapacityRule {
        fulfilments: Some(vec![fulfilment]),
        orders: Some(1),
        ..rule(15)
    };
    let (pickup, table) = (Fulfilment::Pickup, Fulfilment::Table);
    scene.rule(capacity(vec![only(pickup), only(table)])).await;
    let order = async |fulfilment| scene.try_order(|new| new.fulfilment = fulfilment).await;
    let first = order(pickup).await.unwrap();
    assert_eq!(order(pickup).await, Err(full(minutes(30))));
    order(table).await.unwrap();

    let to_table = OrderEdit {
        fulfilment: Some(table),
        ..OrderEdit::default()
    };
    let refused = house.ledger.edit_order(first, None, &to_table).await;
    assert_eq!(refusal(refused), EditRefused::Place(full(minutes(30))));
    // Rules that are set later count what is held already.
    scene.rule(orders(3)).await;
    order(pickup).await.unwrap();
    assert_eq!(order(table).await, Err(full(minutes(30))));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_busy_store_makes_orders_for_a_later_slot_by_hand_or_by_its_open_orders(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let edit = |limit| {
        RulesEdit::Capacity(Capacity {
            rules: vec![CapacityRule {
                orders: Some(limit),
                ..rule(15)
            }],
            busy: BusyRule {
                open_orders: Some(2),
                adds_minutes: 15,
            },
        })
    };
    scene.rule(edit(5)).await;
    scene.order().await;
    scene.order().await;
    assert_eq!(scene.left().await[1..3], [Some(3), Some(5)]);
    scene.order().await;
    assert_eq!(scene.left().await[1..3], [Some(3), Some(4)]);
    let by_hand = Busy {
        adds_minutes: 30,
        paused_until: None,
    };
    scene.rule(RulesEdit::Busy(by_hand)).await;
    scene.order().await;
    assert_eq!(scene.left().await[1..4], [Some(3), Some(4), Some(4)]);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_piece_weighs_as_much_as_the_heaviest_category_of_its_product(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let ledger = &house.ledger;
    let mut categories = Vec::new();
    for weight in [2, 3] {
        let new = NewCategory {
            store_id: scene.store,
            name: "Heavy".to_owned(),
            description: None,
            position: 0,
            weight,
            translations: Translations::default(),
        };
        let category = ledger.create_category(new).await.unwrap();
        categories.push(Placement {
            category_id: category.id,
            position: 0,
        });
    }
    let heavy = ProductEdit {
        categories: Some(categories),
        ..ProductEdit::default()
    };
    ledger
        .edit_product(scene.product, None, heavy)
        .await
        .unwrap();
    let plain = house.create_product(scene.store).await;
    let limit = CapacityRule {
        weight: Some(10),
        ..rule(15)
    };
    scene.rule(capacity(vec![limit])).await;

    // Three pieces of three units each.
    let order = scene.order().await.id;
    let one_more = |product| move |new: &mut PlaceOrder| new.lines = vec![line(product, 1)];
    let refused = scene.try_order(one_more(scene.product)).await;
    assert_eq!(refused, Err(full(minutes(30))));
    scene.try_order(one_more(plain)).await.unwrap();
    let refused = scene.try_order(one_more(plain)).await;
    assert_eq!(refused, Err(full(minutes(30))));
    let edit = edit_to(&scene, 2);
    ledger.edit_order(order, None, &edit).await.unwrap();
    scene.try_order(one_more(scene.product)).await.unwrap();
    scene.assert_audit_clean().await;
}

/// Places, cancels and edits orders at once, and compares the room that is left with what the orders hold.
#[each_database]
async fn whatever_happens_at_once_a_slot_holds_what_its_open_orders_hold(house: TestLedger) {
    const LIMIT: u32 = 12;
    let scene = Scene::new(&house).await;
    let both = vec![CapacityRule {
        orders: Some(6),
        items: Some(LIMIT),
        ..rule(15)
    }];
    scene.rule(capacity(both)).await;
    let mut known: Vec<OrderId> = Vec::new();
    for round in 0..8_u32 {
        let places = (0..6).map(|_| scene.try_order(|_| {}));
        let cancels = known
            .iter()
            .skip(1)
            .step_by(2)
            .map(|id| scene.staff_cancel(*id));
        let edits = known.iter().step_by(2).enumerate().map(|(n, id)| {
            let quantity = 1 + (round + u32::try_from(n).unwrap()) % 6;
            let edit = edit_to(&scene, quantity);
            let (ledger, id) = (&house.ledger, *id);
            async move { ledger.edit_order(id, None, &edit).await.is_ok() }
        });
        let (placed, _, _) = tokio::join!(join_all(places), join_all(cancels), join_all(edits));
        known.extend(placed.into_iter().flatten());
        let orders = house.ledger.orders_by_id(&known).await.unwrap();
        let open = orders
            .iter()
            .filter(|one| one.status == OrderStatus::Pending);
        let pieces = open
            .flat_map(|order| &order.items)
            .map(|item| item.quantity);
        let pieces: u32 = pieces.sum();
        assert!(pieces <= LIMIT, "round {round}: {pieces}");
        let range = Slot {
            from: minutes(15),
            to: minutes(30),
        };
        let slots = house
            .ledger
            .slots(scene.store, Fulfilment::Pickup, range, 1);
        let (_, room) = slots.await.unwrap().unwrap()[0];
        assert_eq!(room.items, Some(i64::from(LIMIT - pieces)), "round {round}");
    }
    assert!(known.len() > 6, "{known:?}");
    scene.assert_audit_clean().await;
}
