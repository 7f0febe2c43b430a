//! Checks that the stored data keeps the promises of docs/design.md section 1 (`expediter audit`).

#[cfg(test)]
mod tests;

use super::{
    Failure, Ledger, Result,
    change::{may_retry, pause_after_lost_lock},
};
use store::audit::Rule;

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
    /// Returns everything that breaks a rule. Each rule is read in a short transaction of its own, so that no change of
    /// the schema waits for the whole audit. Rows that wait to be published are no finding.
    #[crate::boxed]
    pub async fn audit(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for rule in store::audit::rules() {
            let found = self.audit_rule(rule).await?;
            findings.extend(found.into_iter().map(|(id, what)| Finding {
                rule: rule.name,
                id,
                what,
            }));
        }
        Ok(findings)
    }

    /// Reads one rule, again if its table's metadata was locked by a change of the schema.
    async fn audit_rule(&self, rule: Rule) -> Result<Vec<(String, Option<String>)>> {
        let mut tries = 1;
        loop {
            let mut tx = self.inner.db.read().await?;
            let found = rule.findings(&mut tx).await.map_err(Failure::from);
            tx.rollback().await;
            if !may_retry(&found, tries) {
                return found;
            }
            pause_after_lost_lock(&self.inner, tries).await;
            tries += 1;
        }
    }
}
