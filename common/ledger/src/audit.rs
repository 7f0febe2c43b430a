//! Checks that the stored data keeps the promises of docs/design.md section 1 (`expediter audit`).

#[cfg(test)]
mod tests;

use super::{Ledger, Result};

/// A violation of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: &'static str,
    /// The id of the row that breaks it, in hexadecimal.
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
    /// Returns everything that breaks a rule, in one snapshot. Rows that wait to be published are no finding.
    pub async fn audit(&self) -> Result<Vec<Finding>> {
        let mut tx = self.inner.db.read().await?;
        let found = store::audit::findings(&mut tx).await?;
        Ok(found
            .into_iter()
            .map(|(rule, id, what)| Finding { rule, id, what })
            .collect())
    }
}
