//! Requests to erase a person's data, the walk over orders that looks for them, and the erasing of what is found.

mod columns;
mod strip;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

pub use self::{
    columns::{ERASED, FREE},
    strip::{strip_account, strip_order, strip_session},
};
use crate::{
    error::Result,
    execute, fetch_all, fetch_one, fetch_optional_scalar, fetch_scalars, read_all, read_optional,
    rows::{ReadRow, Readable, Row},
    skip_locked,
    statements::Statement,
    tx::Tx,
};
use domain::{
    account::Role,
    erasure::{Erasure, Progress, WaitsFor},
    ids::{AccountId, ErasureId, OrderId},
    order::{Customer, Order},
    person::{PersonKind, PersonalTexts},
    session::SessionState,
};

/// Maximum number of waiting announcements that are looked through for an order.
const MAX_ANNOUNCEMENTS: i64 = 10_000;

/// `SELECT` of an erasure's columns, with the rest of the statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, person_hash, sealed, account_id, requested_at, requested_by, last_order, walked_at, \
             examined, erased, waiting, recipients, next_at, done_at FROM erasures ",
            $rest
        )
    };
}

/// An erasure with its person.
#[derive(Clone, Debug)]
pub struct Stored {
    pub erasure: Erasure,
    /// The person, encrypted; `None` once everything is erased.
    pub sealed: Option<Vec<u8>>,
}

/// An order that the walk passes.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub id: OrderId,
    pub account_id: Option<AccountId>,
    pub customer: Customer,
}

/// Orders that a walk passed.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    pub candidates: Vec<Candidate>,
    /// The last one; `None` if there were none.
    pub last: Option<OrderId>,
    /// Number of those passed; some of them may be unreadable.
    pub passed: u32,
}

/// `SELECT` of the persons that are not erased yet.
pub(crate) const SEALED: &str =
    "SELECT id, sealed FROM erasures WHERE sealed IS NOT NULL ORDER BY id";

/// Returns the encrypted persons of all erasures that are not done.
pub async fn sealed(tx: &mut Tx) -> Result<Vec<(ErasureId, Vec<u8>)>> {
    Ok(fetch_all!(tx, SEALED))
}

/// Replaces an encrypted person by the same under another key, unless the erasure is done or somebody else has replaced
/// it; returns true if it did.
pub async fn replace_sealed(tx: &mut Tx, id: ErasureId, old: &[u8], again: &[u8]) -> Result<bool> {
    Ok(execute!(
        tx,
        "UPDATE erasures SET sealed = ? WHERE id = ? AND sealed = ?",
        again,
        id,
        old
    ) == 1)
}

pub async fn insert(tx: &mut Tx, new: &Erasure, sealed: &[u8]) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO erasures (id, kind, person_hash, sealed, account_id, requested_at, requested_by, examined, erased, \
         waiting, recipients, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?)",
        new.id,
        new.kind,
        new.person_hash.as_slice(),
        sealed,
        new.account_id,
        new.requested_at,
        Json(&new.requested_by),
        Json(&new.progress.waiting),
        Json(&new.progress.recipients),
        new.next_at
    );
    Ok(())
}

/// Writes how many orders were erased and who received them, beside the erasure of one more.
pub async fn write_erased(tx: &mut Tx, erasure: &Erasure) -> Result<()> {
    execute!(
        tx,
        "UPDATE erasures SET erased = ?, recipients = ? WHERE id = ? AND done_at IS NULL",
        erasure.progress.erased,
        Json(&erasure.progress.recipients),
        erasure.id
    );
    Ok(())
}

