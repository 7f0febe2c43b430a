//! The look for orders whose acceptance is certain, although nobody has moved them.

use chrono::{DateTime, Utc};

use super::UNACCEPTED;
use crate::{error::Result, fetch_optional_scalar, fetch_scalars, tx::Tx};
use domain::ids::OrderId;

/// `SELECT` of the handoffs that ask for the acceptance of order `o`, with more conditions.
macro_rules! asked {
    ($rest:literal) => {
        concat!(
            "(SELECT 1 FROM handoffs h /*! FORCE INDEX (order_id) */ WHERE h.order_id = o.id AND h.required = TRUE \
             AND h.event = 'order.placed'",
            $rest,
            ")"
        )
    };
}

/// Condition that no integrator of the store of order `o` must be asked for acceptance, with more conditions: none that has
/// it as its first store, and no other. The time when it joined the store stands between `$joined` and the rest.
macro_rules! none_must_be_asked {
    ($joined:literal, $($rest:expr),+) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM integrators i /*! FORCE INDEX (integrators_of_store) */ \
             WHERE i.store_id = o.store_id",
            must_be_asked!(),
            $joined, "i.created_at", $($rest),+,
            ") AND NOT EXISTS (SELECT /*! STRAIGHT_JOIN */ 1 FROM integrator_stores m /*! FORCE INDEX (PRIMARY) */ \
             JOIN integrators i /*! FORCE INDEX (PRIMARY) */ ON i.id = m.integrator_id \
             WHERE m.store_id = o.store_id AND m.left_at IS NULL",
            must_be_asked!(),
            $joined, "m.joined_at", $($rest),+,
            ")"
        )
    };
}

/// Condition on an integrator that must be asked for acceptance.
macro_rules! must_be_asked {
    () => {
        " AND i.required = TRUE AND i.archived_at IS NULL AND CAST(i.events AS CHAR) LIKE '%\"order.placed\"%'"
    };
}

const UNSETTLED: &str = concat!(
    "SELECT o.id FROM orders o /*! FORCE INDEX (orders_of_status) */ WHERE o.status = ? AND o.id > ? AND o.id <= ? \
     AND NOT EXISTS (SELECT 1 FROM callbacks c /*! FORCE INDEX (callbacks_of_order) */ \
       WHERE c.order_id = o.id AND c.applied_at IS NULL) AND (EXISTS ",
    asked!(" AND h.state = 'failed' AND h.confirmed_at IS NULL"),
    " OR (EXISTS ",
    asked!(" AND h.confirmed_at IS NOT NULL"),
    " AND NOT EXISTS ",
    asked!(
        " AND h.confirmed_at IS NULL AND NOT (h.state IN ('acknowledged', 'withdrawn') AND EXISTS ( \
         SELECT 1 FROM integrators g /*! FORCE INDEX (PRIMARY) */ \
         WHERE g.id = h.integrator_id AND g.archived_at IS NOT NULL))"
    ),
    " AND ",
    none_must_be_asked!(
        " AND (i.enabled = FALSE OR ",
        " <= COALESCE(o.placed_at, o.created_at)) AND NOT EXISTS ",
        asked!(" AND h.integrator_id = i.id")
    ),
    ") OR ((o.hand_over_at IS NULL OR o.hand_over_at <= ?) AND EXISTS (SELECT 1 FROM stores s /*! FORCE INDEX (PRIMARY) */ WHERE s.id = o.store_id \
       AND s.auto_accept = TRUE) AND NOT EXISTS ",
    asked!(""),
    " AND ",
    // True for each.
    none_must_be_asked!(" AND ", " IS NOT NULL"),
    ")) ORDER BY o.id"
);

/// Orders that wait for acceptance although the result is certain, among those examined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    pub orders: Vec<OrderId>,
    /// Order after which the next search continues; `None` if there are no more.
    pub continue_after: Option<OrderId>,
}

/// Returns orders that wait for acceptance although the result is certain: a required handoff has failed; or every
/// required integrator that is not archived has confirmed and none was left out; or there is none, the store accepts
/// automatically, and the order is handed over. The conditions are those of `ledger::orders::settle`, so that no order is found again and again
/// without effect. Leaves out orders with unapplied callbacks. Examines the next `max_examined` orders of each status.
pub async fn unsettled_orders(
    tx: &mut Tx,
    now: DateTime<Utc>,
    after: Option<OrderId>,
    max_examined: u32,
) -> Result<Unsettled> {
    let after = after.unwrap_or(OrderId::MIN);
    // Every status is examined up to the same order, so that one place is enough to go on from.
    let mut last: Option<OrderId> = None;
    for status in UNACCEPTED {
        let end: Option<OrderId> = fetch_optional_scalar!(
            tx,
            "SELECT id FROM orders /*! FORCE INDEX (orders_of_status) */ WHERE status = ? AND id > ? \
             ORDER BY id LIMIT 1 OFFSET ?",
            status,
            after,
            max_examined.saturating_sub(1)
        );
        last = [last, end].into_iter().flatten().min();
    }
    let mut orders = Vec::new();
    for status in UNACCEPTED {
        let last = last.unwrap_or(OrderId::MAX);
        orders.extend(unsettled_between(tx, status, (after, last), now).await?);
    }
    Ok(Unsettled {
        orders,
        continue_after: last,
    })
}

/// Does the same for the newest `max_examined` orders of each status, so that what was lost just now is found at once,
/// however many orders wait.
pub async fn newest_unsettled(
    tx: &mut Tx,
    now: DateTime<Utc>,
    max_examined: u32,
) -> Result<Vec<OrderId>> {
    let mut orders = Vec::new();
    for status in UNACCEPTED {
        let before: Option<OrderId> = fetch_optional_scalar!(
            tx,
            "SELECT id FROM orders /*! FORCE INDEX (orders_of_status) */ WHERE status = ? AND id < ? \
             ORDER BY id DESC LIMIT 1 OFFSET ?",
            status,
            OrderId::MAX,
            max_examined
        );
        let after = before.unwrap_or(OrderId::MIN);
        orders.extend(unsettled_between(tx, status, (after, OrderId::MAX), now).await?);
    }
    Ok(orders)
}

async fn unsettled_between(
    tx: &mut Tx,
    status: &'static str,
    (after, last): (OrderId, OrderId),
    now: DateTime<Utc>,
) -> Result<Vec<OrderId>> {
    Ok(fetch_scalars!(tx, UNSETTLED, status, after, last, now))
}
