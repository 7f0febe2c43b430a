//! The stuck list: everything that makes no progress until a person looks at it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::last_id_at;
use crate::{
    error::Result,
    explain::QueryOutput,
    handoffs::an_earlier_one_is_open,
    outbox::{count_waiting, oldest_waiting},
    push_ids,
    rows::{ReadRow, Readable, Row},
    statements::Statement,
    tx::Tx,
};
use domain::{
    ids::StoreId,
    stuck::{Stuck, StuckKind, StuckLimits},
};

/// Time after its `accept_by` at which an open order counts as stuck, because the sweep should have ended it.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(60);
/// How long parked and unmatched callbacks are listed as stuck.
const CALLBACKS_LISTED_FOR: Duration = Duration::from_secs(24 * 3600);

/// A query for the entries of one kind, with its time limit.
#[derive(Clone, Copy, Debug)]
pub struct StuckQuery {
    kind: StuckKind,
    sql: &'static str,
    /// Value of every `?` in the SQL; `{id}` is the last id of that time.
    bound: Option<DateTime<Utc>>,
    /// Column of the entry's store; empty if entries belong to no store.
    store: &'static str,
    /// Ending of the SQL: oldest first, and `LIMIT`.
    end: &'static str,
}

#[cfg(test)]
impl StuckQuery {
    pub(crate) fn is_about_handoffs(&self) -> bool {
        self.store == "h.store_id"
    }

    pub fn kind(&self) -> StuckKind {
        self.kind
    }
}

macro_rules! of_handoffs {
    ($index:literal, $since:literal, $said:literal, $($where:expr),+) => {
        concat!(
            "SELECT h.id AS subject, h.store_id, h.order_id, o.number AS order_number, h.integrator_id, \
             i.name AS integrator_name, h.id AS handoff_id, NULL AS callback_id, ",
            $since,
            " AS since, ",
            $said,
            " AS said, CASE WHEN i.enabled = FALSE THEN 'disabled' WHEN i.breaker_state <> 'closed' THEN 'left_alone' \
             ELSE 'no_worker' END AS hindrance FROM handoffs h /*! FORCE INDEX (",
            $index,
            ") */ LEFT JOIN orders o ON o.id = h.order_id \
             LEFT JOIN integrators i ON i.id = h.integrator_id WHERE i.listens_until IS NULL AND ",
            $($where),+
        )
    };
}

macro_rules! of_callbacks {
    ($where:literal) => {
        concat!(
            "SELECT c.id AS subject, COALESCE(o.store_id, i.store_id) AS store_id, c.order_id, o.number AS order_number, c.integrator_id, \
             i.name AS integrator_name, NULL AS handoff_id, c.id AS callback_id, c.received_at AS since, \
             c.detail AS said, NULL AS hindrance FROM callbacks c LEFT JOIN integrators i ON i.id = c.integrator_id \
             LEFT JOIN orders o ON o.id = c.order_id WHERE ",
            $where
        )
    };
}

macro_rules! of_orders {
    ($index:literal, $since:literal, $($where:literal),+) => {
        concat!(
            "SELECT o.id AS subject, o.store_id, o.id AS order_id, o.number AS order_number, NULL AS integrator_id, \
             NULL AS integrator_name, NULL AS handoff_id, NULL AS callback_id, ",
            $since,
            " AS since, o.status AS said, NULL AS hindrance FROM orders o /*! FORCE INDEX (",
            $index,
            ") */ WHERE ",
            $($where),+
        )
    };
}

/// Selects handoffs in a state that no earlier one blocks and nobody sends. Leaves out tests, which end by themselves.
macro_rules! unsent {
    ($state:literal) => {
        of_handoffs!(
            "handoffs_by_state",
            "h.due_at",
            "COALESCE(h.error, h.reason)",
            "h.event <> 'test' AND h.state = '",
            $state,
            "' AND h.due_at <= ? AND NOT ",
            an_earlier_one_is_open!()
        )
    };
}

/// Selects orders in a status whose last move, and the time for which they are wanted, are not newer than the bound. An
/// order is accepted after its id was made, so that the index ends before the younger ones.
macro_rules! idle {
    ($status:literal $(, $except:literal)?) => {
        of_orders!(
            "orders_of_status",
            "COALESCE((SELECT MAX(e.at) FROM events e WHERE e.order_id = o.id \
               AND e.kind IN ('order.status_changed', 'delivery.moved')), o.accepted_at)",
            "o.status = '", $status, "' AND o.id <= {id} AND o.accepted_at <= ? AND (o.wanted_at IS NULL OR o.wanted_at <= ?) AND NOT EXISTS (SELECT 1 FROM events e \
             WHERE e.order_id = o.id AND e.kind IN ('order.status_changed', 'delivery.moved') AND e.at > ?)"
            $(, $except)?
        )
    };
}

