//! Integrators, with their sealed secrets and their breaker.

mod breaker;
mod health;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, types::Json};
use uuid::Uuid;

pub use breaker::{
    begin_probe, breakers, count_open_breakers, give_up, given_up, lock_breaker, undo_probe,
    write_breaker,
};
pub use health::{RecentOutcomes, answered, last_response_at};

use super::{
    error::{Result, StoreError},
    execute, fetch_all, fetch_optional, fetch_scalar, on, push_ids,
    tx::Tx,
};
use domain::{
    breaker::Breaker,
    ids::{IntegratorId, StoreId},
    integrator::{DisableReason, HandoffEvent, Integrator},
    status::OrderStatus,
};

/// A full row: settings, sealed secrets, and the breaker.
#[derive(Clone, Debug)]
pub struct Stored {
    pub integrator: Integrator,
    pub auth_sealed: Vec<u8>,
    pub signing_sealed: Vec<u8>,
    /// Previous signing secret, used until the given time.
    pub old_signing: Option<(Vec<u8>, DateTime<Utc>)>,
    pub callback_sealed: Vec<u8>,
    /// Previous callback secret, accepted until the given time.
    pub old_callback: Option<(Vec<u8>, DateTime<Utc>)>,
    pub breaker: Breaker,
    /// Reason for which it is about to be disabled; nothing more is sent to it.
    pub given_up: Option<DisableReason>,
    pub archived_at: Option<DateTime<Utc>>,
}

/// Returns an integrator, archived or not: old handoffs still refer to it.
pub async fn get(tx: &mut Tx, id: IntegratorId) -> Result<Option<Stored>> {
    read(tx, id, select!("WHERE id = ?")).await
}

/// Locks an integrator and returns it, archived or not.
pub async fn lock(tx: &mut Tx, id: IntegratorId) -> Result<Option<Stored>> {
    // SQLite neither has FOR UPDATE nor needs it: it has one writer.
    let sql = tx.pick(select!("WHERE id = ? FOR UPDATE"), select!("WHERE id = ?"));
    read(tx, id, sql).await
}

pub async fn is_archived(tx: &mut Tx, id: IntegratorId) -> Result<bool> {
    let archived: i64 = fetch_scalar!(
        tx,
        "SELECT COUNT(*) FROM integrators WHERE id = ? AND archived_at IS NOT NULL",
        id
    );
    Ok(archived > 0)
}

/// Returns the store's integrators that are not archived (disabled ones too), by id.
pub async fn of_store(tx: &mut Tx, store: StoreId) -> Result<Vec<Integrator>> {
    of_stores(tx, &[store]).await
}

/// Returns the same as [`of_store`] for several stores, by id.
pub async fn of_stores(tx: &mut Tx, stores: &[StoreId]) -> Result<Vec<Integrator>> {
    if stores.is_empty() {
        return Ok(Vec::new());
    }
    let stores: Vec<Uuid> = stores.iter().map(|id| id.uuid()).collect();
    let rows: Vec<Row> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(select!("WHERE archived_at IS NULL AND store_id IN ("));
        push_ids(&mut query, &stores);
        query.push(") ORDER BY id");
        query.build_query_as().fetch_all(conn).await?
    });
    settings_of(rows)
}

/// Returns the store's integrators that are not archived, by id, after `after`.
pub async fn list(
    tx: &mut Tx,
    store: StoreId,
    after: Option<IntegratorId>,
    limit: u32,
) -> Result<Vec<Integrator>> {
    let rows: Vec<Row> = fetch_all!(
        tx,
        select!("WHERE store_id = ? AND archived_at IS NULL AND id > ? ORDER BY id LIMIT ?"),
        store,
        after.unwrap_or(Uuid::nil().into()),
        limit
    );
    settings_of(rows)
}

