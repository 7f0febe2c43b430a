//! Limits the live channels, sockets and event streams together: all of them, those of one client address, and those of
//! one holder, so that nobody can use up all.

use parking_lot::Mutex;
use std::{collections::HashMap, hash::Hash, net::IpAddr, sync::Arc};

use domain::ids::{AccountId, SessionId};
use runtime::client::ClientAddress;

use crate::refusal::Refusal;

/// Holder of channels: who has a table's code, however it is spelled and from whatever address, or an account,
/// however many tickets it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Session(SessionId),
    Account(AccountId),
}

/// Limits of all channels together and of each key's.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit<K = IpAddr> {
    max: usize,
    max_of_each: usize,
    counts: Arc<Mutex<Counts<K>>>,
}

#[derive(Debug)]
struct Counts<K> {
    all: usize,
    by_key: HashMap<K, usize>,
}

/// Limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    All,
    Key,
}

/// Guard of one channel in the count of its address or holder; released on drop.
#[derive(Debug)]
pub(crate) struct ConnectionGuard<K: Copy + Eq + Hash = IpAddr> {
    connection_limit: ConnectionLimit<K>,
    key: K,
}

impl ConnectionLimit {
    /// Counts one more channel for the address, unless a limit is reached.
    pub(crate) fn take(&self, client: ClientAddress) -> Result<ConnectionGuard, Refusal> {
        let ClientAddress(address) = client;
        self.take_for(address).map_err(|full| match full {
            Full::All => Refusal::OVERLOADED,
            Full::Key => Refusal::TOO_MANY,
        })
    }
}

impl<K: Copy + Eq + Hash> ConnectionLimit<K> {
    pub(crate) fn new(max: usize, max_of_each: usize) -> Self {
        Self {
            max,
            max_of_each,
            counts: Arc::new(Mutex::new(Counts {
                all: 0,
                by_key: HashMap::new(),
            })),
        }
    }

    pub(crate) fn take_for(&self, key: K) -> Result<ConnectionGuard<K>, Full> {
        let mut counts = self.counts.lock();
        if counts.all >= self.max {
            return Err(Full::All);
        }
        let held = counts.by_key.entry(key).or_default();
        if *held >= self.max_of_each {
            return Err(Full::Key);
        }
        *held += 1;
        counts.all += 1;
        Ok(ConnectionGuard {
            connection_limit: self.clone(),
            key,
        })
    }
}

impl<K: Copy + Eq + Hash> Drop for ConnectionGuard<K> {
    fn drop(&mut self) {
        let mut counts = self.connection_limit.counts.lock();
        counts.all -= 1;
        if let Some(held) = counts.by_key.get_mut(&self.key) {
            *held -= 1;
            if *held == 0 {
                counts.by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> ClientAddress {
        ClientAddress(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn an_address_has_its_places_and_no_more_and_nothing_is_kept_of_one_that_left() {
        let connection_limit = ConnectionLimit::new(100, 2);
        let take = |last| connection_limit.take(client(last));
        let (first, _second) = (take(1), take(1));
        assert!(first.is_ok());
        assert_eq!(take(1).unwrap_err(), Refusal::TOO_MANY);
        let other = take(2);
        assert!(other.is_ok(), "addresses have separate limits");
        drop(first);
        let again = take(1);
        assert!(again.is_ok() && take(1).is_err());
        drop((other, again));
        let counts = connection_limit.counts.lock();
        assert_eq!(counts.by_key, HashMap::from([(client(1).0, 1)]));
        assert_eq!(counts.all, 1);
    }

    #[test]
    fn all_addresses_together_have_so_many_places() {
        let connection_limit = ConnectionLimit::new(2, 2);
        let take = |last| connection_limit.take(client(last));
        let (first, _second) = (take(1), take(2));
        assert_eq!(take(3).unwrap_err(), Refusal::OVERLOADED);
        drop(first);
        assert!(take(3).is_ok());
    }
}
