//! Menus that are ready to be sent. Each copy is proved right, with one statement, before it is used (ADR 41).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ids::{ProductId, StoreId},
    language::Language,
    menu,
};
use ledger::{
    Ledger, Result,
    menus::{MenuRead, MenuStamp},
};
use parking_lot::Mutex;

use super::Rendered;

/// Age at which a copy is read anew although nothing seems to have changed: a process of an older version may have
/// changed the menu without counting it.
const MAX_AGE: TimeDelta = TimeDelta::seconds(60);

/// Menus of all stores, in all languages that somebody asked for.
#[derive(Debug)]
pub(crate) struct Menus {
    ledger: Ledger,
    max_bytes: usize,
    slots: Mutex<HashMap<StoreId, Arc<Slot>>>,
    uses: AtomicU64,
}

/// One store's menu.
#[derive(Debug, Default)]
struct Slot {
    /// Locked while the menu is read, so that requests at one time read it once.
    copy: tokio::sync::Mutex<Option<Copied>>,
    bytes: AtomicUsize,
    last_use: AtomicU64,
}

#[derive(Debug)]
struct Copied {
    menu: menu::Menu,
    stamp: MenuStamp,
    stocks: Vec<(ProductId, i64)>,
    languages: Vec<Language>,
    rendered: HashMap<Language, Rendered>,
}

impl Menus {
    pub(crate) fn new(ledger: &Ledger, max_bytes: usize) -> Self {
        Self {
            ledger: ledger.clone(),
            max_bytes,
            slots: Mutex::default(),
            uses: AtomicU64::new(0),
        }
    }

    /// Returns the store's menu in the best of the wanted languages; `None` if the store does not exist or is archived.
    pub(crate) async fn get(
        &self,
        store: StoreId,
        wanted: &[Language],
    ) -> Result<Option<Rendered>> {
        let Some(stamp) = self.ledger.menu_stamp(store).await? else {
            self.slots.lock().remove(&store);
            return Ok(None);
        };
        let slot = self.slot(store);
        let mut copy = slot.copy.lock().await;
        if let Some(kept) = copy.as_mut()
            && self.is_right(kept, store, stamp).await?
        {
            let (rendered, bytes) = kept.in_language(wanted);
            self.note(&slot, bytes);
            return Ok(Some(rendered));
        }
        *copy = None;
        let Some(read) = self.ledger.menu(store).await? else {
            return Ok(None);
        };
        let (rendered, bytes) = copy.insert(read.into()).in_language(wanted);
        self.note(&slot, bytes);
        Ok(Some(rendered))
    }

    /// Returns true if the copy shows the menu as it is now.
    async fn is_right(&self, kept: &mut Copied, store: StoreId, stamp: MenuStamp) -> Result<bool> {
        let now = self.ledger.clock().now();
        if !kept.is_fresh(now) || !kept.menu.holds_at(now) {
            return Ok(false);
        }
        if kept.stamp == stamp {
            return Ok(true);
        }
        // Another request may have read the menu since: then its stamp is newer than ours.
        let Some(stamp) = self.ledger.menu_stamp(store).await? else {
            return Ok(false);
        };
        if (kept.stamp.store, kept.stamp.menu) != (stamp.store, stamp.menu) {
            return Ok(false);
        }
        // Only orders came in, and orders change nothing but stock.
        let is_right = kept.stamp.orders == stamp.orders
            || kept.stocks.is_empty()
            || kept.stocks == self.ledger.menu_stocks(store).await?;
        if is_right {
            kept.stamp = stamp;
        }
        Ok(is_right)
    }

    fn slot(&self, store: StoreId) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        Arc::clone(slots.entry(store).or_default())
    }

    /// Notes a use of the copy and its size, and drops the copies that were used longest ago if there are too many.
    fn note(&self, slot: &Arc<Slot>, bytes: usize) {
        let uses = self.uses.fetch_add(1, Ordering::Relaxed) + 1;
        slot.last_use.store(uses, Ordering::Relaxed);
        if slot.bytes.swap(bytes, Ordering::Relaxed) >= bytes {
            return;
        }
        let mut slots = self.slots.lock();
        let size = |slot: &Slot| slot.bytes.load(Ordering::Relaxed);
        let mut total: usize = slots.values().map(|slot| size(slot)).sum();
        while total > self.max_bytes {
            let oldest = slots
                .iter()
                .min_by_key(|(_, slot)| slot.last_use.load(Ordering::Relaxed))
                .map(|(store, _)| *store);
            let Some(dropped) = oldest.and_then(|store| slots.remove(&store)) else {
                return;
            };
            total -= size(&dropped);
        }
    }
}

impl Copied {
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        // The clock may have been set back.
        (now - self.menu.at).abs() < MAX_AGE
    }

    /// Returns the menu in the best of the wanted languages, and the size of the copy in all languages.
    fn in_language(&mut self, wanted: &[Language]) -> (Rendered, usize) {
        let main = &self.menu.store.language;
        let language = Language::choose(&self.languages, wanted).unwrap_or(main);
        let rendered = match self.rendered.get(language) {
            Some(rendered) => rendered.clone(),
            None => {
                let rendered = Rendered::of(&self.menu, language, &self.languages);
                self.rendered.insert(language.clone(), rendered.clone());
                rendered
            }
        };
        // The menu itself takes about as much as it does in one language.
        let texts: usize = self.rendered.values().map(|one| one.body.len()).sum();
        let bytes = texts + rendered.body.len();
        (rendered, bytes)
    }
}

impl From<MenuRead> for Copied {
    fn from(read: MenuRead) -> Self {
        Self {
            languages: read.menu.languages(),
            menu: read.menu,
            stamp: read.stamp,
            stocks: read.stocks,
            rendered: HashMap::new(),
        }
    }
}
