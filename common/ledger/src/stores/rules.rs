//! A store's rules: hours, opening by hand, capacity and how busy it is; and the answers that follow from them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{StoreRefused, lock_stream};
use crate::{ChangeResult, CrashPoints, Ledger, Result, in_one_transaction, records::About};
use domain::{
    capacity::{Busy, Capacity, Room, Slot, StoreRules},
    event::EventKind,
    ids::StoreId,
    opening::{self, ByHand, Hours},
    order::{Fulfilment, rfc3339},
    record::{Action, Subject},
    store::Store,
};

/// A change of one part of a store's rules.
#[derive(Clone, Debug)]
pub enum RulesEdit {
    Hours(Hours),
    /// `None`: by the hours again.
    ByHand(Option<ByHand>),
    Capacity(Capacity),
    Busy(Busy),
}

/// A store with all that decides when it takes orders.
#[derive(Clone, Debug)]
pub struct StoreOpening {
    pub store: Store,
    pub rules: StoreRules,
    /// Number of orders that keep the kitchen busy, if a rule asks for it.
    pub open_orders: u32,
}

impl Ledger {
    /// Changes one part of a store's rules. Its screens are told.
    #[crate::boxed]
    pub async fn edit_store_rules(
        &self,
        id: StoreId,
        edit: RulesEdit,
    ) -> ChangeResult<StoreRules, StoreRefused> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            // This waits for orders that are being placed: none comes after the store was closed.
            lock_stream(change, id).await?;
            store::stores::get(&mut change.tx, id)
                .await?
                .filter(|store| store.archived_at.is_none())
                .ok_or(StoreRefused::NotFound)?;
            let before = store::store_rules::get(&mut change.tx, id).await?;
            let mut rules = before.clone();
            match edit.clone() {
                RulesEdit::Hours(hours) => rules.hours = hours,
                RulesEdit::ByHand(by_hand) => rules.by_hand = by_hand,
                RulesEdit::Capacity(capacity) => rules.capacity = capacity,
                RulesEdit::Busy(busy) => rules.busy = busy,
            }
            if rules != before {
                store::store_rules::set(&mut change.tx, id, &rules).await?;
                let about = About {
                    subject: Subject::Store,
                    id: id.uuid(),
                    stores: std::slice::from_ref(&id),
                };
                change.record(about, Action::Edited, Some(&before), &rules);
                let kind = EventKind::StoreOpeningChanged;
                change.event(id.into(), None, kind, told(&rules));
            }
            Ok(rules)
        })
    }

    /// Returns the store's rules; the default for a store that does not exist.
    #[crate::boxed]
    pub async fn store_rules(&self, id: StoreId) -> Result<StoreRules> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::store_rules::get(&mut tx, id).await?)
    }

    /// Returns all that decides when the store takes orders; `None` if it does not exist or is archived.
    #[crate::boxed]
    pub async fn store_opening(&self, id: StoreId) -> Result<Option<StoreOpening>> {
        let mut tx = self.inner.db.read().await?;
        let store = store::stores::get(&mut tx, id).await?;
        let Some(store) = store.filter(|store| store.archived_at.is_none()) else {
            return Ok(None);
        };
        let rules = store::store_rules::get(&mut tx, id).await?;
        let mut open_orders = 0;
        if rules.capacity.busy.open_orders.is_some() {
            let open =
                store::slots::count_open(&mut tx, &[id].into(), self.inner.clock.now()).await?;
            open_orders = open.get(&id).copied().unwrap_or_default();
        }
        Ok(Some(StoreOpening {
            store,
            rules,
            open_orders,
        }))
    }

    /// Returns at most `most` slots of the store in this stretch of time, with the room that is left; `None` if the
    /// store does not exist or is archived.
    #[crate::boxed]
    pub async fn slots(
        &self,
        id: StoreId,
        fulfilment: Fulfilment,
        range: Slot,
        most: usize,
    ) -> Result<Option<Vec<(Slot, Room)>>> {
        let Some(found) = self.store_opening(id).await? else {
            return Ok(None);
        };
        let (zone, capacity) = (opening::zone(&found.store.timezone), &found.rules.capacity);
        let mut held = Vec::new();
        if !capacity.is_unlimited() {
            let concerned = Slot {
                from: capacity.widest_slot(zone, range.from).from,
                to: capacity.widest_slot(zone, range.to).to,
            };
            let mut tx = self.inner.db.read().await?;
            let rows = store::slots::held(&mut tx, id, concerned).await?;
            held.extend(rows.into_iter().map(|(_, hold)| hold));
        }
        let opening = found.rules.opening(zone);
        let range = (range.from, range.to);
        Ok(Some(
            capacity.slots(&opening, &held, fulfilment, range, most),
        ))
    }
}

/// Returns the `data` of `store.opening_changed`.
fn told(rules: &StoreRules) -> Value {
    let time = |at: Option<DateTime<Utc>>| at.map(rfc3339);
    let by_hand = rules
        .by_hand
        .map(|by_hand| json!({"open": by_hand.open, "until": time(by_hand.until)}));
    json!({
        "by_hand": by_hand,
        "busy": {
            "adds_minutes": rules.busy.adds_minutes,
            "paused_until": time(rules.busy.paused_until),
        },
    })
}
