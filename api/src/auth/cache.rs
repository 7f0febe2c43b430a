//! A small cache, bounded in time and in number of entries.

use parking_lot::Mutex;
use std::{collections::HashMap, hash::Hash, time::Duration};

use chrono::{DateTime, Utc};
use platform::clock::Clock;

/// Maximum number of entries. A full cache is cleared: simpler than evicting in some order, and rare.
const MAX_ENTRIES: usize = 10_000;

#[derive(Debug)]
pub(super) struct TtlCache<K, V> {
    clock: Clock,
    ttl: Duration,
    entries: Mutex<HashMap<K, (V, DateTime<Utc>)>>,
}

impl<K: Eq + Hash, V: Clone> TtlCache<K, V> {
    pub(super) fn new(clock: Clock, ttl: Duration) -> Self {
        Self {
            clock,
            ttl,
            entries: Mutex::default(),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let now = self.clock.now();
        let entries = self.entries.lock();
        let (value, until) = entries.get(key)?;
        (now < *until).then(|| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V) {
        let until = self.clock.now() + self.ttl;
        let mut entries = self.entries.lock();
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(key, (value, until));
    }

    pub(super) fn forget(&self, key: &K) {
        self.entries.lock().remove(key);
    }

    pub(super) fn clear(&self) {
        self.entries.lock().clear();
    }
}
