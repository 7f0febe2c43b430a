//! The invariants of docs/design.md section 1, as queries that find violations.

use crate::{error::Result, fetch_all, rows::Text, tx::Tx};

/// An invariant, and the query for its violations: an id in hexadecimal, and a detail.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub name: &'static str,
    mysql: &'static str,
    sqlite: &'static str,
}

/// Maximum violations reported per rule.
const MAX_PER_RULE: u32 = 50;

/// The rule of stock. An item takes that of its product, and its options, which are JSON, that of theirs.
macro_rules! stock_rule {
    ($options:literal) => {
        concat!(
            "SELECT HEX(s.product_id), CAST(s.quantity AS CHAR) FROM stock s \
             LEFT JOIN (SELECT product_id, SUM(delta) AS moved FROM stock_movements GROUP BY product_id) m \
               ON m.product_id = s.product_id \
             LEFT JOIN (SELECT product_id, SUM(quantity) AS held FROM ( \
               SELECT i.product_id, i.quantity FROM order_items i JOIN orders o ON o.id = i.order_id \
               WHERE i.counted = TRUE AND o.stock_held = TRUE \
               UNION ALL SELECT product_id, quantity FROM gone_stock \
               UNION ALL ",
            $options,
            ") held_rows GROUP BY product_id) h ON h.product_id = s.product_id \
             WHERE s.quantity < 0 OR s.quantity <> COALESCE(m.moved, 0) - COALESCE(h.held, 0) LIMIT ?"
        )
    };
}

const STOCK: Rule = Rule {
    name: "stock equals what was put in minus what orders hold",
    mysql: stock_rule!(
        "SELECT UNHEX(REPLACE(c.product_id, '-', '')), i.quantity * c.quantity \
         FROM order_items i JOIN orders o ON o.id = i.order_id \
         JOIN JSON_TABLE(i.options, '$[*]' COLUMNS (product_id VARCHAR(36) PATH '$.product_id', \
           quantity BIGINT PATH '$.quantity', counted VARCHAR(5) PATH '$.counted')) c \
         WHERE i.options IS NOT NULL AND o.stock_held = TRUE AND c.counted IN ('true', '1')"
    ),
    sqlite: stock_rule!(
        "SELECT UNHEX(c.value ->> 'product_id', '-'), i.quantity * (c.value ->> 'quantity') \
         FROM order_items i JOIN orders o ON o.id = i.order_id JOIN JSON_EACH(i.options) c \
         WHERE i.options IS NOT NULL AND o.stock_held = TRUE AND c.value ->> 'counted' = 1"
    ),
};

