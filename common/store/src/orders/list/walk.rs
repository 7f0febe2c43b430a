//! The statement of a list: one walk along an index, in the list's order.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::{OrderFilter, Position};
use crate::{
    error::Result,
    explain::{QueryOutput, impl_query_output},
    push_ids,
    statements::Statement,
    tx::Tx,
};
use domain::{
    ids::{AccountId, OrderId, SessionId, StoreId},
    order::Customer,
    status::OrderStatus,
};

/// Maximum walks by store and status; above it there is one walk per store, past orders in other statuses.
const MAX_WALKS: usize = 32;

/// The part that one statement reads: along one index, in the list's order, so that it stops after the given number of
/// rows.
#[derive(Clone, Copy, Debug)]
pub enum Walk {
    Session(SessionId),
    Account(AccountId),
    /// Orders with the filter's reference that the account placed.
    AccountByReference(AccountId),
    /// Orders with the filter's reference in the store.
    StoreByReference(StoreId),
    Store(StoreId),
    StoreByStatus(StoreId, OrderStatus),
    StoreByPlacing(StoreId),
    StoreByNumber(StoreId),
    StoreByUpdate(StoreId),
    Status(OrderStatus),
    ByPlacing,
    All,
}

impl Walk {
    /// Returns the index hint for MySQL, which otherwise prefers an index that covers the selected columns, and then
    /// sorts everything that it finds there (measured).
    fn mysql_hint(self) -> &'static str {
        match self {
            Self::Session(_) => " FORCE INDEX (orders_of_session)",
            Self::Account(_) => " FORCE INDEX (orders_of_account)",
            // Here MySQL takes the unique key, which is better than all others.
            Self::AccountByReference(_) | Self::StoreByNumber(_) => "",
            Self::StoreByReference(_) => " FORCE INDEX (orders_by_reference)",
            Self::Store(_) => " FORCE INDEX (orders_of_store)",
            Self::StoreByStatus(..) => " FORCE INDEX (orders_of_store_by_status)",
            Self::StoreByPlacing(_) => " FORCE INDEX (orders_of_store_by_placing)",
            Self::StoreByUpdate(_) => " FORCE INDEX (orders_of_store_by_update)",
            Self::Status(_) => " FORCE INDEX (orders_of_status)",
            Self::ByPlacing => " FORCE INDEX (orders_by_placing)",
            Self::All => " FORCE INDEX (PRIMARY)",
        }
    }

    /// Returns the index hint for SQLite, which otherwise prefers an index in the list's order, and reads past all of
    /// the store's orders with other references (measured); those with the wanted one are few and quickly sorted.
    fn sqlite_hint(self) -> &'static str {
        match self {
            Self::StoreByReference(_) => " INDEXED BY orders_by_reference",
            Self::StoreByUpdate(_) => " INDEXED BY orders_of_store_by_update",
            _ => "",
        }
    }
}

/// Returns walks that together pass all matching orders.
pub fn walks(filter: &OrderFilter) -> Vec<Walk> {
    if filter.stores.as_ref().is_some_and(Vec::is_empty) {
        return Vec::new();
    }
    if let (Some(_), Some(stores)) = (filter.updated_after, &filter.stores) {
        return stores.iter().copied().map(Walk::StoreByUpdate).collect();
    }
    if let (Some(_), Some(stores), None) = (filter.number, &filter.stores, filter.session) {
        return stores.iter().copied().map(Walk::StoreByNumber).collect();
    }
    if let Some(session) = filter.session {
        return vec![Walk::Session(session)];
    }
    if let Some(account) = filter.account {
        return vec![match filter.reference {
            Some(_) => Walk::AccountByReference(account),
            None => Walk::Account(account),
        }];
    }
    let statuses = &filter.statuses;
    let is_ordered_by_placing = filter.is_ordered_by_placing();
    let Some(stores) = &filter.stores else {
        return match statuses.as_slice() {
            _ if is_ordered_by_placing => vec![Walk::ByPlacing],
            [] => vec![Walk::All],
            statuses => statuses.iter().copied().map(Walk::Status).collect(),
        };
    };
    let of_store = |store: StoreId| -> Vec<Walk> {
        if filter.reference.is_some() {
            vec![Walk::StoreByReference(store)]
        } else if is_ordered_by_placing {
            vec![Walk::StoreByPlacing(store)]
        } else if statuses.is_empty() || statuses.len() * stores.len() > MAX_WALKS {
            vec![Walk::Store(store)]
        } else {
            let by_status = |status: &OrderStatus| Walk::StoreByStatus(store, *status);
            statuses.iter().map(by_status).collect()
        }
    };
    stores.iter().copied().flat_map(of_store).collect()
}

