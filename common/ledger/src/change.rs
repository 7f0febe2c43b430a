//! A transaction that changes the ledger, with the events and hints it will publish and its retries after lost locks.

mod failure;
mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{CrashPoints, Inner, OutboxRow, actor, idempotency::Request};
use domain::{
    actor::Actor,
    event::{Event, EventKind},
    hint::{Announcement, Hint},
    ids::{IntegratorId, OrderId, OutboxId, StoreId, StreamId},
    integrator::Integrator,
    record::Record,
    status::OrderStatus,
    tally::Tally,
};
use platform::{crash, metrics::Metrics};
use store::{StoreError, Tx, events::Counter};

pub use self::failure::{ChangeError, Failure, MaybeFailure, Refusal};

/// Maximum number of tries of a change that loses its locks (deadlock or lock timeout).
const MAX_TRIES: u32 = 5;
/// Longest pause before the second try; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Maximum number of events in one outbox row; a change with more writes several rows.
const MAX_EVENTS_PER_ROW: usize = 64;

/// An open transaction. If dropped, it rolls back and publishes nothing.
pub(crate) struct Change<'l> {
    pub(crate) inner: &'l Inner,
    pub(crate) tx: Tx,
    /// Timestamp of everything that this change writes.
    pub(crate) now: DateTime<Utc>,
    /// Noted with the events that are added from now on.
    pub(crate) actor: Actor,
    streams: BTreeMap<StreamId, Stream>,
    integrators: BTreeMap<StoreId, Arc<[Integrator]>>,
    tallies: BTreeMap<StoreId, Tally>,
    menus: BTreeSet<StoreId>,
    events: Vec<Event>,
    hints: Vec<Hint>,
    rows: rows::Rows,
    pub(crate) records: Vec<Record>,
    request: Option<&'l Request>,
    resource: Option<Uuid>,
}

/// A stream whose row this change has locked.
struct Stream {
    counter: Counter,
    store_id: StoreId,
    last_seq: i64,
    new_events: i64,
    /// Those of them that the stream's row counts by now.
    counted_events: i64,
}

impl<'l> Change<'l> {
    pub(crate) async fn begin(inner: &'l Inner) -> store::Result<Self> {
        let tx = inner.db.begin().await?;
        let now = inner.clock.now();
        Ok(Self {
            inner,
            tx,
            now,
            actor: actor::current(),
            streams: BTreeMap::new(),
            integrators: BTreeMap::new(),
            tallies: BTreeMap::new(),
            menus: BTreeSet::new(),
            events: Vec::new(),
            hints: Vec::new(),
            rows: rows::Rows::default(),
            records: Vec::new(),
            request: None,
            resource: None,
        })
    }

    /// Notes the resource that this change makes or changes, in case its request has an idempotency key.
    pub(crate) fn set_resource(&mut self, resource: Uuid) {
        self.resource = Some(resource);
    }

    /// Binds the change to a request whose idempotency key is written, and which will name the resource of
    /// [`Self::set_resource`].
    pub(super) fn bind_request(&mut self, request: &'l Request) {
        self.request = Some(request);
    }

    /// Notes that the stream's row (with this `last_seq`) is locked, so that events can be numbered.
    pub(crate) fn register_stream(
        &mut self,
        id: StreamId,
        counter: Counter,
        store_id: StoreId,
        last_seq: i64,
    ) {
        self.streams.entry(id).or_insert(Stream {
            counter,
            store_id,
            last_seq,
            new_events: 0,
            counted_events: 0,
        });
    }

    /// Returns a store's integrators, including disabled ones; read once, so that the whole change sees the same ones.
    pub(crate) async fn integrators_of(
        &mut self,
        store: StoreId,
    ) -> store::Result<Arc<[Integrator]>> {
        if let Some(known) = self.integrators.get(&store) {
            return Ok(known.clone());
        }
        let read = store::integrators::of_store(&mut self.tx, store).await?;
        let read: Arc<[Integrator]> = read.into();
        self.integrators.insert(store, read.clone());
        Ok(read)
    }

    /// Returns an integrator, if it is of a store whose integrators this change has read.
    pub(crate) fn known_integrator(&self, id: IntegratorId) -> Option<&Integrator> {
        let mut known = self
            .integrators
            .values()
            .flat_map(|of_store| of_store.iter());
        known.find(|one| one.id == id)
    }

