//! Capacity: at most so many orders, items or units of weight each so many minutes; and how busy a store is.
//!
//! An order counts in the slot of the time at which it is to be ready. Slots begin at midnight on the clocks of the
//! store's zone and follow each other; where clocks change, a slot ends at that moment.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    opening::{ByHand, Hours, Opening, Tz, concerns, local::first_second},
    order::Fulfilment,
};

/// Lengths of a slot in minutes: they divide a day, so that every day has the same slots.
pub const SLOT_MINUTES: &[u32] = &[5, 10, 15, 20, 30, 60, 120, 180, 240];
/// Slot length that is shown for a fulfilment without a rule.
const USUAL_MINUTES: u32 = 15;
/// Time after the wanted one in which the next free time is looked for.
pub const LOOK_AHEAD: TimeDelta = TimeDelta::hours(24);

/// Everything by which a store takes orders now, later or not. The default takes all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreRules {
    pub hours: Hours,
    pub by_hand: Option<ByHand>,
    pub capacity: Capacity,
    pub busy: Busy,
}

/// Rules of a store's capacity, and when it is busy by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capacity {
    pub rules: Vec<CapacityRule>,
    pub busy: BusyRule,
}

/// A limit of each slot. `None` means no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityRule {
    /// `None` means all: they share the slot.
    pub fulfilments: Option<Vec<Fulfilment>>,
    /// One of [`SLOT_MINUTES`].
    pub minutes: u32,
    pub orders: Option<u32>,
    pub items: Option<u32>,
    pub weight: Option<u32>,
}

/// A store with so many open orders needs so many minutes more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BusyRule {
    pub open_orders: Option<u32>,
    pub adds_minutes: u32,
}

/// How busy a store is, as people say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Busy {
    pub adds_minutes: u32,
    pub paused_until: Option<DateTime<Utc>>,
}

/// The part of a slot that an order takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub orders: i64,
    pub items: i64,
    pub weight: i64,
}

/// An order's hold on the capacity of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub fulfilment: Fulfilment,
    pub ready_at: DateTime<Utc>,
    pub load: Load,
}

/// A stretch of time, `to` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// Room that is left; `None` means no limit. Below zero, if a limit was lowered since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    pub orders: Option<i64>,
    pub items: Option<i64>,
    pub weight: Option<i64>,
}

impl Load {
    fn plus(self, other: Self) -> Self {
        Self {
            orders: self.orders + other.orders,
            items: self.items + other.items,
            weight: self.weight + other.weight,
        }
    }

    fn fits_into(self, room: Room) -> bool {
        let fits = |wanted: i64, left: Option<i64>| left.is_none_or(|left| wanted <= left);
        fits(self.orders, room.orders)
            && fits(self.items, room.items)
            && fits(self.weight, room.weight)
    }

    /// Returns true if an order that has this load needs no more room than one with the other load.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        self.orders <= other.orders && self.items <= other.items && self.weight <= other.weight
    }
}

impl Room {
    fn least(self, other: Self) -> Self {
        let least = |one: Option<i64>, other: Option<i64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            orders: least(self.orders, other.orders),
            items: least(self.items, other.items),
            weight: least(self.weight, other.weight),
        }
    }
}

impl Slot {
    /// Returns the slot of this length that `at` lies in.
    #[must_use]
    pub fn of(zone: Tz, minutes: u32, at: DateTime<Utc>) -> Self {
        let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
        let second = DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at);
        let length = i64::from(minutes.max(1)) * 60;
        let clock = second.with_timezone(&zone).time();
        let since_from = i64::from(clock.num_seconds_from_midnight()) % length;
        let from = second - TimeDelta::seconds(since_from);
        let to = from + TimeDelta::seconds(length);
        let now = offset(second);
        Self {
            from: if offset(from) == now {
                from
            } else {
                first_second(from, second, |at| offset(at) == now)
            },
            to: if offset(to - TimeDelta::seconds(1)) == now {
                to
            } else {
                first_second(second, to, |at| offset(at) != now)
            },
        }
    }

    fn contains(self, at: DateTime<Utc>) -> bool {
        self.from <= at && at < self.to
    }
}

impl CapacityRule {
    fn room(&self, held: &[Hold], slot: Slot) -> Room {
        let taken = held
            .iter()
            .filter(|hold| slot.contains(hold.ready_at))
            .filter(|hold| concerns(self.fulfilments.as_ref(), hold.fulfilment))
            .fold(Load::default(), |sum, hold| sum.plus(hold.load));
        let left = |limit: Option<u32>, taken: i64| limit.map(|limit| i64::from(limit) - taken);
        Room {
            orders: left(self.orders, taken.orders),
            items: left(self.items, taken.items),
            weight: left(self.weight, taken.weight),
        }
    }
}

