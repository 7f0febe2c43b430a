//! Lists orders newest first, page by page; each page is found by an index and reads a bounded number of rows.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use crate::{
    error::Result,
    explain::{QueryOutput, impl_query_output},
    fetch_optional_scalar, on, push_ids,
    tx::Tx,
};
use domain::{
    ids::{AccountId, OrderId, SessionId, StoreId},
    order::Fulfilment,
    status::OrderStatus,
};

/// Maximum rows that one walk examines for one page when few of them match; the rest is left to the next page.
const MAX_EXAMINED: u32 = 4096;
/// Maximum walks by store and status; above it there is one walk per store, past orders in other statuses.
const MAX_WALKS: usize = 32;

/// A filter for orders. Fields that are `None` or empty restrict nothing.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Stores of the orders; an empty list matches none.
    pub stores: Option<Vec<StoreId>>,
    pub account: Option<AccountId>,
    /// Account whose drafts are included; drafts of others are left out, because they are private.
    pub drafts_of: Option<AccountId>,
    pub session: Option<SessionId>,
    pub statuses: Vec<OrderStatus>,
    /// Reference of the order; only with an account or stores, because no other index leads to it.
    pub reference: Option<String>,
    pub fulfilment: Option<Fulfilment>,
    /// Earliest time of placing, inclusive.
    pub placed_after: Option<DateTime<Utc>>,
    /// Latest time of placing, exclusive.
    pub placed_before: Option<DateTime<Utc>>,
}

/// A page of orders. It may be short, or empty, and still have a next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderPage<T> {
    pub orders: Vec<T>,
    /// Order after which the next page begins; `None` on the last page.
    pub next: Option<OrderId>,
}

impl OrderFilter {
    /// Returns true if the list is ordered by time of placing, so that an index leads to a time; otherwise it is
    /// ordered by id.
    fn is_ordered_by_placing(&self) -> bool {
        let has_time = self.placed_after.is_some() || self.placed_before.is_some();
        has_time && self.session.is_none() && self.account.is_none() && self.reference.is_none()
    }
}

/// A position in a list, which is in descending order of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Set only if the list is ordered by time of placing.
    placed_at: Option<DateTime<Utc>>,
    id: OrderId,
}

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
            Self::AccountByReference(_) => "",
            Self::StoreByReference(_) => " FORCE INDEX (orders_by_reference)",
            Self::Store(_) => " FORCE INDEX (orders_of_store)",
            Self::StoreByStatus(..) => " FORCE INDEX (orders_of_store_by_status)",
            Self::StoreByPlacing(_) => " FORCE INDEX (orders_of_store_by_placing)",
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
            _ => "",
        }
    }
}

/// Returns one page of at most `limit` orders after `after`.
pub async fn list(
    tx: &mut Tx,
    filter: &OrderFilter,
    after: Option<OrderId>,
    limit: u32,
) -> Result<OrderPage<OrderId>> {
    let after = match after {
        Some(id) => Some(position_of(tx, filter, id).await?),
        None => None,
    };
    let mut found: Vec<Position> = Vec::new();
    // Positions at which walks stopped early; beyond them the result may be incomplete.
    let mut stopped_at: Vec<Position> = Vec::new();
    for walk in walks(filter) {
        let (matching, end) = matching(tx, filter, walk, after, limit).await?;
        found.extend(matching);
        stopped_at.extend(end);
    }
    found.sort_unstable_by_key(|position| Reverse(*position));
    let known_to = stopped_at.into_iter().max();
    if let Some(end) = known_to {
        found.retain(|position| *position >= end);
    }
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = if has_more {
        found.last().copied()
    } else {
        known_to
    };
    Ok(OrderPage {
        orders: found.into_iter().map(|position| position.id).collect(),
        next: next.map(|position| position.id),
    })
}

/// Returns at most `limit + 1` matching orders of a walk; and the last position examined, if the walk stopped before
/// its end without finding that many.
async fn matching(
    tx: &mut Tx,
    filter: &OrderFilter,
    walk: Walk,
    mut after: Option<Position>,
    limit: u32,
) -> Result<(Vec<Position>, Option<Position>)> {
    let mut matching = Vec::new();
    let mut examined = 0;
    // Usually all rows match; where few do, the steps grow.
    let mut step = limit + 1;
    loop {
        let rows: Vec<Row> = run_walk(tx, filter, walk, after, step).await?;
        let is_final = rows.len() < step as usize;
        after = rows.last().map(|row| row.position(filter)).or(after);
        let wanted = (limit + 1) as usize - matching.len();
        let fit = rows
            .iter()
            .filter(|row| row.fits == Some(true))
            .map(|row| row.position(filter));
        matching.extend(fit.take(wanted));
        examined += step;
        if is_final || matching.len() > limit as usize {
            return Ok((matching, None));
        }
        if examined >= MAX_EXAMINED {
            return Ok((matching, after));
        }
        step = (step * 4).min(MAX_EXAMINED);
    }
}

pub(crate) async fn position_of(
    tx: &mut Tx,
    filter: &OrderFilter,
    id: OrderId,
) -> Result<Position> {
    let mut position = Position {
        placed_at: None,
        id,
    };
    if filter.is_ordered_by_placing() {
        let placed_at: Option<Option<DateTime<Utc>>> =
            fetch_optional_scalar!(tx, "SELECT placed_at FROM orders WHERE id = ?", id);
        // Nothing comes after an order that does not exist.
        position.placed_at = Some(placed_at.flatten().unwrap_or(DateTime::UNIX_EPOCH));
    }
    Ok(position)
}

/// Returns walks that together pass all matching orders.
pub fn walks(filter: &OrderFilter) -> Vec<Walk> {
    if filter.stores.as_ref().is_some_and(Vec::is_empty) {
        return Vec::new();
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
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(sql_prefix);
        query.push("SELECT o.id, o.placed_at, (1 = 1");
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
            Walk::StoreByReference(store) | Walk::Store(store) | Walk::StoreByPlacing(store) => {
                query.push(" AND o.store_id = ").push_bind(store);
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
        match after {
            // This bound repeats the next one, so that an index is entered where the page begins.
            Some(Position {
                placed_at: Some(placed_at),
                id,
            }) => {
                query.push(" AND o.placed_at <= ").push_bind(placed_at);
                query.push(" AND (o.placed_at < ").push_bind(placed_at);
                query.push(" OR o.id < ").push_bind(id).push(")");
            }
            Some(Position {
                placed_at: None,
                id,
            }) => {
                query.push(" AND o.id < ").push_bind(id);
            }
            None if filter.is_ordered_by_placing() => {}
            // Greater than any id: a bound that is always there keeps databases from reading an index from end to end.
            None => {
                query.push(" AND o.id < ").push_bind(OrderId::MAX);
            }
        }
        query.push(if filter.is_ordered_by_placing() {
            " ORDER BY o.placed_at DESC, o.id DESC LIMIT "
        } else {
            " ORDER BY o.id DESC LIMIT "
        });
        query.push_bind(limit);
        query.build_query_as::<A>().fetch_all(conn).await?
    }))
}

impl_query_output!(Row);

#[derive(sqlx::FromRow)]
struct Row {
    id: OrderId,
    placed_at: Option<DateTime<Utc>>,
    fits: Option<bool>,
}

impl Row {
    fn position(&self, filter: &OrderFilter) -> Position {
        Position {
            placed_at: self.placed_at.filter(|_| filter.is_ordered_by_placing()),
            id: self.id,
        }
    }
}
