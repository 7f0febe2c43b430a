//! Slots on ordinary days and on those when clocks change, and the room that is left in them.

use super::*;
use crate::noon;

const BERLIN: Tz = Tz::Europe__Berlin;
const PICKUP: Fulfilment = Fulfilment::Pickup;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn slot(from: &str, to: &str) -> Slot {
    Slot {
        from: at(from),
        to: at(to),
    }
}

fn rule(minutes: u32, orders: u32) -> CapacityRule {
    CapacityRule {
        fulfilments: None,
        minutes,
        orders: Some(orders),
        items: None,
        weight: None,
    }
}

fn hold(ready_at: DateTime<Utc>, items: i64) -> Hold {
    Hold {
        fulfilment: PICKUP,
        ready_at,
        load: Load {
            orders: 1,
            items,
            weight: items,
        },
    }
}

fn capacity(rules: Vec<CapacityRule>) -> Capacity {
    Capacity {
        rules,
        busy: BusyRule::default(),
    }
}

fn always(zone: Tz) -> Opening {
    Opening {
        hours: Hours::default(),
        by_hand: None,
        zone,
    }
}

#[test]
fn slots_begin_on_the_clocks_of_the_zone() {
    let found = Slot::of(BERLIN, 15, at("2026-11-25T12:07:30.5Z"));
    assert_eq!(found, slot("2026-11-25T12:00:00Z", "2026-11-25T12:15:00Z"));
    // Kathmandu is 5:45 ahead, so its hours begin at a quarter past ours.
    let found = Slot::of(Tz::Asia__Kathmandu, 60, at("2026-11-25T12:07:00Z"));
    assert_eq!(found, slot("2026-11-25T11:15:00Z", "2026-11-25T12:15:00Z"));
}