    /// Adds an event with the stream's next number, which it returns.
    ///
    /// # Panics
    /// Panics if the stream's row was not locked before.
    pub(crate) fn event(
        &mut self,
        id: StreamId,
        order_id: Option<OrderId>,
        kind: EventKind,
        data: Value,
    ) -> i64 {
        let stream = self
            .streams
            .get_mut(&id)
            .expect("the stream is locked before an event is written");
        stream.new_events += 1;
        let seq = stream.last_seq + stream.new_events;
        self.events.push(Event {
            stream: id,
            seq,
            store_id: stream.store_id,
            order_id,
            kind,
            at: self.now,
            actor: Some(self.actor.clone()),
            data,
        });
        seq
    }

    /// Returns the number of the newest event that this change has added about an order.
    pub(crate) fn newest_event_of(&self, order: OrderId) -> Option<i64> {
        let mut newest_first = self.events.iter().rev();
        let newest = newest_first
            .find(|event| event.order_id == Some(order) && event.kind != EventKind::HandoffFailed);
        newest.map(|event| event.seq)
    }

    /// Adds an event that already has its number: the first of a stream whose row this change writes.
    pub(crate) fn add_numbered_event(&mut self, event: Event) {
        let actor = Some(self.actor.clone());
        self.events.push(Event { actor, ..event });
    }

    /// Corrects a store's tally for a change to an order that it counts.
    pub(crate) fn correct_tally(&mut self, store: StoreId, by: &Tally) {
        self.tallies.entry(store).or_default().add_all(by);
    }

    /// Notes that this change may show on the store's menu. A new order need not: its number shows (ADR 41).
    pub(crate) fn menu_changed(&mut self, store: StoreId) {
        self.menus.insert(store);
    }

    /// Wakes a worker after the commit; duplicates are dropped.
    pub(crate) fn hint(&mut self, hint: Hint) {
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
    }

    /// Writes what waits, counters, events and outbox rows, commits, and offers the rows to the [`super::Wake`] port.
    pub(crate) async fn commit(mut self, points: CrashPoints) -> store::Result<()> {
        let rows = self.write_announcements().await?;
        if let Some((before, _)) = points.0 {
            crash::point(before);
        }
        self.tx.commit().await?;
        if let Some(request) = self.request {
            request.mark_committed();
        }
        if let Some((_, after)) = points.0 {
            crash::point(after);
        }
        for row in rows {
            for event in &row.announcement.events {
                count_event(&self.inner.metrics, event);
                self.inner.epochs.note(event);
            }
            self.inner.wake.offer(row);
        }
        Ok(())
    }

    pub(crate) async fn rollback(self) {
        self.tx.rollback().await;
    }

    /// Commits what was done, or rolls back if it failed.
    pub(crate) async fn end<T, E: From<StoreError>>(
        self,
        points: CrashPoints,
        done: Result<T, E>,
    ) -> Result<T, E> {
        match done {
            Ok(_) => self.commit(points).await?,
            Err(_) => self.rollback().await,
        }
        done
    }

    async fn write_announcements(&mut self) -> store::Result<Vec<OutboxRow>> {
        if let Some(request) = self.request {
            request.write_resource(&mut self.tx, self.resource).await?;
        }
        self.write_gathered().await?;
        let tallies: Vec<_> = self.tallies.iter().map(|(id, by)| (*id, by)).collect();
        if !store::stats::correct(&mut self.tx, &tallies).await? {
            let stores: Vec<&StoreId> = self.tallies.keys().collect();
            tracing::error!(
                ?stores,
                "a tally row of one of these stores is missing; GET /stats is wrong for it"
            );
        }
        let counted: Vec<(Counter, StreamId, i64)> = self
            .streams
            .iter()
            .map(|(id, stream)| {
                let uncounted = stream.new_events - stream.counted_events;
                (stream.counter, *id, uncounted)
            })
            .filter(|(.., uncounted)| *uncounted > 0)
            .collect();
        store::events::count_up(&mut self.tx, &counted).await?;
        store::events::insert(&mut self.tx, &self.events).await?;
        store::records::insert(&mut self.tx, &self.records).await?;
        let rows = self.announcements();
        let not_before = self.now + self.inner.settings.outbox_claim_after;
        store::outbox::insert(&mut self.tx, &rows, not_before, self.now).await?;
        for store in &self.menus {
            store::menus::count_change(&mut self.tx, *store).await?;
        }
        Ok(rows)
    }

