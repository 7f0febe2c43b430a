//! Orders for later: handed over at their lead time and not before, whatever the clock, the broker and the process do.

mod rules;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use each_database::each_database;

use super::pieces;
use crate::{
    Ledger,
    handoffs::Claims,
    intake::{PlaceRefused, Placer},
    orders::{EditRefused, OrderEdit, OrderRefused},
    scene::{LEASE, QUANTITY, STOCK, Scene},
    stores::RulesEdit,
    sweep::Part,
    testing::{TestLedger, noon, refusal},
};
use OrderStatus::{Accepted, Cancelled, Failed, Pending, Processing};
use domain::{
    capacity::{BusyRule, Capacity, CapacityRule},
    handoff::HandoffState,
    hint::Hint,
    integrator::{HandoffEvent, Integrator},
    opening::{Day, Hours, Span, Weekly},
    order::Order,
    status::{By, OrderStatus},
    timing::{StoreTiming, WantedRefused},
};

const LEAD_TIME: TimeDelta = TimeDelta::minutes(30);
const ACCEPT_WITHIN: TimeDelta = TimeDelta::seconds(600);
const MICROSECOND: TimeDelta = TimeDelta::microseconds(1);

fn in_hours(hours: i64) -> DateTime<Utc> {
    noon() + TimeDelta::hours(hours)
}

/// Returns a scene whose store takes orders three days ahead.
async fn scene(house: &TestLedger) -> Scene {
    let timing = StoreTiming {
        order_ahead_days: 3,
        ..StoreTiming::default()
    };
    Scene::with_store(house, |store| store.timing = timing).await
}

impl Scene {
    async fn order_for(&self, wanted_at: DateTime<Utc>) -> Order {
        self.order_with(|order| order.wanted_at = Some(wanted_at))
            .await
    }
}

fn want(wanted_at: Option<DateTime<Utc>>) -> OrderEdit {
    OrderEdit {
        wanted_at: Some(wanted_at),
        ..OrderEdit::default()
    }
}

/// Asserts that nothing finds the order before its time: no lane, no sweep, and no list of what is stuck.
async fn assert_waits(scene: &Scene, ledger: &Ledger, integrator: &Integrator) {
    let claims = claim(ledger, integrator).await;
    assert!(claims.claimed.is_empty(), "{:?}", claims.claimed);
    let due = ledger.integrators_with_due_work(None, 10).await.unwrap();
    assert_eq!(due.integrators, []);
    assert_eq!(ledger.end_overdue_orders(10).await.unwrap(), 0);
    assert_eq!(ledger.fail_overdue_handoffs(10).await.unwrap(), 0);
    let settled = ledger.settle_unsettled_orders(None, 10, Part::WHOLE).await;
    assert_eq!(settled.unwrap().0, 0);
    assert_eq!(scene.stuck().await, []);
}

async fn claim(ledger: &Ledger, integrator: &Integrator) -> Claims {
    let claims = ledger.claim_handoffs(integrator.id, 10, LEASE).await;
    claims.unwrap()
}

