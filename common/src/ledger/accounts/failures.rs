//! Guessing passwords: failures are counted for all processes together, by username and by client address.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    ledger::{Ledger, Points, Result, in_one_transaction},
    secrets::sha256,
    store::accounts::failures,
};

/// A failure counts for so long.
pub const FAILURES_COUNT_FOR: Duration = Duration::from_secs(15 * 60);

/// A try to sign in, by what its failure is counted under. Hashes: what is mistyped as a username may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess {
    username: [u8; 32],
    address: [u8; 32],
}

/// Failures after which no more are let in; 0: any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessLimits {
    pub per_username: u32,
    pub per_address: u32,
}

/// What earlier tries mean for this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Too many failed: nobody looks at a password before this.
    pub limited_until: Option<DateTime<Utc>>,
    /// There are failures that a success forgives.
    pub has_failed: bool,
}

impl Guess {
    #[must_use]
    pub fn new(username: &str, address: IpAddr) -> Self {
        Self {
            username: sha256(format!("username {username}").as_bytes()),
            address: sha256(format!("address {address}").as_bytes()),
        }
    }
}

impl Ledger {
    pub async fn standing(&self, guess: &Guess, limits: GuessLimits) -> Result<Standing> {
        let now = self.inner.clock.now();
        let mut standing = Standing {
            limited_until: None,
            has_failed: false,
        };
        let mut tx = self.inner.db.read().await?;
        for (mark, most) in [
            (&guess.username, limits.per_username),
            (&guess.address, limits.per_address),
        ] {
            if most == 0 {
                continue;
            }
            let ends = failures::latest(&mut tx, mark, most, now).await?;
            standing.has_failed |= mark == &guess.username && !ends.is_empty();
            if ends.len() >= most as usize {
                standing.limited_until = standing.limited_until.max(ends.last().copied());
            }
        }
        Ok(standing)
    }

    pub async fn sign_in_failed(&self, guess: &Guess) -> Result<()> {
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            let id: Uuid = self.inner.chance.id(change.now);
            let expires_at = change.now + FAILURES_COUNT_FOR;
            let mut marks = [guess.username, guess.address];
            marks.sort_unstable();
            Ok(failures::insert(&mut change.tx, &marks, expires_at, id).await?)
        })
    }

    /// Forgives the username's failures. The address keeps its own: whoever guesses has an account too.
    pub async fn sign_in_succeeded(&self, guess: &Guess) -> Result<()> {
        in_one_transaction!(&self.inner, Points::NONE, |change| {
            failures::delete(&mut change.tx, &guess.username).await?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{House, each_database};

    const LIMITS: GuessLimits = GuessLimits {
        per_username: 3,
        per_address: 5,
    };

    fn guess(username: &str, last: u8) -> Guess {
        Guess::new(username, IpAddr::from([192, 0, 2, last]))
    }

    async fn limited(house: &House, guess: &Guess) -> Option<DateTime<Utc>> {
        let standing = house.ledger.standing(guess, LIMITS).await.unwrap();
        standing.limited_until
    }

    each_database! {
        async fn the_limit_of_a_username_holds_from_every_address_until_the_first_failure_is_old(house: House) {
            let began = house.clock.now();
            for last in 1..=3 {
                assert_eq!(limited(&house, &guess("anna", 9)).await, None);
                house.ledger.sign_in_failed(&guess("anna", last)).await.unwrap();
                house.clock.advance(Duration::from_secs(60));
            }
            assert_eq!(limited(&house, &guess("anna", 9)).await, Some(began + FAILURES_COUNT_FOR));
            assert_eq!(limited(&house, &guess("Anna", 9)).await, None);
            house.clock.advance(FAILURES_COUNT_FOR - Duration::from_secs(180));
            assert_eq!(limited(&house, &guess("anna", 9)).await, None, "one of the three counts no more");
            assert!(house.ledger.standing(&guess("anna", 9), LIMITS).await.unwrap().has_failed);
        }

        async fn the_limit_of_an_address_holds_for_every_username_and_no_success_lifts_it(house: House) {
            for name in ["a", "b", "c", "d", "e"] {
                house.ledger.sign_in_failed(&guess(name, 1)).await.unwrap();
            }
            house.ledger.sign_in_succeeded(&guess("a", 1)).await.unwrap();
            assert!(limited(&house, &guess("f", 1)).await.is_some());
            assert_eq!(limited(&house, &guess("f", 2)).await, None);
        }

        async fn a_success_forgives_the_username(house: House) {
            for last in 1..=3 {
                house.ledger.sign_in_failed(&guess("anna", last)).await.unwrap();
            }
            house.ledger.sign_in_succeeded(&guess("anna", 4)).await.unwrap();
            let standing = house.ledger.standing(&guess("anna", 4), LIMITS).await.unwrap();
            assert_eq!(standing, Standing { limited_until: None, has_failed: false });
        }

        async fn failures_that_count_no_more_are_pruned(house: House) {
            house.ledger.sign_in_failed(&guess("anna", 1)).await.unwrap();
            house.clock.advance(FAILURES_COUNT_FOR - Duration::from_micros(1));
            assert_eq!(house.ledger.prune().await.unwrap(), 0);
            house.clock.advance(Duration::from_micros(1));
            assert_eq!(house.ledger.prune().await.unwrap(), 2);
        }
    }
}
