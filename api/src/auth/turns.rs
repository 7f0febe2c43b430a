//! Turns at hashing: nobody holds more than a few of the places, however many requests they send.
//!
//! A password for one name at one address is hashed after the other; of the names at one address, which take turns, a
//! few come at once to the places that all addresses share, where they take turns too.

use std::sync::Arc;

use domain::ids::AccountId;
use platform::{clock::Clock, secrets::sha256};

use super::queue::{QueuePosition, Queues};
use crate::http::{
    limits::{ClientAddress, bucket::Buckets, limited},
    problem::Problem,
};

/// Person or program that a password is hashed for, as far as it can be told before the password is verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester {
    address: [u8; 32],
    /// The name at that address.
    both: [u8; 32],
}

impl Requester {
    pub(super) fn username(username: &str, address: ClientAddress) -> Self {
        Self::of("username", username, address)
    }

    /// Creates a requester for a user of the verification service, which has its own names.
    pub(super) fn external_user(user_id: &str, address: ClientAddress) -> Self {
        Self::of("external user", user_id, address)
    }

    /// Creates a requester for an account that has authenticated.
    pub(crate) fn account(account: AccountId, address: ClientAddress) -> Self {
        Self::of("account", &account.uuid().to_string(), address)
    }

    /// Creates a requester for registrations, of which an address counts all together: each has a new name.
    pub(crate) fn registration(address: ClientAddress) -> Self {
        Self::of("registration", "", address)
    }

    pub(super) fn mark(&self) -> [u8; 32] {
        self.both
    }

    fn of(kind: &str, name: &str, address: ClientAddress) -> Self {
        let address = address.0;
        Self {
            address: sha256(address.to_string().as_bytes()),
            both: sha256(format!("{address} {kind} {name}").as_bytes()),
        }
    }
}

/// Turns of one process.
#[derive(Debug)]
pub(super) struct Turns {
    names: Queues,
    addresses: Queues,
    /// Hashes of one address that run, or wait for those of other addresses.
    per_address: usize,
    counted: Buckets<[u8; 32]>,
    clock: Clock,
}

/// A turn, which lasts until it is dropped.
pub(super) type Turn = [QueuePosition; 2];

/// The turn of a name at its address, before the address's own.
#[derive(Debug)]
pub(super) struct NameTurn<'a> {
    turns: &'a Turns,
    requester: Requester,
    position: QueuePosition,
}

impl Turns {
    /// Creates turns at `places` places, half of which one address may have; `per_minute` is for one requester.
    pub(super) fn new(places: usize, per_minute: u32, clock: &Clock) -> Self {
        Self {
            names: Queues::default(),
            addresses: Queues::default(),
            per_address: (places / 2).max(1),
            counted: Buckets::new(per_minute),
            clock: clock.clone(),
        }
    }

    /// Waits until no other hash for this name at this address runs; 503 if too many wait for that.
    pub(super) async fn of(&self, requester: Requester) -> Result<NameTurn<'_>, Problem> {
        Ok(NameTurn {
            turns: self,
            requester,
            position: self.names.turn(requester.both, 1).await?,
        })
    }
}

impl NameTurn<'_> {
    pub(super) fn requester(&self) -> Requester {
        self.requester
    }

    /// Counts the hash, whether the password is right or not, and waits for the turn of the address.
    pub(super) async fn at_address(self) -> Result<Arc<Turn>, Problem> {
        let (turns, requester) = (self.turns, self.requester);
        let taken = turns.counted.take(requester.both, turns.clock.now());
        if let Some(wait) = taken.and_then(|taken| taken.wait) {
            return Err(limited(wait));
        }
        let addresses = &turns.addresses;
        let of_address = addresses.turn(requester.address, turns.per_address).await?;
        Ok(Arc::new([self.position, of_address]))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt;

    use super::*;
    use crate::{auth::queue::MAX_WAITING, http::problem::Reason};
    use store::testing::noon;

    fn turns(places: usize, per_minute: u32) -> Turns {
        Turns::new(places, per_minute, &Clock::manual(noon()))
    }

    fn address(last: u8) -> ClientAddress {
        ClientAddress(IpAddr::from([192, 0, 2, last]))
    }

    async fn turn(turns: &Turns, name: &str, last: u8) -> Result<Arc<Turn>, Problem> {
        let requester = Requester::username(name, address(last));
        turns.of(requester).await?.at_address().await
    }

    #[tokio::test]
    async fn one_address_has_half_of_the_places_and_at_least_one() {
        for (places, most) in [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4)] {
            let turns = turns(places, 0);
            let mut had = Vec::new();
            for name in 0..most {
                had.push(turn(&turns, &name.to_string(), 1).await.unwrap());
            }
            assert!(turn(&turns, "more", 1).now_or_never().is_none(), "{places}");
            assert!(turn(&turns, "other", 2).now_or_never().is_some());
            had.pop();
            assert!(turn(&turns, "more", 1).now_or_never().is_some());
        }
    }

    #[tokio::test]
    async fn one_name_has_one_place_and_the_others_at_the_address_do_not_wait_behind_its_crowd() {
        let turns = turns(4, 0);
        let had = turn(&turns, "anna", 1).await.unwrap();
        let mut crowd: Vec<_> = (0..MAX_WAITING)
            .map(|_| Box::pin(turn(&turns, "anna", 1)))
            .collect();
        for one in &mut crowd {
            assert!(one.now_or_never().is_none());
        }
        let refused = turn(&turns, "anna", 1).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::Overloaded);
        assert!(turn(&turns, "ben", 1).now_or_never().is_some());
        assert!(turn(&turns, "anna", 2).now_or_never().is_some());
        drop(had);
        assert!(
            (&mut crowd[0])
                .now_or_never()
                .is_some_and(|turn| turn.is_ok())
        );
    }

    #[tokio::test]
    async fn a_requester_is_counted_right_or_wrong_and_no_other_one_with_it() {
        let turns = turns(4, 3);
        for _ in 0..3 {
            turn(&turns, "anna", 1).await.unwrap();
        }
        let refused = turn(&turns, "anna", 1).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::RateLimited);
        turn(&turns, "anna", 2).await.unwrap();
        turn(&turns, "ben", 1).await.unwrap();
        turns.clock.advance(std::time::Duration::from_secs(20));
        turn(&turns, "anna", 1).await.unwrap();
    }
}
