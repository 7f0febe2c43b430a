//! Hours, capacity and opening of a store as the API reads and shows them.

use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    capacity::{Busy, BusyRule, Capacity, CapacityRule, Room, SLOT_MINUTES, Slot},
    opening::{self, ByHand, ClockTime, Exception, Hours, Opening, Span, Weekly},
    order,
};
use ledger::stores::StoreOpening;
use poem_openapi::Object;

use crate::http::{
    body::format::{Date, TimeOfDay},
    enums,
    problem::{FieldError, Problem},
    scalars::Time,
};

/// Opening hours, in the store's zone.
#[derive(Debug, Object)]
#[oai(rename = "Hours")]
pub(super) struct HoursView {
    /// None: open at all times that no exception names.
    #[oai(default, validator(max_items = 50))]
    weekly: Vec<WeeklyHours>,
    #[oai(default, validator(max_items = 200))]
    exceptions: Vec<HoursException>,
}

/// A span of certain days of each week.
#[derive(Debug, Object)]
struct WeeklyHours {
    #[oai(validator(min_items = 1, max_items = 7, unique_items))]
    days: Vec<enums::Day>,
    from: TimeOfDay,
    /// On the next day, if it is not later than `from`.
    to: TimeOfDay,
    /// Null: all.
    #[oai(validator(min_items = 1, max_items = 3, unique_items))]
    fulfilments: Option<Vec<enums::Fulfilment>>,
}

/// The hours of one date, in place of the weekly ones.
#[derive(Debug, Object)]
struct HoursException {
    date: Date,
    /// True: no spans.
    #[oai(default)]
    closed: bool,
    #[oai(default, validator(max_items = 10))]
    spans: Vec<TimeSpan>,
    /// Null: all.
    #[oai(validator(min_items = 1, max_items = 3, unique_items))]
    fulfilments: Option<Vec<enums::Fulfilment>>,
}

/// Times of one day.
#[derive(Debug, Object)]
struct TimeSpan {
    from: TimeOfDay,
    /// On the next day, if it is not later than `from`.
    to: TimeOfDay,
}

/// Opening or closing by hand.
#[derive(Debug, Object)]
pub(super) struct ByHandBody {
    /// Null: by the hours again.
    pub(super) open: Option<bool>,
    /// Null: until it is changed.
    pub(super) until: Option<Time>,
}

/// Capacity of a store.
#[derive(Debug, Object)]
#[oai(rename = "Capacity")]
pub(super) struct CapacityView {
    #[oai(default, validator(max_items = 20))]
    rules: Vec<CapacityRuleView>,
    busy: Option<BusyRuleView>,
}

/// A limit of each slot of so many minutes. At least one of `orders`, `items` and `weight` is a number.
#[derive(Debug, Object)]
#[oai(rename = "CapacityRule")]
struct CapacityRuleView {
    /// Null: all. Those of one rule share its slots.
    #[oai(validator(min_items = 1, max_items = 3, unique_items))]
    fulfilments: Option<Vec<enums::Fulfilment>>,
    /// 5, 10, 15, 20, 30, 60, 120, 180 or 240. Slots begin at midnight in the store's zone.
    #[oai(validator(minimum(value = "5"), maximum(value = "240")))]
    minutes: u32,
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000")))]
    orders: Option<u32>,
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000")))]
    items: Option<u32>,
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000")))]
    weight: Option<u32>,
}

/// A store that is busy by itself.
#[derive(Debug, Object)]
#[oai(rename = "BusyRule")]
struct BusyRuleView {
    /// Number of orders that are not ready yet, from which on the store is busy. Null: never.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    open_orders: Option<u32>,
    #[oai(default, validator(minimum(value = "0"), maximum(value = "240")))]
    adds_minutes: u32,
}

/// Busy mode by hand.
#[derive(Debug, Object)]
pub(super) struct BusyBody {
    /// Minutes that new orders take longer.
    #[oai(validator(minimum(value = "0"), maximum(value = "240")))]
    adds_minutes: u32,
    /// Time until which orders are refused.
    pub(super) paused_until: Option<Time>,
}

