//! Sign-in with username and password, and everything else that hashes one: limited, and shared out among clients.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::ids::AccountId;
use ledger::accounts::{Guess, GuessLimits, GuessStatus};
use runtime::config;

use super::{
    Authenticator, CachedAccount, incorrect,
    turns::{NameTurn, Requester},
};
use crate::http::{
    limits::{self, ClientAddress},
    problem::Problem,
};

/// How long a verified password is cached. A new password ends this as soon as the account's row is read again.
pub(super) const PASSWORD_TTL: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(super) struct VerifiedPassword {
    account: AccountId,
    /// Keyed hash of the password.
    password: [u8; 32],
    /// Mark of the stored hash that the password matched; if it differs now, the password was changed.
    password_mark: [u8; 32],
}

pub(super) fn guess_limits(settings: &config::Accounts) -> GuessLimits {
    let limits = GuessLimits {
        per_username: settings.sign_in_failures_per_username,
        per_address: settings.sign_in_failures_per_address,
        per_known_address: settings.sign_in_failures_per_known_address,
    };
    match limits {
        GuessLimits {
            per_username: 0,
            per_address: 0,
            ..
        } => GuessLimits::NONE,
        limits => limits,
    }
}

impl Authenticator {
    /// Returns the account if the password is correct. An unknown username takes the same time. After too many failures
    /// no password is checked, not even a correct one; at an address from which the owner has signed in recently, only
    /// the failures of this username from this address count, and a correct password passes for longer than wrong ones
    /// are told to be wrong.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: &str,
        address: ClientAddress,
    ) -> Result<Arc<CachedAccount>, Problem> {
        let guess = Guess::new(username, address.0);
        let requester = Requester::username(username, address);
        // Checked before queueing, so that a crowd of guessers does not fill the queue.
        self.standing(&guess, requester).await?;
        let turn = self.turns.of(requester).await?;
        self.verify(turn, &guess, username, password).await
    }

    /// Like [`Self::sign_in`], but a password that was verified at that address within a minute is not hashed again.
    pub(super) async fn sign_in_again(
        &self,
        username: &str,
        password: &str,
        address: ClientAddress,
    ) -> Result<Arc<CachedAccount>, Problem> {
        let requester = Requester::username(username, address);
        if let Some(known) = self.verified_lately(requester, password).await? {
            return Ok(known);
        }
        let guess = Guess::new(username, address.0);
        self.standing(&guess, requester).await?;
        let turn = self.turns.of(requester).await?;
        // A program's requests come at once when its verified password has expired: the first of them has verified it.
        match self.verified_lately(requester, password).await? {
            Some(known) => Ok(known),
            None => self.verify(turn, &guess, username, password).await,
        }
    }

    async fn verify(
        &self,
        turn: NameTurn<'_>,
        guess: &Guess,
        username: &str,
        password: &str,
    ) -> Result<Arc<CachedAccount>, Problem> {
        let requester = turn.requester();
        let permit = self
            .passwords
            .permit(Some(turn.at_address().await?))
            .await?;
        // Checked again after queueing, so that concurrent guesses do not exceed the limit.
        let standing = self.standing(guess, requester).await?;
        let found = self.ledger.credentials(username).await?;
        let hash = found.as_ref().map(|found| found.password_hash.clone());
        let is_right = permit.verify(password, hash).await?;
        let guessed_at = found.as_ref().filter(|_| !is_right);
        let guessed_at = guessed_at.map(|found| found.account.clone());
        let found = found.filter(|found| is_right && !found.account.disabled);
        let outcome = self.outcome(guess, standing, found.is_some()).await;
        if let Some(account) = guessed_at {
            self.ledger
                .note_failed_guess(guess, self.guess_limits, account);
        }
        outcome?;
        let known = self.remember(found.ok_or_else(incorrect)?);
        self.verified.put(
            requester.mark(),
            VerifiedPassword {
                account: known.account.id,
                password: self.cache_key.sign(password.as_bytes()),
                password_mark: known.password_mark,
            },
        );
        Ok(known)
    }

    /// Hashes a new password; returns a PHC string.
    pub(crate) async fn hash(
        &self,
        requester: Requester,
        password: &str,
    ) -> Result<String, Problem> {
        let turn = self.turns.of(requester).await?.at_address().await?;
        let permit = self.passwords.permit(Some(turn)).await?;
        permit.hash(self.ledger.chance(), password).await
    }

    pub(super) async fn standing(
        &self,
        guess: &Guess,
        requester: Requester,
    ) -> Result<GuessStatus, Problem> {
        let standing = self.ledger.guess_status(guess, self.guess_limits).await?;
        match standing.limited_until {
            None => Ok(standing),
            Some(until) => {
                // Otherwise it would go on to tell who guesses right.
                self.verified.forget(&requester.mark());
                self.metrics.sign_ins.with_label_values(&["limited"]).inc();
                Err(self.limited(until))
            }
        }
    }

    fn limited(&self, until: DateTime<Utc>) -> Problem {
        let wait = until - self.ledger.clock().now();
        limits::limited(wait.to_std().unwrap_or_default())
    }

    /// Counts the outcome of a sign-in, in the metrics and, if failures are limited, in the database; returns the
    /// refusal if it failed.
    pub(super) async fn outcome(
        &self,
        guess: &Guess,
        standing: GuessStatus,
        is_right: bool,
    ) -> Result<(), Problem> {
        let result = if is_right { "ok" } else { "incorrect" };
        self.metrics.sign_ins.with_label_values(&[result]).inc();
        let is_counted = self.guess_limits != GuessLimits::NONE;
        match is_right {
            false if is_counted => self.ledger.sign_in_failed(guess).await?,
            true if is_counted && standing.must_record_success => {
                self.ledger.sign_in_succeeded(guess).await?;
            }
            _ => {}
        }
        match standing.wrong_limited_until {
            _ if is_right => Ok(()),
            None => Err(incorrect()),
            Some(until) => Err(self.limited(until)),
        }
    }

    /// Returns the account if this password was verified for this username from this address within a minute.
    async fn verified_lately(
        &self,
        requester: Requester,
        password: &str,
    ) -> Result<Option<Arc<CachedAccount>>, Problem> {
        let Some(verified) = self.verified.get(&requester.mark()) else {
            return Ok(None);
        };
        if verified.password != self.cache_key.sign(password.as_bytes()) {
            return Ok(None);
        }
        let known = self.known(verified.account).await?;
        Ok(known.filter(|known| known.password_mark == verified.password_mark))
    }
}
