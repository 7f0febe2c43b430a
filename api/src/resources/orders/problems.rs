//! Converts refusals to place, move or edit an order into problems.

use domain::{
    options::MAX_OPTIONS_OF_ORDER,
    order::{MAX_ITEMS, rfc3339, size::TextTooLong},
    status::{MoveRefused, OrderStatus},
};
use ledger::{
    intake::PlaceRefused,
    orders::{EditRefused, OrderRefused},
};
use serde_json::{Value, json};

use super::options::{unavailable, wrong_options};
use crate::http::{
    etag::version_conflict,
    problem::{FieldError, Problem, Reason},
};

impl From<PlaceRefused> for Problem {
    fn from(refused: PlaceRefused) -> Self {
        match refused {
            PlaceRefused::UnknownStore => {
                Self::invalid_field("/store_id", "must be an existing store")
            }
            PlaceRefused::StoreArchived => Self::new(Reason::StoreArchived),
            PlaceRefused::StorePaused => Self::new(Reason::StorePaused),
            PlaceRefused::PausedUntil { until } => {
                Self::new(Reason::StorePaused).with("opens_at", rfc3339(until))
            }
            PlaceRefused::StoreClosed { opens_at } => {
                Self::new(Reason::StoreClosed).with("opens_at", opens_at.map(rfc3339))
            }
            PlaceRefused::SlotFull { next_free_at } => {
                Self::new(Reason::SlotFull).with("next_free_at", next_free_at.map(rfc3339))
            }
            PlaceRefused::UnknownSession => Self::new(Reason::SessionNotFound),
            PlaceRefused::SessionClosed => Self::new(Reason::SessionClosed),
            PlaceRefused::UnknownProducts { lines } => Self::invalid(
                lines
                    .into_iter()
                    .map(|line| {
                        FieldError::new(format!("/items/{line}"), "the store has no such product")
                    })
                    .collect(),
            ),
            PlaceRefused::Unavailable { lines } => Self::new(Reason::ProductUnavailable)
                .with("items", lines.into_iter().collect::<Value>()),
            PlaceRefused::WrongOptions { wrong } => {
                wrong_options(&wrong, |line| format!("/items/{line}"))
            }
            PlaceRefused::OptionsUnavailable { lines, options } => unavailable(lines, &options),
            PlaceRefused::TooManyOptions => {
                let detail = format!("must have at most {MAX_OPTIONS_OF_ORDER} options together");
                Self::invalid_field("/items", detail)
            }
            PlaceRefused::InsufficientStock { short } => {
                let short: Value = short
                    .into_iter()
                    .map(|one| json!({"product_id": one.product_id, "name": one.name, "wanted": one.wanted, "left": one.left}))
                    .collect();
                Self::new(Reason::InsufficientStock).with("short", short)
            }
            PlaceRefused::TotalTooLarge => Self::invalid_field("/items", "the total is too large"),
            PlaceRefused::TotalMismatch { expected, actual } => Self::new(Reason::TotalMismatch)
                .with("expected", json!(expected))
                .with("actual", json!(actual)),
            PlaceRefused::NoItems => {
                Self::invalid_field("/items", "must not be empty for a placed order")
            }
            PlaceRefused::AddressMissing => {
                Self::invalid_field("/customer/address", "is required for a delivery")
            }
            PlaceRefused::TextTooLong(TextTooLong {
                field,
                bytes,
                limit,
            }) => Self::invalid_field(
                field,
                format!(
                    "the texts of an order must have at most {limit} bytes together, not {bytes}"
                ),
            )
            .with("limit_bytes", json!(limit)),
            PlaceRefused::WantedAt(refused) => refused.into(),
            PlaceRefused::TooManyUnfinished { limit } => Self::new(Reason::TooManyOrders)
                .detail(format!(
                    "The session has {limit} orders that have not ended, which is the limit."
                ))
                .with("field", "session")
                .with("limit", json!(limit)),
            PlaceRefused::AlreadyReplaced { by } => Self::new(Reason::DuplicateOrder)
                .detail("The order has already been replaced.")
                .with("order_id", by.to_string())
                .at(format!("/api/v1/orders/{by}")),
            PlaceRefused::DuplicateOrder { existing } => Self::new(Reason::DuplicateOrder)
                .with("order_id", existing.to_string())
                .at(format!("/api/v1/orders/{existing}")),
            PlaceRefused::IdempotencyKeyReused => Self::new(Reason::IdempotencyKeyReused),
        }
    }
}

impl From<OrderRefused> for Problem {
    fn from(refused: OrderRefused) -> Self {
        match refused {
            OrderRefused::Unknown => Self::not_found(),
            OrderRefused::VersionConflict { current } => version_conflict(current),
            OrderRefused::Move(refused) => refused.into(),
            OrderRefused::Ready(refused) => refused.into(),
            OrderRefused::Place(refused) => refused.into(),
        }
    }
}

impl From<EditRefused> for Problem {
    fn from(refused: EditRefused) -> Self {
        match refused {
            EditRefused::Unknown | EditRefused::UnknownItem => Self::not_found(),
            EditRefused::NotEditable { status } => {
                Self::new(Reason::OrderNotEditable).with("order_status", status.as_str())
            }
            EditRefused::VersionConflict { current } => version_conflict(current),
            EditRefused::TooManyItems => {
                Self::invalid_field("/items", format!("must have at most {MAX_ITEMS} items"))
            }
            EditRefused::Place(refused) => refused.into(),
        }
    }
}

impl From<MoveRefused> for Problem {
    fn from(refused: MoveRefused) -> Self {
        match refused {
            MoveRefused::Invalid { from, to, next, .. } => Self::new(Reason::InvalidTransition)
                .detail(format!(
                    "This caller cannot move the order from {from} to {to}."
                ))
                .with(
                    "next",
                    next.into_iter().map(OrderStatus::as_str).collect::<Value>(),
                ),
            MoveRefused::ReasonMissing => {
                Self::invalid_field("/reason", "is required for this move")
            }
            MoveRefused::ReasonNotAllowed { allowed } => {
                Self::invalid_field("/reason", format!("must be one of {}", allowed.join(", ")))
            }
        }
    }
}
