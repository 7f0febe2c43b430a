//! A promise that a round broke.

/// A broken promise, with the order concerned.
#[derive(Clone, Debug)]
pub struct Violation {
    pub what: String,
    pub order_id: Option<String>,
}

impl Violation {
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            order_id: None,
        }
    }

    #[must_use]
    pub fn of(order_id: &str, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            order_id: Some(order_id.to_owned()),
        }
    }
}
