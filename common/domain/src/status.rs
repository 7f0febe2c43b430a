//! The one table of status moves: which moves an order may make, who may make them, and their effect on stock.

use super::words::words;

words! {
    /// Status of an order. `delivered`, `rejected`, `failed` and `cancelled` are final.
    pub enum OrderStatus {
        Draft = "draft",
        Pending = "pending",
        Processing = "processing",
        Accepted = "accepted",
        Preparing = "preparing",
        Ready = "ready",
        Dispatched = "dispatched",
        Delivered = "delivered",
        Rejected = "rejected",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

use OrderStatus::{
    Accepted, Cancelled, Delivered, Dispatched, Draft, Failed, Pending, Preparing, Processing,
    Ready, Rejected,
};

impl OrderStatus {
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Delivered | Rejected | Failed | Cancelled)
    }

    /// Returns true if the order is placed but neither accepted nor ended, so that `accept_by` applies.
    #[must_use]
    pub const fn awaits_acceptance(self) -> bool {
        matches!(self, Pending | Processing)
    }

    /// Returns true if the order is placed and not ended.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !self.is_final() && !matches!(self, Draft)
    }

    /// Returns true for the final statuses that integrators must be told of, as `order.cancelled`.
    #[must_use]
    pub const fn is_unsuccessful(self) -> bool {
        matches!(self, Rejected | Failed | Cancelled)
    }

    /// Returns the position on the way from draft to delivered; `None` for rejected, failed and cancelled.
    #[must_use]
    pub const fn progress(self) -> Option<u8> {
        Some(match self {
            Draft => 0,
            Pending => 1,
            Processing => 2,
            Accepted => 3,
            Preparing => 4,
            Ready => 5,
            Dispatched => 6,
            Delivered => 7,
            Rejected | Failed | Cancelled => return None,
        })
    }
}

words! {
    /// Capacity in which an order is moved.
    pub enum By {
        /// The worker, after a handoff's outcome.
        System = "system",
        /// The reconciler, at `accept_by` or the store's `deliver_accepted_after_h`.
        Sweep = "sweep",
        /// The account that placed it.
        Owner = "owner",
        /// The guest whose key placed it.
        Guest = "guest",
        /// Staff or manager of its store.
        Staff = "staff",
        Operator = "operator",
        Integrator = "integrator",
        /// The integrator that the order was dispatched with.
        Courier = "courier",
    }
}

words! {
    /// Last status in which the owner or guest of an order may cancel it: a setting of its store.
    #[derive(Default)]
    pub enum CancelUntil {
        /// Until it is accepted.
        Pending = "pending",
        /// Until its preparation begins.
        #[default]
        Accepted = "accepted",
        /// Until it is ready.
        Preparing = "preparing",
    }
}

impl CancelUntil {
    const fn covers(self, status: OrderStatus) -> bool {
        match status {
            Pending | Processing => true,
            Accepted => !matches!(self, Self::Pending),
            Preparing => matches!(self, Self::Preparing),
            _ => false,
        }
    }
}

/// Effect of a move on the stock that the order holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockEffect {
    Take,
    Keep,
    GiveBack,
}

/// Rule for the reason of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonRule {
    Optional,
    Required,
    OneOf(&'static [&'static str]),
}

/// Reasons with which a dispatched order may still fail.
pub const LOSS_REASONS: &[&str] = &["lost", "returned"];

/// Facts about an order, beside its status, that decide a move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// True if an integrator was handed `order.dispatched`: only it or an operator may report `delivered`.
    pub has_courier: bool,
    /// Until when its owner or guest may cancel it.
    pub cancel_until: CancelUntil,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    pub from: &'static [OrderStatus],
    pub to: OrderStatus,
    pub by: &'static [By],
    pub stock: StockEffect,
    pub reason: ReasonRule,
}

const STORE_PEOPLE: &[By] = &[By::Staff, By::Operator];
const CUSTOMERS: &[By] = &[By::Owner, By::Guest];
const FULFILLING: &[By] = &[By::Staff, By::Operator, By::Integrator, By::Courier];