impl Capacity {
    fn rules(&self, fulfilment: Fulfilment) -> impl Iterator<Item = &CapacityRule> {
        self.rules
            .iter()
            .filter(move |rule| concerns(rule.fulfilments.as_ref(), fulfilment))
    }

    /// Returns true if no order needs a hold.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns the stretch that contains the slots of all rules at this time.
    #[must_use]
    pub fn widest_slot(&self, zone: Tz, at: DateTime<Utc>) -> Slot {
        let slots = self
            .rules
            .iter()
            .map(|rule| Slot::of(zone, rule.minutes, at));
        slots.fold(Slot { from: at, to: at }, |all, slot| Slot {
            from: all.from.min(slot.from),
            to: all.to.max(slot.to),
        })
    }

    /// Returns the first slot that has no room for this order beside those that are held.
    #[must_use]
    pub fn full_slot(&self, zone: Tz, held: &[Hold], new: &Hold) -> Option<Slot> {
        self.rules(new.fulfilment).find_map(|rule| {
            let slot = Slot::of(zone, rule.minutes, new.ready_at);
            (!new.load.fits_into(rule.room(held, slot))).then_some(slot)
        })
    }

    /// Returns the first time from the order's own on at which there is room for it and the store is open, if it is
    /// found within [`LOOK_AHEAD`].
    #[must_use]
    pub fn next_free(&self, opening: &Opening, held: &[Hold], new: &Hold) -> Option<DateTime<Utc>> {
        let until = new.ready_at + LOOK_AHEAD;
        let mut new = *new;
        while new.ready_at <= until {
            let open = opening.next_opening(new.fulfilment, new.ready_at)?;
            if open > new.ready_at {
                new.ready_at = open;
                continue;
            }
            match self.full_slot(opening.zone, held, &new) {
                None => return Some(new.ready_at),
                Some(slot) => new.ready_at = slot.to,
            }
        }
        None
    }

    /// Returns the slots from `from` on and before `to` in which the store is open, with the room that is left, at most
    /// `most` of them. With several rules, slots have the shortest length among them, and the least room.
    #[must_use]
    pub fn slots(
        &self,
        opening: &Opening,
        held: &[Hold],
        fulfilment: Fulfilment,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
        most: usize,
    ) -> Vec<(Slot, Room)> {
        let zone = opening.zone;
        let lengths = self.rules(fulfilment).map(|rule| rule.minutes);
        let minutes = lengths.min().unwrap_or(USUAL_MINUTES);
        let mut found = Vec::new();
        let mut at = from;
        while at < to && found.len() < most {
            let Some(open) = opening
                .next_opening(fulfilment, at)
                .filter(|open| *open < to)
            else {
                break;
            };
            let slot = Slot::of(zone, minutes, open);
            let room = self.rules(fulfilment).fold(Room::default(), |least, rule| {
                least.least(rule.least_room(zone, held, slot))
            });
            found.push((slot, room));
            at = slot.to;
        }
        found
    }
}

impl CapacityRule {
    /// Returns the least room of this rule's slots that share a time with the given one.
    fn least_room(&self, zone: Tz, held: &[Hold], shown: Slot) -> Room {
        let mut least = Room::default();
        let mut at = shown.from;
        while at < shown.to {
            let slot = Slot::of(zone, self.minutes, at);
            least = least.least(self.room(held, slot));
            at = slot.to;
        }
        least
    }
}

impl StoreRules {
    /// Returns all that decides if the store is open.
    #[must_use]
    pub fn opening(&self, zone: Tz) -> Opening {
        Opening {
            hours: self.hours.clone(),
            by_hand: self.by_hand,
            zone,
        }
    }

    /// Returns the time until which the store is paused, if it is at this time.
    #[must_use]
    pub fn paused_until(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.busy.paused_until.filter(|until| at < *until)
    }

    /// Returns the minutes that an order takes longer now, by hand or because so many orders are open.
    #[must_use]
    pub fn adds_minutes(&self, open_orders: u32) -> u32 {
        let rule = self.capacity.busy;
        let is_busy = rule.open_orders.is_some_and(|limit| open_orders >= limit);
        let by_rule = if is_busy { rule.adds_minutes } else { 0 };
        self.busy.adds_minutes.max(by_rule)
    }
}
