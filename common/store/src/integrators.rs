//! Integrators, with their sealed secrets and their breaker.

mod breaker;
mod health;
mod listeners;
mod members;
mod pressure;
mod sealed;

use chrono::{DateTime, Utc};
use sqlx::types::Json;

pub use breaker::{
    begin_probe, breakers, count_open_breakers, give_up, given_up, lock_breakers, undo_probe,
    write_breaker,
};
pub use health::{RecentOutcomes, last_response_at, recent_outcomes};
pub use listeners::{expired_listeners, listeners_among, renew_listener, resume_listener};
pub use members::{
    fill_further_stores, forget_told, further_stores, join_stores, leave_stores, list, of_store,
    of_stores, record_told, untold_stores,
};
pub use pressure::{lock_pressure, pressures, traffic, write_pressure};
pub use sealed::{Sealed, lock_sealed, sealed, write_sealed};

use crate::{
    error::Result,
    execute, fetch_scalar, for_update, read_optional,
    rows::{ReadRow, Row},
    tx::Tx,
};
use domain::{
    answers::Answers,
    breaker::Breaker,
    ids::IntegratorId,
    integrator::{DisableReason, Integrator},
    pressure::Pressure,
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
    pub pressure: Pressure,
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
    let sql = for_update!(tx, select!("WHERE id = ?"));
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

/// Writes a new integrator, with its further stores.
pub async fn insert(tx: &mut Tx, stored: &Stored) -> Result<()> {
    let integrator = &stored.integrator;
    execute!(
        tx,
        "INSERT INTO integrators (id, store_id, name, kind, format, events, url, required, confirms, \
             unknown_policy, callback_auth, auth_kind, auth_sealed, signing_sealed, callback_sealed, status_map, \
             max_attempts, concurrency, rate_per_s, enabled, failures_in_a_row, breaker_state, listens_until, version, \
             created_at, answers) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        integrator.listens_until,
        integrator.version,
        integrator.created_at,
        answers(integrator)
    );
    let (id, created_at) = (integrator.id, integrator.created_at);
    join_stores(tx, id, &integrator.further_stores, created_at).await
}

/// Writes the editable columns if the integrator still has `version`, and increments it; `false` if not.
pub async fn update(tx: &mut Tx, stored: &Stored, version: i64) -> Result<bool> {
    let (integrator, breaker) = (&stored.integrator, &stored.breaker);
    let changed = execute!(
        tx,
        "UPDATE integrators SET name = ?, kind = ?, format = ?, events = ?, url = ?, required = ?, confirms = ?, \
         unknown_policy = ?, callback_auth = ?, auth_kind = ?, auth_sealed = ?, status_map = ?, answers = ?, \
         max_attempts = ?, concurrency = ?, rate_per_s = ?, enabled = ?, disabled_reason = ?, breaker_state = ?, breaker_until = ?, \
         breaker_probe = ?, breaker_openings = ?, failures_in_a_row = ?, failing_since = ?, failing_handoffs = ?, \
         given_up_because = ?, pressure = ?, archived_at = ?, version = version + 1 \
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
        answers(integrator),
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
        pressure::to_text(&stored.pressure),
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
    Ok(read_optional!(tx, sql, id))
}

/// Returns the column for its answers; NULL, as older versions leave it, if nothing is set.
fn answers(integrator: &Integrator) -> Option<Json<&Answers>> {
    let answers = &integrator.answers;
    (*answers != Answers::default()).then_some(Json(answers))
}

fn settings_of(stored: Vec<Stored>) -> Vec<Integrator> {
    stored.into_iter().map(|stored| stored.integrator).collect()
}

/// Columns of an integrator.
macro_rules! columns {
    () => {
        concat!(
            "id, store_id, name, kind, format, events, url, required, confirms, unknown_policy, \
             callback_auth, auth_kind, auth_sealed, signing_sealed, old_signing_sealed, old_signing_until, \
             callback_sealed, old_callback_sealed, old_callback_until, status_map, answers, max_attempts, concurrency, \
             rate_per_s, enabled, disabled_reason, breaker_state, breaker_until, breaker_probe, breaker_openings, \
             failures_in_a_row, failing_since, failing_handoffs, given_up_because, pressure, archived_at, \
             listens_until, version, created_at",
        )
    };
}
use columns;

/// `SELECT` of all columns, with the rest of the statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", created_at AS joined_at, NULL AS left_at FROM integrators ",
            $rest
        )
    };
}
use select;

impl ReadRow for Stored {
    const TABLE: &'static str = "integrators";

    fn read(row: &Row<'_>) -> Result<Self> {
        let old = |secret, until| -> Result<Option<(Vec<u8>, DateTime<Utc>)>> {
            let (secret, until): (Option<_>, Option<_>) = (row.get(secret)?, row.get(until)?);
            Ok(secret.zip(until))
        };
        Ok(Self {
            integrator: Integrator {
                id: row.get("id")?,
                store_id: row.get("store_id")?,
                name: row.get("name")?,
                kind: row.get("kind")?,
                format: row.get("format")?,
                events: row.get("events").map(|Json(events)| events)?,
                url: row.parse("url", |url: String| url.parse())?,
                required: row.get("required")?,
                confirms: row.get("confirms")?,
                unknown_policy: row.get("unknown_policy")?,
                callback_auth: row.get("callback_auth")?,
                auth_kind: row.get("auth_kind")?,
                status_map: row.get("status_map").map(|Json(map)| map)?,
                answers: row
                    .get::<Option<Json<_>>>("answers")?
                    .map(|Json(answers)| answers)
                    .unwrap_or_default(),
                max_attempts: row.count("max_attempts")?,
                concurrency: row.count("concurrency")?,
                rate_per_s: row.parse_optional("rate_per_s", |rate: i64| rate.try_into())?,
                enabled: row.get("enabled")?,
                disabled_reason: row.get("disabled_reason")?,
                listens_until: row.get("listens_until")?,
                version: row.get("version")?,
                created_at: row.get("created_at")?,
                further_stores: Vec::new(),
                joined_at: row.get("joined_at")?,
                left_at: row.get("left_at")?,
            },
            auth_sealed: row.get("auth_sealed")?,
            signing_sealed: row.get("signing_sealed")?,
            old_signing: old("old_signing_sealed", "old_signing_until")?,
            callback_sealed: row.get("callback_sealed")?,
            old_callback: old("old_callback_sealed", "old_callback_until")?,
            breaker: Breaker::read(row)?,
            pressure: Pressure::read(row)?,
            given_up: row.get("given_up_because")?,
            archived_at: row.get("archived_at")?,
        })
    }
}
