//! Events for screens: those after a number, and snapshots with the number that they are at.

pub(crate) mod bounded;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use self::bounded::{Budget, EventsOf};
use super::{Ledger, Result, orders::OrderPage};
use domain::{
    event::Event,
    ids::{EpochId, OrderId, SessionId, StoreId, StreamId},
    json_size,
    order::Order,
    session::{Session, SessionState, is_code},
    store::Store,
};

/// Maximum number of events of one order per read.
const MAX_ORDER_EVENTS: u32 = 1000;
/// Maximum number of streams per read of those that a store's snapshot does not show, or does not have.
const MAX_STREAMS_READ: u32 = 5000;
/// Maximum number of sessions, and of orders, in a snapshot; far more than people can look at.
const MAX_SNAPSHOT_ITEMS: u32 = 1000;
/// Number of the latest orders that a session's snapshot has beside the unfinished ones.
const MAX_RECENT_ORDERS: usize = 50;
/// Bytes of a session's JSON without its name.
const SESSION_JSON_BYTES: usize = 300;

/// A session with its unfinished orders and its latest ones, in one snapshot at the number `session.seq`.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSnapshot {
    /// Epoch in which its number counts; `None` before any process has begun one.
    pub epoch: Option<EpochId>,
    pub session: Session,
    /// Oldest first.
    pub orders: Vec<Order>,
    /// If orders were left out: the order before which all of them were placed. [`Ledger::session_orders`] continues
    /// there, and may repeat some.
    pub next: Option<OrderId>,
}

/// An order and the last number of the stream that reports it, in one snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderSnapshot {
    pub epoch: Option<EpochId>,
    pub order: Order,
    pub seq: i64,
}

/// A store's current activity in one snapshot: its open sessions, those with an order that has not ended, and such
/// orders.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreSnapshot {
    pub epoch: Option<EpochId>,
    pub store: Store,
    /// By id.
    pub sessions: Vec<Session>,
    /// Those that need action first: waiting for acceptance, ready, preparing, accepted, dispatched; of these the
    /// newest first. Orders that wait for their hand-over come last.
    pub orders: Vec<Order>,
    /// True if open orders or sessions were left out, because there are too many or they are too long.
    pub truncated: bool,
    /// The last number of every stream that reports one of these, or the store.
    pub heads: Vec<(StreamId, i64)>,
    /// The last numbers of further streams that report an open session or an order that has not ended.
    pub other_heads: Vec<(StreamId, i64)>,
    /// The store's last order number: every order up to it was committed before this snapshot.
    pub last_number: i64,
}

/// Streams of a store that a snapshot may not have.
#[derive(Clone, Debug, PartialEq)]
pub struct LaterStreams {
    /// The last numbers of the streams of open sessions, and of those with an order after the snapshot's last number.
    pub heads: Vec<(StreamId, i64)>,
    /// The order number up to which these streams are complete.
    pub last_number: i64,
}

impl Ledger {
    #[crate::boxed]
    pub async fn store_snapshot(&self, id: StoreId) -> Result<Option<StoreSnapshot>> {
        let mut tx = self.inner.db.read().await?;
        let Some(store) = store::stores::get(&mut tx, id).await? else {
            return Ok(None);
        };
        let max_bytes = self.inner.settings.bounds.snapshot_bytes;
        let open = store::store_snapshot::open_orders(
            &mut tx,
            id,
            self.inner.clock.now(),
            MAX_SNAPSHOT_ITEMS + 1,
        )
        .await?;
        let wanted = &open[..open.len().min(MAX_SNAPSHOT_ITEMS as usize)];
        let orders = bounded::orders(&mut tx, wanted, max_bytes).await?;
        let mut truncated = orders.len() < open.len();
        let state = SessionState::Open;
        let mut sessions =
            store::sessions::list(&mut tx, id, state, None, MAX_SNAPSHOT_ITEMS + 1).await?;
        let mut budget = Budget::new(max_bytes);
        let fit = sessions.iter().take(MAX_SNAPSHOT_ITEMS as usize);
        let fit = fit.take_while(|session| {
            budget.takes(SESSION_JSON_BYTES + json_size::text_bytes(&session.name))
        });
        let fit = fit.count();
        truncated |= fit < sessions.len();
        sessions.truncate(fit);
        let of_orders = orders.iter().filter_map(|order| order.session.as_ref());
        let mut closed: Vec<_> = of_orders
            .map(|session| session.id)
            .filter(|id| sessions.iter().all(|session| session.id != *id))
            .collect();
        closed.sort_unstable();
        closed.dedup();
        sessions.extend(store::sessions::many(&mut tx, &closed).await?);
        sessions.sort_by_key(|session| session.id);

        let own = orders.iter().filter(|order| order.session.is_none());
        let streams: Vec<_> = own.map(Order::stream).chain([id.into()]).collect();
        let mut heads = store::events::heads(&mut tx, &streams).await?;
        heads.extend(
            sessions
                .iter()
                .map(|session| (session.id.into(), session.seq)),
        );
        let shown: HashSet<StreamId> = heads.iter().map(|(stream, _)| *stream).collect();
        let mut other_heads = store::store_snapshot::open_session_heads(&mut tx, id).await?;
        let open = store::store_snapshot::open_order_heads(&mut tx, id, MAX_STREAMS_READ).await?;
        other_heads.extend(open);
        other_heads.retain(|(stream, _)| !shown.contains(stream));
        let last_number = store::store_snapshot::last_number(&mut tx, id).await?;
        Ok(Some(StoreSnapshot {
            epoch: epoch(&mut tx).await?,
            store,
            sessions,
            orders,
            truncated,
            heads,
            other_heads,
            last_number: last_number.unwrap_or(0),
        }))
    }

