//! SQL of deliveries, their steps and the messages that made them.

use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::{Tx, from_row};
use crate::status::Status;

#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) id: i64,
    pub(crate) account_id: i64,
    pub(crate) foreign_order_id: String,
    /// JSON array of `{"sku", "name", "qty"}`.
    pub(crate) products: String,
    pub(crate) origin_address: String,
    pub(crate) destination_name: String,
    pub(crate) destination_address: String,
    pub(crate) callback_url: Option<String>,
    pub(crate) is_signed: bool,
    status: String,
    pub(crate) step: i64,
    pub(crate) created_at: i64,
    pub(crate) next_step_at: Option<i64>,
}

from_row!(Delivery {
    id,
    account_id,
    foreign_order_id,
    products,
    origin_address,
    destination_name,
    destination_address,
    callback_url,
    is_signed,
    status,
    step,
    created_at,
    next_step_at
});

impl Delivery {
    pub(crate) fn status(&self) -> sqlx::Result<Status> {
        status_of(&self.status)
    }

    pub(crate) fn tracking_number(&self) -> String {
        tracking_number(self.id)
    }
}

pub(crate) fn tracking_number(id: i64) -> String {
    format!("C-{id}")
}

/// Returns the delivery's id from its tracking number.
pub(crate) fn id_of(tracking_number: &str) -> Option<i64> {
    tracking_number.strip_prefix("C-")?.parse().ok()
}

fn status_of(word: &str) -> sqlx::Result<Status> {
    let unknown = || sqlx::Error::Protocol(format!("unknown delivery status {word}"));
    Status::parse(word).ok_or_else(unknown)
}

/// Content of a delivery that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewDelivery {
    pub(crate) foreign_order_id: String,
    pub(crate) products: String,
    pub(crate) origin_address: String,
    pub(crate) destination_name: String,
    pub(crate) destination_address: String,
    pub(crate) callback_url: Option<String>,
    pub(crate) is_signed: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) delivery_id: i64,
    pub(crate) number: i64,
    status: String,
    pub(crate) at: i64,
}

from_row!(Step {
    delivery_id,
    number,
    status,
    at
});

impl Step {
    pub(crate) fn status(&self) -> sqlx::Result<Status> {
        status_of(&self.status)
    }
}

/// Filters of a list; `None` filters nothing.
#[derive(Debug, Default, Clone)]
pub(crate) struct Filter {
    pub(crate) account: Option<i64>,
    pub(crate) id: Option<i64>,
    pub(crate) foreign_order_id: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) from_ms: Option<i64>,
    pub(crate) until_ms: Option<i64>,
}

const COLUMNS: &str = "SELECT id, account_id, foreign_order_id, products, origin_address, destination_name, \
     destination_address, callback_url, is_signed, status, step, created_at, next_step_at FROM deliveries";

pub(crate) async fn of_order(
    tx: &mut Tx,
    account: i64,
    foreign_order_id: &str,
) -> sqlx::Result<Option<Delivery>> {
    sqlx::query_as(&format!(
        "{COLUMNS} WHERE account_id = ? AND foreign_order_id = ?"
    ))
    .bind(account)
    .bind(foreign_order_id)
    .fetch_optional(&mut **tx)
    .await
}

pub(crate) async fn by_id(pool: &SqlitePool, id: i64) -> sqlx::Result<Option<Delivery>> {
    sqlx::query_as(&format!("{COLUMNS} WHERE id = ?"))
        .bind(id)
        .fetch_optional(pool)
        .await
}

pub(crate) async fn by_id_in(tx: &mut Tx, id: i64) -> sqlx::Result<Option<Delivery>> {
    sqlx::query_as(&format!("{COLUMNS} WHERE id = ?"))
        .bind(id)
        .fetch_optional(&mut **tx)
        .await
}

/// Inserts a delivery with its first step, and returns its id.
pub(crate) async fn insert(
    tx: &mut Tx,
    account: i64,
    new: &NewDelivery,
    status: Status,
    now_ms: i64,
    next_step_at: Option<i64>,
) -> sqlx::Result<i64> {
    let inserted = sqlx::query(
        "INSERT INTO deliveries (account_id, foreign_order_id, products, origin_address, destination_name, \
         destination_address, callback_url, is_signed, status, step, created_at, next_step_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
    )
    .bind(account)
    .bind(&new.foreign_order_id)
    .bind(&new.products)
    .bind(&new.origin_address)
    .bind(&new.destination_name)
    .bind(&new.destination_address)
    .bind(&new.callback_url)
    .bind(new.is_signed)
    .bind(status.as_str())
    .bind(now_ms)
    .bind(next_step_at)
    .execute(&mut **tx)
    .await?;
    let id = inserted.last_insert_rowid();
    insert_step(tx, id, 0, status, now_ms).await?;
    Ok(id)
}

async fn insert_step(
    tx: &mut Tx,
    delivery: i64,
    number: i64,
    status: Status,
    at: i64,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO steps (delivery_id, number, status, at) VALUES (?, ?, ?, ?)")
        .bind(delivery)
        .bind(number)
        .bind(status.as_str())
        .bind(at)
        .execute(&mut **tx)
        .await
        .map(|_| ())
}

