//! Lists handoffs by store, integrator, order, state and time, page by page.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Stored;
use crate::{
    error::Result,
    explain::QueryOutput,
    push_ids,
    rows::{ListPage, ReadRow, Readable, Row},
    statements::Statement,
    tx::Tx,
};
use domain::{
    handoff::{Handoff, HandoffState},
    ids::{HandoffId, IntegratorId, OrderId, StoreId, min_id_at},
    integrator::HandoffEvent,
    status::OrderStatus,
};

/// A filter for handoffs. Fields that are `None` or empty restrict nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HandoffFilter {
    /// Stores of the handoffs; an empty list matches none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stores: Option<Vec<StoreId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrator: Option<IntegratorId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<HandoffState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<HandoffEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Earliest time of creation, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_after: Option<DateTime<Utc>>,
    /// Latest time of creation, exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<DateTime<Utc>>,
    /// True to leave out tests, which have no order.
    #[serde(skip)]
    pub with_order: bool,
}

/// A handoff with its display fields, and with those that decide whether it may be retried.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub handoff: Handoff,
    /// Reason why it could not be claimed, or was put back.
    pub error: Option<String>,
    pub order: Option<OrderState>,
    pub integrator_name: String,
    pub integrator_archived: bool,
    /// True if its integrator was sent something newer about the order.
    pub overtaken: bool,
}

/// The state of a handoff's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderState {
    pub number: Option<i64>,
    pub status: OrderStatus,
    pub accept_by: Option<DateTime<Utc>>,
}

/// The start and direction of a page.
#[derive(Clone, Copy, Debug)]
pub enum Page {
    NewestFirst { before: Option<HandoffId> },
    OldestFirst { after: Option<HandoffId> },
}

/// The part that one statement reads: along one index, in the order of ids, so that it stops after `limit` rows.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    store: Option<StoreId>,
    state: Option<HandoffState>,
}

const SELECTED: &str = "SELECT h.id, h.store_id, h.order_id, h.integrator_id, h.position, h.event, h.state, h.required, \
     h.confirmed_at, h.round, h.attempts, h.uncounted, h.max_attempts, h.due_at, h.leased_until, h.fence, NULL AS body, \
     NULL AS cause, h.deadline, h.reference, h.reason, h.created_at, h.closed_at, h.error, o.number AS order_number, \
     o.status AS order_status, o.accept_by, i.name AS integrator_name, i.archived_at, \
     (SELECT COUNT(*) FROM handoffs l WHERE h.event <> 'order.dispatched' AND l.order_id = h.order_id \
       AND l.integrator_id = h.integrator_id AND l.position > h.position \
       AND (l.attempts > 0 OR (l.round > 1 AND (SELECT COUNT(*) FROM attempts a WHERE a.handoff_id = l.id) > 0)) \
     ) AS overtaken_by \
     FROM handoffs h LEFT JOIN orders o ON o.id = h.order_id LEFT JOIN integrators i ON i.id = h.integrator_id WHERE ";

impl Page {
    /// Returns the page that follows one that ended with `last`.
    fn page_after(self, last: Uuid) -> Self {
        match self {
            Self::NewestFirst { .. } => Self::NewestFirst {
                before: Some(last.into()),
            },
            Self::OldestFirst { .. } => Self::OldestFirst {
                after: Some(last.into()),
            },
        }
    }
}

/// Returns one page. A row that can't be read is logged and left out, and the next one takes its place: it must neither
/// hide the others nor look like the end of the list.
pub async fn list(
    tx: &mut Tx,
    filter: &HandoffFilter,
    page: Page,
    limit: u32,
) -> Result<Vec<Listed>> {
    let mut listed = ListPage::new("handoff", limit);
    while listed.wants_rows() {
        let page = listed.last().map_or(page, |last| page.page_after(last));
        listed.add(rows(tx, filter, page, limit).await?);
    }
    Ok(listed.into_listed())
}

async fn rows(
    tx: &mut Tx,
    filter: &HandoffFilter,
    page: Page,
    limit: u32,
) -> Result<Vec<Readable<Listed>>> {
    let mut rows: Vec<Readable<Listed>> = Vec::new();
    for walk in walks(filter) {
        rows.extend(run_walk(tx, filter, walk, page, limit).await?);
    }
    match page {
        Page::NewestFirst { .. } => rows.sort_unstable_by_key(|row| Reverse(row.key)),
        Page::OldestFirst { .. } => rows.sort_unstable_by_key(|row| row.key),
    }
    rows.truncate(limit as usize);
    Ok(rows)
}

