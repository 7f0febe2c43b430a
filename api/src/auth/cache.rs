//! A small cache, bounded in time and in number of entries.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use platform::clock::Clock;

/// Maximum number of entries. A full cache is cleared: simpler than evicting in some order, and rare.
const MOST: usize = 10_000;

#[derive(Debug)]
pub(super) struct Remembered<K, V> {
    clock: Clock,
    kept: Duration,
    found: Mutex<HashMap<K, (V, DateTime<Utc>)>>,
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    pub(super) fn new(clock: Clock, kept: Duration) -> Self {
        Self {
            clock,
            kept,
            found: Mutex::default(),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let now = self.clock.now();
        let found = self.found();
        let (value, until) = found.get(key)?;
        (now < *until).then(|| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V) {
        let until = self.clock.now() + self.kept;
        let mut found = self.found();
        if found.len() >= MOST {
            found.clear();
        }
        found.insert(key, (value, until));
    }

    pub(super) fn forget(&self, key: &K) {
        self.found().remove(key);
    }

    fn found(&self) -> MutexGuard<'_, HashMap<K, (V, DateTime<Utc>)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
