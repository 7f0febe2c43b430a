//! `expediter audit`: whether the promises of design.md section 1 hold of what is stored.

#[cfg(test)]
mod tests;

use super::{Ledger, Result};

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: &'static str,
    /// The id of what breaks it, in hexadecimal.
    pub id: String,
    /// Its state, status or number.
    pub what: Option<String>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rule, id, what } = self;
        write!(f, "broken: {rule}: {id}")?;
        match what {
            Some(what) => write!(f, " ({what})"),
            None => Ok(()),
        }
    }
}

impl Ledger {
    /// All that breaks a rule, at one moment. What waits to be published is no finding.
    pub async fn audit(&self) -> Result<Vec<Finding>> {
        let mut tx = self.inner.db.read().await?;
        let found = store::audit::findings(&mut tx).await?;
        Ok(found
            .into_iter()
            .map(|(rule, id, what)| Finding { rule, id, what })
            .collect())
    }
}
