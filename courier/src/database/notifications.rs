//! SQL of the outbox: one row for each change and receiver. Of one delivery and receiver, only the earliest row that is
//! not done has a time at which it is due, so that changes arrive in their order.

use sqlx::SqlitePool;

use super::{Tx, from_row};

/// A notification that is claimed: nobody else sends it before the claim ends.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    pub(crate) id: i64,
    delivery_id: i64,
    pub(crate) receiver: i64,
    pub(crate) url: String,
    pub(crate) webhook_id: String,
    pub(crate) body: String,
    /// Number of requests, with the one that this claim is for.
    pub(crate) tries: i64,
    next_try_at: i64,
}

from_row!(Notification {
    id,
    delivery_id,
    receiver,
    url,
    webhook_id,
    body,
    tries,
    next_try_at
});

#[derive(Debug)]
pub(crate) struct NewNotification<'a> {
    pub(crate) delivery_id: i64,
    pub(crate) number: i64,
    pub(crate) receiver: i64,
    pub(crate) url: &'a str,
    pub(crate) webhook_id: &'a str,
    pub(crate) body: &'a str,
}

pub(crate) async fn insert(tx: &mut Tx, new: NewNotification<'_>, now_ms: i64) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO notifications (delivery_id, number, receiver, url, webhook_id, body, tries, next_try_at) \
         VALUES (?, ?, ?, ?, ?, ?, 0, CASE WHEN EXISTS (SELECT 1 FROM notifications \
         WHERE delivery_id = ? AND receiver = ? AND done_at IS NULL) THEN NULL ELSE ? END)",
    )
    .bind(new.delivery_id)
    .bind(new.number)
    .bind(new.receiver)
    .bind(new.url)
    .bind(new.webhook_id)
    .bind(new.body)
    .bind(new.delivery_id)
    .bind(new.receiver)
    .bind(now_ms)
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Returns due notifications, at most `each` for one address, so that none fills the answer.
async fn due(tx: &mut Tx, now_ms: i64, each: i64, limit: i64) -> sqlx::Result<Vec<Notification>> {
    sqlx::query_as(
        "SELECT id, delivery_id, receiver, url, webhook_id, body, tries, next_try_at FROM (\
         SELECT *, ROW_NUMBER() OVER (PARTITION BY url ORDER BY next_try_at, id) AS place \
         FROM notifications WHERE next_try_at <= ?) WHERE place <= ? ORDER BY place, next_try_at, id LIMIT ?",
    )
    .bind(now_ms)
    .bind(each)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await
}

/// Claims due notifications until `until_ms`; `free` says how many more may go to an address.
pub(crate) async fn claim(
    tx: &mut Tx,
    now_ms: i64,
    until_ms: i64,
    each: i64,
    limit: i64,
    mut free: impl FnMut(&str) -> bool,
) -> sqlx::Result<Vec<Notification>> {
    let mut claimed = Vec::new();
    for mut notification in due(tx, now_ms, each, limit).await? {
        if !free(&notification.url) {
            continue;
        }
        sqlx::query("UPDATE notifications SET tries = tries + 1, next_try_at = ? WHERE id = ?")
            .bind(until_ms)
            .bind(notification.id)
            .execute(&mut **tx)
            .await?;
        notification.tries += 1;
        notification.next_try_at = until_ms;
        claimed.push(notification);
    }
    Ok(claimed)
}

/// Ends a claimed notification, and makes the delivery's next one for this receiver due.
pub(crate) async fn done(
    tx: &mut Tx,
    of: &Notification,
    is_taken: bool,
    last_status: Option<u16>,
    now_ms: i64,
) -> sqlx::Result<()> {
    let ended = sqlx::query(
        "UPDATE notifications SET done_at = ?, is_taken = ?, last_status = ?, next_try_at = NULL \
         WHERE id = ? AND done_at IS NULL",
    )
    .bind(now_ms)
    .bind(is_taken)
    .bind(last_status)
    .bind(of.id)
    .execute(&mut **tx)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(());
    }
    sqlx::query(
        "UPDATE notifications SET next_try_at = ? WHERE id = (SELECT id FROM notifications \
         WHERE delivery_id = ? AND receiver = ? AND done_at IS NULL ORDER BY number LIMIT 1)",
    )
    .bind(now_ms)
    .bind(of.delivery_id)
    .bind(of.receiver)
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Tries a claimed notification again later, unless the claim has ended meanwhile.
pub(crate) async fn again(
    tx: &mut Tx,
    of: &Notification,
    last_status: Option<u16>,
    at_ms: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE notifications SET next_try_at = ?, last_status = ? \
         WHERE id = ? AND done_at IS NULL AND tries = ? AND next_try_at = ?",
    )
    .bind(at_ms)
    .bind(last_status)
    .bind(of.id)
    .bind(of.tries)
    .bind(of.next_try_at)
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Brings tries nearer that are further away than the longest wait, because the clock was set back.
pub(crate) async fn bring_nearer(tx: &mut Tx, latest_ms: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE notifications SET next_try_at = ? WHERE next_try_at > ?")
        .bind(latest_ms)
        .bind(latest_ms)
        .execute(&mut **tx)
        .await
        .map(|_| ())
}

/// Returns true if any notification is due, without the write lock.
pub(crate) async fn is_any_due(
    pool: &SqlitePool,
    now_ms: i64,
    latest_ms: i64,
) -> sqlx::Result<bool> {
    let due = sqlx::query(
        "SELECT 1 FROM notifications WHERE next_try_at <= ? OR next_try_at > ? LIMIT 1",
    )
    .bind(now_ms)
    .bind(latest_ms)
    .fetch_optional(pool)
    .await?;
    Ok(due.is_some())
}

/// A notification as it is shown.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) number: i64,
    pub(crate) webhook_id: String,
    pub(crate) url: String,
    pub(crate) tries: i64,
    pub(crate) last_status: Option<i64>,
    pub(crate) next_try_at: Option<i64>,
    pub(crate) done_at: Option<i64>,
    pub(crate) is_taken: bool,
}

from_row!(Shown {
    number,
    webhook_id,
    url,
    tries,
    last_status,
    next_try_at,
    done_at,
    is_taken
});

pub(crate) async fn of_delivery(pool: &SqlitePool, delivery: i64) -> sqlx::Result<Vec<Shown>> {
    sqlx::query_as(
        "SELECT number, webhook_id, url, tries, last_status, next_try_at, done_at, is_taken \
         FROM notifications WHERE delivery_id = ? ORDER BY number, receiver",
    )
    .bind(delivery)
    .fetch_all(pool)
    .await
}

pub(crate) async fn waiting(pool: &SqlitePool) -> sqlx::Result<i64> {
    let waiting = sqlx::query_scalar("SELECT COUNT(*) FROM notifications WHERE done_at IS NULL");
    waiting.fetch_one(pool).await
}
