//! The stuck list: everything that needs a person, with the reason and what to do next.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use domain::{ids::StoreId, stuck::Stuck};
use poem_openapi::{Object, OpenApi, param::Query, payload::Json};
use uuid::Uuid;

use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        enums,
        paging::{Cursor, Limit, Page, Position},
        problem::Problem,
        scalars::Time,
    },
    resources::stores::rights::visible_stores,
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct StuckList(pub(crate) ApiState);

/// Sort key: since when it has been stuck, then its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SortKey(DateTime<Utc>, Uuid);

#[OpenApi(tag = "Topic::Handoffs")]
impl StuckList {
    /// List everything that is stuck, longest first
    ///
    /// Managers and staff see their own stores. Every entry needs a person: `why` says what is wrong, and `next` what
    /// to do about it. The metric `expediter_stuck` counts the entries. At most 200 entries of each kind are listed.
    #[oai(path = "/stuck", method = "get", operation_id = "list_stuck")]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Option<Uuid>>,
        limit: Limit,
        cursor: Cursor<SortKey>,
    ) -> Result<Json<Page<StuckView>>, Problem> {
        let limit = limit.0 as usize;
        let stores = visible_stores(&caller, store_id.map(StoreId::from))?;
        let mut found = self.0.ledger.stuck_in_stores(stores.as_deref()).await?;
        found.retain(|one| cursor.0.is_none_or(|after| sort_key(one) > after));
        let next_cursor = match (found.get(limit), found.get(limit - 1)) {
            (Some(_), Some(last)) => Some(encode_cursor(sort_key(last))),
            _ => None,
        };
        found.truncate(limit);
        Ok(Json(Page {
            items: found.into_iter().map(StuckView::of).collect(),
            next_cursor,
        }))
    }
}

fn sort_key(one: &Stuck) -> SortKey {
    SortKey(one.since, one.subject)
}

fn encode_cursor(SortKey(since, subject): SortKey) -> String {
    let mut bytes = since.timestamp_micros().to_be_bytes().to_vec();
    bytes.extend_from_slice(subject.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Position for SortKey {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (since, subject) = bytes.split_first_chunk::<8>()?;
        let since = DateTime::from_timestamp_micros(i64::from_be_bytes(*since))?;
        Some(Self(since, Uuid::from_slice(subject).ok()?))
    }
}

/// One thing that is stuck.
#[derive(Debug, Object)]
#[oai(rename = "Stuck")]
struct StuckView {
    kind: enums::StuckKind,
    store_id: Option<Uuid>,
    order_id: Option<Uuid>,
    /// The order's number in its store.
    order_number: Option<i64>,
    integrator_id: Option<Uuid>,
    /// The integrator's name.
    integrator: Option<String>,
    handoff_id: Option<Uuid>,
    callback_id: Option<Uuid>,
    since: Time,
    /// Explanation in words, with the last error or the recorded reason.
    why: String,
    /// The recommended action.
    next: String,
}

impl StuckView {
    fn of(stuck: Stuck) -> Self {
        Self {
            why: stuck.why(),
            next: stuck.next(),
            kind: stuck.kind.into(),
            store_id: stuck.store_id.map(|id| id.uuid()),
            order_id: stuck.order_id.map(|id| id.uuid()),
            order_number: stuck.order_number,
            integrator_id: stuck.integrator_id.map(|id| id.uuid()),
            integrator: stuck.integrator_name,
            handoff_id: stuck.handoff_id.map(|id| id.uuid()),
            callback_id: stuck.callback_id.map(|id| id.uuid()),
            since: stuck.since.into(),
        }
    }
}
