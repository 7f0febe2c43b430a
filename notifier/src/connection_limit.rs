//! Limits the live channels per client address, so that one client cannot use up all sockets.

use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, sync::Arc};

use runtime::client::ClientAddress;

#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit {
    max_per_address: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Guard of one channel in its address's count; released on drop.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    connection_limit: ConnectionLimit,
    address: IpAddr,
}

impl ConnectionLimit {
    pub(crate) fn new(max_per_address: usize) -> Self {
        Self {
            max_per_address,
            counts: Arc::default(),
        }
    }

    /// Counts one more channel for the address; `None` if it has reached the limit.
    pub(crate) fn take(&self, client: ClientAddress) -> Option<ConnectionGuard> {
        let ClientAddress(address) = client;
        let mut counts = self.counts.lock();
        let held = counts.entry(address).or_default();
        if *held >= self.max_per_address {
            return None;
        }
        *held += 1;
        Some(ConnectionGuard {
            connection_limit: self.clone(),
            address,
        })
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut counts = self.connection_limit.counts.lock();
        if let Some(held) = counts.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_no_more_and_nothing_is_kept_of_one_that_left() {
        let connection_limit = ConnectionLimit::new(2);
        let client = |last| ClientAddress(IpAddr::from([192, 0, 2, last]));
        let (first, _second) = (
            connection_limit.take(client(1)),
            connection_limit.take(client(1)),
        );
        assert!(first.is_some() && connection_limit.take(client(1)).is_none());
        let other = connection_limit.take(client(2));
        assert!(other.is_some(), "addresses have separate limits");
        drop(first);
        let again = connection_limit.take(client(1));
        assert!(again.is_some() && connection_limit.take(client(1)).is_none());
        drop((other, again));
        assert_eq!(
            *connection_limit.counts.lock(),
            HashMap::from([(client(1).0, 1)])
        );
    }
}
