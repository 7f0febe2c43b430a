//! The archive: ended orders, one line of JSON each, some thousand in a file. Whoever writes the files reads page by
//! page, makes the file durable under its name, and only then marks it as written. A file that was not marked is written
//! again under the same name.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::line;
use crate::{CrashPoints, Ledger, Result, in_one_transaction};
use domain::{
    ids::OrderId,
    order::Order,
    retention::{Kind, walk_end},
};
use store::{Tx, retention::Walk};

/// Number of orders that one page looks at.
const PAGE: u32 = 64;
/// Maximum number of orders that one file looks at.
const MAX_PER_FILE: usize = 10_000;

/// A file of the archive while it is written.
#[derive(Debug)]
pub struct Archiving {
    ended_by: DateTime<Utc>,
    made_before: DateTime<Utc>,
    begun_at: Option<Walk>,
    last_id: Uuid,
    again: Vec<Uuid>,
    /// Number of those of `again` that were looked at.
    looked_again: usize,
    looked_at: usize,
    left: Vec<Uuid>,
    first: Option<OrderId>,
    orders: u64,
}

impl Archiving {
    /// Returns the file's name: the same if it is written again, and never that of another database's file. `None` while
    /// it has no order.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let number = self.begun_at.map_or(0, |walk| walk.files) + 1;
        let first = self.first?;
        Some(format!("orders-{number:06}-{first}.jsonl.gz"))
    }

    /// Returns how many orders the file has so far.
    #[must_use]
    pub const fn orders(&self) -> u64 {
        self.orders
    }

    fn take(&mut self, page: ReadPage, lines: &mut Vec<String>) {
        let ReadPage {
            ended,
            mut parts,
            left,
        } = page;
        self.left.extend(left);
        self.first = self.first.or_else(|| ended.first().map(|order| order.id));
        lines.extend(ended.iter().map(|order| parts.line(order)));
    }

    /// Returns true if the file is full, so that there may be more orders for another one.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.looked_at >= MAX_PER_FILE
    }
}

/// Orders of a file, as they were read.
struct ReadPage {
    ended: Vec<Order>,
    parts: line::Parts,
    left: Vec<Uuid>,
}

/// Reads those of these orders that have ended, with everything that belongs to them.
async fn read_page(
    tx: &mut Tx,
    orders: &[OrderId],
    ended_by: DateTime<Utc>,
) -> store::Result<ReadPage> {
    let busy = store::retention::busy_among(tx, orders).await?;
    let mut found = store::orders::many(tx, orders).await?;
    found.sort_by_key(|order| order.id);
    let (ended, open): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|order| order.has_ended_by(ended_by) && !busy.contains(&order.id));
    let ended_ids: Vec<OrderId> = ended.iter().map(|order| order.id).collect();
    let parts = line::Parts {
        events: store::events::of_orders(tx, &ended_ids).await?,
        handoffs: store::retention::handoffs_of(tx, &ended_ids).await?,
        callbacks: store::retention::callbacks_of(tx, &ended_ids).await?,
    };
    Ok(ReadPage {
        ended,
        parts,
        left: open.iter().map(|order| order.id.uuid()).collect(),
    })
}

/// Result of marking a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archived {
    Marked,
    /// Somebody else has marked a file meanwhile; this one is to be removed.
    Overtaken,
}

impl Ledger {
    /// Returns the time before which orders go into the archive if nobody names another one; `None` if nothing that the
    /// archive has is ever deleted.
    #[must_use]
    pub fn archived_before(&self) -> Option<DateTime<Utc>> {
        let age = self.inner.settings.retention.archived_age()?;
        Some(self.inner.clock.now() - age)
    }

    /// Begins a file of orders that ended at this time or before, and are at least a day old. Orders that an earlier file
    /// left out are looked at again if that was before `run_began_at`: once in each run.
    #[crate::boxed]
    pub async fn begin_archive(
        &self,
        ended_by: DateTime<Utc>,
        run_began_at: DateTime<Utc>,
    ) -> Result<Archiving> {
        let mut tx = self.inner.db.read().await?;
        let now = self.inner.clock.now();
        // A moment before, because those of this run have its time or a later one.
        let left_by = run_began_at - TimeDelta::microseconds(1);
        let begun_at = store::retention::walk(&mut tx, Kind::Archive).await?;
        let limit = u32::try_from(MAX_PER_FILE).unwrap_or(u32::MAX);
        Ok(Archiving {
            ended_by,
            // An order that was made in the last moments may not be committed yet.
            made_before: ended_by.min(walk_end(now)),
            begun_at,
            last_id: begun_at.map_or_else(Uuid::nil, |walk| walk.last_id),
            again: store::retention::leftovers(&mut tx, Kind::Archive, left_by, limit).await?,
            looked_again: 0,
            looked_at: 0,
            left: Vec::new(),
            first: None,
            orders: 0,
        })
    }

    /// Returns the next lines of the file, without their ends; `None` after the last. A page may be empty.
    #[crate::boxed]
    pub async fn archive_page(&self, file: &mut Archiving) -> Result<Option<Vec<String>>> {
        if file.is_full() {
            return Ok(None);
        }
        let mut tx = self.inner.db.read().await?;
        let rest = &file.again[file.looked_again..];
        let ids: Vec<Uuid> = if rest.is_empty() {
            let (after, before) = (file.last_id, file.made_before);
            store::retention::next_orders(&mut tx, after, before, PAGE).await?
        } else {
            rest.iter().take(PAGE as usize).copied().collect()
        };
        let Some(last) = ids.last() else {
            return Ok(None);
        };
        if rest.is_empty() {
            file.last_id = *last;
        } else {
            file.looked_again += ids.len();
        }
        file.looked_at += ids.len();
        let orders: Vec<OrderId> = ids.iter().copied().map(OrderId::from).collect();
        let mut lines = Vec::with_capacity(orders.len());
        match read_page(&mut tx, &orders, file.ended_by).await {
            Err(error) if error.is_row_fault() => {
                // One of them can't be read. It stops no other.
                for order in orders {
                    match read_page(&mut tx, &[order], file.ended_by).await {
                        Err(error) if error.is_row_fault() => {
                            tracing::error!(%order, %error, "order can't be read, and is not archived: {error}");
                            file.left.push(order.uuid());
                        }
                        page => file.take(page?, &mut lines),
                    }
                }
            }
            page => file.take(page?, &mut lines),
        }
        file.orders += u64::try_from(lines.len()).unwrap_or(0);
        Ok(Some(lines))
    }

    /// Marks the orders of a file as archived. The file must be durable under its name.
    #[crate::boxed]
    pub async fn mark_archived(&self, file: &Archiving) -> Result<Archived> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let now = change.now;
            let tx = &mut change.tx;
            let taken = store::retention::take_walk(tx, Kind::Archive, now).await?;
            let begun = |walk: Walk| (walk.last_id, walk.files);
            let Some(walk) = taken else {
                return Ok(Archived::Overtaken);
            };
            if begun(walk) != file.begun_at.map_or((Uuid::nil(), 0), begun) {
                return Ok(Archived::Overtaken);
            }
            let to = Walk {
                last_id: file.last_id,
                files: walk.files + i64::from(file.orders > 0),
                moved_at: now,
            };
            let looked_again = &file.again[..file.looked_again];
            let left = &file.left;
            store::retention::write_leftovers(tx, Kind::Archive, looked_again, left, now).await?;
            store::retention::move_walk(tx, Kind::Archive, to).await?;
            Ok(Archived::Marked)
        })
    }
}
