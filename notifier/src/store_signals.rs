//! Signals to the guests of a store that its menu, hours or pause have changed. A signal has no number and is kept nowhere:
//! the guest's page asks the API what is true now.

use parking_lot::Mutex;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use domain::{
    event::{Event, EventKind},
    ids::StoreId,
};
use tokio::sync::watch;

/// Stores whose guests want signals. Shared because channels subscribe and the feed task signals; guarded by the mutex,
/// never held across an await. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreSignals(Arc<Mutex<HashMap<StoreId, watch::Sender<()>>>>);

/// Subscription of one channel. Signals that come while the channel is busy are one.
pub(crate) type StoreSignal = watch::Receiver<()>;

impl StoreSignals {
    pub(crate) fn listen(&self, store: StoreId) -> StoreSignal {
        self.0.lock().entry(store).or_default().subscribe()
    }

    /// Signals if the event, which is on the store's own stream, changes what its guests may order.
    pub(crate) fn handle_event(&self, event: &Event) {
        let is_for_guests = matches!(
            event.kind,
            EventKind::StorePaused
                | EventKind::StoreOpeningChanged
                | EventKind::ProductAvailability
        );
        if !is_for_guests {
            return;
        }
        let mut stores = self.0.lock();
        if let Entry::Occupied(signal) = stores.entry(event.store_id)
            && signal.get().send(()).is_err()
        {
            // Nobody listens any more.
            signal.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::fixtures;

    fn event(store: u128, kind: EventKind) -> Event {
        Event {
            store_id: Uuid::from_u128(store).into(),
            kind,
            ..fixtures::event(1)
        }
    }

    #[test]
    fn a_channel_is_signalled_by_what_changes_the_offer_of_its_own_store_only() {
        let signals = StoreSignals::default();
        let mut mine = signals.listen(Uuid::from_u128(1).into());
        let other = signals.listen(Uuid::from_u128(2).into());
        for kind in EventKind::ALL {
            signals.handle_event(&event(1, *kind));
            let expected = matches!(
                kind.as_str(),
                "store.paused" | "store.opening_changed" | "product.availability"
            );
            assert_eq!(mine.has_changed().unwrap(), expected, "{kind}");
            mine.mark_unchanged();
        }
        assert!(!other.has_changed().unwrap());
    }

    #[test]
    fn a_store_without_listeners_is_forgotten_with_its_next_event() {
        let signals = StoreSignals::default();
        drop(signals.listen(Uuid::from_u128(1).into()));
        signals.handle_event(&event(1, EventKind::StorePaused));
        assert!(signals.0.lock().is_empty());
    }
}