/// Writes the progress; the person is forgotten once everything is erased.
pub async fn write(tx: &mut Tx, erasure: &Erasure) -> Result<()> {
    let progress = &erasure.progress;
    execute!(
        tx,
        "UPDATE erasures SET last_order = ?, walked_at = ?, examined = ?, erased = ?, waiting = ?, recipients = ?, \
         next_at = ?, done_at = ?, sealed = CASE WHEN ? THEN NULL ELSE sealed END WHERE id = ? AND done_at IS NULL",
        progress.last_order,
        progress.walked_at,
        progress.examined,
        progress.erased,
        Json(&progress.waiting),
        Json(&progress.recipients),
        erasure.next_at,
        erasure.done_at,
        erasure.done_at.is_some(),
        erasure.id
    );
    Ok(())
}

/// Returns the request about the same person that is not done.
pub async fn running(tx: &mut Tx, person_hash: &[u8]) -> Result<Option<Erasure>> {
    let found: Option<Stored> = read_optional!(
        tx,
        select!("WHERE done_at IS NULL AND person_hash = ? LIMIT 1"),
        person_hash
    );
    Ok(found.map(|found| found.erasure))
}

pub async fn get(tx: &mut Tx, id: ErasureId) -> Result<Option<Erasure>> {
    let found: Option<Stored> = read_optional!(tx, select!("WHERE id = ?"), id);
    Ok(found.map(|found| found.erasure))
}

/// Returns at most `limit` erasures that are older than `before`, newest first.
pub async fn list(tx: &mut Tx, before: Option<ErasureId>, limit: u32) -> Result<Vec<Erasure>> {
    let found: Vec<Stored> = read_all!(
        tx,
        select!("WHERE id < ? ORDER BY id DESC LIMIT ?"),
        before.unwrap_or(ErasureId::MAX),
        limit
    );
    Ok(found.into_iter().map(|found| found.erasure).collect())
}

/// Returns true if the next step of an erasure is due.
pub async fn is_due(tx: &mut Tx, now: DateTime<Utc>) -> Result<bool> {
    let found: Option<ErasureId> = fetch_optional_scalar!(
        tx,
        "SELECT id FROM erasures WHERE done_at IS NULL AND next_at <= ? LIMIT 1",
        now
    );
    Ok(found.is_some())
}