const PARKED: &str = of_handoffs!(
    "handoffs_by_state",
    "h.due_at",
    "COALESCE(h.error, h.reason)",
    "h.state = 'parked'"
);
const HELD: &str = of_handoffs!(
    "handoffs_by_state",
    "h.due_at",
    "(SELECT a.error FROM attempts a WHERE a.handoff_id = h.id ORDER BY a.round DESC, a.n DESC LIMIT 1)",
    "h.state = 'held'"
);
const FAILED: &str = "SELECT /*! STRAIGHT_JOIN */ h.id AS subject, h.store_id, h.order_id, o.number AS order_number, h.integrator_id, \
     i.name AS integrator_name, h.id AS handoff_id, NULL AS callback_id, COALESCE(h.closed_at, h.created_at) AS since, \
     h.reason AS said, NULL AS hindrance FROM orders o /*! FORCE INDEX (orders_of_status) */ \
     JOIN handoffs h /*! FORCE INDEX (order_id) */ ON h.order_id = o.id AND h.state = 'failed' \
     LEFT JOIN integrators i ON i.id = h.integrator_id \
     WHERE o.status IN ('accepted', 'preparing', 'ready', 'dispatched') AND i.listens_until IS NULL \
     AND ((h.required = TRUE AND h.event = 'order.placed') OR h.event = 'order.dispatched') \
     AND NOT EXISTS (SELECT 1 FROM handoffs l /*! FORCE INDEX (order_id) */ WHERE l.order_id = h.order_id AND l.integrator_id = h.integrator_id \
       AND l.event = h.event AND l.position > h.position)";

const ON_ITS_WAY: &str = of_handoffs!(
    "handoffs_by_lease",
    "h.leased_until",
    "COALESCE(h.error, h.reason)",
    "h.event <> 'test' AND h.state = 'sending' AND h.leased_until <= ?"
);
const OVERDUE: &str = of_orders!(
    "orders_by_status",
    "o.accept_by",
    "o.status IN ('pending', 'processing') AND o.accept_by <= ?"
);
const OUTBOX_PARKED: &str = "SELECT x.id AS subject, NULL AS store_id, NULL AS order_id, NULL AS order_number, \
     NULL AS integrator_id, NULL AS integrator_name, NULL AS handoff_id, NULL AS callback_id, x.created_at AS since, \
     x.error AS said, NULL AS hindrance FROM outbox x WHERE x.parked = TRUE";
/// However many rows wait, one is read, and a bounded number counted.
const OUTBOX_LATE: &str = concat!(
    "SELECT x.id AS subject, NULL AS store_id, NULL AS order_id, NULL AS order_number, \
     NULL AS integrator_id, NULL AS integrator_name, NULL AS handoff_id, NULL AS callback_id, \
     x.created_at AS since, CASE WHEN w.waiting >= 10000 THEN 'At least 10000' ELSE CAST(w.waiting AS CHAR) END AS said, \
     NULL AS hindrance FROM (",
    oldest_waiting!("id, created_at"),
    ") x CROSS JOIN (",
    count_waiting!(),
    ") w WHERE x.created_at <= ?"
);

