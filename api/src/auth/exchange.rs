//! Sign-in as a user of the verification service.

use std::sync::Arc;

use domain::account::Account;
use ledger::accounts::{Guess, GuessLimits};

use super::{Authenticator, Requester, incorrect};
use crate::{
    http::{limits::ClientAddress, problem::Problem},
    outside::{ExternalId, Verification},
};

/// Concurrency if failures are not limited.
const UNLIMITED: usize = 1000;

impl Authenticator {
    /// Returns the account of that user if the key is right. Failures are limited like wrong passwords; an error of the
    /// service does not count as a failure.
    pub(crate) async fn exchange(
        &self,
        verification: &Verification,
        user_id: &ExternalId,
        session_key: &str,
        address: ClientAddress,
    ) -> Result<Arc<Account>, Problem> {
        let guess = Guess::of_external_user(user_id.text(), address.0);
        let requester = Requester::external_user(user_id.text(), address);
        // Checked before queueing, so that a crowd of guessers does not fill the queues.
        self.standing(&guess, requester).await?;
        // Concurrent guesses must not exceed the limit: one request at a time for a user, and no more from an address
        // than may fail there. Of one address only one waits for a user, so that no other finds that queue full.
        let GuessLimits {
            per_username,
            per_address,
            ..
        } = self.guess_limits;
        let per_user = at_once(per_username.min(1));
        let lines = &self.lines;
        let _of_both = lines.turn(requester.mark(), per_user).await?;
        let _of_address = lines
            .turn(guess.address_mark(), at_once(per_address))
            .await?;
        let _of_user = lines.turn(guess.name_mark(), per_user).await?;
        let standing = self.standing(&guess, requester).await?;
        let found = verification.account(user_id, session_key).await?;
        let found = found.filter(|account| !account.disabled);
        self.outcome(&guess, standing, found.is_some()).await?;
        found.map(Arc::new).ok_or_else(incorrect)
    }
}

fn at_once(most: u32) -> usize {
    match most {
        0 => UNLIMITED,
        most => most as usize,
    }
}
