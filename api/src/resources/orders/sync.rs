//! Cursors of lists of orders: an order's id or, in a list by time of change, also that time and the time up to which
//! the client will know every change.

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::OrderId;
use ledger::orders::{OrderFilter, OrderPage};
use uuid::Uuid;

use crate::http::{
    paging::{self, Position},
    problem::Problem,
};

/// Longest time between a change's timestamp and the moment when others see it: more than a silent session of the
/// database may hold a transaction open (`database.session_timeout_s`), and than clocks of processes differ.
const SEEN_WITHIN: TimeDelta = TimeDelta::seconds(30);

/// Place in a list of orders at which a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OrderCursor {
    pub(super) after: Option<OrderId>,
    /// In a list by time of change: the time of that order's change.
    pub(super) updated_at: Option<DateTime<Utc>>,
    /// In a list by time of change: the time up to which every change is listed when the last page was read.
    pub(super) synced_to: Option<DateTime<Utc>>,
}

impl OrderCursor {
    /// Returns the beginning of a list. The time is that of the first page, because a later page does not go back to
    /// changes that are seen late.
    pub(super) fn first(filter: &OrderFilter, now: DateTime<Utc>) -> Result<Self, Problem> {
        Ok(Self {
            after: None,
            updated_at: None,
            synced_to: filter.updated_after.map(|_| now - SEEN_WITHIN),
        })
    }

    /// Returns the cursor itself, if it belongs to such a list.
    pub(super) fn checked(self, filter: &OrderFilter) -> Result<Self, Problem> {
        if self.updated_at.is_some() == filter.updated_after.is_some() {
            Ok(self)
        } else {
            let detail = "belongs to a list with other parameters";
            Err(Problem::invalid_field("cursor", detail))
        }
    }

    /// Returns the text of the cursor of the page after this one.
    pub(super) fn next<T>(&self, page: &OrderPage<T>) -> Option<String> {
        let next = page.next?;
        let times = page.next_updated_at.zip(self.synced_to);
        Some(match times {
            None => paging::cursor(next.uuid()),
            Some((updated_at, synced_to)) => {
                let mut bytes = next.uuid().as_bytes().to_vec();
                bytes.extend(updated_at.timestamp_micros().to_be_bytes());
                bytes.extend(synced_to.timestamp_micros().to_be_bytes());
                paging::encode(&bytes)
            }
        })
    }
}

impl Position for OrderCursor {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, times) = bytes.split_first_chunk::<16>()?;
        let after = Some(Uuid::from_bytes(*id).into());
        if times.is_empty() {
            return Some(Self {
                after,
                updated_at: None,
                synced_to: None,
            });
        }
        let (updated_at, synced_to) = times.split_first_chunk::<8>()?;
        let time = |bytes| DateTime::from_timestamp_micros(i64::from_be_bytes(bytes));
        Some(Self {
            after,
            updated_at: Some(time(*updated_at)?),
            synced_to: Some(time(synced_to.try_into().ok()?)?),
        })
    }
}