/// Returns all queries of the stuck list.
pub fn stuck_queries(limits: &StuckLimits, now: DateTime<Utc>) -> Vec<StuckQuery> {
    let handoffs = |kind, sql, bound, end| StuckQuery {
        kind,
        sql,
        bound,
        store: "h.store_id",
        end,
    };
    let callbacks = |kind, sql, bound: Duration, end| StuckQuery {
        kind,
        sql,
        bound: Some(now - bound),
        // Without an order, the integrator's first store.
        store: "COALESCE(o.store_id, i.store_id)",
        end,
    };
    let orders = |kind, sql, bound: Duration, end| StuckQuery {
        kind,
        sql,
        bound: Some(now - bound),
        store: "o.store_id",
        end,
    };
    let standing = |sql, bound| orders(StuckKind::OrderIdle, sql, bound, " ORDER BY o.id LIMIT ");
    let outbox = |kind, sql, bound, end| StuckQuery {
        kind,
        sql,
        bound,
        store: "",
        end,
    };
    let late = Some(now - limits.handoff);
    let (by_due, any) = (" ORDER BY h.due_at LIMIT ", " LIMIT ");
    let came_to_nothing = " ORDER BY c.applied_at LIMIT ";
    vec![
        handoffs(StuckKind::HandoffParked, PARKED, None, by_due),
        handoffs(StuckKind::HandoffHeld, HELD, None, by_due),
        handoffs(StuckKind::HandoffFailed, FAILED, None, any),
        handoffs(StuckKind::HandoffLate, unsent!("due"), late, by_due),
        handoffs(StuckKind::HandoffLate, unsent!("waiting"), late, by_due),
        handoffs(
            StuckKind::HandoffLate,
            ON_ITS_WAY,
            late,
            " ORDER BY h.leased_until LIMIT ",
        ),
        callbacks(
            StuckKind::CallbackParked,
            of_callbacks!("c.result = 'parked' AND c.applied_at >= ?"),
            CALLBACKS_LISTED_FOR,
            came_to_nothing,
        ),
        callbacks(
            StuckKind::CallbackUnmatched,
            of_callbacks!("c.result = 'unmatched' AND c.applied_at >= ?"),
            CALLBACKS_LISTED_FOR,
            came_to_nothing,
        ),
        callbacks(
            StuckKind::CallbackLate,
            // A callback without an order waits for its reference.
            of_callbacks!("c.applied_at IS NULL AND c.order_id IS NOT NULL AND c.received_at <= ?"),
            limits.callback,
            " ORDER BY c.received_at LIMIT ",
        ),
        orders(
            StuckKind::OrderOverdue,
            OVERDUE,
            OVERDUE_AFTER,
            " ORDER BY o.accept_by LIMIT ",
        ),
        standing(
            // Leaves out orders that the sweep will take for delivered.
            idle!(
                "accepted",
                " AND NOT EXISTS (SELECT 1 FROM stores s WHERE s.id = o.store_id \
                 AND s.deliver_accepted_after_h IS NOT NULL)"
            ),
            limits.accepted,
        ),
        standing(idle!("preparing"), limits.preparing),
        standing(idle!("ready"), limits.ready),
        standing(idle!("dispatched"), limits.dispatched),
        outbox(StuckKind::OutboxParked, OUTBOX_PARKED, None, any),
        outbox(
            StuckKind::OutboxLate,
            OUTBOX_LATE,
            Some(now - limits.outbox),
            any,
        ),
    ]
}

/// Returns at most `limit` entries per query, longest stuck first; with `stores`, only theirs.
pub async fn stuck(
    tx: &mut Tx,
    queries: &[StuckQuery],
    stores: Option<&[StoreId]>,
    limit: u32,
) -> Result<Vec<Stuck>> {
    let mut found: Vec<Stuck> = Vec::new();
    for query in queries {
        let of_stores = stores.filter(|_| !query.store.is_empty());
        if of_stores.map_or(stores.is_some(), <[StoreId]>::is_empty) {
            // The entries belong to no store, or the list of stores is empty.
            continue;
        }
        for row in run_query::<Readable<Stuck>>(tx, query, of_stores, limit).await? {
            found.push(Stuck {
                kind: query.kind,
                ..row.read?
            });
        }
    }
    found.sort_by_key(|one| (one.since, one.subject));
    Ok(found)
}

pub(crate) async fn run_query<A: QueryOutput>(
    tx: &mut Tx,
    stuck: &StuckQuery,
    stores: Option<&[StoreId]>,
    limit: u32,
) -> Result<Vec<A>> {
    let sql_prefix = A::sql_prefix(tx);
    let bound = stuck.bound.unwrap_or_default();
    let last_id = last_id_at(bound);
    let mut query = Statement::new(tx, sql_prefix);
    for (at, piece) in stuck.sql.split('?').enumerate() {
        if at > 0 {
            query.push_bind(bound);
        }
        for (at, part) in piece.split("{id}").enumerate() {
            if at > 0 {
                query.push_bind(last_id);
            }
            query.push(part);
        }
    }
    if let Some(stores) = stores {
        query.push(" AND ").push(stuck.store).push(" IN (");
        push_ids(&mut query, stores);
        query.push(")");
    }
    query.push(stuck.end).push_bind(limit);
    query.fetch_all::<A>(tx).await
}

/// The kind is a placeholder: `stuck` sets it, because the query has it and its rows do not.
impl ReadRow for Stuck {
    const TABLE: &'static str = "stuck";
    const KEY: &'static str = "subject";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            kind: StuckKind::HandoffParked,
            subject: row.get("subject")?,
            store_id: row.get("store_id")?,
            order_id: row.get("order_id")?,
            order_number: row.get("order_number")?,
            integrator_id: row.get("integrator_id")?,
            integrator_name: row.get("integrator_name")?,
            handoff_id: row.get("handoff_id")?,
            callback_id: row.get("callback_id")?,
            since: row.get("since")?,
            said: row.get("said")?,
            hindrance: row.get("hindrance")?,
        })
    }
}