#[each_database]
async fn an_order_for_later_is_handed_over_at_its_lead_time_and_not_a_microsecond_before(
    house: TestLedger,
) {
    let scene = scene(&house).await;
    let kitchen = scene.kitchen().await;
    drop(house.woken.take());
    let order = scene.order_for(in_hours(26)).await;
    let hand_over_at = in_hours(26) - LEAD_TIME;
    assert_eq!(
        (order.status, order.waits_until()),
        (Pending, Some(hand_over_at))
    );
    assert_eq!(order.accept_by, Some(hand_over_at + ACCEPT_WITHIN));
    assert_eq!(order.timing.ready_at, Some(in_hours(26)));
    assert_eq!(scene.now(order.id).await, order);
    assert_eq!(scene.stock().await, STOCK - i64::from(QUANTITY));
    // Nobody needs to be told of it now, so that a broker that is away loses nothing.
    assert_eq!(house.woken.hints(), []);
    let handoff = scene.handoffs(order.id).await.remove(0);
    assert_eq!(handoff.next_attempt_at, Some(hand_over_at));
    assert_eq!(Some(handoff.deadline), order.accept_by);

    // Another process: nothing of it is in memory.
    let ledger = house.ledger_with_wake(Arc::new(house.woken.clone()));
    for now in [
        noon(),
        hand_over_at - MICROSECOND,
        // The clock is set back, and forward again.
        noon() - TimeDelta::days(400),
        hand_over_at - TimeDelta::minutes(20),
        hand_over_at - MICROSECOND,
    ] {
        house.clock.set(now);
        assert_waits(&scene, &ledger, &kitchen).await;
    }
    house.clock.set(hand_over_at);
    let due = ledger.integrators_with_due_work(None, 10).await.unwrap();
    assert_eq!(due.integrators, [kitchen.id]);
    let claimed = claim(&ledger, &kitchen).await.claimed.remove(0);
    let message: serde_json::Value = serde_json::from_slice(&claimed.body).unwrap();
    assert_eq!(message["order"]["wanted_at"], "2026-11-26T14:00:00.000000Z");
    assert_eq!(message["order"]["ready_at"], "2026-11-26T14:00:00.000000Z");
    let begun = scene.now(order.id).await;
    assert_eq!((begun.status, begun.waits_until()), (Processing, None));
    house.clock.advance(Duration::from_secs(4));
    scene.answers(&claimed, 200).await;
    assert_eq!(scene.status(order.id).await, Accepted);
    let stats = house.ledger.stats(None).await.unwrap();
    assert_eq!(stats.mean_acceptance_s(), 4.0, "from the hand-over on");
    let tallied = house.ledger.tally_orders(None, 10).await;
    tallied.unwrap();
    assert_eq!(house.ledger.stats(None).await.unwrap(), stats);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_clock_that_jumps_past_everything_ends_an_order_for_later_as_it_ends_any_other(
    house: TestLedger,
) {
    let scene = scene(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order_for(in_hours(2)).await.id;
    house.clock.set(in_hours(50));
    assert_eq!(house.ledger.end_overdue_orders(10).await.unwrap(), 1);
    let ended = scene.now(order).await;
    assert_eq!(ended.status, Failed);
    assert_eq!(ended.reason.as_deref(), Some("integrator_unreachable"));
    assert_eq!(scene.stock().await, STOCK);
    scene.assert_nothing_due(&kitchen).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_store_that_accepts_by_itself_accepts_an_order_for_later_at_its_hand_over(
    house: TestLedger,
) {
    let scene = scene(&house).await;
    drop(house.woken.take());
    let order = scene.order_for(in_hours(2)).await.id;
    assert!(!house.woken.hints().contains(&Hint::Accept { order }));
    house.clock.set(in_hours(2) - LEAD_TIME - MICROSECOND);
    assert!(!house.ledger.settle_order(order).await.unwrap());
    assert_eq!(scene.settle_unsettled().await, 0);
    assert_eq!(scene.status(order).await, Pending);
    house.clock.set(in_hours(2) - LEAD_TIME);
    assert_eq!(scene.settle_unsettled().await, 1);
    let accepted = scene.now(order).await;
    assert_eq!((accepted.status, accepted.waits_until()), (Accepted, None));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_that_is_cancelled_before_its_hand_over_is_told_to_nobody(house: TestLedger) {
    let scene = scene(&house).await;
    let kitchen = scene.kitchen().await;
    for by in [By::Owner, By::Guest, By::Staff] {
        let order = scene.order_for(in_hours(2)).await.id;
        let cancelled = house.ledger.move_order(order, Cancelled, by, None).await;
        assert_eq!(cancelled.unwrap().waits_until(), None);
        assert_eq!(
            scene.states(order, &kitchen).await,
            [(HandoffEvent::OrderPlaced, HandoffState::Withdrawn)]
        );
    }
    assert_eq!(scene.stock().await, STOCK);
    house.clock.set(in_hours(3));
    scene.assert_nothing_due(&kitchen).await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_for_later_is_edited_until_its_hand_over_and_its_time_too(house: TestLedger) {
    let scene = scene(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order_for(in_hours(2)).await.id;
    house.clock.set(in_hours(1));
    scene.edit(order, &pieces(&scene, 5)).await.unwrap();
    assert_eq!(scene.stock().await, STOCK - 5);

    let later = scene.edit(order, &want(Some(in_hours(48)))).await.unwrap();
    let hand_over_at = in_hours(48) - LEAD_TIME;
    assert_eq!(later.timing.hand_over_at, Some(hand_over_at));
    assert_eq!(later.timing.ready_at, Some(in_hours(48)));
    assert_eq!(later.accept_by, Some(hand_over_at + ACCEPT_WITHIN));
    assert_eq!(scene.now(order).await, later);
    house.clock.set(hand_over_at - MICROSECOND);
    assert_waits(&scene, &house.ledger, &kitchen).await;

    let earliest = house.clock.now() + LEAD_TIME;
    let refused = |why| EditRefused::Place(PlaceRefused::WantedAt(why));
    let too_soon = scene.edit(order, &want(Some(earliest - MICROSECOND))).await;
    assert_eq!(
        refusal(too_soon),
        refused(WantedRefused::TooSoon { earliest })
    );
    let latest = house.clock.now() + TimeDelta::days(3);
    let too_far = scene.edit(order, &want(Some(latest + MICROSECOND))).await;
    assert_eq!(
        refusal(too_far),
        refused(WantedRefused::TooFarAhead { latest })
    );
    assert_eq!(scene.now(order).await, later);

    // As soon as possible: it is handed over at once.
    drop(house.woken.take());
    let now = house.clock.now();
    let at_once = scene.edit(order, &want(None)).await.unwrap();
    assert_eq!(
        (at_once.timing.wanted_at, at_once.waits_until()),
        (None, None)
    );
    assert_eq!(at_once.accept_by, Some(now + ACCEPT_WITHIN));
    let integrator = kitchen.id;
    assert!(house.woken.hints().contains(&Hint::Handoffs { integrator }));
    let claimed = scene.claim(&kitchen).await;
    assert_eq!(Some(claimed.handoff.deadline), at_once.accept_by);
    let too_late = scene.edit(order, &want(Some(in_hours(60)))).await;
    let status = Processing;
    assert_eq!(refusal(too_late), EditRefused::NotEditable { status });
    scene.answers(&claimed, 200).await;
    assert_eq!(scene.status(order).await, Accepted);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_store_for_now_only_refuses_orders_for_later_and_a_draft_is_judged_when_it_is_placed(
    house: TestLedger,
) {
    let for_now = Scene::new(&house).await;
    let mut order = for_now.wanted(Placer::Account(house.new_account_id()));
    order.wanted_at = Some(in_hours(2));
    let refused = house.ledger.place_order(order).await;
    let not_for_later = PlaceRefused::WantedAt(WantedRefused::NotForLater);
    assert_eq!(refusal(refused), not_for_later);
    assert_eq!(for_now.stock().await, STOCK);

    let scene = scene(&house).await;
    let draft = scene
        .draft_like(|draft| draft.wanted_at = Some(in_hours(2)))
        .await;
    assert_eq!(draft.timing.wanted_at, Some(in_hours(2)));
    assert_eq!((draft.timing.ready_at, draft.waits_until()), (None, None));
    house.clock.set(in_hours(2) - LEAD_TIME + MICROSECOND);
    let earliest = house.clock.now() + LEAD_TIME;
    let late = house.ledger.place_draft(draft.id, By::Owner, None).await;
    let too_soon = PlaceRefused::WantedAt(WantedRefused::TooSoon { earliest });
    assert_eq!(refusal(late), OrderRefused::Place(too_soon));
    scene.edit(draft.id, &want(Some(earliest))).await.unwrap();
    let placed = scene.place(draft.id).await;
    assert_eq!(placed.waits_until(), Some(house.clock.now()));
    assert_eq!(scene.now(draft.id).await, placed);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn staff_may_accept_in_advance_and_the_kitchen_is_told_at_the_hand_over_all_the_same(
    house: TestLedger,
) {
    let scene = scene(&house).await;
    let kitchen = scene.kitchen().await;
    let order = scene.order_for(in_hours(60)).await.id;
    scene.staff_move(order, Accepted).await;
    let hand_over_at = in_hours(60) - LEAD_TIME;
    assert_eq!(scene.now(order).await.waits_until(), Some(hand_over_at));
    for now in [in_hours(47), hand_over_at - MICROSECOND] {
        house.clock.set(now);
        assert_waits(&scene, &house.ledger, &kitchen).await;
    }
    house.clock.set(hand_over_at);
    let claimed = scene.claim(&kitchen).await;
    scene.answers(&claimed, 200).await;
    let stats = house.ledger.stats(None).await.unwrap();
    assert_eq!((stats.ever_accepted(), stats.acceptance_us()), (1, 0));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_calendar_lists_what_is_to_come_by_the_time_for_which_it_is_wanted(house: TestLedger) {
    let scene = scene(&house).await;
    let other = self::scene(&house).await;
    other.order_for(in_hours(3)).await;
    scene.order().await;
    let mut wanted = Vec::new();
    for hours in [5, 2, 30, 5] {
        wanted.push((in_hours(hours), scene.order_for(in_hours(hours)).await.id));
    }
    let cancelled = scene.order_for(in_hours(4)).await.id;
    scene.staff_move(cancelled, Cancelled).await;
    scene
        .draft_like(|draft| draft.wanted_at = Some(in_hours(4)))
        .await;
    wanted.sort_unstable();
    let listed = async |from, to, after, limit| {
        let ledger = &house.ledger;
        let range = (in_hours(from), in_hours(to));
        let orders = ledger.calendar(scene.store, range, after, limit).await;
        let orders = orders.unwrap().into_iter();
        orders
            .map(|order| (order.timing.wanted_at.unwrap(), order.id))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(0, 31, None, 10).await, wanted);
    assert_eq!(listed(2, 5, None, 10).await, wanted[..1]);
    assert_eq!(listed(5, 30, None, 10).await, wanted[1..3]);
    let mut pages = Vec::new();
    while pages.len() < wanted.len() {
        let after = pages.last().map(|(_, id)| *id);
        let page = listed(0, 31, after, 1).await;
        assert_eq!(page.len(), 1);
        pages.extend(page);
    }
    assert_eq!(pages, wanted);
    assert_eq!(listed(0, 31, Some(wanted[3].1), 10).await, []);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_screen_shows_what_needs_action_before_what_is_for_later(house: TestLedger) {
    let scene = scene(&house).await;
    scene.kitchen().await;
    let far = scene.order_for(in_hours(40)).await.id;
    let near = scene.order_for(in_hours(20)).await.id;
    let advance = scene.order_for(in_hours(30)).await.id;
    scene.staff_move(advance, Accepted).await;
    let now = scene.order().await.id;
    let accepted = scene.order().await.id;
    scene.staff_move(accepted, Accepted).await;
    let shown = async || {
        let snapshot = house.ledger.store_snapshot(scene.store).await;
        let orders = snapshot.unwrap().unwrap().orders.into_iter();
        orders.map(|order| order.id).collect::<Vec<_>>()
    };
    assert_eq!(shown().await, [now, accepted, near, advance, far]);
    house.clock.set(in_hours(20) - LEAD_TIME);
    assert_eq!(shown().await, [now, near, accepted, advance, far]);
    scene.assert_audit_clean().await;
}
