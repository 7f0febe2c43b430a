//! Streams: their counters (in the row of the session, order or store they belong to) and their numbered events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{QueryBuilder, types::Json};
use uuid::Uuid;

use super::{
    bulk::MAX_ROWS,
    error::{Result, StoreError},
    fetch_all, insert_many, on, push_ids,
    tx::Tx,
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

/// Raises the last numbers of streams whose rows are locked, with one statement per table and amount.
pub async fn count_up(tx: &mut Tx, counted: &[(Counter, StreamId, i64)]) -> Result<()> {
    let mut groups: BTreeMap<(Counter, i64), Vec<Uuid>> = BTreeMap::new();
    for (counter, id, by) in counted {
        groups.entry((*counter, *by)).or_default().push(id.uuid());
    }
    for ((counter, by), ids) in groups {
        let sql = match counter {
            Counter::Session => "UPDATE sessions SET last_seq = last_seq + ",
            Counter::Order => "UPDATE orders SET last_seq = last_seq + ",
            Counter::Store => "UPDATE store_counters SET last_seq = last_seq + ",
        };
        let key = if counter == Counter::Store {
            " WHERE store_id IN ("
        } else {
            " WHERE id IN ("
        };
        on!(tx, |conn| {
            let mut query = QueryBuilder::new(sql);
            query.push_bind(by).push(key);
            push_ids(&mut query, &ids);
            query.push(")");
            query.build().execute(conn).await?;
        });
    }
    Ok(())
}

pub async fn insert(tx: &mut Tx, events: &[Event]) -> Result<()> {
    insert_many!(
        tx,
        "INSERT INTO events (stream_id, seq, store_id, order_id, kind, at, data) ",
        events,
        |row, event| row
            .push_bind(event.stream)
            .push_bind(event.seq)
            .push_bind(event.store_id)
            .push_bind(event.order_id)
            .push_bind(event.kind)
            .push_bind(event.at)
            .push_bind(Json(&event.data))
    );
    Ok(())
}

/// Returns at most `limit` events of the stream after a number, in order.
pub async fn after(tx: &mut Tx, stream: StreamId, after: i64, limit: u32) -> Result<Vec<Event>> {
    let rows: Vec<Row> = fetch_all!(
        tx,
        "SELECT stream_id, seq, store_id, order_id, kind, at, data FROM events \
         WHERE stream_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        stream,
        after,
        limit
    );
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Returns the last numbers of those streams that exist, in no particular order.
pub async fn heads(tx: &mut Tx, streams: &[StreamId]) -> Result<Vec<(StreamId, i64)>> {
    let mut heads = Vec::with_capacity(streams.len());
    for chunk in streams.chunks(MAX_ROWS) {
        let ids: Vec<Uuid> = chunk.iter().map(|id| id.uuid()).collect();
        let rows: Vec<(Uuid, i64)> = on!(&mut *tx, |conn| {
            let mut query = QueryBuilder::new("SELECT id, last_seq FROM sessions WHERE id IN (");
            let mut before = "";
            for next in [
                ") UNION ALL SELECT id, last_seq FROM orders WHERE session_id IS NULL AND id IN (",
                ") UNION ALL SELECT store_id, last_seq FROM store_counters WHERE store_id IN (",
                ")",
            ] {
                query.push(before);
                push_ids(&mut query, &ids);
                before = next;
            }
            query.push(before);
            query.build_query_as().fetch_all(conn).await?
        });
        heads.extend(rows.into_iter().map(|(id, seq)| (id.into(), seq)));
    }
    Ok(heads)
}

/// Returns the first `limit` events of one order, in order.
pub async fn of_order(tx: &mut Tx, order: OrderId, limit: u32) -> Result<Vec<Event>> {
    let rows: Vec<Row> = fetch_all!(
        tx,
        "SELECT stream_id, seq, store_id, order_id, kind, at, data FROM events \
         WHERE order_id = ? ORDER BY seq LIMIT ?",
        order,
        limit
    );
    rows.into_iter().map(TryInto::try_into).collect()
}

#[derive(sqlx::FromRow)]
struct Row {
    stream_id: Uuid,
    seq: i64,
    store_id: Uuid,
    order_id: Option<Uuid>,
    kind: String,
    at: DateTime<Utc>,
    data: Json<Value>,
}

impl TryFrom<Row> for Event {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            stream: row.stream_id.into(),
            seq: row.seq,
            store_id: row.store_id.into(),
            order_id: row.order_id.map(Into::into),
            kind: row
                .kind
                .parse()
                .map_err(|error| StoreError::corrupt("events", row.stream_id, error))?,
            at: row.at,
            data: row.data.0,
        })
    }
}