/// The table of docs/design.md section 5, row for row. A move without a row is refused.
#[rustfmt::skip] // one row a line: it is read as a table
pub const TABLE: &[Move] = &[
    Move { from: &[Draft], to: Pending, by: &[By::Owner, By::Staff, By::Operator], stock: StockEffect::Take, reason: ReasonRule::Optional },
    Move { from: &[Pending], to: Processing, by: &[By::System], stock: StockEffect::Keep, reason: ReasonRule::Optional },
    Move { from: &[Pending, Processing], to: Accepted, by: &[By::System, By::Staff, By::Operator, By::Integrator], stock: StockEffect::Keep, reason: ReasonRule::Optional },
    Move { from: &[Pending, Processing], to: Rejected, by: &[By::Staff, By::Operator, By::Integrator], stock: StockEffect::GiveBack, reason: ReasonRule::Required },
    Move { from: &[Pending, Processing], to: Failed, by: &[By::System, By::Sweep], stock: StockEffect::GiveBack, reason: ReasonRule::Required },
    Move { from: &[Pending, Processing], to: Cancelled, by: &[By::Staff, By::Operator], stock: StockEffect::GiveBack, reason: ReasonRule::Optional },
    Move { from: &[Pending, Processing, Accepted, Preparing], to: Cancelled, by: CUSTOMERS, stock: StockEffect::GiveBack, reason: ReasonRule::Optional },
    Move { from: &[Pending, Processing], to: Cancelled, by: &[By::Sweep], stock: StockEffect::GiveBack, reason: ReasonRule::Required },
    Move { from: &[Accepted, Preparing, Ready], to: Cancelled, by: &[By::Staff, By::Operator, By::Integrator], stock: StockEffect::GiveBack, reason: ReasonRule::Required },
    Move { from: &[Accepted], to: Failed, by: &[By::Operator], stock: StockEffect::GiveBack, reason: ReasonRule::Required },
    Move { from: &[Accepted], to: Preparing, by: FULFILLING, stock: StockEffect::Keep, reason: ReasonRule::Optional },
    Move { from: &[Accepted, Preparing], to: Ready, by: FULFILLING, stock: StockEffect::Keep, reason: ReasonRule::Optional },
    Move { from: &[Accepted, Preparing, Ready], to: Dispatched, by: FULFILLING, stock: StockEffect::Keep, reason: ReasonRule::Optional },
    Move { from: &[Accepted, Preparing, Ready, Dispatched], to: Delivered, by: FULFILLING, stock: StockEffect::Keep, reason: ReasonRule::Optional },
    Move { from: &[Accepted, Preparing, Ready], to: Delivered, by: &[By::Sweep], stock: StockEffect::Keep, reason: ReasonRule::Required },
    Move { from: &[Dispatched], to: Failed, by: STORE_PEOPLE, stock: StockEffect::Keep, reason: ReasonRule::OneOf(LOSS_REASONS) },
];

/// Reason why a move is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveRefused {
    #[error("{by} cannot move an order from {from} to {to}")]
    Invalid {
        from: OrderStatus,
        to: OrderStatus,
        by: By,
        next: Vec<OrderStatus>,
    },
    #[error("this move requires a reason")]
    ReasonMissing,
    #[error("the reason must be one of {allowed:?}")]
    ReasonNotAllowed { allowed: &'static [&'static str] },
}

/// Decides a move; returns its effect on the stock, or why it is refused.
pub fn decide(
    from: OrderStatus,
    to: OrderStatus,
    by: By,
    reason: Option<&str>,
    facts: Facts,
) -> Result<StockEffect, MoveRefused> {
    let Some(row) = row(from, to, by, facts) else {
        return Err(MoveRefused::Invalid {
            from,
            to,
            by,
            next: next(from, by, facts),
        });
    };
    match (
        row.reason,
        reason.map(str::trim).filter(|reason| !reason.is_empty()),
    ) {
        (ReasonRule::Optional, _) | (ReasonRule::Required, Some(_)) => Ok(row.stock),
        (ReasonRule::Required | ReasonRule::OneOf(_), None) => Err(MoveRefused::ReasonMissing),
        (ReasonRule::OneOf(allowed), Some(reason)) if allowed.contains(&reason) => Ok(row.stock),
        (ReasonRule::OneOf(allowed), Some(_)) => Err(MoveRefused::ReasonNotAllowed { allowed }),
    }
}

/// Returns the statuses to which `by` may move such an order; the `next` of an order's representation.
#[must_use]
pub fn next(from: OrderStatus, by: By, facts: Facts) -> Vec<OrderStatus> {
    OrderStatus::ALL
        .iter()
        .copied()
        .filter(|to| row(from, *to, by, facts).is_some())
        .collect()
}