const RULES: &[(&str, &str)] = &[
    (
        "a stream's numbers begin at 1 and have no gaps",
        "SELECT HEX(e.stream_id), CAST(MAX(e.seq) AS CHAR) FROM events e \
         LEFT JOIN event_floors f ON f.stream_id = e.stream_id WHERE e.seq > COALESCE(f.gone_to, 0) \
         GROUP BY e.stream_id, f.gone_to \
         HAVING COUNT(*) <> MAX(e.seq) - COALESCE(f.gone_to, 0) OR MIN(e.seq) <> COALESCE(f.gone_to, 0) + 1 LIMIT ?",
    ),
    (
        "a session's counter is the number of its events",
        "SELECT HEX(s.id), CAST(s.last_seq AS CHAR) FROM sessions s LEFT JOIN event_floors f ON f.stream_id = s.id \
         WHERE s.last_seq <> COALESCE(f.gone_to, 0) + \
         (SELECT COUNT(*) FROM events e WHERE e.stream_id = s.id AND e.seq > COALESCE(f.gone_to, 0)) LIMIT ?",
    ),
    (
        "an order's counter is the number of its own stream's events",
        // Retention deletes all events of an ended order at once, and an order's own stream has no floor.
        "SELECT HEX(o.id), CAST(o.last_seq AS CHAR) FROM orders o \
         WHERE o.last_seq <> (SELECT COUNT(*) FROM events e WHERE e.stream_id = o.id) \
         AND NOT (o.ended_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM events e WHERE e.order_id = o.id) \
           AND EXISTS (SELECT 1 FROM retention_walks w WHERE w.kind = 'events' AND w.last_id >= o.id)) LIMIT ?",
    ),
    (
        "a store's counter is the number of its own stream's events",
        "SELECT HEX(s.store_id), CAST(s.last_seq AS CHAR) FROM store_counters s \
         LEFT JOIN event_floors f ON f.stream_id = s.store_id WHERE s.last_seq <> COALESCE(f.gone_to, 0) + \
         (SELECT COUNT(*) FROM events e WHERE e.stream_id = s.store_id AND e.seq > COALESCE(f.gone_to, 0)) LIMIT ?",
    ),
    (
        "an order holds its stock from placement until it is called off",
        "SELECT HEX(id), status FROM orders WHERE \
         (status IN ('pending', 'processing', 'accepted', 'preparing', 'ready', 'dispatched', 'delivered') \
           AND stock_held = FALSE) \
         OR (status IN ('draft', 'rejected', 'cancelled') AND stock_held = TRUE) \
         OR (status = 'failed' AND stock_held = TRUE AND COALESCE(reason, '') NOT IN ('lost', 'returned')) LIMIT ?",
    ),
    (
        "a slot is held by placed orders, and by none that was called off before its time",
        "SELECT HEX(h.order_id), o.status FROM slot_holds h LEFT JOIN orders o ON o.id = h.order_id \
         WHERE o.id IS NULL OR o.status = 'draft' \
         OR (o.status IN ('rejected', 'failed', 'cancelled') AND o.ended_at < h.ready_at) LIMIT ?",
    ),
    (
        "an order holds as much of its store's capacity as it has items",
        "SELECT HEX(h.order_id), CAST(h.items AS CHAR) FROM slot_holds h JOIN orders o ON o.id = h.order_id \
         WHERE h.store_id <> o.store_id OR h.fulfilment <> o.fulfilment OR h.items <> \
         (SELECT COALESCE(SUM(i.quantity), 0) FROM order_items i WHERE i.order_id = o.id) LIMIT ?",
    ),
    (
        "an order's total is the sum of its items",
        "SELECT HEX(o.id), CAST(o.total_amount AS CHAR) FROM orders o WHERE o.total_amount <> \
         (SELECT COALESCE(SUM(i.quantity * i.unit_amount), 0) FROM order_items i WHERE i.order_id = o.id) LIMIT ?",
    ),
    (
        "a store's order numbers begin at 1 and have no gaps",
        "SELECT HEX(c.store_id), CAST(c.last_number AS CHAR) FROM store_counters c LEFT JOIN ( \
           SELECT store_id, COUNT(number) AS numbers, MIN(number) AS first, MAX(number) AS last \
           FROM orders WHERE number IS NOT NULL GROUP BY store_id) o ON o.store_id = c.store_id \
         LEFT JOIN gone_orders g ON g.store_id = c.store_id \
         WHERE c.last_number <> COALESCE(o.numbers, 0) + COALESCE(g.orders, 0) \
         OR COALESCE(o.first, 1) < 1 OR COALESCE(o.last, 0) > c.last_number \
         OR (g.store_id IS NULL AND COALESCE(o.first, 1) <> 1) LIMIT ?",
    ),
    (
        "a placed order has a number, and an order that waits for acceptance has an accept_by",
        "SELECT HEX(id), status FROM orders WHERE (status <> 'draft' AND number IS NULL) \
         OR (status IN ('pending', 'processing') AND accept_by IS NULL) LIMIT ?",
    ),
    (
        "an order is marked as tallied if and only if its store's tally covers it",
        "SELECT HEX(o.id), o.status FROM orders o LEFT JOIN order_tallies t ON t.store_id = o.store_id \
         WHERE o.tallied <> (o.number IS NOT NULL AND o.number <= COALESCE(t.up_to, 0)) LIMIT ?",
    ),
    (
        "a store's tally is the count of its marked orders",
        "SELECT HEX(t.store_id), CAST(t.up_to AS CHAR) FROM order_tallies t LEFT JOIN (SELECT store_id, \
           COUNT(*) AS marked, COUNT(accepted_at) AS ever_accepted, \
           SUM(status = 'pending') AS pending, SUM(status = 'processing') AS processing, \
           SUM(status = 'accepted') AS accepted, SUM(status = 'preparing') AS preparing, \
           SUM(status = 'ready') AS ready, SUM(status = 'dispatched') AS dispatched, \
           SUM(status = 'delivered') AS delivered, SUM(status = 'rejected') AS rejected, \
           SUM(status = 'failed') AS failed, SUM(status = 'cancelled') AS cancelled \
           FROM orders WHERE tallied = TRUE GROUP BY store_id) o ON o.store_id = t.store_id \
         LEFT JOIN gone_orders g ON g.store_id = t.store_id \
         WHERE t.up_to <> COALESCE(o.marked, 0) + COALESCE(g.orders, 0) \
           OR t.ever_accepted <> COALESCE(o.ever_accepted, 0) + COALESCE(g.ever_accepted, 0) \
           OR t.pending <> COALESCE(o.pending, 0) OR t.processing <> COALESCE(o.processing, 0) \
           OR t.accepted <> COALESCE(o.accepted, 0) OR t.preparing <> COALESCE(o.preparing, 0) \
           OR t.ready <> COALESCE(o.ready, 0) OR t.dispatched <> COALESCE(o.dispatched, 0) \
           OR t.delivered <> COALESCE(o.delivered, 0) + COALESCE(g.delivered, 0) \
           OR t.rejected <> COALESCE(o.rejected, 0) + COALESCE(g.rejected, 0) \
           OR t.failed <> COALESCE(o.failed, 0) + COALESCE(g.failed, 0) \
           OR t.cancelled <> COALESCE(o.cancelled, 0) + COALESCE(g.cancelled, 0) LIMIT ?",
    ),
    (
        "a draft has no number, handoffs or events",
        "SELECT HEX(o.id), o.status FROM orders o WHERE o.status = 'draft' AND (o.number IS NOT NULL \
         OR o.placed_at IS NOT NULL OR o.accept_by IS NOT NULL \
         OR EXISTS (SELECT 1 FROM handoffs h WHERE h.order_id = o.id) \
         OR EXISTS (SELECT 1 FROM events e WHERE e.order_id = o.id)) LIMIT ?",
    ),
    (
        "what retention deleted left nothing behind",
        "SELECT HEX(id), what FROM ( \
           SELECT a.id, 'attempt' AS what FROM attempts a LEFT JOIN handoffs h ON h.id = a.handoff_id WHERE h.id IS NULL \
           UNION ALL SELECT h.id, 'handoff' FROM handoffs h LEFT JOIN orders o ON o.id = h.order_id \
           WHERE h.order_id IS NOT NULL AND o.id IS NULL \
           UNION ALL SELECT c.id, 'callback' FROM callbacks c LEFT JOIN orders o ON o.id = c.order_id \
           WHERE c.order_id IS NOT NULL AND o.id IS NULL \
           UNION ALL SELECT e.order_id, 'event' FROM events e LEFT JOIN orders o ON o.id = e.order_id \
           WHERE e.order_id IS NOT NULL AND o.id IS NULL \
           UNION ALL SELECT o.session_id, 'session' FROM orders o LEFT JOIN sessions s ON s.id = o.session_id \
           WHERE o.session_id IS NOT NULL AND s.id IS NULL) left_behind LIMIT ?",
    ),
    (
        "every item belongs to an order",
        "SELECT HEX(i.id), i.name FROM order_items i LEFT JOIN orders o ON o.id = i.order_id WHERE o.id IS NULL LIMIT ?",
    ),
    (
        "an order has an end time if and only if its status is final",
        "SELECT HEX(id), status FROM orders WHERE (ended_at IS NOT NULL) <> \
         (status IN ('delivered', 'rejected', 'failed', 'cancelled')) LIMIT ?",
    ),
    (
        "an ended order has no order.placed or order.dispatched left to send",
        "SELECT HEX(h.id), h.state FROM handoffs h JOIN orders o ON o.id = h.order_id \
         WHERE h.event IN ('order.placed', 'order.dispatched') AND h.state IN ('due', 'waiting', 'held', 'parked') \
         AND o.status IN ('rejected', 'failed', 'cancelled', 'delivered') LIMIT ?",
    ),
    (
        "integrators that may have received a called-off order are told so",
        "SELECT HEX(h.id), o.status FROM handoffs h JOIN orders o ON o.id = h.order_id \
         JOIN integrators i ON i.id = h.integrator_id \
         WHERE o.status IN ('failed', 'cancelled') AND h.event IN ('order.placed', 'order.dispatched') \
         AND i.enabled = TRUE AND i.archived_at IS NULL AND CAST(i.events AS CHAR) LIKE '%\"order.cancelled\"%' \
         AND EXISTS (SELECT 1 FROM attempts a WHERE a.handoff_id = h.id AND a.outcome IN ('acknowledged', 'unknown') \
           AND a.started_at <= o.ended_at) \
         AND NOT EXISTS (SELECT 1 FROM handoffs c WHERE c.order_id = h.order_id AND c.integrator_id = h.integrator_id \
           AND c.event = 'order.cancelled') LIMIT ?",
    ),
    (
        "a handoff has a closing time if and only if its state is closed",
        "SELECT HEX(id), state FROM handoffs WHERE (closed_at IS NOT NULL) <> \
         (state IN ('acknowledged', 'failed', 'withdrawn')) LIMIT ?",
    ),
    (
        "a round has at most max_attempts counted attempts, numbered from 1 without gaps",
        "SELECT HEX(a.handoff_id), CAST(COUNT(*) AS CHAR) FROM attempts a JOIN handoffs h ON h.id = a.handoff_id \
         GROUP BY a.handoff_id, a.round, h.max_attempts \
         HAVING SUM(a.counted) > h.max_attempts OR MIN(a.n) <> 1 OR MAX(a.n) <> COUNT(*) LIMIT ?",
    ),
    (
        "a handoff counts the attempts of its round",
        "SELECT HEX(h.id), CAST(h.attempts AS CHAR) FROM handoffs h WHERE h.attempts <> \
         (SELECT COUNT(*) FROM attempts a WHERE a.handoff_id = h.id AND a.round = h.round) OR h.uncounted <> \
         (SELECT COUNT(*) FROM attempts a WHERE a.handoff_id = h.id AND a.round = h.round AND a.counted = FALSE) LIMIT ?",
    ),
    (
        "an attempt that does not count was answered with a 429 or a 503",
        "SELECT HEX(handoff_id), CAST(n AS CHAR) FROM attempts WHERE counted = FALSE \
         AND (outcome IS NULL OR outcome <> 'retry' OR http_status IS NULL OR http_status NOT IN (429, 503)) LIMIT ?",
    ),
    (
        "a further attempt follows only one that may not have arrived",
        "SELECT HEX(b.handoff_id), CAST(b.n AS CHAR) FROM attempts b JOIN attempts a ON a.handoff_id = b.handoff_id \
         AND ((a.round = b.round AND a.n < b.n) OR a.round < b.round) \
         WHERE a.outcome IS NULL OR a.outcome = 'acknowledged' \
         OR (a.round = b.round AND a.outcome NOT IN ('retry', 'unknown')) LIMIT ?",
    ),
    (
        "an attempt without an outcome is covered by its handoff's lease",
        "SELECT HEX(a.handoff_id), h.state FROM attempts a JOIN handoffs h ON h.id = a.handoff_id \
         WHERE a.outcome IS NULL AND (h.leased_until IS NULL OR h.fence <> a.fence \
           OR h.state NOT IN ('sending', 'acknowledged')) LIMIT ?",
    ),
    (
        "a handoff being sent has a lease, a body and an open attempt",
        "SELECT HEX(h.id), h.state FROM handoffs h WHERE h.state = 'sending' AND (h.leased_until IS NULL \
         OR h.body IS NULL OR NOT EXISTS (SELECT 1 FROM attempts a WHERE a.handoff_id = h.id AND a.round = h.round \
           AND a.n = h.attempts AND a.outcome IS NULL)) LIMIT ?",
    ),
    (
        "no order for later is handed over before its time",
        "SELECT HEX(h.id), CAST(a.started_at AS CHAR) FROM attempts a JOIN handoffs h ON h.id = a.handoff_id \
         JOIN orders o ON o.id = h.order_id JOIN integrators i ON i.id = h.integrator_id \
         WHERE h.event = 'order.placed' AND i.listens_until IS NULL AND a.started_at < o.hand_over_at LIMIT ?",
    ),
    (
        "an acknowledged handoff was acknowledged by a response or a callback",
        "SELECT HEX(h.id), h.state FROM handoffs h WHERE h.state = 'acknowledged' \
         AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.handoff_id = h.id AND a.outcome = 'acknowledged') \
         AND NOT EXISTS (SELECT 1 FROM callbacks c WHERE c.order_id = h.order_id AND c.integrator_id = h.integrator_id) \
         LIMIT ?",
    ),
    (
        "the handoffs of one order to one integrator are sent one after the other",
        "SELECT HEX(b.id), b.state FROM handoffs b JOIN handoffs a ON a.order_id = b.order_id \
         AND a.integrator_id = b.integrator_id AND a.position < b.position \
         WHERE b.attempts > 0 AND a.state NOT IN ('acknowledged', 'failed', 'withdrawn') LIMIT ?",
    ),
    (
        "a callback has a result if and only if it was applied",
        "SELECT HEX(id), result FROM callbacks WHERE (applied_at IS NULL) <> (result IS NULL) LIMIT ?",
    ),
    (
        "a callback that counted concerns an order that its integrator was handed",
        "SELECT HEX(c.id), c.result FROM callbacks c WHERE c.result IN ('applied', 'unchanged') AND NOT EXISTS ( \
           SELECT 1 FROM handoffs h WHERE h.order_id = c.order_id AND h.integrator_id = c.integrator_id) LIMIT ?",
    ),
    (
        "callbacks that counted have ascending sequences",
        "SELECT HEX(b.id), CAST(b.sequence AS CHAR) FROM callbacks b JOIN callbacks a \
         ON a.order_id = b.order_id AND a.integrator_id = b.integrator_id AND a.sequence >= b.sequence \
         AND (a.received_at < b.received_at OR (a.received_at = b.received_at AND a.id < b.id)) \
         WHERE a.result IN ('applied', 'unchanged') AND b.result IN ('applied', 'unchanged') \
         AND a.applied_at <= b.applied_at LIMIT ?",
    ),
];

/// Returns all rules. Each is read by one statement, which sees one snapshot, and needs no transaction with others: a
/// transaction that reads for long holds the metadata of its tables, and a schema change would wait for its end.
pub fn rules() -> impl Iterator<Item = Rule> {
    let both = RULES.iter().map(|(name, sql)| Rule {
        name,
        mysql: sql,
        sqlite: sql,
    });
    both.chain([STOCK])
}

impl Rule {
    /// Returns the violations of this rule: an id in hexadecimal, and a detail such as the status.
    pub async fn findings(self, tx: &mut Tx) -> Result<Vec<(String, Option<String>)>> {
        let sql = tx.pick(self.mysql, self.sqlite);
        let rows: Vec<(Text, Option<Text>)> = fetch_all!(tx, sql, MAX_PER_RULE);
        let rows = rows.into_iter();
        Ok(rows
            .map(|(id, what)| (id.0, what.map(|what| what.0)))
            .collect())
    }
}
