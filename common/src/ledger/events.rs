//! What screens are told: events after a number, and snapshots with the number they are of.

use super::{Ledger, Result};
use crate::{
    domain::{
        event::Event,
        ids::{OrderId, StreamId},
        order::Order,
        session::{Session, is_code},
    },
    store,
};

/// More events of one order than any has; a bound all the same.
const MOST_EVENTS_OF_ORDER: u32 = 1000;

/// A session with its orders, all of one moment; `session.seq` is its number.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSnapshot {
    pub session: Session,
    /// Oldest first.
    pub orders: Vec<Order>,
}

/// An order and the last number of the stream that it is told on, of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderSnapshot {
    pub order: Order,
    pub seq: i64,
}

impl Ledger {
    /// In order, `limit` at most.
    pub async fn events_after(
        &self,
        stream: StreamId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::events::after(&mut tx, stream, after, limit).await?)
    }

    /// All that happened to one order, in order.
    pub async fn order_events(&self, order: OrderId) -> Result<Vec<Event>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::events::of_order(&mut tx, order, MOST_EVENTS_OF_ORDER).await?)
    }

    /// Also of one whose code reads no more: ask [`Session::reads_at`].
    pub async fn session_snapshot(&self, code: &str) -> Result<Option<SessionSnapshot>> {
        if !is_code(code) {
            return Ok(None);
        }
        let mut tx = self.inner.db.read().await?;
        let Some(session) = store::sessions::by_code(&mut tx, code).await? else {
            return Ok(None);
        };
        let orders = store::orders::of_session(&mut tx, session.id).await?;
        Ok(Some(SessionSnapshot { session, orders }))
    }

    pub async fn order_snapshot(&self, id: OrderId) -> Result<Option<OrderSnapshot>> {
        let mut tx = self.inner.db.read().await?;
        let Some(order) = store::orders::get(&mut tx, id).await? else {
            return Ok(None);
        };
        let heads = store::events::heads(&mut tx, &[order.stream()]).await?;
        let seq = heads.first().map_or(0, |(_, seq)| *seq);
        Ok(Some(OrderSnapshot { order, seq }))
    }

    /// The stream's last number; `None` where nothing has that stream.
    pub async fn stream_head(&self, stream: StreamId) -> Result<Option<i64>> {
        Ok(self
            .stream_heads(&[stream])
            .await?
            .first()
            .map(|(_, seq)| *seq))
    }

    /// The last numbers of those streams that exist, in no particular order.
    pub async fn stream_heads(&self, streams: &[StreamId]) -> Result<Vec<(StreamId, i64)>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::events::heads(&mut tx, streams).await?)
    }
}
