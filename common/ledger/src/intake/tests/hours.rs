//! Orders outside a store's hours, by every way in, and opening and closing by hand.

use chrono::{DateTime, Utc};

use super::*;
use crate::{
    orders::{EditRefused, OrderEdit, OrderRefused},
    stores::{RulesEdit, StoreEdit},
};
use domain::{
    capacity::Busy,
    opening::{ByHand, Day, Hours, Span, Weekly},
    order::Fulfilment,
    status::By,
};

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn daily(from: &str, to: &str) -> RulesEdit {
    RulesEdit::Hours(Hours {
        weekly: vec![Weekly {
            days: Day::ALL.to_vec(),
            span: Span {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
            },
            fulfilments: None,
        }],
        exceptions: vec![],
    })
}

fn by_hand(open: bool, until: Option<&str>) -> RulesEdit {
    let until = until.map(at);
    RulesEdit::ByHand(Some(ByHand { open, until }))
}

impl Scene {
    pub(super) async fn rule(&self, edit: RulesEdit) {
        let edited = self.house.ledger.edit_store_rules(self.store, edit).await;
        edited.unwrap();
    }

    /// Places an order as one of the scene, or returns why it is refused.
    pub(super) async fn try_order(
        &self,
        change: impl FnOnce(&mut PlaceOrder),
    ) -> Result<OrderId, PlaceRefused> {
        let mut order = self.wanted(Placer::Account(self.house.new_account_id()));
        change(&mut order);
        match self.house.ledger.place_order(order).await {
            Ok(placed) => Ok(placed.order.id),
            refused => Err(refusal(refused)),
        }
    }
}

fn closed(opens_at: &str) -> PlaceRefused {
    let opens_at = Some(at(opens_at));
    PlaceRefused::StoreClosed { opens_at }
}

#[each_database]
async fn a_closed_store_takes_no_order_by_any_way_in_and_says_when_it_opens(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (ledger, placed) = (&house.ledger, scene.order().await);
    // It is 13:00 in Berlin.
    scene.rule(daily("18:00", "22:00")).await;
    let refused = closed("2026-11-25T17:00:00Z");

    assert_eq!(scene.try_order(|_| {}).await, Err(refused.clone()));
    let replacing = scene.try_order(|new| new.replaces = Some(placed.id)).await;
    assert_eq!(replacing, Err(refused.clone()));
    let account = house.new_account_id();
    let wanted = scene.wanted(Placer::Account(account));
    let draft = ledger.draft_order(&wanted).await.unwrap();
    let place = async || ledger.place_draft(draft.id, By::Owner, None).await;
    assert_eq!(refusal(place().await), OrderRefused::Place(refused));
    assert_eq!(scene.stock().await, crate::scene::STOCK - 3);

    house.clock.set(at("2026-11-25T17:00:00Z"));
    place().await.unwrap();
    scene.order().await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_is_edited_to_a_fulfilment_only_while_that_is_open(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let RulesEdit::Hours(mut hours) = daily("11:00", "22:00") else {
        unreachable!()
    };
    hours.weekly[0].fulfilments = Some(vec![Fulfilment::Pickup]);
    scene.rule(RulesEdit::Hours(hours)).await;
    let order = scene.order().await;
    let edited = async |fulfilment| {
        let edit = OrderEdit {
            fulfilment: Some(fulfilment),
            user_note: Some(Some("soon".to_owned())),
            ..OrderEdit::default()
        };
        house.ledger.edit_order(order.id, None, &edit).await
    };
    let never = PlaceRefused::StoreClosed { opens_at: None };
    let refused = refusal(edited(Fulfilment::Table).await);
    assert_eq!(refused, EditRefused::Place(never));
    // What stays as it is needs no open store.
    house.clock.set(at("2026-11-25T23:00:00Z"));
    edited(Fulfilment::Pickup).await.unwrap();
    scene.assert_audit_clean().await;
}

#[each_database]
async fn people_open_and_close_by_hand_until_a_time(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.rule(daily("11:00", "22:00")).await;
    scene
        .rule(by_hand(false, Some("2026-11-25T12:30:00Z")))
        .await;
    let refused = scene.try_order(|_| {}).await;
    assert_eq!(refused, Err(closed("2026-11-25T12:30:00Z")));
    house.clock.set(at("2026-11-25T12:30:00Z"));
    scene.order().await;

    scene.rule(by_hand(false, None)).await;
    let refused = scene.try_order(|_| {}).await;
    let unknown = PlaceRefused::StoreClosed { opens_at: None };
    assert_eq!(refused, Err(unknown));
    scene.rule(RulesEdit::ByHand(None)).await;
    scene.order().await;

    house.clock.set(at("2026-11-25T22:00:00Z"));
    let refused = scene.try_order(|_| {}).await;
    assert_eq!(refused, Err(closed("2026-11-26T10:00:00Z")));
    scene
        .rule(by_hand(true, Some("2026-11-25T23:00:00Z")))
        .await;
    scene.order().await;
    house.clock.set(at("2026-11-25T23:00:00Z"));
    assert!(scene.try_order(|_| {}).await.is_err());
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_store_whose_zone_changes_opens_by_its_new_clocks_at_once(house: TestLedger) {
    let scene = Scene::new(&house).await;
    scene.rule(daily("11:00", "22:00")).await;
    scene.order().await;
    let edit = StoreEdit {
        timezone: Some("Asia/Tokyo".to_owned()),
        ..StoreEdit::default()
    };
    house.clock.set(at("2026-11-25T13:00:00Z"));
    let edited = house.ledger.edit_store(scene.store, None, edit).await;
    edited.unwrap();
    // It is 22:00 in Tokyo.
    let refused = scene.try_order(|_| {}).await;
    assert_eq!(refused, Err(closed("2026-11-26T02:00:00Z")));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_busy_store_is_paused_until_its_time(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let until = at("2026-11-25T12:20:00Z");
    scene
        .rule(RulesEdit::Busy(Busy {
            adds_minutes: 0,
            paused_until: Some(until),
        }))
        .await;
    let refused = scene.try_order(|_| {}).await;
    assert_eq!(refused, Err(PlaceRefused::PausedUntil { until }));
    house.clock.set(until);
    scene.order().await;
    scene.assert_audit_clean().await;
}

#[each_database]
async fn screens_are_told_of_each_change_once_and_a_store_without_rules_has_none(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let told = || {
        let events = house.woken.events().into_iter();
        let kind = EventKind::StoreOpeningChanged;
        events.filter(|event| event.kind == kind).count()
    };
    scene.rule(daily("11:00", "22:00")).await;
    scene.rule(daily("11:00", "22:00")).await;
    assert_eq!(told(), 1);
    scene.rule(RulesEdit::Hours(Hours::default())).await;
    assert_eq!(told(), 2);
    let mut tx = house.db.begin().await.unwrap();
    let emptied = "UPDATE store_counters SET last_seq = last_seq WHERE rules IS NULL";
    assert_eq!(store::testing::run(&mut tx, emptied).await.unwrap(), 1);
    tx.rollback().await;
    scene.assert_audit_clean().await;
}
