//! Why an order is not placed or not moved, as problems.

use common::{
    domain::status::{MoveRefused, OrderStatus},
    ledger::{intake::PlaceRefused, orders::OrderRefused},
};
use serde_json::{Value, json};

use crate::problem::{FieldError, Problem, Reason};

impl From<PlaceRefused> for Problem {
    fn from(refused: PlaceRefused) -> Self {
        match refused {
            PlaceRefused::UnknownStore => {
                Self::invalid_field("/store_id", "there is no such store")
            }
            PlaceRefused::StorePaused => Self::new(Reason::StorePaused),
            PlaceRefused::UnknownSession => Self::new(Reason::SessionNotFound),
            PlaceRefused::SessionClosed => Self::new(Reason::SessionClosed),
            PlaceRefused::UnknownProducts { lines } => Self::invalid(
                lines
                    .into_iter()
                    .map(|line| FieldError {
                        pointer: format!("/items/{line}"),
                        detail: "the store has no such product".to_owned(),
                    })
                    .collect(),
            ),
            PlaceRefused::Unavailable { lines } => Self::new(Reason::ProductUnavailable)
                .with("items", lines.into_iter().collect::<Value>()),
            PlaceRefused::InsufficientStock { short } => {
                let short: Value = short
                    .into_iter()
                    .map(|one| json!({"product_id": one.product_id, "name": one.name, "wanted": one.wanted, "left": one.left}))
                    .collect();
                Self::new(Reason::InsufficientStock).with("short", short)
            }
            PlaceRefused::TotalTooLarge => {
                Self::invalid_field("/items", "their total is too large")
            }
            PlaceRefused::TotalMismatch { expected, actual } => Self::new(Reason::TotalMismatch)
                .with("expected", json!(expected))
                .with("actual", json!(actual)),
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
            OrderRefused::Move(refused) => refused.into(),
        }
    }
}

impl From<MoveRefused> for Problem {
    fn from(refused: MoveRefused) -> Self {
        match refused {
            MoveRefused::Invalid { from, to, next, .. } => Self::new(Reason::InvalidTransition)
                .detail(format!(
                    "From {from} to {to} there is no way for this caller."
                ))
                .with(
                    "next",
                    next.into_iter().map(OrderStatus::as_str).collect::<Value>(),
                ),
            MoveRefused::ReasonMissing => Self::invalid_field("/reason", "this move needs one"),
            MoveRefused::ReasonNotAllowed { allowed } => {
                Self::invalid_field("/reason", format!("must be one of {}", allowed.join(", ")))
            }
        }
    }
}