pub async fn insert(tx: &mut Tx, stored: &Stored) -> Result<()> {
    let integrator = &stored.integrator;
    execute!(
        tx,
        "INSERT INTO integrators (id, store_id, name, kind, format, events, url, required, confirms, \
             unknown_policy, callback_auth, auth_kind, auth_sealed, signing_sealed, callback_sealed, status_map, \
             max_attempts, concurrency, rate_per_s, enabled, failures_in_a_row, breaker_state, version, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        integrator.id,
        integrator.store_id,
        &integrator.name,
        integrator.kind,
        integrator.format,
        Json(&integrator.events),
        integrator.url.as_str(),
        integrator.required,
        integrator.confirms,
        integrator.unknown_policy,
        integrator.callback_auth,
        &integrator.auth_kind,
        &stored.auth_sealed,
        &stored.signing_sealed,
        &stored.callback_sealed,
        Json(&integrator.status_map),
        i64::from(integrator.max_attempts),
        i64::from(integrator.concurrency),
        integrator.rate_per_s.map(i64::from),
        integrator.enabled,
        i64::from(stored.breaker.failures_in_a_row),
        stored.breaker.state,
        integrator.version,
        integrator.created_at
    );
    Ok(())
}

/// Writes the editable columns if the integrator still has `version`, and increments it; `false` if not.
pub async fn update(tx: &mut Tx, stored: &Stored, version: i64) -> Result<bool> {
    let (integrator, breaker) = (&stored.integrator, &stored.breaker);
    let changed = execute!(
        tx,
        "UPDATE integrators SET name = ?, kind = ?, format = ?, events = ?, url = ?, required = ?, confirms = ?, \
         unknown_policy = ?, callback_auth = ?, auth_kind = ?, auth_sealed = ?, status_map = ?, max_attempts = ?, \
         concurrency = ?, rate_per_s = ?, enabled = ?, disabled_reason = ?, breaker_state = ?, breaker_until = ?, \
         breaker_probe = ?, breaker_openings = ?, failures_in_a_row = ?, failing_since = ?, failing_handoffs = ?, \
         given_up_because = ?, archived_at = ?, version = version + 1 \
         WHERE id = ? AND version = ?",
        &integrator.name,
        integrator.kind,
        integrator.format,
        Json(&integrator.events),
        integrator.url.as_str(),
        integrator.required,
        integrator.confirms,
        integrator.unknown_policy,
        integrator.callback_auth,
        &integrator.auth_kind,
        &stored.auth_sealed,
        Json(&integrator.status_map),
        i64::from(integrator.max_attempts),
        i64::from(integrator.concurrency),
        integrator.rate_per_s.map(i64::from),
        integrator.enabled,
        &integrator.disabled_reason,
        breaker.state,
        breaker.until,
        breaker.probe,
        i64::from(breaker.openings),
        i64::from(breaker.failures_in_a_row),
        breaker.failing_since,
        breaker::concat_ids(&breaker.failing),
        stored.given_up.map(DisableReason::as_str),
        stored.archived_at,
        integrator.id,
        version
    );
    Ok(changed == 1)
}

/// Disables an integrator: nothing is sent to it until a person enables it again.
pub async fn disable(tx: &mut Tx, id: IntegratorId, reason: &str) -> Result<()> {
    execute!(
        tx,
        "UPDATE integrators SET enabled = FALSE, disabled_reason = ?, given_up_because = NULL WHERE id = ?",
        reason,
        id
    );
    Ok(())
}

/// Replaces the signing secret; requests are signed with the old one as well until `old_until`.
pub async fn rotate_signing(
    tx: &mut Tx,
    id: IntegratorId,
    sealed: &[u8],
    old_until: DateTime<Utc>,
) -> Result<()> {
    let sql = "UPDATE integrators SET old_signing_sealed = signing_sealed, old_signing_until = ?, \
               signing_sealed = ?, version = version + 1 WHERE id = ?";
    rotate(tx, sql, id, sealed, old_until).await
}

/// Replaces the callback secret; callbacks made with the old one are accepted until `old_until`.
pub async fn rotate_callback(
    tx: &mut Tx,
    id: IntegratorId,
    sealed: &[u8],
    old_until: DateTime<Utc>,
) -> Result<()> {
    let sql = "UPDATE integrators SET old_callback_sealed = callback_sealed, old_callback_until = ?, \
               callback_sealed = ?, version = version + 1 WHERE id = ?";
    rotate(tx, sql, id, sealed, old_until).await
}

