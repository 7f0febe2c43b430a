//! The record of accounts whose passwords are guessed: written once, by the failure that reaches the limit.

use serde_json::{Map, json};

use super::{FAILURE_TTL, Guess, GuessLimits, is_known};
use crate::{
    CrashPoints, Ledger, Result, accounts,
    actor::{self, acting, acting_from},
    in_one_transaction,
};
use domain::{account::Account, actor::Actor, record::Action};
use store::accounts::failures;

/// Name of the actor: nobody knows who guesses, and our own rule limits the account.
const SIGN_IN: &str = "sign-in";

impl Ledger {
    /// Records that an account's sign-ins are limited, if its failed guess was the one that reached the limit. Runs beside
    /// the caller, whose answer must take as long as that for a username that does not exist.
    pub fn note_failed_guess(&self, guess: &Guess, limits: GuessLimits, account: Account) {
        let (ledger, guess, address) = (self.clone(), *guess, actor::address());
        let recorded = async move {
            let recorded = ledger.record_if_limited(&guess, limits, &account).await;
            if let Err(error) = recorded {
                tracing::warn!(%error, account = %account.id, "recording limited sign-ins failed");
            }
        };
        let by = Actor::named_system(SIGN_IN);
        match address {
            Some(address) => tokio::spawn(acting_from(by, address, recorded)),
            None => tokio::spawn(acting(by, recorded)),
        };
    }

    /// Failures that are counted at one moment in two processes may each see fewer than there are; then nothing is
    /// recorded, and the metric of limited sign-ins tells of them.
    #[crate::boxed]
    async fn record_if_limited(
        &self,
        guess: &Guess,
        limits: GuessLimits,
        account: &Account,
    ) -> Result<()> {
        let most = limits.per_username;
        if most == 0 {
            return Ok(());
        }
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let now = change.now;
            let mark = if is_known(&mut change.tx, guess, now).await? {
                guess.both_since_success
            } else {
                guess.username
            };
            let found =
                failures::latest(&mut change.tx, &mark, most.saturating_add(1), now).await?;
            // One more guess is let in whenever an old one counts no more, and reaches the limit again.
            let since = now - FAILURE_TTL;
            if found.len() == most as usize
                && !store::records::has(
                    &mut change.tx,
                    account.id.uuid(),
                    Action::SignInsLimited,
                    since,
                )
                .await?
            {
                let about = accounts::about(account, &[]);
                let fields = [
                    ("failures", json!(most)),
                    ("within_s", json!(FAILURE_TTL.as_secs())),
                ];
                let fields = fields.map(|(name, value)| (name.to_owned(), value));
                change.record_fields(about, Action::SignInsLimited, Map::from_iter(fields));
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use each_database::each_database;

    use super::*;
    use crate::{
        records::TrailFilter,
        testing::{TestLedger, fixtures::new_account},
    };
    use domain::account::Role;

    const LIMITS: GuessLimits = GuessLimits {
        per_username: 3,
        per_address: 0,
        per_known_address: 0,
    };

    #[each_database]
    async fn only_the_guess_that_reaches_the_limit_is_recorded_with_its_address(house: TestLedger) {
        let ledger = &house.ledger;
        let anna = new_account("anna", Role::Operator);
        let anna = ledger.create_account(&anna).await.unwrap();
        for last in 1..=9 {
            if last > 5 {
                // The oldest failure counts no more, and one more guess reaches the limit again.
                house.clock.advance(FAILURE_TTL / 4);
            }
            let address = IpAddr::from([192, 0, 2, last]);
            let guess = Guess::new("anna", address);
            ledger.sign_in_failed(&guess).await.unwrap();
            let by = Actor::named_system(SIGN_IN);
            let recorded = ledger.record_if_limited(&guess, LIMITS, &anna);
            acting_from(by, address, recorded).await.unwrap();
        }
        let any = TrailFilter::default();
        let page = ledger.audit_trail(&any, None, 10).await.unwrap();
        let [limited] = page.records.as_slice() else {
            panic!("{page:?}")
        };
        assert_eq!(limited.action, Action::SignInsLimited);
        assert_eq!(limited.subject_id, anna.id.uuid());
        assert_eq!(limited.address.as_deref(), Some("192.0.2.3"));
        assert_eq!(limited.fields["failures"], 3);
    }
}
