//! Streams: their counters (in the row of the session, order or store they belong to) and their numbered events.

use std::collections::BTreeMap;

use sqlx::types::Json;

use crate::{
    bulk::MAX_ROWS,
    error::Result,
    fetch_in, insert_many, push_ids, read_all, read_in,
    rows::{ReadRow, Readable, Row, read_rows},
    statements::Statement,
    tx::Tx,
    update_many,
};
use domain::{
    event::Event,
    ids::{OrderId, StreamId},
};

/// The table that holds a stream's last number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    Session,
    Order,
    Store,
}

/// Raises the last numbers of streams whose rows are locked, each by its amount, with one statement for each table.
pub async fn count_up(tx: &mut Tx, counted: &[(Counter, StreamId, i64)]) -> Result<()> {
    let of = |wanted: Counter| -> Vec<(StreamId, i64)> {
        let of_table = counted.iter().filter(|(counter, ..)| *counter == wanted);
        of_table.map(|(_, id, by)| (*id, *by)).collect()
    };
    macro_rules! count_up {
        ($rows:expr, $table:literal, $key:literal, $where:literal) => {
            update_many!(tx, $key, concat!("UPDATE ", $table, " /*! FORCE INDEX (PRIMARY) */ SET "), &$rows, |row| row.0, [
                "last_seq = last_seq + " row.1, $where;
            ])
        };
    }
    count_up!(of(Counter::Session), "sessions", "id", " WHERE id IN (");
    count_up!(of(Counter::Order), "orders", "id", " WHERE id IN (");
    count_up!(
        of(Counter::Store),
        "store_counters",
        "store_id",
        " WHERE store_id IN ("
    );
    Ok(())
}

pub async fn insert(tx: &mut Tx, events: &[Event]) -> Result<()> {
    insert_many!(
        tx,
        "INSERT INTO events (stream_id, seq, store_id, order_id, kind, at, actor, data) ",
        events,
        |row, event| row
            .push_bind(event.stream)
            .push_bind(event.seq)
            .push_bind(event.store_id)
            .push_bind(event.order_id)
            .push_bind(event.kind)
            .push_bind(event.at)
            .push_bind(event.actor.as_ref().map(Json))
            .push_bind(Json(&event.data))
    );
    Ok(())
}

/// Returns at most `limit` events of the stream after a number, in order.
pub async fn after(tx: &mut Tx, stream: StreamId, after: i64, limit: u32) -> Result<Vec<Event>> {
    Ok(read_all!(
        tx,
        "SELECT stream_id, seq, store_id, order_id, kind, at, actor, data FROM events \
         WHERE stream_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        stream,
        after,
        limit
    ))
}

/// Returns the last numbers of those streams that exist, in no particular order.
pub async fn heads(tx: &mut Tx, streams: &[StreamId]) -> Result<Vec<(StreamId, i64)>> {
    let mut heads = Vec::with_capacity(streams.len());
    for chunk in streams.chunks(MAX_ROWS) {
        let rows: Vec<(StreamId, i64)> = {
            let mut query = Statement::new(tx, "SELECT id, last_seq FROM sessions WHERE id IN (");
            let mut before = "";
            for next in [
                ") UNION ALL SELECT id, last_seq FROM orders WHERE session_id IS NULL AND id IN (",
                ") UNION ALL SELECT store_id, last_seq FROM store_counters WHERE store_id IN (",
                ")",
            ] {
                query.push(before);
                push_ids(&mut query, chunk);
                before = next;
            }
            query.push(before);
            query.fetch_all(tx).await?
        };
        heads.extend(rows);
    }
    Ok(heads)
}

/// Returns at most `limit` events of one order after a number, in order.
pub async fn of_order(tx: &mut Tx, order: OrderId, after: i64, limit: u32) -> Result<Vec<Event>> {
    Ok(read_all!(
        tx,
        "SELECT stream_id, seq, store_id, order_id, kind, at, actor, data FROM events \
         WHERE order_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        order,
        after,
        limit
    ))
}

/// Returns those of these events that exist, in no particular order.
pub async fn named(tx: &mut Tx, names: &[(StreamId, i64)]) -> Result<Vec<Event>> {
    let mut events = Vec::with_capacity(names.len());
    for chunk in names.chunks(MAX_ROWS) {
        let rows: Vec<Readable<Event>> = {
            let mut query = Statement::new(
                tx,
                "SELECT stream_id, seq, store_id, order_id, kind, at, actor, data FROM events WHERE ",
            );
            push_names(&mut query, chunk);
            query.fetch_all(tx).await?
        };
        events.extend(read_rows::<_, Vec<_>>(rows)?);
    }
    Ok(events)
}

/// Appends the condition that an event is one of these. The last one is repeated, so that the statement has few shapes.
pub(crate) fn push_names(query: &mut Statement<'_>, names: &[(StreamId, i64)]) {
    let last = names.last().into_iter().cycle();
    let padded = names
        .iter()
        .chain(last)
        .take(names.len().next_power_of_two());
    let mut before = "(stream_id = ";
    for (stream, seq) in padded {
        query.push(before).push_bind(*stream);
        query.push(" AND seq = ").push_bind(*seq).push(")");
        before = " OR (stream_id = ";
    }
}

/// Returns all events about these orders, by order and number.
pub async fn of_orders(tx: &mut Tx, orders: &[OrderId]) -> Result<Vec<Event>> {
    Ok(read_in!(
        tx,
        "SELECT stream_id, seq, store_id, order_id, kind, at, actor, data \
         FROM events /*! FORCE INDEX (events_of_order) */ WHERE order_id IN (",
        orders,
        ") ORDER BY order_id, seq"
    ))
}

/// Returns the number of the newest event about each of these orders; events about their handoffs are left out.
pub async fn newest_of_orders(tx: &mut Tx, orders: &[OrderId]) -> Result<BTreeMap<OrderId, i64>> {
    let rows = fetch_in!(
        tx,
        "SELECT order_id, MAX(seq) FROM events WHERE kind <> 'handoff.failed' AND order_id IN (",
        orders,
        ") GROUP BY order_id"
    );
    Ok(rows.into_iter().collect())
}

impl ReadRow for Event {
    const TABLE: &'static str = "events";
    const KEY: &'static str = "stream_id";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            stream: row.get("stream_id")?,
            seq: row.get("seq")?,
            store_id: row.get("store_id")?,
            order_id: row.get("order_id")?,
            kind: row.get("kind")?,
            at: row.get("at")?,
            actor: row.get::<Option<Json<_>>>("actor")?.map(|Json(it)| it),
            data: row.get("data").map(|Json(data)| data)?,
        })
    }
}
