//! Finds what new orders would repeat: by idempotency key, by reference, or as a replacement.

use std::collections::HashMap;

use uuid::Uuid;

use super::{PlaceOrder, Placer, distinct};
use domain::ids::OrderId;
use store::idempotency::KeyRow;

/// Existing orders, by what a new order would repeat.
pub(super) struct ExistingOrders {
    keys: HashMap<(Uuid, String), KeyRow>,
    references: HashMap<(Uuid, String), OrderId>,
    /// Hash of the guest key that placed an order, for those whose key or reference is kept in the scope of a table.
    guests: HashMap<OrderId, Option<Vec<u8>>>,
    /// Replacements by the order that they replaced.
    replacements: HashMap<OrderId, OrderId>,
}

impl ExistingOrders {
    pub(super) async fn find(tx: &mut store::Tx, orders: &[&PlaceOrder]) -> store::Result<Self> {
        let keys: Vec<(Uuid, &str)> = orders
            .iter()
            .flat_map(|order| {
                let own = order.idempotency.as_ref();
                let own = own.map(|it| (it.owner, it.key.as_str()));
                own.into_iter().chain(order.table_key())
            })
            .collect();
        let references: Vec<(Uuid, &str)> = orders
            .iter()
            .flat_map(|order| {
                let scopes = [Some(order.placed_by()), order.table_scope()];
                let scopes = scopes.into_iter().flatten();
                scopes.filter_map(|scope| Some((scope, order.reference.as_deref()?)))
            })
            .collect();
        let replaced: Vec<OrderId> = orders.iter().filter_map(|order| order.replaces).collect();
        // Keys last: a twin that commits meanwhile, on a session that is not locked here, is then found by its key, and
        // its request is repeated instead of refused.
        let references = store::orders::find_by_references(tx, &references).await?;
        let replacements = store::orders::replacements(tx, &replaced).await?;
        let keys = if keys.is_empty() {
            Vec::new()
        } else {
            store::idempotency::find(tx, &keys).await?
        };
        let mut known = Self {
            keys: keys
                .into_iter()
                .map(|row| ((row.owner, row.key.clone()), row))
                .collect(),
            references,
            guests: HashMap::new(),
            replacements,
        };
        let of_tables = orders.iter().flat_map(|order| {
            let by_key = known.table_row(order).map(|row| row.resource_id.into());
            let by_reference = known.with_reference(order, order.table_scope());
            by_key.into_iter().chain(by_reference)
        });
        let of_tables = distinct(of_tables);
        known.guests = store::orders::guests_of(tx, &of_tables).await?;
        Ok(known)
    }

    /// Returns the row of the order's idempotency key.
    pub(super) fn key(&self, order: &PlaceOrder) -> Option<&KeyRow> {
        let it = order.idempotency.as_ref()?;
        self.keys.get(&(it.owner, it.key.clone())).or_else(|| {
            self.table_row(order)
                .filter(|row| self.is_by_same_guest(row.resource_id.into(), order))
        })
    }

    /// Returns the order that has the same reference.
    pub(super) fn reference(&self, order: &PlaceOrder) -> Option<OrderId> {
        self.with_reference(order, Some(order.placed_by()))
            .or_else(|| {
                self.with_reference(order, order.table_scope())
                    .filter(|existing| self.is_by_same_guest(*existing, order))
            })
    }

    pub(super) fn replacement_of(&self, replaced: OrderId) -> Option<OrderId> {
        self.replacements.get(&replaced).copied()
    }

    /// Returns the key under which processes of an older version look for the order, unless another guest of the table
    /// has taken it. It is written beside the guest's own, so that both know a request that is repeated during an upgrade.
    pub(super) fn free_table_key<'a>(&self, order: &'a PlaceOrder) -> Option<(Uuid, &'a str)> {
        let key = order.table_key()?;
        self.table_row(order).is_none().then_some(key)
    }

    /// Returns the row of the key in the scope of the table, where every guest's may be.
    fn table_row(&self, order: &PlaceOrder) -> Option<&KeyRow> {
        let (scope, key) = order.table_key()?;
        self.keys.get(&(scope, key.to_owned()))
    }

    fn with_reference(&self, order: &PlaceOrder, scope: Option<Uuid>) -> Option<OrderId> {
        let wanted = (scope?, order.reference.clone()?);
        self.references.get(&wanted).copied()
    }

    /// Returns true if the guest who wants `order` placed `existing`, as far as their keys tell.
    fn is_by_same_guest(&self, existing: OrderId, order: &PlaceOrder) -> bool {
        let Placer::Guest { key_hash } = &order.placer else {
            return false;
        };
        let author = self.guests.get(&existing).map(Option::as_deref);
        author == Some(key_hash.as_ref().map(|hash| &hash[..]))
    }
}
