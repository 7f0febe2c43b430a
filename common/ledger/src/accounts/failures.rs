//! Password guessing: failures are counted for all processes together, by username and by client address. Failures from
//! an address where the account's owner signed in lately are counted separately: guesses from elsewhere do not lock the
//! owner out, and those of a guest behind the same address only if there are very many.

mod limited;

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{CrashPoints, Ledger, Result, in_one_transaction};
use platform::secrets::sha256;
use store::{
    Tx,
    accounts::{failures, known_addresses},
};

/// Time for which a failure counts.
pub const FAILURE_TTL: Duration = Duration::from_secs(15 * 60);
/// Time for which an address is known after a sign-in; renewed at most once a day.
pub const KNOWN_ADDRESS_TTL: Duration = Duration::from_secs(30 * 86_400);
const REFRESH_AFTER: Duration = Duration::from_secs(86_400);

/// A sign-in attempt, as the keys that its failure is counted under. They are hashes, since a mistyped username may be
/// a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess {
    username: [u8; 32],
    address: [u8; 32],
    /// The username at that address.
    both: [u8; 32],
    /// The same, for failures since the last success.
    both_since_success: [u8; 32],
}

/// Number of failures after which further attempts are refused; 0 disables a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessLimits {
    /// For unknown addresses together. At an address that is known for the username, wrong passwords of this username
    /// from there are told to be too many from this number on, and the right one passes.
    pub per_username: u32,
    pub per_address: u32,
    /// For a username at an address that is known for it; from then on the right password does not pass either.
    pub per_known_address: u32,
}

impl GuessLimits {
    pub const NONE: Self = Self {
        per_username: 0,
        per_address: 0,
        per_known_address: 0,
    };
}

/// Effect of earlier attempts on this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessStatus {
    /// Time until which no password is checked, because too many attempts failed.
    pub limited_until: Option<DateTime<Utc>>,
    /// Time until which a wrong password is answered as one too many; a right one passes.
    pub wrong_limited_until: Option<DateTime<Utc>>,
    /// True if a success must be recorded, because it clears failures or makes the address known.
    pub must_record_success: bool,
}

impl Guess {
    #[must_use]
    pub fn new(username: &str, address: IpAddr) -> Self {
        Self::of("username", username, address)
    }

    /// Creates a guess for a user of the verification service, which has its own names.
    #[must_use]
    pub fn of_external_user(user_id: &str, address: IpAddr) -> Self {
        Self::of("external user", user_id, address)
    }

    #[must_use]
    pub fn name_mark(&self) -> [u8; 32] {
        self.username
    }

    #[must_use]
    pub fn address_mark(&self) -> [u8; 32] {
        self.address
    }

    /// Creates a guess. An address contains no line break, so the key of a name with an address can't collide with that
    /// of a name.
    fn of(kind: &str, name: &str, address: IpAddr) -> Self {
        let mark = |what: String| sha256(what.as_bytes());
        Self {
            username: mark(format!("{kind} {name}")),
            address: mark(format!("address {address}")),
            both: mark(format!("{address}\n{kind} {name}")),
            both_since_success: mark(format!("since success\n{address}\n{kind} {name}")),
        }
    }
}

impl Ledger {
    #[crate::boxed]
    pub async fn guess_status(&self, guess: &Guess, limits: GuessLimits) -> Result<GuessStatus> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.db.read().await?;
        let known = known_addresses::known_until(&mut tx, &guess.both, now).await?;
        let GuessLimits {
            per_username,
            per_address,
            per_known_address,
        } = limits;
        let Some(known_until) = known else {
            let of_name = failures::latest(&mut tx, &guess.username, per_username, now).await?;
            let of_address = failures::latest(&mut tx, &guess.address, per_address, now).await?;
            let limited_by_name = reached(&of_name, per_username);
            return Ok(GuessStatus {
                limited_until: limited_by_name.max(reached(&of_address, per_address)),
                wrong_limited_until: None,
                must_record_success: true,
            });
        };
        // A guesser behind this address can be told from the owner by the password only.
        let all = failures::latest(&mut tx, &guess.both, per_known_address, now).await?;
        let most = per_username.max(1);
        let recent = failures::latest(&mut tx, &guess.both_since_success, most, now).await?;
        Ok(GuessStatus {
            limited_until: reached(&all, per_known_address),
            wrong_limited_until: reached(&recent, per_username),
            must_record_success: known_until < refresh_threshold(now) || !recent.is_empty(),
        })
    }

    #[crate::boxed]
    pub async fn sign_in_failed(&self, guess: &Guess) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let id: Uuid = self.inner.chance.id(change.now);
            let expires_at = change.now + FAILURE_TTL;
            let mut marks = if is_known(&mut change.tx, guess, change.now).await? {
                vec![guess.both, guess.both_since_success, guess.address]
            } else {
                vec![guess.username, guess.address]
            };
            marks.sort_unstable();
            Ok(failures::insert(&mut change.tx, &marks, expires_at, id).await?)
        })
    }

    /// Clears the username's failures, and makes the address known. At a known address nothing that limits the right
    /// password is cleared: else every sign-in of the owner, once a minute if it is a program, would give guessers new
    /// guesses. The address keeps its failures, since a guesser may have an account too.
    #[crate::boxed]
    pub async fn sign_in_succeeded(&self, guess: &Guess) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let now = change.now;
            let cleared = if is_known(&mut change.tx, guess, now).await? {
                guess.both_since_success
            } else {
                guess.username
            };
            failures::delete(&mut change.tx, &cleared).await?;
            let known = known_addresses::known_until(&mut change.tx, &guess.both, now).await?;
            if known.is_none_or(|until| until < refresh_threshold(now)) {
                let until = now + KNOWN_ADDRESS_TTL;
                known_addresses::keep(&mut change.tx, &guess.both, until).await?;
            }
            Ok(())
        })
    }
}