/// Claims the erasure whose next step is due for longest, until the given time.
pub async fn claim(
    tx: &mut Tx,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<Stored>> {
    let sql = skip_locked!(
        tx,
        select!("WHERE done_at IS NULL AND next_at <= ? ORDER BY next_at LIMIT 1")
    );
    let found: Option<Stored> = read_optional!(tx, sql, now);
    if let Some(found) = &found {
        let id = found.erasure.id;
        execute!(
            tx,
            "UPDATE erasures SET next_at = ? WHERE id = ?",
            until,
            id
        );
    }
    Ok(found)
}

/// Returns the next orders by id, after `after` and before an id; with an account, only those that it placed.
pub async fn pass(
    tx: &mut Tx,
    account: Option<AccountId>,
    (after, end): (Option<OrderId>, Uuid),
    limit: u32,
) -> Result<Passed> {
    let mut query = Statement::new(tx, "SELECT id, account_id, customer FROM orders");
    query.push(match account {
        Some(_) => " /*! FORCE INDEX (orders_of_account) */ WHERE ",
        None => " /*! FORCE INDEX (PRIMARY) */ WHERE ",
    });
    if let Some(account) = account {
        query.push("account_id = ").push_bind(account).push(" AND ");
    }
    query.push("id > ").push_bind(after.unwrap_or(OrderId::MIN));
    query.push(" AND id < ").push_bind(end);
    query.push(" ORDER BY id LIMIT ").push_bind(limit);
    let rows: Vec<Readable<Candidate>> = query.fetch_all(tx).await?;
    let passed = Passed {
        last: rows.last().map(|row| row.key.into()),
        passed: u32::try_from(rows.len()).unwrap_or(limit),
        candidates: Vec::new(),
    };
    let readable = rows.into_iter().filter_map(|row| match row.read {
        Ok(one) => Some(one),
        Err(error) => {
            tracing::error!(%error, order = %row.key, "unreadable order passed by an erasure");
            None
        }
    });
    Ok(Passed {
        candidates: readable.collect(),
        ..passed
    })
}

/// Returns a customer's account by one of these names, in whatever case.
pub async fn customer_named(tx: &mut Tx, names: &[String]) -> Result<Option<AccountId>> {
    for name in names {
        let found: Option<AccountId> = fetch_optional_scalar!(
            tx,
            "SELECT id FROM accounts WHERE username_key = ? AND role = ?",
            name.to_ascii_lowercase().into_bytes(),
            Role::Customer
        );
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Returns what a locked order waits for before it may be erased, if anything.
pub async fn waits_for(
    tx: &mut Tx,
    order: &Order,
    texts: &PersonalTexts,
) -> Result<Option<WaitsFor>> {
    if !order.status.is_final() {
        return Ok(Some(WaitsFor::OrderEnd));
    }
    // Held and parked messages of an ended order are never sent again.
    let unsent: Vec<Uuid> = fetch_scalars!(
        tx,
        "SELECT id FROM handoffs /*! FORCE INDEX (order_id) */ WHERE order_id = ? \
         AND (state IN ('due', 'waiting', 'sending') OR leased_until IS NOT NULL) LIMIT 1",
        order.id
    );
    if !unsent.is_empty() {
        return Ok(Some(WaitsFor::Message));
    }
    let unapplied: Vec<Uuid> = fetch_scalars!(
        tx,
        "SELECT id FROM callbacks /*! FORCE INDEX (callbacks_of_order) */ \
         WHERE order_id = ? AND applied_at IS NULL LIMIT 1",
        order.id
    );
    if !unapplied.is_empty() {
        return Ok(Some(WaitsFor::Update));
    }
    let named = order.session.as_ref();
    if let Some(session) = named.filter(|session| texts.are_in(&session.name)) {
        let state: Option<SessionState> =
            fetch_optional_scalar!(tx, "SELECT state FROM sessions WHERE id = ?", session.id);
        if state == Some(SessionState::Open) {
            return Ok(Some(WaitsFor::SessionEnd));
        }
    }
    // No row is added meanwhile, because it would be that of a change of the order, which is locked.
    let (rows, about): (i64, i64) = fetch_one!(
        tx,
        "SELECT COUNT(*), COUNT(CASE WHEN INSTR(o.announcement, ?) > 0 THEN 1 END) \
         FROM (SELECT announcement FROM outbox ORDER BY id LIMIT ?) o",
        order.id.to_string(),
        MAX_ANNOUNCEMENTS
    );
    let is_announced = about == 0 && rows < MAX_ANNOUNCEMENTS;
    Ok((!is_announced).then_some(WaitsFor::Announcement))
}

impl ReadRow for Stored {
    const TABLE: &'static str = "erasures";

    fn read(row: &Row<'_>) -> Result<Self> {
        let kind: PersonKind = row.get("kind")?;
        Ok(Self {
            erasure: Erasure {
                id: row.get("id")?,
                kind,
                person_hash: row.get("person_hash")?,
                account_id: row.get("account_id")?,
                requested_at: row.get("requested_at")?,
                requested_by: row.get("requested_by").map(|Json(actor)| actor)?,
                progress: Progress {
                    last_order: row.get("last_order")?,
                    walked_at: row.get("walked_at")?,
                    examined: row.get("examined")?,
                    erased: row.get("erased")?,
                    waiting: row.get("waiting").map(|Json(waiting)| waiting)?,
                    recipients: row.get("recipients").map(|Json(recipients)| recipients)?,
                },
                next_at: row.get("next_at")?,
                done_at: row.get("done_at")?,
            },
            sealed: row.get("sealed")?,
        })
    }
}

impl ReadRow for Candidate {
    const TABLE: &'static str = "orders";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            account_id: row.get("account_id")?,
            customer: row.get("customer").map(|Json(customer)| customer)?,
        })
    }
}

#[cfg(test)]
mod tests;
