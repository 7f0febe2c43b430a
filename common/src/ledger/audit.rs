//! The promises of design.md section 1 as queries.

use super::{Ledger, Result};

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The broken rule, a sentence.
    pub rule: &'static str,
    /// What breaks it.
    pub subject: String,
}

impl Ledger {
    pub async fn audit(&self) -> Result<Vec<Finding>> { todo!() }
}