#[test]
fn a_slot_ends_where_clocks_change() {
    for (zone, minutes, inside, expected) in [
        // Berlin: 02:00 becomes 03:00 at 01:00Z; 02:00 to 04:00 is one hour long.
        (
            BERLIN,
            120,
            "2026-03-29T01:30:00Z",
            slot("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        ),
        // Berlin: 03:00 goes back to 02:00 at 01:00Z; each 02:00 has a slot of its own.
        (
            BERLIN,
            30,
            "2026-10-25T00:10:00Z",
            slot("2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),
        ),
        (
            BERLIN,
            30,
            "2026-10-25T01:10:00Z",
            slot("2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"),
        ),
        (
            BERLIN,
            120,
            "2026-10-25T00:10:00Z",
            slot("2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
        ),
        (
            BERLIN,
            120,
            "2026-10-25T01:10:00Z",
            slot("2026-10-25T01:00:00Z", "2026-10-25T03:00:00Z"),
        ),
        // Lord Howe: 02:00 goes back to 01:30 at 15:00Z; the hour from 01:00 on is cut in two.
        (
            Tz::Australia__Lord_Howe,
            60,
            "2026-04-04T14:45:00Z",
            slot("2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z"),
        ),
        (
            Tz::Australia__Lord_Howe,
            60,
            "2026-04-04T15:10:00Z",
            slot("2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"),
        ),
        // Santiago: the day begins at 01:00.
        (
            Tz::America__Santiago,
            240,
            "2026-09-06T04:30:00Z",
            slot("2026-09-06T04:00:00Z", "2026-09-06T07:00:00Z"),
        ),
    ] {
        assert_eq!(
            Slot::of(zone, minutes, at(inside)),
            expected,
            "{zone} {minutes} {inside}"
        );
    }
}

#[test]
fn slots_cover_every_moment_once_whatever_the_clocks_do() {
    for zone in [BERLIN, Tz::America__Santiago, Tz::Australia__Lord_Howe] {
        for minutes in SLOT_MINUTES {
            for begin in [
                "2026-03-28T00:00:00Z",
                "2026-04-03T00:00:00Z",
                "2026-09-05T00:00:00Z",
                "2026-10-03T00:00:00Z",
                "2026-10-24T00:00:00Z",
            ] {
                let end = at(begin) + TimeDelta::days(3);
                let mut slot = Slot::of(zone, *minutes, at(begin));
                while slot.to < end {
                    assert!(slot.to > slot.from, "{zone} {minutes} {slot:?}");
                    let last = slot.to - TimeDelta::seconds(1);
                    assert_eq!(Slot::of(zone, *minutes, last), slot, "{zone} {minutes}");
                    let next = Slot::of(zone, *minutes, slot.to);
                    assert_eq!(next.from, slot.to, "{zone} {minutes} after {slot:?}");
                    slot = next;
                }
            }
        }
    }
}

#[test]
fn a_slot_is_full_by_orders_items_or_weight() {
    let held = [hold(noon(), 3), hold(noon(), 2)];
    let limit = |orders, items, weight| {
        capacity(vec![CapacityRule {
            orders,
            items,
            weight,
            ..rule(15, 0)
        }])
    };
    let is_full = |capacity: &Capacity| {
        capacity
            .full_slot(BERLIN, &held, &hold(noon(), 2))
            .is_some()
    };
    assert!(!is_full(&limit(Some(3), None, None)));
    assert!(is_full(&limit(Some(2), None, None)));
    assert!(!is_full(&limit(None, Some(7), None)));
    assert!(is_full(&limit(None, Some(6), None)));
    assert!(!is_full(&limit(None, None, Some(7))));
    assert!(is_full(&limit(Some(9), None, Some(6))));
}

#[test]
fn fulfilments_share_a_rule_only_if_it_names_both() {
    let mut for_pickup = rule(15, 1);
    for_pickup.fulfilments = Some(vec![PICKUP]);
    let held = [hold(noon(), 1)];
    let delivery = Hold {
        fulfilment: Fulfilment::Delivery,
        ..hold(noon(), 1)
    };
    let only = capacity(vec![for_pickup]);
    assert!(only.full_slot(BERLIN, &held, &hold(noon(), 1)).is_some());
    assert_eq!(only.full_slot(BERLIN, &held, &delivery), None);
    let shared = capacity(vec![rule(15, 1)]);
    assert!(shared.full_slot(BERLIN, &held, &delivery).is_some());
}

#[test]
fn the_next_free_time_is_the_first_with_room_in_every_rule_while_it_is_open() {
    let minutes = |n| noon() + TimeDelta::minutes(n);
    let held = [hold(noon(), 1), hold(minutes(15), 1), hold(minutes(40), 1)];
    let by_quarter = capacity(vec![rule(15, 1)]);
    let next = |capacity: &Capacity, opening: &Opening| {
        capacity.next_free(opening, &held, &hold(minutes(3), 1))
    };
    // The slot from 30 on is taken by the order of 40.
    assert_eq!(next(&by_quarter, &always(BERLIN)), Some(minutes(45)));
    let by_both = capacity(vec![rule(15, 1), rule(60, 3)]);
    assert_eq!(next(&by_both, &always(BERLIN)), Some(minutes(60)));
    let closed = Opening {
        by_hand: Some(ByHand {
            open: false,
            until: Some(minutes(100)),
        }),
        ..always(BERLIN)
    };
    assert_eq!(next(&by_quarter, &closed), Some(minutes(100)));
    let too_small = capacity(vec![rule(15, 0)]);
    assert_eq!(next(&too_small, &always(BERLIN)), None);
}

#[test]
fn slots_are_listed_with_the_least_room_of_all_rules() {
    let held = [hold(noon(), 1)];
    let two = capacity(vec![rule(15, 2), rule(60, 4)]);
    let range = (noon(), noon() + TimeDelta::minutes(75));
    let listed = two.slots(&always(BERLIN), &held, PICKUP, range, 100);
    let left: Vec<_> = listed.iter().map(|(_, room)| room.orders).collect();
    assert_eq!(left, [Some(1), Some(2), Some(2), Some(2), Some(2)]);
    let unlimited = capacity(vec![]).slots(&always(BERLIN), &held, PICKUP, range, 2);
    assert_eq!(unlimited.len(), 2);
    assert_eq!(unlimited[0].1, Room::default());
}

#[test]
fn a_store_is_busy_by_hand_or_by_its_open_orders_whichever_adds_more() {
    let mut rules = StoreRules::default();
    assert_eq!(rules.adds_minutes(1000), 0);
    rules.capacity.busy = BusyRule {
        open_orders: Some(30),
        adds_minutes: 15,
    };
    assert_eq!((rules.adds_minutes(29), rules.adds_minutes(30)), (0, 15));
    rules.busy.adds_minutes = 20;
    assert_eq!((rules.adds_minutes(0), rules.adds_minutes(30)), (20, 20));
}

#[test]
fn rules_of_an_earlier_and_of_a_later_version_are_read() {
    let read: StoreRules =
        serde_json::from_str(r#"{"busy":{"adds_minutes":5},"later":1}"#).unwrap();
    assert_eq!(read.busy.adds_minutes, 5);
    assert_eq!(read.hours, Hours::default());
}
