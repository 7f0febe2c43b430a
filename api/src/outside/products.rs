//! Products of the products service: copied into our own products before they are displayed or ordered. Their sku is
//! the service's id (ADR 9).

use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{ids::StoreId, money::Money, store::Store};
use ledger::{Ledger, menus::MAX_MENU_PRODUCTS, products::ListedProduct};
use serde_json::Value;

use super::{
    external_id::id_text,
    service::{Answer, Service},
};
use crate::http::problem::Problem;

/// How long a store's products are not fetched again.
const FRESH_FOR: TimeDelta = TimeDelta::seconds(10);
const NOT_FOUND: u16 = 404;
const MAX_NAME_LENGTH: usize = 200;
const MAX_DESCRIPTION_LENGTH: usize = 2000;

#[derive(Debug)]
pub(crate) enum Products {
    /// No service: our own products only.
    Local,
    Remote(Box<Remote>),
}

#[derive(Debug)]
pub(crate) struct Remote {
    service: Service,
    ledger: Ledger,
    /// One entry for each existing store whose products were requested.
    fetch_state: Mutex<HashMap<StoreId, Arc<FetchState>>>,
}

#[derive(Debug, Default)]
struct FetchState {
    /// Locked during a fetch, so that concurrent requests fetch once.
    fresh_until: tokio::sync::Mutex<Option<DateTime<Utc>>>,
    /// Number of failed fetches: a request that waited during a failure fails too instead of fetching again.
    failures: AtomicU64,
}

impl Products {
    pub(super) fn new(ledger: &Ledger, service: Option<Service>) -> Self {
        let there = |service| Remote {
            service,
            ledger: ledger.clone(),
            fetch_state: Mutex::default(),
        };
        service.map_or(Self::Local, |service| {
            Self::Remote(Box::new(there(service)))
        })
    }

    /// Copies the store's products from the service unless that was done a moment ago. Does nothing for a store that is
    /// not a location of the service or does not exist.
    pub(crate) async fn refresh(&self, store: StoreId) -> Result<(), Problem> {
        match self {
            Self::Local => Ok(()),
            Self::Remote(there) => there.refresh(store).await,
        }
    }
}

impl Remote {
    async fn refresh(&self, id: StoreId) -> Result<(), Problem> {
        let known = self.fetch_state().get(&id).cloned();
        let fetch_state = match known {
            Some(fetch_state) => fetch_state,
            None if self.ledger.store(id).await?.is_none() => return Ok(()),
            None => Arc::clone(self.fetch_state().entry(id).or_default()),
        };
        let failures = fetch_state.failures.load(Ordering::Acquire);
        let mut fresh_until = fetch_state.fresh_until.lock().await;
        let now = self.ledger.clock().now();
        if fresh_until.is_some_and(|until| now < until) {
            return Ok(());
        }
        if fetch_state.failures.load(Ordering::Acquire) > failures {
            return Err(self
                .service
                .unavailable("a concurrent request to it has just failed"));
        }
        let store = self.ledger.store(id).await?;
        if let Some((store, location)) = store
            .as_ref()
            .and_then(|store| Some((store, store.external_location_id.as_deref()?)))
        {
            let listed = self.listed(store, location).await.inspect_err(|_| {
                fetch_state.failures.fetch_add(1, Ordering::AcqRel);
            })?;
            self.ledger.import_products(id, &listed).await?;
        }
        *fresh_until = Some(now + FRESH_FOR);
        Ok(())
    }

    async fn listed(&self, store: &Store, location: &str) -> Result<Vec<ListedProduct>, Problem> {
        let query = [("location_id", location)];
        let answer = self.service.get(&["find"], &query, &[NOT_FOUND]).await?;
        let Answer::Yes(answer) = answer else {
            return Err(
                Problem::not_found().detail("The products service does not know this store.")
            );
        };
        read(store, &answer).map_err(|what| self.service.invalid_response(what))
    }

    fn fetch_state(&self) -> MutexGuard<'_, HashMap<StoreId, Arc<FetchState>>> {
        // No code that holds the lock can leave the map half-changed.
        self.fetch_state.lock()
    }
}

/// Reads the list of products. One invalid product fails the whole list: a partial list would take the other products
/// off sale.
fn read(store: &Store, answer: &Value) -> Result<Vec<ListedProduct>, &'static str> {
    let items = answer.as_array().ok_or("not a list")?;
    if items.len() > MAX_MENU_PRODUCTS as usize {
        return Err("more products than a menu may have");
    }
    let mut ids = BTreeSet::new();
    let mut listed = Vec::with_capacity(items.len());
    for item in items {
        let product = read_one(store, &item["product"])?;
        if !ids.insert(product.external_id.clone()) {
            return Err("a product is listed twice");
        }
        listed.push(product);
    }
    Ok(listed)
}

fn read_one(store: &Store, product: &Value) -> Result<ListedProduct, &'static str> {
    let text = |field: &str| product[field].as_str();
    let fits = |text: &&str, most| text.chars().count() <= most;
    let description = match &product["description"] {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        _ => Some(
            text("description")
                .filter(|text| fits(text, MAX_DESCRIPTION_LENGTH))
                .ok_or("a product's description is invalid")?
                .to_owned(),
        ),
    };
    Ok(ListedProduct {
        external_id: id_text(&product["id"]).ok_or("a product's id is invalid")?,
        name: text("name")
            .filter(|name| !name.trim().is_empty() && fits(name, MAX_NAME_LENGTH))
            .ok_or("a product's name is invalid")?
            .to_owned(),
        description,
        // Parsed as a decimal, never via a float.
        price: text("price")
            .and_then(|price| Money::from_decimal(price, store.currency))
            .ok_or("a product's price is not a decimal in the store's currency")?,
    })
}