/// Returns until when a limit holds; `ends` are the failures' ends, the latest first.
fn reached(ends: &[DateTime<Utc>], most: u32) -> Option<DateTime<Utc>> {
    let last_counted = (most as usize).checked_sub(1)?;
    ends.get(last_counted).copied()
}

/// Returns the end of knowledge before which a known address is renewed.
fn refresh_threshold(now: DateTime<Utc>) -> DateTime<Utc> {
    now + KNOWN_ADDRESS_TTL - REFRESH_AFTER
}

async fn is_known(tx: &mut Tx, guess: &Guess, now: DateTime<Utc>) -> store::Result<bool> {
    let known = known_addresses::known_until(tx, &guess.both, now).await?;
    Ok(known.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestLedger;
    use each_database::each_database;

    const LIMITS: GuessLimits = GuessLimits {
        per_username: 3,
        per_address: 5,
        per_known_address: 7,
    };

    fn guess(username: &str, last: u8) -> Guess {
        Guess::new(username, IpAddr::from([192, 0, 2, last]))
    }

    async fn limited(house: &TestLedger, guess: &Guess) -> Option<DateTime<Utc>> {
        let standing = house.ledger.guess_status(guess, LIMITS).await.unwrap();
        standing.limited_until
    }

    async fn wrong_limited(house: &TestLedger, guess: &Guess) -> Option<DateTime<Utc>> {
        let standing = house.ledger.guess_status(guess, LIMITS).await.unwrap();
        standing.wrong_limited_until
    }

    #[each_database]
    async fn the_limit_of_a_username_holds_from_every_address_until_the_first_failure_is_old(
        house: TestLedger,
    ) {
        let began = house.clock.now();
        for last in 1..=3 {
            assert_eq!(limited(&house, &guess("anna", 9)).await, None);
            house
                .ledger
                .sign_in_failed(&guess("anna", last))
                .await
                .unwrap();
            house.clock.advance(Duration::from_secs(60));
        }
        assert_eq!(
            limited(&house, &guess("anna", 9)).await,
            Some(began + FAILURE_TTL)
        );
        assert_eq!(limited(&house, &guess("Anna", 9)).await, None);
        house.clock.advance(FAILURE_TTL - Duration::from_secs(180));
        assert_eq!(
            limited(&house, &guess("anna", 9)).await,
            None,
            "one of the three has expired"
        );
        assert!(
            house
                .ledger
                .guess_status(&guess("anna", 9), LIMITS)
                .await
                .unwrap()
                .must_record_success
        );
    }

    #[each_database]
    async fn the_limit_of_an_address_holds_for_every_username_and_no_success_lifts_it(
        house: TestLedger,
    ) {
        for name in ["a", "b", "c", "d", "e"] {
            house.ledger.sign_in_failed(&guess(name, 1)).await.unwrap();
        }
        house
            .ledger
            .sign_in_succeeded(&guess("a", 1))
            .await
            .unwrap();
        assert!(limited(&house, &guess("f", 1)).await.is_some());
        assert_eq!(limited(&house, &guess("f", 2)).await, None);
    }

    #[each_database]
    async fn a_success_forgives_the_username(house: TestLedger) {
        for last in 1..=3 {
            house
                .ledger
                .sign_in_failed(&guess("anna", last))
                .await
                .unwrap();
        }
        house
            .ledger
            .sign_in_succeeded(&guess("anna", 4))
            .await
            .unwrap();
        let standing = house
            .ledger
            .guess_status(&guess("anna", 4), LIMITS)
            .await
            .unwrap();
        assert_eq!(
            standing,
            GuessStatus {
                limited_until: None,
                wrong_limited_until: None,
                must_record_success: false
            }
        );
        assert_eq!(
            limited(&house, &guess("anna", 1)).await,
            None,
            "from elsewhere too"
        );
    }

    #[each_database]
    async fn where_its_owner_has_signed_in_lately_others_failures_lock_nobody_out(
        house: TestLedger,
    ) {
        let (owner, stranger) = (guess("anna", 1), guess("anna", 2));
        house.ledger.sign_in_succeeded(&owner).await.unwrap();
        // Failures elsewhere, and by others behind the same address.
        for name in ["b", "c", "d", "e", "f"] {
            house.ledger.sign_in_failed(&stranger).await.unwrap();
            house.ledger.sign_in_failed(&guess(name, 1)).await.unwrap();
        }
        assert!(limited(&house, &stranger).await.is_some());
        assert!(limited(&house, &guess("ben", 1)).await.is_some());
        assert_eq!(limited(&house, &owner).await, None);
        // The owner's success does not give the strangers new guesses.
        house.ledger.sign_in_succeeded(&owner).await.unwrap();
        assert!(limited(&house, &stranger).await.is_some());
    }

    #[each_database]
    async fn at_a_known_address_wrong_passwords_are_too_many_long_before_the_right_one_is_refused(
        house: TestLedger,
    ) {
        let (owner, colleague) = (guess("anna", 1), guess("ben", 1));
        for known in [&owner, &colleague] {
            house.ledger.sign_in_succeeded(known).await.unwrap();
        }
        let began = house.clock.now();
        for failed in 0..7 {
            assert_eq!(limited(&house, &owner).await, None, "{failed}");
            let too_many = wrong_limited(&house, &owner).await;
            assert_eq!(too_many.is_some(), failed >= 3, "{failed}");
            assert!(failed != 3 || too_many == Some(began + FAILURE_TTL));
            house.ledger.sign_in_failed(&owner).await.unwrap();
            house.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(limited(&house, &owner).await, Some(began + FAILURE_TTL));
        assert_eq!(limited(&house, &colleague).await, None);
        assert_eq!(wrong_limited(&house, &colleague).await, None);
        house.clock.advance(FAILURE_TTL - Duration::from_secs(7));
        assert_eq!(limited(&house, &owner).await, None, "one has expired");
        assert!(wrong_limited(&house, &owner).await.is_some());
        // The owner's success forgives mistakes, and gives the guesser no new guesses.
        house.ledger.sign_in_succeeded(&owner).await.unwrap();
        assert_eq!(wrong_limited(&house, &owner).await, None);
        house.ledger.sign_in_failed(&owner).await.unwrap();
        assert!(limited(&house, &owner).await.is_some());
    }

    #[each_database]
    async fn where_usernames_have_no_limit_a_known_address_has_its_own(house: TestLedger) {
        let (owner, limits) = (
            guess("anna", 1),
            GuessLimits {
                per_username: 0,
                per_address: 0,
                per_known_address: 2,
            },
        );
        house.ledger.sign_in_succeeded(&owner).await.unwrap();
        for is_limited in [false, false, true] {
            let standing = house.ledger.guess_status(&owner, limits).await.unwrap();
            assert_eq!(standing.limited_until.is_some(), is_limited);
            house.ledger.sign_in_failed(&owner).await.unwrap();
        }
    }

    #[each_database]
    async fn an_address_is_known_for_thirty_days_after_the_last_sign_in(house: TestLedger) {
        let owner = guess("anna", 1);
        let counts = async || {
            house
                .ledger
                .guess_status(&owner, LIMITS)
                .await
                .unwrap()
                .must_record_success
        };
        house.ledger.sign_in_succeeded(&owner).await.unwrap();
        assert!(!counts().await, "it was written a moment ago");
        house
            .clock
            .advance(REFRESH_AFTER + Duration::from_micros(1));
        assert!(counts().await);
        house.ledger.sign_in_succeeded(&owner).await.unwrap();
        house
            .clock
            .advance(KNOWN_ADDRESS_TTL - Duration::from_micros(1));
        assert_eq!(house.ledger.prune().await.unwrap(), 0);
        house.clock.advance(Duration::from_micros(1));
        for _ in 0..3 {
            house
                .ledger
                .sign_in_failed(&guess("anna", 2))
                .await
                .unwrap();
        }
        assert!(
            limited(&house, &owner).await.is_some(),
            "the address is unknown again"
        );
        assert_eq!(house.ledger.prune().await.unwrap(), 1);
    }

    #[each_database]
    async fn a_user_of_the_verification_service_is_no_account_of_that_name(house: TestLedger) {
        let user = Guess::of_external_user("1", IpAddr::from([192, 0, 2, 1]));
        for last in 2..=4 {
            house
                .ledger
                .sign_in_failed(&guess("external user 1", last))
                .await
                .unwrap();
            house
                .ledger
                .sign_in_failed(&guess("1", last))
                .await
                .unwrap();
        }
        assert_eq!(limited(&house, &user).await, None);
    }

    #[each_database]
    async fn failures_that_count_no_more_are_pruned(house: TestLedger) {
        house
            .ledger
            .sign_in_failed(&guess("anna", 1))
            .await
            .unwrap();
        house.clock.advance(FAILURE_TTL - Duration::from_micros(1));
        assert_eq!(house.ledger.prune().await.unwrap(), 0);
        house.clock.advance(Duration::from_micros(1));
        assert_eq!(house.ledger.prune().await.unwrap(), 2);
    }
}