/// Runs a rotation. MySQL assigns from left to right, so the statement saves the old secret before it replaces it.
async fn rotate(
    tx: &mut Tx,
    sql: &'static str,
    id: IntegratorId,
    sealed: &[u8],
    old_until: DateTime<Utc>,
) -> Result<()> {
    execute!(tx, sql, old_until, sealed, id);
    Ok(())
}

async fn read(tx: &mut Tx, id: IntegratorId, sql: &'static str) -> Result<Option<Stored>> {
    let row: Option<Row> = fetch_optional!(tx, sql, id);
    row.map(TryInto::try_into).transpose()
}

fn settings_of(rows: Vec<Row>) -> Result<Vec<Integrator>> {
    rows.into_iter()
        .map(|row| Stored::try_from(row).map(|stored| stored.integrator))
        .collect()
}

/// `SELECT` of all columns, with the rest of the statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, store_id, name, kind, format, events, url, required, confirms, unknown_policy, \
             callback_auth, auth_kind, auth_sealed, signing_sealed, old_signing_sealed, old_signing_until, \
             callback_sealed, old_callback_sealed, old_callback_until, status_map, max_attempts, concurrency, \
             rate_per_s, enabled, disabled_reason, breaker_state, breaker_until, breaker_probe, breaker_openings, \
             failures_in_a_row, failing_since, failing_handoffs, given_up_because, archived_at, version, created_at \
             FROM integrators ",
            $rest
        )
    };
}
use select;

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    store_id: Uuid,
    name: String,
    kind: String,
    format: String,
    events: Json<Vec<HandoffEvent>>,
    url: String,
    required: bool,
    confirms: String,
    unknown_policy: String,
    callback_auth: String,
    auth_kind: String,
    auth_sealed: Vec<u8>,
    signing_sealed: Vec<u8>,
    old_signing_sealed: Option<Vec<u8>>,
    old_signing_until: Option<DateTime<Utc>>,
    callback_sealed: Vec<u8>,
    old_callback_sealed: Option<Vec<u8>>,
    old_callback_until: Option<DateTime<Utc>>,
    status_map: Json<BTreeMap<String, OrderStatus>>,
    max_attempts: i32,
    concurrency: i32,
    rate_per_s: Option<i32>,
    enabled: bool,
    disabled_reason: Option<String>,
    #[sqlx(flatten)]
    breaker: breaker::Row,
    given_up_because: Option<String>,
    archived_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Stored {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let corrupt =
            |what: &dyn ToString| StoreError::corrupt("integrators", id, what.to_string());
        let count = |number: i32| u32::try_from(number).map_err(|error| corrupt(&error));
        let integrator = Integrator {
            id: id.into(),
            store_id: row.store_id.into(),
            name: row.name,
            kind: row.kind.parse().map_err(|error| corrupt(&error))?,
            format: row.format.parse().map_err(|error| corrupt(&error))?,
            events: row.events.0,
            url: row.url.parse().map_err(|error| corrupt(&error))?,
            required: row.required,
            confirms: row.confirms.parse().map_err(|error| corrupt(&error))?,
            unknown_policy: row
                .unknown_policy
                .parse()
                .map_err(|error| corrupt(&error))?,
            callback_auth: row.callback_auth.parse().map_err(|error| corrupt(&error))?,
            auth_kind: row.auth_kind,
            status_map: row.status_map.0,
            max_attempts: count(row.max_attempts)?,
            concurrency: count(row.concurrency)?,
            rate_per_s: row.rate_per_s.map(count).transpose()?,
            enabled: row.enabled,
            disabled_reason: row.disabled_reason,
            version: row.version,
            created_at: row.created_at,
        };
        Ok(Self {
            integrator,
            auth_sealed: row.auth_sealed,
            signing_sealed: row.signing_sealed,
            old_signing: row.old_signing_sealed.zip(row.old_signing_until),
            callback_sealed: row.callback_sealed,
            old_callback: row.old_callback_sealed.zip(row.old_callback_until),
            breaker: row.breaker.into_breaker(id.into())?,
            given_up: row
                .given_up_because
                .map(|word| word.parse())
                .transpose()
                .map_err(|error| corrupt(&error))?,
            archived_at: row.archived_at,
        })
    }
}
