//! Limits the live channels per client address, so that one client cannot use up all sockets.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use runtime::client::ClientAddress;

#[derive(Clone, Debug)]
pub(crate) struct Places {
    each: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Guard of one channel in its address's count; released on drop.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    pub(crate) fn new(each: usize) -> Self {
        Self {
            each,
            taken: Arc::default(),
        }
    }

    /// Counts one more channel for the address; `None` if it has reached the limit.
    pub(crate) fn take(&self, client: ClientAddress) -> Option<Place> {
        let ClientAddress(address) = client;
        let mut taken = self.taken();
        let held = taken.entry(address).or_default();
        if *held >= self.each {
            return None;
        }
        *held += 1;
        Some(Place {
            places: self.clone(),
            address,
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(held) = taken.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_no_more_and_nothing_is_kept_of_one_that_left() {
        let places = Places::new(2);
        let client = |last| ClientAddress(IpAddr::from([192, 0, 2, last]));
        let (first, _second) = (places.take(client(1)), places.take(client(1)));
        assert!(first.is_some() && places.take(client(1)).is_none());
        let other = places.take(client(2));
        assert!(other.is_some(), "addresses have separate limits");
        drop(first);
        let again = places.take(client(1));
        assert!(again.is_some() && places.take(client(1)).is_none());
        drop((other, again));
        assert_eq!(*places.taken(), HashMap::from([(client(1).0, 1)]));
    }
}