/// All that decides when a store takes orders.
#[derive(Debug, Object)]
#[oai(rename = "Opening")]
pub(super) struct OpeningView {
    now: Time,
    timezone: String,
    fulfilments: FulfilmentsOpening,
    by_hand: Option<ByHandView>,
    busy: BusyView,
    /// Minutes that an order for later must at least lie ahead.
    lead_time_min: u32,
    /// Days that it may lie ahead; with 0 there are no orders for later.
    order_ahead_days: u32,
}

#[derive(Debug, Object)]
struct FulfilmentsOpening {
    table: FulfilmentOpening,
    pickup: FulfilmentOpening,
    delivery: FulfilmentOpening,
}

#[derive(Debug, Object)]
struct FulfilmentOpening {
    open: bool,
    opens_at: Option<Time>,
    closes_at: Option<Time>,
}

#[derive(Debug, Object)]
#[oai(rename = "ByHand")]
struct ByHandView {
    open: bool,
    until: Option<Time>,
}

#[derive(Debug, Object)]
#[oai(rename = "Busy")]
struct BusyView {
    /// Minutes that new orders take longer now, by hand or because so many are open.
    adds_minutes: u32,
    paused_until: Option<Time>,
}

#[derive(Debug, Object)]
#[oai(rename = "Slots")]
pub(super) struct SlotsView {
    items: Vec<SlotView>,
}

#[derive(Debug, Object)]
#[oai(rename = "Slot")]
struct SlotView {
    from: Time,
    to: Time,
    left: RoomView,
}

/// Room that is left; null means no limit.
#[derive(Debug, Object)]
#[oai(rename = "SlotRoom")]
struct RoomView {
    orders: Option<i64>,
    items: Option<i64>,
    weight: Option<i64>,
}

type Fulfilments = Option<Vec<enums::Fulfilment>>;

fn read(fulfilments: Fulfilments) -> Option<Vec<order::Fulfilment>> {
    fulfilments.map(|all| all.into_iter().map(Into::into).collect())
}

fn shown(fulfilments: Option<Vec<order::Fulfilment>>) -> Fulfilments {
    fulfilments.map(|all| all.into_iter().map(Into::into).collect())
}

fn span(from: &TimeOfDay, to: &TimeOfDay) -> Span {
    let time = |text: &TimeOfDay| -> ClockTime {
        let time = text.0.parse();
        time.expect("TimeOfDay checks its form")
    };
    Span {
        from: time(from),
        to: time(to),
    }
}