fn row(from: OrderStatus, to: OrderStatus, by: By, facts: Facts) -> Option<&'static Move> {
    let only_the_courier_may_deliver =
        to == Delivered && facts.has_courier && !matches!(by, By::Courier | By::Operator);
    let is_too_late_to_cancel =
        to == Cancelled && CUSTOMERS.contains(&by) && !facts.cancel_until.covers(from);
    if only_the_courier_may_deliver || is_too_late_to_cancel {
        return None;
    }
    TABLE
        .iter()
        .find(|row| row.to == to && row.from.contains(&from) && row.by.contains(&by))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Facts = Facts {
        has_courier: false,
        cancel_until: CancelUntil::Accepted,
    };

    fn every_facts() -> Vec<Facts> {
        let facts = |cancel_until: &CancelUntil| {
            [false, true].map(|has_courier| Facts {
                has_courier,
                cancel_until: *cancel_until,
            })
        };
        CancelUntil::ALL.iter().flat_map(facts).collect()
    }

    fn every_combination() -> impl Iterator<Item = (OrderStatus, OrderStatus, By, Facts)> {
        OrderStatus::ALL.iter().flat_map(|from| {
            OrderStatus::ALL.iter().flat_map(move |to| {
                By::ALL.iter().flat_map(move |by| {
                    let facts = every_facts().into_iter();
                    facts.map(|facts| (*from, *to, *by, facts))
                })
            })
        })
    }

    #[test]
    fn ends_are_final() {
        for (from, to, by, facts) in every_combination().filter(|(from, ..)| from.is_final()) {
            assert!(
                decide(from, to, by, Some("lost"), facts).is_err(),
                "{from} → {to} by {by}"
            );
        }
    }

    #[test]
    fn no_move_goes_backwards_on_the_way() {
        for (from, to, by, facts) in every_combination() {
            if let (Some(before), Some(after), true) = (
                from.progress(),
                to.progress(),
                row(from, to, by, facts).is_some(),
            ) {
                assert!(before < after, "{from} → {to} by {by}");
            }
        }
    }

    #[test]
    fn each_pair_of_row_and_actor_stands_once() {
        for (from, to, by, _) in every_combination() {
            let rows = TABLE
                .iter()
                .filter(|row| row.to == to && row.from.contains(&from) && row.by.contains(&by))
                .count();
            assert!(rows <= 1, "{from} → {to} by {by} stands {rows} times");
        }
    }

    /// Repeats docs/design.md section 5 by hand and the other way round: what each actor may do from each status.
    #[test]
    fn the_table_says_what_the_design_says() {
        #[rustfmt::skip]
        let expected: &[(By, OrderStatus, &[OrderStatus])] = &[
            (By::Owner, Draft, &[Pending]),
            (By::Owner, Pending, &[Cancelled]),
            (By::Owner, Processing, &[Cancelled]),
            (By::Guest, Pending, &[Cancelled]),
            (By::Guest, Processing, &[Cancelled]),
            (By::Owner, Accepted, &[Cancelled]),
            (By::Guest, Accepted, &[Cancelled]),
            (By::System, Pending, &[Processing, Accepted, Failed]),
            (By::System, Processing, &[Accepted, Failed]),
            (By::Sweep, Pending, &[Failed, Cancelled]),
            (By::Sweep, Processing, &[Failed, Cancelled]),
            (By::Sweep, Accepted, &[Delivered]),
            (By::Sweep, Preparing, &[Delivered]),
            (By::Sweep, Ready, &[Delivered]),
            (By::Staff, Draft, &[Pending]),
            (By::Staff, Pending, &[Accepted, Rejected, Cancelled]),
            (By::Staff, Processing, &[Accepted, Rejected, Cancelled]),
            (By::Staff, Accepted, &[Preparing, Ready, Dispatched, Delivered, Cancelled]),
            (By::Staff, Preparing, &[Ready, Dispatched, Delivered, Cancelled]),
            (By::Staff, Ready, &[Dispatched, Delivered, Cancelled]),
            (By::Staff, Dispatched, &[Delivered, Failed]),
            (By::Operator, Draft, &[Pending]),
            (By::Operator, Pending, &[Accepted, Rejected, Cancelled]),
            (By::Operator, Processing, &[Accepted, Rejected, Cancelled]),
            (By::Operator, Accepted, &[Preparing, Ready, Dispatched, Delivered, Failed, Cancelled]),
            (By::Operator, Preparing, &[Ready, Dispatched, Delivered, Cancelled]),
            (By::Operator, Ready, &[Dispatched, Delivered, Cancelled]),
            (By::Operator, Dispatched, &[Delivered, Failed]),
            (By::Integrator, Pending, &[Accepted, Rejected]),
            (By::Integrator, Processing, &[Accepted, Rejected]),
            (By::Integrator, Accepted, &[Preparing, Ready, Dispatched, Delivered, Cancelled]),
            (By::Integrator, Preparing, &[Ready, Dispatched, Delivered, Cancelled]),
            (By::Integrator, Ready, &[Dispatched, Delivered, Cancelled]),
            (By::Integrator, Dispatched, &[Delivered]),
            (By::Courier, Accepted, &[Preparing, Ready, Dispatched, Delivered]),
            (By::Courier, Preparing, &[Ready, Dispatched, Delivered]),
            (By::Courier, Ready, &[Dispatched, Delivered]),
            (By::Courier, Dispatched, &[Delivered]),
        ];
        for by in By::ALL {
            for from in OrderStatus::ALL {
                let expected = expected
                    .iter()
                    .find(|(b, f, _)| b == by && f == from)
                    .map_or(&[][..], |(.., to)| to);
                assert_eq!(next(*from, *by, ANY), expected, "{by} from {from}");
            }
        }
    }

    #[test]
    fn with_a_courier_only_it_or_an_operator_says_delivered() {
        let facts = Facts {
            has_courier: true,
            ..ANY
        };
        for by in [By::Staff, By::Integrator] {
            assert!(decide(Dispatched, Delivered, by, None, facts).is_err());
        }
        for by in [By::Courier, By::Operator] {
            assert_eq!(
                decide(Dispatched, Delivered, by, None, facts),
                Ok(StockEffect::Keep)
            );
        }
    }

    #[test]
    fn owners_and_guests_cancel_as_long_as_their_store_lets_them_and_nobody_else_is_bound_by_it() {
        for (cancel_until, last) in [
            (CancelUntil::Pending, Processing),
            (CancelUntil::Accepted, Accepted),
            (CancelUntil::Preparing, Preparing),
        ] {
            let facts = Facts {
                cancel_until,
                ..ANY
            };
            for (from, by) in OrderStatus::ALL
                .iter()
                .flat_map(|from| CUSTOMERS.iter().map(move |by| (*from, *by)))
            {
                let may = decide(from, Cancelled, by, None, facts);
                let is_open =
                    matches!(from.progress(), Some(1..)) && from.progress() <= last.progress();
                assert_eq!(may.is_ok(), is_open, "{by} from {from}, {cancel_until}");
            }
            for from in [Pending, Accepted, Ready] {
                assert!(decide(from, Cancelled, By::Staff, Some("burnt"), facts).is_ok());
            }
        }
    }

    #[test]
    fn stock_comes_back_with_every_end_before_the_goods_have_left() {
        for row in TABLE.iter().filter(|row| row.to.is_unsuccessful()) {
            let expected = if row.from == [Dispatched] {
                StockEffect::Keep
            } else {
                StockEffect::GiveBack
            };
            assert_eq!(row.stock, expected, "{row:?}");
        }
    }

    #[test]
    fn a_reason_is_asked_for_where_the_design_asks_for_one() {
        assert_eq!(
            decide(Pending, Rejected, By::Staff, None, ANY),
            Err(MoveRefused::ReasonMissing)
        );
        assert_eq!(
            decide(Pending, Rejected, By::Staff, Some("  "), ANY),
            Err(MoveRefused::ReasonMissing)
        );
        assert_eq!(
            decide(Pending, Rejected, By::Staff, Some("closed"), ANY),
            Ok(StockEffect::GiveBack)
        );
        assert_eq!(
            decide(Accepted, Cancelled, By::Integrator, None, ANY),
            Err(MoveRefused::ReasonMissing)
        );
        assert_eq!(
            decide(Dispatched, Failed, By::Staff, Some("eaten"), ANY),
            Err(MoveRefused::ReasonNotAllowed {
                allowed: LOSS_REASONS
            })
        );
        assert_eq!(
            decide(Dispatched, Failed, By::Staff, Some("lost"), ANY),
            Ok(StockEffect::Keep)
        );
    }
}