/// Moves a delivery one step on, if it still is where the caller saw it; returns false if another courier has moved it.
pub(crate) async fn step(
    tx: &mut Tx,
    seen: &Delivery,
    to: Status,
    now_ms: i64,
    next_step_at: Option<i64>,
) -> sqlx::Result<bool> {
    let moved = sqlx::query(
        "UPDATE deliveries SET status = ?, step = step + 1, next_step_at = ? WHERE id = ? AND step = ?",
    )
    .bind(to.as_str())
    .bind(next_step_at)
    .bind(seen.id)
    .bind(seen.step)
    .execute(&mut **tx)
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(false);
    }
    insert_step(tx, seen.id, seen.step + 1, to, now_ms).await?;
    Ok(true)
}

/// Returns deliveries whose step is due, those first that are due longest.
pub(crate) async fn due(tx: &mut Tx, now_ms: i64, limit: i64) -> sqlx::Result<Vec<Delivery>> {
    sqlx::query_as(&format!(
        "{COLUMNS} WHERE next_step_at <= ? ORDER BY next_step_at, id LIMIT ?"
    ))
    .bind(now_ms)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await
}

/// Brings steps nearer that are further away than one interval: the clock was set back, or the interval is shorter now.
pub(crate) async fn bring_nearer(tx: &mut Tx, latest_ms: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE deliveries SET next_step_at = ? WHERE next_step_at > ?")
        .bind(latest_ms)
        .bind(latest_ms)
        .execute(&mut **tx)
        .await
        .map(|_| ())
}

/// Lists deliveries below the cursor, newest first.
pub(crate) async fn list(
    pool: &SqlitePool,
    filter: &Filter,
    below: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<Delivery>> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push(" WHERE 1 = 1");
    filter_by(&mut query, filter, "id", "status", "created_at");
    if let Some(below) = below {
        query.push(" AND id < ").push_bind(below);
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
    query.build_query_as().fetch_all(pool).await
}

/// Lists steps above the cursor (delivery and number), in their order.
pub(crate) async fn history(
    pool: &SqlitePool,
    filter: &Filter,
    above: Option<(i64, i64)>,
    limit: i64,
) -> sqlx::Result<Vec<(Step, String)>> {
    let mut query = QueryBuilder::new(
        "SELECT s.delivery_id, s.number, s.status, s.at, d.foreign_order_id \
         FROM steps s JOIN deliveries d ON d.id = s.delivery_id WHERE 1 = 1",
    );
    filter_by(&mut query, filter, "d.id", "s.status", "s.at");
    if let Some((delivery, number)) = above {
        query.push(" AND (s.delivery_id, s.number) > (");
        query.push_bind(delivery).push(", ").push_bind(number);
        query.push(")");
    }
    query.push(" ORDER BY s.delivery_id, s.number LIMIT ");
    query.push_bind(limit);
    let rows: Vec<(i64, i64, String, i64, String)> = query.build_query_as().fetch_all(pool).await?;
    let steps = rows
        .into_iter()
        .map(|(delivery_id, number, status, at, order)| {
            let step = Step {
                delivery_id,
                number,
                status,
                at,
            };
            (step, order)
        });
    Ok(steps.collect())
}

fn filter_by(
    query: &mut QueryBuilder<'_, Sqlite>,
    filter: &Filter,
    id: &str,
    status: &str,
    time: &str,
) {
    if let Some(account) = filter.account {
        query.push(" AND account_id = ").push_bind(account);
    }
    if let Some(of) = filter.id {
        query.push(format!(" AND {id} = ")).push_bind(of);
    }
    if let Some(order) = filter.foreign_order_id.clone() {
        query.push(" AND foreign_order_id = ").push_bind(order);
    }
    if let Some(of) = filter.status {
        query.push(format!(" AND {status} = "));
        query.push_bind(of.as_str());
    }
    if let Some(from) = filter.from_ms {
        query.push(format!(" AND {time} >= ")).push_bind(from);
    }
    if let Some(until) = filter.until_ms {
        query.push(format!(" AND {time} < ")).push_bind(until);
    }
}

pub(crate) async fn steps_of(pool: &SqlitePool, delivery: i64) -> sqlx::Result<Vec<Step>> {
    sqlx::query_as(
        "SELECT delivery_id, number, status, at FROM steps WHERE delivery_id = ? ORDER BY number",
    )
    .bind(delivery)
    .fetch_all(pool)
    .await
}

/// Result of keeping the key of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    New,
    Repeated,
    /// The key came with another message.
    Reused,
}

/// Keeps the key of a message, or compares the message with the one that came with this key before.
pub(crate) async fn keep_key(
    tx: &mut Tx,
    account: i64,
    key: &str,
    fingerprint: &[u8],
    now_ms: i64,
) -> sqlx::Result<Key> {
    let known: Option<(Vec<u8>,)> =
        sqlx::query_as("SELECT fingerprint FROM messages WHERE account_id = ? AND key = ?")
            .bind(account)
            .bind(key)
            .fetch_optional(&mut **tx)
            .await?;
    if let Some((known,)) = known {
        return Ok(if known == fingerprint {
            Key::Repeated
        } else {
            Key::Reused
        });
    }
    sqlx::query(
        "INSERT INTO messages (account_id, key, fingerprint, received_at) VALUES (?, ?, ?, ?)",
    )
    .bind(account)
    .bind(key)
    .bind(fingerprint)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(Key::New)
}

pub(crate) async fn forget_keys(tx: &mut Tx, before_ms: i64, limit: i64) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM messages WHERE (account_id, key) IN \
         (SELECT account_id, key FROM messages WHERE received_at < ? LIMIT ?)",
    )
    .bind(before_ms)
    .bind(limit)
    .execute(&mut **tx)
    .await
    .map(|_| ())
}
