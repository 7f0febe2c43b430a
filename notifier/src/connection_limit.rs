//! Limits the live channels, sockets and event streams together: all of them, and those of one client address, so that
//! one client cannot use up all.

use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, sync::Arc};

use runtime::client::ClientAddress;

use crate::refusal::Refusal;

#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit {
    max: usize,
    max_per_address: usize,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Guard of one channel in its address's count; released on drop.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    connection_limit: ConnectionLimit,
    address: IpAddr,
}

impl ConnectionLimit {
    pub(crate) fn new(max: usize, max_per_address: usize) -> Self {
        Self {
            max,
            max_per_address,
            counts: Arc::default(),
        }
    }

    /// Counts one more channel for the address, unless a limit is reached.
    pub(crate) fn take(&self, client: ClientAddress) -> Result<ConnectionGuard, Refusal> {
        let ClientAddress(address) = client;
        let mut counts = self.counts.lock();
        if counts.all >= self.max {
            return Err(Refusal::OVERLOADED);
        }
        let held = counts.by_address.entry(address).or_default();
        if *held >= self.max_per_address {
            return Err(Refusal::TOO_MANY);
        }
        *held += 1;
        counts.all += 1;
        Ok(ConnectionGuard {
            connection_limit: self.clone(),
            address,
        })
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut counts = self.connection_limit.counts.lock();
        counts.all -= 1;
        if let Some(held) = counts.by_address.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                counts.by_address.remove(&self.address);
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
        assert_eq!(counts.by_address, HashMap::from([(client(1).0, 1)]));
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
