//! Signing in as a user of the verification service.

use std::sync::Arc;

use common::{domain::account::Account, ledger::accounts::Guess};

use super::{Doorkeeper, incorrect};
use crate::{
    limits::ClientAddress,
    outside::{ExternalId, Verification},
    problem::Problem,
};

impl Doorkeeper {
    /// The account of that user, if the key is right; limited like guesses of passwords. What the service can't say
    /// counts as no guess.
    pub(crate) async fn exchange(
        &self,
        verification: &Verification,
        user_id: &ExternalId,
        session_key: &str,
        address: ClientAddress,
    ) -> Result<Arc<Account>, Problem> {
        // No username has a space.
        let guess = Guess::new(&format!("external user {}", user_id.text()), address.0);
        let standing = self.standing(&guess).await?;
        let found = verification.account(user_id, session_key).await?;
        let found = found.filter(|account| !account.disabled);
        let result = if found.is_some() { "ok" } else { "incorrect" };
        self.metrics.sign_ins.with_label_values(&[result]).inc();
        match &found {
            None if self.counts_failures() => self.ledger.sign_in_failed(&guess).await?,
            Some(_) if standing.has_failed => self.ledger.sign_in_succeeded(&guess).await?,
            _ => {}
        }
        found.map(Arc::new).ok_or_else(incorrect)
    }
}
