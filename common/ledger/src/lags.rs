//! How far workers are behind with each integrator through no fault of its, and how intake waits for them: orders that
//! come faster than they can be handed over would only grow old, and take the processor from those that wait.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::{Ledger, Result};
use domain::ids::{IntegratorId, StoreId};

/// Lag that changes nothing: a burst that is handed over in this time is no overload.
const USUAL: Duration = Duration::from_millis(100);
/// Longest pause between two batches of a store.
const MAX_PAUSE: Duration = Duration::from_millis(500);
/// Maximum number of integrators whose lags a worker tells.
const MAX_TOLD: usize = 64;
/// Time for which a lag of this process's lanes counts; they tell it four times a second.
const LOCAL_FOR: Duration = Duration::from_secs(1);
/// Time for which a lag counts that another process has written to the database.
const READ_FOR: Duration = Duration::from_secs(3);

/// Lags, as this process's lanes and other processes tell them. Empty while nobody is behind.
#[derive(Debug, Default)]
pub(crate) struct Lags(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Lags of this process's lanes.
    own: HashMap<IntegratorId, Lag>,
    /// Lags of other processes, as they were last read; told to nobody.
    heard: HashMap<IntegratorId, Lag>,
    /// Integrators of the stores whose orders came meanwhile.
    stores: HashMap<StoreId, Vec<IntegratorId>>,
    has_intake: bool,
}

#[derive(Clone, Copy, Debug)]
struct Lag {
    lag: Duration,
    until: DateTime<Utc>,
}

impl State {
    fn is_quiet(&self) -> bool {
        self.own.is_empty() && self.heard.is_empty()
    }

    fn forget_stores_if_quiet(&mut self) {
        if self.is_quiet() {
            self.stores.clear();
        }
    }
}

impl Lags {
    pub(crate) fn note(&self, integrator: IntegratorId, lag: Duration, until: DateTime<Utc>) {
        let mut state = self.0.lock();
        if lag > USUAL {
            state.own.insert(integrator, Lag { lag, until });
        } else {
            state.own.remove(&integrator);
            state.forget_stores_if_quiet();
        }
    }

    /// Replaces what other processes have told.
    fn hear(&self, heard: HashMap<IntegratorId, Lag>) {
        let mut state = self.0.lock();
        state.heard = heard;
        state.forget_stores_if_quiet();
    }

    /// Notes which integrators get the orders of these stores.
    pub(crate) fn note_stores<'a>(
        &self,
        stores: impl Iterator<Item = (&'a StoreId, Vec<IntegratorId>)>,
    ) {
        let mut state = self.0.lock();
        state.has_intake = true;
        if !state.is_quiet() {
            state.stores.extend(stores.map(|(id, of)| (*id, of)));
        }
    }

    /// Returns how far the store's orders are behind.
    fn of_store(&self, store: StoreId, now: DateTime<Utc>) -> Duration {
        let state = self.0.lock();
        let known = state.stores.get(&store).into_iter().flatten();
        let lags = known
            .flat_map(|id| [state.own.get(id), state.heard.get(id)])
            .flatten()
            .filter(|lag| now < lag.until)
            .map(|lag| lag.lag);
        lags.max().unwrap_or_default()
    }

    /// Returns how long the store's next batch waits.
    pub(crate) fn pause(&self, store: StoreId, now: DateTime<Utc>) -> Duration {
        let lag = self.of_store(store, now);
        (lag.saturating_sub(USUAL) / 2).min(MAX_PAUSE)
    }

    /// Returns the share of the store's orders to refuse, so that none waits for longer than `max`: from half of it on,
    /// more and more of them.
    pub(crate) fn share_to_refuse(
        &self,
        store: StoreId,
        max: Option<Duration>,
        now: DateTime<Utc>,
    ) -> f64 {
        let Some(max) = max else { return 0.0 };
        let (lag, half) = (self.of_store(store, now), max / 2);
        // Refused orders are orders that came: their lags are read too.
        self.0.lock().has_intake |= !lag.is_zero();
        (lag.saturating_sub(half).as_secs_f64() / half.as_secs_f64()).min(1.0)
    }

    fn current(&self, now: DateTime<Utc>) -> BTreeMap<IntegratorId, Duration> {
        let state = self.0.lock();
        let current = state.own.iter().filter(|(_, lag)| now < lag.until);
        current.map(|(id, lag)| (*id, lag.lag)).collect()
    }
}

impl Ledger {
    /// Notes how long handoffs of an integrator wait for this process alone; zero if it is not behind.
    pub fn note_lag(&self, integrator: IntegratorId, lag: Duration) {
        let until = self.inner.clock.now() + LOCAL_FOR;
        self.inner.lags.note(integrator, lag, until);
    }

    /// Returns how far this process's lanes are behind, by integrator; empty if they are not.
    #[must_use]
    pub fn lags(&self) -> BTreeMap<IntegratorId, Duration> {
        self.inner.lags.current(self.inner.clock.now())
    }

    /// Returns the largest lags in milliseconds, by integrator.
    pub(crate) fn largest_lags(&self) -> Vec<(IntegratorId, u32)> {
        let ms = |lag: Duration| u32::try_from(lag.as_millis()).unwrap_or(u32::MAX);
        let mut lags: Vec<_> = self
            .lags()
            .into_iter()
            .map(|(id, lag)| (id, ms(lag)))
            .collect();
        lags.sort_by_key(|(_, lag_ms)| std::cmp::Reverse(*lag_ms));
        lags.truncate(MAX_TOLD);
        lags
    }

    /// Reads how far other processes' workers are behind, if orders came since the last time.
    #[crate::boxed]
    pub async fn read_lags(&self) -> Result<()> {
        if !std::mem::take(&mut self.inner.lags.0.lock().has_intake) {
            return Ok(());
        }
        let mut tx = self.inner.db.read().await?;
        let mut heard: HashMap<IntegratorId, Lag> = HashMap::new();
        for member in store::workers::all(&mut tx).await? {
            for (integrator, lag_ms) in member.lags {
                let lag = Lag {
                    lag: Duration::from_millis(lag_ms.into()),
                    until: member.seen_at + READ_FOR,
                };
                let known = heard.entry(integrator).or_insert(lag);
                if known.lag < lag.lag {
                    *known = lag;
                }
            }
        }
        self.inner.lags.hear(heard);
        Ok(())
    }
}