pub(crate) async fn run_walk<A: QueryOutput>(
    tx: &mut Tx,
    filter: &OrderFilter,
    walk: Walk,
    after: Option<Position>,
    limit: u32,
) -> Result<Vec<A>> {
    let sql_prefix = A::sql_prefix(tx);
    let index = tx.pick(walk.mysql_hint(), walk.sqlite_hint());
    let mut query = Statement::new(tx, sql_prefix);
    query.push("SELECT o.id, o.placed_at, o.updated_at, o.number, ");
    if filter.search.is_some() {
        query.push("o.customer, ");
    }
    query.push("(1 = 1");
    // Conditions are evaluated per row in the SELECT list, so that a walk can stop early where no index leads to
    // them.
    if let Some(stores) = &filter.stores {
        query.push(" AND o.store_id IN (");
        push_ids(&mut query, stores);
        query.push(")");
    }
    if let Some(account) = filter.account {
        query.push(" AND o.account_id = ").push_bind(account);
    }
    if let Some(account) = filter.drafts_of {
        query
            .push(" AND (o.status <> ")
            .push_bind(OrderStatus::Draft);
        query
            .push(" OR o.account_id = ")
            .push_bind(account)
            .push(")");
    }
    if !filter.statuses.is_empty() {
        query.push(" AND o.status IN (");
        let mut list = query.separated(", ");
        for status in &filter.statuses {
            list.push_bind(status);
        }
        query.push(")");
    }
    if let Some(reference) = &filter.reference {
        query
            .push(" AND o.reference = ")
            .push_bind(reference.as_bytes());
    }
    if let Some(session) = filter.session {
        query.push(" AND o.session_id = ").push_bind(session);
    }
    if let Some(number) = filter.number {
        query.push(" AND o.number = ").push_bind(number);
    }
    if let Some(fulfilment) = filter.fulfilment {
        query.push(" AND o.fulfilment = ").push_bind(fulfilment);
    }
    if let Some(after) = filter.placed_after {
        query.push(" AND o.placed_at >= ").push_bind(after);
    }
    if let Some(before) = filter.placed_before {
        query.push(" AND o.placed_at < ").push_bind(before);
    }
    query.push(") AS fits FROM orders o");
    query.push(index).push(" WHERE 1 = 1");
    match walk {
        Walk::Session(session) => {
            query.push(" AND o.session_id = ").push_bind(session);
        }
        Walk::Account(account) => {
            query.push(" AND o.account_id = ").push_bind(account);
        }
        Walk::AccountByReference(account) => {
            query.push(" AND o.placed_by = ").push_bind(account);
        }
        Walk::StoreByReference(store)
        | Walk::Store(store)
        | Walk::StoreByPlacing(store)
        | Walk::StoreByUpdate(store) => {
            query.push(" AND o.store_id = ").push_bind(store);
        }
        Walk::StoreByNumber(store) => {
            query.push(" AND o.store_id = ").push_bind(store);
            query.push(" AND o.number = ").push_bind(filter.number);
        }
        Walk::StoreByStatus(store, status) => {
            query.push(" AND o.store_id = ").push_bind(store);
            query.push(" AND o.status = ").push_bind(status);
        }
        Walk::Status(status) => {
            query.push(" AND o.status = ").push_bind(status);
        }
        Walk::ByPlacing | Walk::All => {}
    }
    let by_reference = matches!(
        walk,
        Walk::AccountByReference(_) | Walk::StoreByReference(_)
    );
    if let Some(reference) = filter.reference.as_ref().filter(|_| by_reference) {
        query
            .push(" AND o.reference = ")
            .push_bind(reference.as_bytes());
    }
    if filter.is_ordered_by_placing() {
        if let Some(since) = filter.placed_after {
            query.push(" AND o.placed_at >= ").push_bind(since);
        }
        if let Some(before) = filter.placed_before {
            query.push(" AND o.placed_at < ").push_bind(before);
        }
    }
    if let Some(since) = filter.updated_after {
        query.push(" AND o.updated_at >= ").push_bind(since);
    }
    match after {
        Some(Position { at: Some(at), id }) if filter.updated_after.is_some() => {
            query.push(" AND o.updated_at >= ").push_bind(at);
            query.push(" AND (o.updated_at > ").push_bind(at);
            query.push(" OR o.id > ").push_bind(id).push(")");
        }
        // This bound repeats the next one, so that an index is entered where the page begins.
        Some(Position {
            at: Some(placed_at),
            id,
        }) => {
            query.push(" AND o.placed_at <= ").push_bind(placed_at);
            query.push(" AND (o.placed_at < ").push_bind(placed_at);
            query.push(" OR o.id < ").push_bind(id).push(")");
        }
        Some(Position { at: None, id }) => {
            query.push(" AND o.id < ").push_bind(id);
        }
        None if filter.is_ordered_by_placing() || filter.updated_after.is_some() => {}
        // Greater than any id: a bound that is always there keeps databases from reading an index from end to end.
        None => {
            query.push(" AND o.id < ").push_bind(OrderId::MAX);
        }
    }
    query.push(if filter.updated_after.is_some() {
        " ORDER BY o.updated_at, o.id LIMIT "
    } else if filter.is_ordered_by_placing() {
        " ORDER BY o.placed_at DESC, o.id DESC LIMIT "
    } else {
        " ORDER BY o.id DESC LIMIT "
    });
    query.push_bind(limit);
    query.fetch_all::<A>(tx).await
}

impl_query_output!(Row);

pub(super) struct Row {
    pub(super) id: OrderId,
    placed_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    number: Option<i64>,
    /// Read only for a search.
    customer: Option<Json<Customer>>,
    pub(super) fits: Option<bool>,
}

crate::rows::from_row!(Row {
    id,
    placed_at,
    updated_at,
    number,
    fits
} else_default { customer });

impl Row {
    pub(super) fn position(&self, filter: &OrderFilter) -> Position {
        let at = match filter.updated_after {
            Some(_) => self.updated_at,
            None => self.placed_at.filter(|_| filter.is_ordered_by_placing()),
        };
        Position { at, id: self.id }
    }

    /// Returns true if a search finds the order by its customer. Those with the number are on the first page.
    pub(super) fn is_found_by(&self, filter: &OrderFilter) -> bool {
        filter.search.as_ref().is_none_or(|search| {
            let has_number = search.number.is_some() && self.number == search.number;
            let customer = self.customer.as_ref();
            !has_number && customer.is_some_and(|Json(customer)| search.finds(customer))
        })
    }
}