    /// Returns the store's streams that a snapshot at order number `number` may not have.
    #[crate::boxed]
    pub async fn streams_after_number(&self, id: StoreId, number: i64) -> Result<LaterStreams> {
        let mut tx = self.inner.db.read().await?;
        let orders =
            store::store_snapshot::streams_after_number(&mut tx, id, number, MAX_STREAMS_READ)
                .await?;
        let mut heads = store::store_snapshot::open_session_heads(&mut tx, id).await?;
        heads.extend(orders.iter().map(|order| (order.stream, order.head)));
        heads.sort_unstable();
        heads.dedup();
        Ok(LaterStreams {
            heads,
            last_number: orders.last().map_or(number, |order| order.number),
        })
    }

    /// Returns true if a stream that a snapshot at order number `number` does not have began after it; false if it had
    /// ended before.
    #[crate::boxed]
    pub async fn began_after_number(&self, stream: StreamId, number: i64) -> Result<bool> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::store_snapshot::is_open_or_after(&mut tx, stream, number).await?)
    }

    /// Returns a stream's events after number `after`, in order, at most `limit`, and as many as one page may have.
    #[crate::boxed]
    pub async fn events_after(
        &self,
        stream: StreamId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let max_bytes = self.inner.settings.bounds.page_bytes;
        self.events_within(stream, after, limit, max_bytes).await
    }

    /// Returns a stream's events after number `after`, in order, at most `limit`, until one does not fit into
    /// `max_bytes`.
    #[crate::boxed]
    pub async fn events_within(
        &self,
        stream: StreamId,
        after: i64,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Vec<Event>> {
        let mut tx = self.inner.db.read().await?;
        let of = EventsOf::Stream(stream);
        Ok(bounded::events(&mut tx, of, after, limit, max_bytes).await?)
    }

    /// Returns the events of one order after number `after`, in order, as many as one page may have.
    #[crate::boxed]
    pub async fn order_events(&self, order: OrderId, after: i64) -> Result<Vec<Event>> {
        let mut tx = self.inner.db.read().await?;
        let (of, max_bytes) = (
            EventsOf::Order(order),
            self.inner.settings.bounds.page_bytes,
        );
        Ok(bounded::events(&mut tx, of, after, MAX_ORDER_EVENTS, max_bytes).await?)
    }

    /// Returns a session's snapshot, also if its code no longer gives access: ask [`Session::is_readable_at`].
    #[crate::boxed]
    pub async fn session_snapshot(&self, code: &str) -> Result<Option<SessionSnapshot>> {
        if !is_code(code) {
            return Ok(None);
        }
        let mut tx = self.inner.db.read().await?;
        let Some(session) = store::sessions::by_code(&mut tx, code).await? else {
            return Ok(None);
        };
        let id = session.id;
        let mut wanted =
            store::orders::unfinished_of_session(&mut tx, id, MAX_SNAPSHOT_ITEMS).await?;
        // One more shows that there are older ones.
        let limit = MAX_RECENT_ORDERS as u32 + 1;
        let latest = store::orders::of_session(&mut tx, id, None, limit).await?;
        for order in latest.iter().take(MAX_RECENT_ORDERS) {
            if !wanted.contains(order) {
                wanted.push(*order);
            }
        }
        let max_bytes = self.inner.settings.bounds.snapshot_bytes;
        let mut orders = bounded::orders(&mut tx, &wanted, max_bytes).await?;
        orders.sort_by_key(|order| order.id);
        let is_shown = |id: &OrderId| orders.binary_search_by_key(id, |order| order.id).is_ok();
        let shown = latest.iter().take_while(|id| is_shown(id)).count();
        let is_complete = shown == latest.len() && shown <= MAX_RECENT_ORDERS;
        let next = match shown.checked_sub(1) {
            _ if is_complete => None,
            Some(last) => Some(latest[last]),
            None => Some(OrderId::MAX),
        };
        Ok(Some(SessionSnapshot {
            epoch: epoch(&mut tx).await?,
            session,
            orders,
            next,
        }))
    }

    /// Returns one page of a session's placed orders that are older than `before`, newest first.
    #[crate::boxed]
    pub async fn session_orders(
        &self,
        session: SessionId,
        before: Option<OrderId>,
        limit: u32,
    ) -> Result<OrderPage<Order>> {
        let mut tx = self.inner.db.read().await?;
        let ids = store::orders::of_session(&mut tx, session, before, limit + 1).await?;
        let wanted = &ids[..ids.len().min(limit as usize)];
        let max_bytes = self.inner.settings.bounds.page_bytes;
        let orders = bounded::orders(&mut tx, wanted, max_bytes).await?;
        let last = orders.last().map(|order| order.id);
        let next = last.filter(|last| ids.last().is_some_and(|end| end < last));
        Ok(OrderPage {
            orders,
            next,
            next_updated_at: None,
        })
    }

    #[crate::boxed]
    pub async fn order_snapshot(&self, id: OrderId) -> Result<Option<OrderSnapshot>> {
        let mut tx = self.inner.db.read().await?;
        let Some(order) = store::orders::get(&mut tx, id).await? else {
            return Ok(None);
        };
        let heads = store::events::heads(&mut tx, &[order.stream()]).await?;
        let seq = heads.first().map_or(0, |(_, seq)| *seq);
        Ok(Some(OrderSnapshot {
            epoch: epoch(&mut tx).await?,
            order,
            seq,
        }))
    }

    /// Returns the stream's last number; `None` if the stream does not exist.
    #[crate::boxed]
    pub async fn stream_head(&self, stream: StreamId) -> Result<Option<i64>> {
        Ok(self
            .stream_heads(&[stream])
            .await?
            .first()
            .map(|(_, seq)| *seq))
    }

    /// Returns the same events as [`Self::events_after`] with the epoch in which their numbers count.
    #[crate::boxed]
    pub async fn events_in_epoch(
        &self,
        stream: StreamId,
        after: i64,
        limit: u32,
    ) -> Result<(Vec<Event>, Option<EpochId>)> {
        let events = self.events_after(stream, after, limit).await?;
        // Read last, so that no event is of an earlier epoch.
        let mut tx = self.inner.db.read().await?;
        Ok((events, epoch(&mut tx).await?))
    }

    /// Returns the stream's last number and the epoch in which it counts; `None` if the stream does not exist.
    #[crate::boxed]
    pub async fn stream_position(
        &self,
        stream: StreamId,
    ) -> Result<Option<(i64, Option<EpochId>)>> {
        let mut tx = self.inner.db.read().await?;
        let epoch = epoch(&mut tx).await?;
        let heads = store::events::heads(&mut tx, &[stream]).await?;
        Ok(heads.first().map(|(_, seq)| (*seq, epoch)))
    }

    /// Returns the last numbers of those of these streams that exist, in no particular order.
    #[crate::boxed]
    pub async fn stream_heads(&self, streams: &[StreamId]) -> Result<Vec<(StreamId, i64)>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::events::heads(&mut tx, streams).await?)
    }
}

/// Reads the epoch in the transaction of the numbers that count in it.
async fn epoch(tx: &mut store::Tx) -> Result<Option<EpochId>> {
    Ok(store::epochs::get(tx).await?.map(|epoch| epoch.id))
}