impl HoursView {
    pub(super) fn into_hours(self) -> Result<Hours, Problem> {
        let mut errors = Vec::new();
        for (n, one) in self.exceptions.iter().enumerate() {
            let pointer = format!("/exceptions/{n}/spans");
            if one.closed && !one.spans.is_empty() {
                errors.push(FieldError::new(pointer, "must be empty if it is closed"));
            } else if !one.closed && one.spans.is_empty() {
                let detail = "is required unless `closed` is true";
                errors.push(FieldError::new(pointer, detail));
            }
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let weekly = self.weekly.into_iter().map(|one| Weekly {
            days: one.days.into_iter().map(Into::into).collect(),
            span: span(&one.from, &one.to),
            fulfilments: read(one.fulfilments),
        });
        let exceptions = self.exceptions.into_iter().map(|one| {
            let date: Result<NaiveDate, _> = one.date.0.parse();
            Exception {
                date: date.expect("Date checks its form"),
                spans: one.spans.iter().map(|it| span(&it.from, &it.to)).collect(),
                fulfilments: read(one.fulfilments),
            }
        });
        Ok(Hours {
            weekly: weekly.collect(),
            exceptions: exceptions.collect(),
        })
    }
}

impl From<Hours> for HoursView {
    fn from(hours: Hours) -> Self {
        let time = |time: ClockTime| TimeOfDay(time.to_string());
        let weekly = hours.weekly.into_iter().map(|one| WeeklyHours {
            days: one.days.into_iter().map(Into::into).collect(),
            from: time(one.span.from),
            to: time(one.span.to),
            fulfilments: shown(one.fulfilments),
        });
        let exceptions = hours.exceptions.into_iter().map(|one| HoursException {
            date: Date(one.date.to_string()),
            closed: one.spans.is_empty(),
            spans: one
                .spans
                .into_iter()
                .map(|it| TimeSpan {
                    from: time(it.from),
                    to: time(it.to),
                })
                .collect(),
            fulfilments: shown(one.fulfilments),
        });
        Self {
            weekly: weekly.collect(),
            exceptions: exceptions.collect(),
        }
    }
}

impl CapacityView {
    pub(super) fn into_capacity(self) -> Result<Capacity, Problem> {
        let mut errors = Vec::new();
        for (n, rule) in self.rules.iter().enumerate() {
            if !SLOT_MINUTES.contains(&rule.minutes) {
                let detail = format!("must be one of {SLOT_MINUTES:?}");
                errors.push(FieldError::new(format!("/rules/{n}/minutes"), detail));
            }
            if rule.orders.or(rule.items).or(rule.weight).is_none() {
                let detail = "must limit orders, items or weight";
                errors.push(FieldError::new(format!("/rules/{n}"), detail));
            }
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let rules = self.rules.into_iter().map(|rule| CapacityRule {
            fulfilments: read(rule.fulfilments),
            minutes: rule.minutes,
            orders: rule.orders,
            items: rule.items,
            weight: rule.weight,
        });
        let busy = self.busy.map(|busy| BusyRule {
            open_orders: busy.open_orders,
            adds_minutes: busy.adds_minutes,
        });
        Ok(Capacity {
            rules: rules.collect(),
            busy: busy.unwrap_or_default(),
        })
    }
}

impl From<Capacity> for CapacityView {
    fn from(capacity: Capacity) -> Self {
        let rules = capacity.rules.into_iter().map(|rule| CapacityRuleView {
            fulfilments: shown(rule.fulfilments),
            minutes: rule.minutes,
            orders: rule.orders,
            items: rule.items,
            weight: rule.weight,
        });
        let busy = BusyRuleView {
            open_orders: capacity.busy.open_orders,
            adds_minutes: capacity.busy.adds_minutes,
        };
        Self {
            rules: rules.collect(),
            busy: Some(busy),
        }
    }
}

impl From<BusyBody> for Busy {
    fn from(body: BusyBody) -> Self {
        Self {
            adds_minutes: body.adds_minutes,
            paused_until: body.paused_until.map(|until| until.0),
        }
    }
}

impl From<ByHand> for ByHandView {
    fn from(by_hand: ByHand) -> Self {
        Self {
            open: by_hand.open,
            until: by_hand.until.map(Time),
        }
    }
}

impl OpeningView {
    pub(super) fn of(found: &StoreOpening, now: DateTime<Utc>) -> Self {
        let rules = &found.rules;
        let opening = rules.opening(opening::zone(&found.store.timezone));
        let of = |fulfilment| FulfilmentOpening::of(&opening, fulfilment, now);
        Self {
            now: Time(now),
            timezone: found.store.timezone.clone(),
            fulfilments: FulfilmentsOpening {
                table: of(order::Fulfilment::Table),
                pickup: of(order::Fulfilment::Pickup),
                delivery: of(order::Fulfilment::Delivery),
            },
            by_hand: rules
                .by_hand
                .filter(|by_hand| by_hand.is_in_force(now))
                .map(Into::into),
            busy: BusyView {
                adds_minutes: rules.adds_minutes(found.open_orders),
                paused_until: rules.paused_until(now).map(Time),
            },
            lead_time_min: found.store.timing.lead_time_min,
            order_ahead_days: found.store.timing.order_ahead_days,
        }
    }
}

impl FulfilmentOpening {
    fn of(opening: &Opening, fulfilment: order::Fulfilment, now: DateTime<Utc>) -> Self {
        let open = opening.is_open(fulfilment, now);
        let opens_at = opening.next_opening(fulfilment, now);
        Self {
            open,
            opens_at: opens_at.filter(|_| !open).map(Time),
            closes_at: opening.closes_at(fulfilment, now).map(Time),
        }
    }
}

impl SlotsView {
    pub(super) fn of(slots: &[(Slot, Room)]) -> Self {
        let items = slots.iter().map(|(slot, room)| SlotView {
            from: Time(slot.from),
            to: Time(slot.to),
            left: RoomView {
                orders: room.orders,
                items: room.items,
                weight: room.weight,
            },
        });
        Self {
            items: items.collect(),
        }
    }
}
