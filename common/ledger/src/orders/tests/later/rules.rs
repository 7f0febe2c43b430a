//! Orders for later under a store's hours, slots and busy mode.

use super::*;

#[each_database]
async fn an_order_for_later_is_taken_for_a_time_at_which_the_store_is_open(house: TestLedger) {
    let scene = scene(&house).await;
    scene.kitchen().await;
    // In Berlin it is 13:00.
    let evening = Weekly {
        days: Day::ALL.to_vec(),
        span: Span {
            from: "17:00".parse().unwrap(),
            to: "22:00".parse().unwrap(),
        },
        fulfilments: None,
    };
    let hours = RulesEdit::Hours(Hours {
        weekly: vec![evening],
        exceptions: vec![],
    });
    let edited = house.ledger.edit_store_rules(scene.store, hours).await;
    edited.unwrap();
    let closed = |hours| PlaceRefused::StoreClosed {
        opens_at: Some(in_hours(hours)),
    };
    let refused = async |wanted_at: Option<DateTime<Utc>>| {
        let mut order = scene.wanted(Placer::Account(house.new_account_id()));
        order.wanted_at = wanted_at;
        refusal(house.ledger.place_order(order).await)
    };
    assert_eq!(refused(None).await, closed(4));
    assert_eq!(refused(Some(in_hours(3))).await, closed(4));
    assert_eq!(refused(Some(in_hours(9))).await, closed(28));
    let order = scene.order_for(in_hours(6)).await.id;
    let night = scene.edit(order, &want(Some(in_hours(10)))).await;
    assert_eq!(refusal(night), EditRefused::Place(closed(28)));
    let now = scene.edit(order, &want(None)).await;
    assert_eq!(refusal(now), EditRefused::Place(closed(4)));
    scene.edit(order, &want(Some(in_hours(30)))).await.unwrap();
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_for_later_takes_its_place_in_the_slot_for_which_it_is_wanted(house: TestLedger) {
    let scene = scene(&house).await;
    scene.kitchen().await;
    let rule = CapacityRule {
        fulfilments: None,
        minutes: 15,
        orders: Some(1),
        items: None,
        weight: None,
    };
    let capacity = RulesEdit::Capacity(Capacity {
        rules: vec![rule],
        busy: BusyRule::default(),
    });
    let edited = house.ledger.edit_store_rules(scene.store, capacity).await;
    edited.unwrap();
    let first = scene.order_for(in_hours(20)).await.id;
    let second = async || {
        let mut order = scene.wanted(Placer::Account(house.new_account_id()));
        order.wanted_at = Some(in_hours(20) + TimeDelta::minutes(5));
        house.ledger.place_order(order).await
    };
    let full = PlaceRefused::SlotFull {
        next_free_at: Some(in_hours(20) + TimeDelta::minutes(15)),
    };
    assert_eq!(refusal(second().await), full);
    // The slot of now is another one.
    scene.order().await;
    scene.edit(first, &want(Some(in_hours(40)))).await.unwrap();
    let second = second().await.unwrap().order.id;
    let back = scene.edit(first, &want(Some(in_hours(20)))).await;
    assert_eq!(refusal(back), EditRefused::Place(full));
    scene.staff_move(second, Cancelled).await;
    scene.edit(first, &want(Some(in_hours(20)))).await.unwrap();
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_for_later_keeps_nobody_busy_before_its_hand_over(house: TestLedger) {
    let scene = scene(&house).await;
    scene.kitchen().await;
    let busy = BusyRule {
        open_orders: Some(2),
        adds_minutes: 20,
    };
    let rules = vec![];
    let capacity = RulesEdit::Capacity(Capacity { rules, busy });
    let edited = house.ledger.edit_store_rules(scene.store, capacity).await;
    edited.unwrap();
    let later = scene.order_for(in_hours(2)).await;
    scene.order_for(in_hours(30)).await;
    let in_advance = scene.order_for(in_hours(3)).await.id;
    scene.staff_move(in_advance, Accepted).await;
    let first = scene.order().await;
    let usual = noon() + TimeDelta::minutes(15);
    assert_eq!(first.timing.ready_at, Some(usual));
    assert_eq!(scene.order().await.timing.ready_at, Some(usual));
    scene.staff_move(first.id, Cancelled).await;
    // The other one and this one.
    house.clock.set(later.timing.hand_over_at.unwrap());
    let expected = house.clock.now() + TimeDelta::minutes(15 + 20);
    assert_eq!(scene.order().await.timing.ready_at, Some(expected));
    scene.assert_audit_clean().await;
}
