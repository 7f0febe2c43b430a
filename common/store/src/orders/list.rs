//! Lists orders, page by page; each page is found by an index and reads a bounded number of rows. Lists are newest first,
//! but for those by time of change, which are oldest first.

mod walk;

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use self::walk::Row;
pub(crate) use self::walk::run_walk;
pub use self::walk::{Walk, walks};
use crate::{error::Result, fetch_optional_scalar, tx::Tx};
use domain::{
    ids::{AccountId, OrderId, SessionId, StoreId},
    order::{Fulfilment, search::Search},
    status::OrderStatus,
};

/// Maximum rows that one walk examines for one page when few of them match; the rest is left to the next page.
const MAX_EXAMINED: u32 = 4096;
/// Minimum rows that a walk of a search examines, if it shares the maximum with very many others.
const MIN_EXAMINED: u32 = 256;

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
    /// Number of the order; only with an account or stores.
    pub number: Option<i64>,
    /// Text to look for; only with stores, and not with `updated_after`. Orders with that number are on a first page of
    /// their own.
    pub search: Option<Search>,
    /// Earliest time of the last change, inclusive; only with stores. Orders are then listed by that time.
    pub updated_after: Option<DateTime<Utc>>,
}

/// A page of orders. It may be short, or empty, and still have a next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderPage<T> {
    pub orders: Vec<T>,
    /// Order after which the next page begins; `None` on the last page.
    pub next: Option<OrderId>,
    /// Time of that order's change, in a list by time of change: the next page's `updated_after`.
    pub next_updated_at: Option<DateTime<Utc>>,
}

impl OrderFilter {
    /// Returns true if the list is ordered by time of placing, so that an index leads to a time; otherwise it is
    /// ordered by id.
    pub(super) fn is_ordered_by_placing(&self) -> bool {
        let has_time = self.placed_after.is_some() || self.placed_before.is_some();
        has_time
            && self.session.is_none()
            && self.account.is_none()
            && self.reference.is_none()
            && self.updated_after.is_none()
    }

    /// Compares two positions: the one that is listed first is less.
    fn compare(&self, a: &Position, b: &Position) -> Ordering {
        match self.updated_after {
            Some(_) => a.cmp(b),
            None => b.cmp(a),
        }
    }
}

/// A page of the orders with the number that is searched for. The next page begins with the newest order.
async fn of_number(
    tx: &mut Tx,
    filter: &OrderFilter,
    number: i64,
    limit: u32,
) -> Result<Vec<OrderId>> {
    let mut found = Vec::new();
    let by_number = OrderFilter {
        number: Some(number),
        search: None,
        ..filter.clone()
    };
    for store in filter.stores.iter().flatten() {
        let rows: Vec<Row> =
            run_walk(tx, &by_number, Walk::StoreByNumber(*store), None, limit).await?;
        found.extend(
            rows.iter()
                .filter(|row| row.fits == Some(true))
                .map(|row| row.id),
        );
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.truncate(limit as usize);
    Ok(found)
}

/// A position in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Set only if the list is ordered by time of placing, or of the last change.
    at: Option<DateTime<Utc>>,
    id: OrderId,
}

/// Returns one page of at most `limit` orders after `after`.
pub async fn list(
    tx: &mut Tx,
    filter: &OrderFilter,
    after: Option<OrderId>,
    limit: u32,
) -> Result<OrderPage<OrderId>> {
    let number = filter.search.as_ref().and_then(|search| search.number);
    if let (Some(number), None) = (number, after) {
        let orders = of_number(tx, filter, number, limit).await?;
        if !orders.is_empty() {
            return Ok(OrderPage {
                orders,
                next: Some(OrderId::MAX),
                next_updated_at: None,
            });
        }
    }
    let after = match after {
        Some(id) if id != OrderId::MAX => Some(position_of(tx, filter, id).await?),
        _ => None,
    };
    let walks = walks(filter);
    let shared = u32::try_from(walks.len()).unwrap_or(u32::MAX).max(1);
    let most = match filter.search {
        Some(_) => (MAX_EXAMINED / shared).max(MIN_EXAMINED),
        None => MAX_EXAMINED,
    };
    let mut found: Vec<Position> = Vec::new();
    // Positions at which walks stopped early; beyond them the result may be incomplete.
    let mut stopped_at: Vec<Position> = Vec::new();
    for walk in walks {
        let (matching, end) = matching(tx, filter, walk, after, limit, most).await?;
        found.extend(matching);
        stopped_at.extend(end);
    }
    found.sort_unstable_by(|a, b| filter.compare(a, b));
    let known_to = stopped_at.into_iter().min_by(|a, b| filter.compare(a, b));
    if let Some(end) = known_to {
        found.retain(|position| filter.compare(position, &end).is_le());
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
        next_updated_at: next
            .and_then(|position| position.at)
            .filter(|_| filter.updated_after.is_some()),
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
    most: u32,
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
            .filter(|row| row.fits == Some(true) && row.is_found_by(filter))
            .map(|row| row.position(filter));
        matching.extend(fit.take(wanted));
        examined += step;
        if is_final || matching.len() > limit as usize {
            return Ok((matching, None));
        }
        if examined >= most {
            return Ok((matching, after));
        }
        step = (step * 4).min(most);
    }
}

pub(crate) async fn position_of(
    tx: &mut Tx,
    filter: &OrderFilter,
    id: OrderId,
) -> Result<Position> {
    let mut position = Position {
        at: filter.updated_after,
        id,
    };
    if filter.is_ordered_by_placing() {
        let placed_at: Option<Option<DateTime<Utc>>> =
            fetch_optional_scalar!(tx, "SELECT placed_at FROM orders WHERE id = ?", id);
        // Nothing comes after an order that does not exist.
        position.at = Some(placed_at.flatten().unwrap_or(DateTime::UNIX_EPOCH));
    }
    Ok(position)
}