    fn announcements(&mut self) -> Vec<OutboxRow> {
        let mut events = std::mem::take(&mut self.events).into_iter().peekable();
        let mut hints = std::mem::take(&mut self.hints);
        let mut rows = Vec::new();
        while events.peek().is_some() || !hints.is_empty() {
            let announcement = Announcement {
                events: events.by_ref().take(MAX_EVENTS_PER_ROW).collect(),
                hints: std::mem::take(&mut hints),
            };
            let id: OutboxId = self.inner.chance.id(self.now);
            rows.push(OutboxRow { id, announcement });
        }
        rows
    }
}

/// Counts a committed event in the metrics. Counting only committed events means that nothing is counted twice or
/// early.
fn count_event(metrics: &Metrics, event: &Event) {
    let order = &event.data["order"];
    match event.kind {
        EventKind::OrderPlaced => metrics.orders_placed.inc(),
        EventKind::IntegratorDisabled => {
            let reason = event.data["integrator"]["reason"].as_str();
            let disabled = &metrics.integrators_disabled;
            disabled
                .with_label_values(&[reason.unwrap_or_default()])
                .inc();
        }
        EventKind::OrderStatusChanged => {
            let Some(status) = order["status"]
                .as_str()
                .and_then(|status| status.parse::<OrderStatus>().ok())
            else {
                return;
            };
            if status.is_final() {
                metrics
                    .orders_ended
                    .with_label_values(&[status.as_str()])
                    .inc();
            }
            let placed_at = order["placed_at"]
                .as_str()
                .and_then(|at| DateTime::parse_from_rfc3339(at).ok());
            if let (OrderStatus::Accepted, Some(placed_at)) = (status, placed_at) {
                metrics
                    .order_acceptance_seconds
                    .observe((event.at - placed_at.to_utc()).as_seconds_f64());
            }
        }
        _ => {}
    }
}

/// Returns true if the change lost its locks and has tries left.
pub(crate) fn may_retry<T>(done: &Result<T, impl MaybeFailure>, tries: u32) -> bool {
    let failure = done.as_ref().err().and_then(MaybeFailure::failure);
    matches!(failure, Some(Failure::Store(error)) if error.is_lock_lost()) && tries < MAX_TRIES
}

/// Pauses before another try. Half of the pause is random, so that changes that collided do not collide again.
pub(crate) async fn pause_after_lost_lock(inner: &Inner, tries: u32) {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(5));
    tokio::time::sleep(longest.mul_f64(0.5 + inner.chance.fraction() / 2.0)).await;
}

/// Runs `in_one_transaction!(handle, CrashPoints::ORDERS, |change| { … Ok(value) })`: begins, runs the body with a
/// `&mut Change` and commits; after a lost lock, rolls back and runs it again. The body may use `?` and must not carry
/// state over from a failed try.
///
/// A macro, since the future of a function with an async closure is not `Send` if the closure borrows.
macro_rules! in_one_transaction {
    ($handle:expr, $points:expr, |$change:ident| $body:block) => {{
        let mut tries = 1;
        loop {
            let done = async {
                let mut open = $crate::Change::begin($handle).await?;
                let $change = &mut open;
                let done = async {
                    $crate::idempotency::take_idempotency_key($change, $handle).await?;
                    $body
                }
                .await;
                open.end($points, done).await
            }
            .await;
            if !$crate::change::may_retry(&done, tries) {
                break done;
            }
            $crate::change::pause_after_lost_lock($handle, tries).await;
            tries += 1;
        }
    }};
}
pub(crate) use in_one_transaction;

/// Does the same as [`in_one_transaction`] once, for work that comes back by itself. A row that others hold is not
/// waited for, unless the caller has a [`crate::permits::HeldRowPermit`]: the result is [`StoreError::LockLost`] at once.
macro_rules! in_one_try {
    ($handle:expr, $points:expr, |$change:ident| $body:block) => {
        $crate::in_one_try!($handle, $points, None, |$change| $body)
    };
    ($handle:expr, $points:expr, $permit:expr, |$change:ident| $body:block) => {{
        let done = async {
            let permit: Option<&$crate::permits::HeldRowPermit> = $permit;
            let mut open = $crate::Change::begin($handle).await?;
            if permit.is_none() {
                open.tx.wait_for_no_lock();
            }
            let $change = &mut open;
            let done = async { $body }.await;
            open.end($points, done).await
        };
        done.await
    }};
}
pub(crate) use in_one_try;