/// Returns one handoff as [`list`] does.
pub async fn listed(tx: &mut Tx, id: HandoffId) -> Result<Option<Listed>> {
    let row: Option<Readable<Listed>> = {
        let mut query = Statement::new(tx, SELECTED);
        query.push("h.id = ").push_bind(id);
        query.fetch_optional(tx).await?
    };
    row.map(|row| row.read).transpose()
}

/// Returns one walk per state and, unless the filter names an order or an integrator, per store.
pub fn walks(filter: &HandoffFilter) -> Vec<Walk> {
    let states: Vec<Option<HandoffState>> = match filter.states.as_slice() {
        [] => vec![None],
        states => states.iter().copied().map(Some).collect(),
    };
    let is_narrow = filter.order.is_some() || filter.integrator.is_some();
    let stores: Vec<Option<StoreId>> = match &filter.stores {
        Some(stores) if stores.is_empty() => Vec::new(),
        Some(stores) if !is_narrow => stores.iter().copied().map(Some).collect(),
        _ => vec![None],
    };
    stores
        .iter()
        .flat_map(|store| {
            states.iter().map(|state| Walk {
                store: *store,
                state: *state,
            })
        })
        .collect()
}

pub(crate) async fn run_walk<A: QueryOutput>(
    tx: &mut Tx,
    filter: &HandoffFilter,
    walk: Walk,
    page: Page,
    limit: u32,
) -> Result<Vec<A>> {
    let (above, below) = bounds(filter, page);
    let sql_prefix = A::sql_prefix(tx);
    let mut query = Statement::new(tx, sql_prefix);
    query.push(SELECTED).push("h.id > ").push_bind(above);
    query.push(" AND h.id < ").push_bind(below);
    if let Some(order) = filter.order {
        query.push(" AND h.order_id = ").push_bind(order);
    }
    if let Some(integrator) = filter.integrator {
        query.push(" AND h.integrator_id = ").push_bind(integrator);
    }
    match (walk.store, &filter.stores) {
        (Some(store), _) => {
            query.push(" AND h.store_id = ").push_bind(store);
        }
        (None, Some(stores)) => {
            query.push(" AND h.store_id IN (");
            push_ids(&mut query, stores);
            query.push(")");
        }
        (None, None) => {}
    }
    if let Some(state) = walk.state {
        query.push(" AND h.state = ").push_bind(state);
    }
    if let Some(event) = filter.event {
        query.push(" AND h.event = ").push_bind(event);
    }
    if let Some(reason) = &filter.reason {
        query.push(" AND h.reason = ").push_bind(reason.as_str());
    }
    if let Some(after) = filter.created_after {
        query.push(" AND h.created_at >= ").push_bind(after);
    }
    if let Some(before) = filter.created_before {
        query.push(" AND h.created_at < ").push_bind(before);
    }
    if filter.with_order {
        query.push(" AND h.order_id IS NOT NULL");
    }
    query.push(match page {
        Page::NewestFirst { .. } => " ORDER BY h.id DESC LIMIT ",
        Page::OldestFirst { .. } => " ORDER BY h.id LIMIT ",
    });
    query.push_bind(limit);
    query.fetch_all::<A>(tx).await
}

/// Returns the bounds of the page's ids, both exclusive. An id begins with the time at which it was drawn, which is not
/// before its row's `created_at`.
fn bounds(filter: &HandoffFilter, page: Page) -> (HandoffId, HandoffId) {
    let since = filter
        .created_after
        .map_or(HandoffId::MIN, |after| min_id_at(after).into());
    match page {
        Page::NewestFirst { before } => (since, before.unwrap_or(HandoffId::MAX)),
        Page::OldestFirst { after } => (since.max(after.unwrap_or(HandoffId::MIN)), HandoffId::MAX),
    }
}

impl ReadRow for Listed {
    const TABLE: &'static str = Stored::TABLE;

    fn read(row: &Row<'_>) -> Result<Self> {
        let status: Option<OrderStatus> = row.get("order_status")?;
        let (number, accept_by) = (row.get("order_number")?, row.get("accept_by")?);
        let integrator_name: Option<String> = row.get("integrator_name")?;
        let archived_at: Option<DateTime<Utc>> = row.get("archived_at")?;
        Ok(Self {
            handoff: Stored::read(row)?.handoff,
            error: row.get("error")?,
            order: status.map(|status| OrderState {
                number,
                status,
                accept_by,
            }),
            integrator_name: integrator_name.unwrap_or_default(),
            integrator_archived: archived_at.is_some(),
            overtaken: row.get::<i64>("overtaken_by")? > 0,
        })
    }
}
