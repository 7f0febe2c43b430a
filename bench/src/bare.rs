//! The upper limit: inserts an order's rows directly into the same tables, without reads or locks.

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use chrono::{DateTime, SubsecRound, Utc};
use domain::{hint::Announcement, ids::OrderId, order::Order};
use platform::{chance::Chance, clock::Clock};
use sqlx::{
    Connection, Executor, MySqlConnection, QueryBuilder, SqliteConnection,
    mysql::MySqlConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    types::Json,
};
use uuid::Uuid;

use crate::samples::{Caller, Run};

/// The rows that the ledger wrote for one order, as a template for copies with new ids.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) order: Order,
    pub(crate) integrator: Uuid,
    /// Content of its outbox row.
    pub(crate) announcement: Announcement,
}

/// Writes `orders_per_commit` orders per transaction over one connection.
#[derive(Debug)]
pub(crate) struct Loader {
    connection: Bare,
    sample: Arc<Sample>,
    orders_per_commit: usize,
    chance: Chance,
    clock: Clock,
}

/// A database connection outside the ledger's pool.
#[derive(Debug)]
pub(crate) enum Bare {
    MySql(MySqlConnection),
    Sqlite(SqliteConnection),
}

macro_rules! bare {
    ($connection:expr, |$conn:ident| $body:expr) => {
        match $connection {
            $crate::bare::Bare::MySql($conn) => $body,
            $crate::bare::Bare::Sqlite($conn) => $body,
        }
    };
}
pub(crate) use bare;

impl Loader {
    pub(crate) async fn connect(
        url: &str,
        sample: &Arc<Sample>,
        orders_per_commit: usize,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            connection: Bare::connect(url).await?,
            sample: sample.clone(),
            orders_per_commit,
            chance: Chance::system(),
            clock: Clock::system(),
        })
    }

    /// Writes one transaction; returns its orders.
    pub(crate) async fn load(&mut self) -> anyhow::Result<Vec<Uuid>> {
        self.connection.say("BEGIN").await?;
        let now = self.clock.now().trunc_subsecs(6);
        let ids: Vec<Uuid> = (0..self.orders_per_commit)
            .map(|_| self.chance.id::<OrderId>(now).uuid())
            .collect();
        for ids in powers_of_two(&ids) {
            self.insert(ids, now).await?;
        }
        self.outbox(now).await?;
        self.connection.say("COMMIT").await?;
        Ok(ids)
    }

    async fn insert(&mut self, ids: &[Uuid], now: DateTime<Utc>) -> anyhow::Result<()> {
        let Self {
            connection,
            sample,
            chance,
            ..
        } = self;
        let order = &sample.order;
        let items: Vec<(Uuid, i32)> = ids
            .iter()
            .flat_map(|id| {
                (0..)
                    .take(order.items.len())
                    .map(|position| (*id, position))
            })
            .collect();
        let no_id: Option<Uuid> = None;
        let no_text: Option<&str> = None;
        let no_bytes: Option<&[u8]> = None;
        bare!(connection, |conn| {
            let mut query = QueryBuilder::new(
                "INSERT INTO orders (id, store_id, number, session_id, account_id, placed_by, guest_key_hash, \
                 reference, fulfilment, status, reason, version, stock_held, customer, total_amount, currency, \
                 user_note, accept_by, replaces, last_seq, created_at, placed_at) ",
            );
            query.push_values(ids, |mut row, id| {
                row.push_bind(*id)
                    .push_bind(order.store_id.uuid())
                    // A number would need the store's counter, which only the ledger moves; NULL takes as much room
                    // in the index.
                    .push_bind(None::<i64>)
                    .push_bind(no_id)
                    .push_bind(*id)
                    .push_bind(*id)
                    .push_bind(no_bytes)
                    .push_bind(no_bytes)
                    .push_bind(order.fulfilment.as_str())
                    .push_bind(order.status.as_str())
                    .push_bind(no_text)
                    .push_bind(1_i64)
                    .push_bind(true)
                    .push_bind(Json(&order.customer))
                    .push_bind(order.total.amount)
                    .push_bind(order.total.currency.as_str())
                    .push_bind(no_text)
                    .push_bind(order.accept_by)
                    .push_bind(no_id)
                    .push_bind(1_i64)
                    .push_bind(now)
                    .push_bind(now);
            });
            query.build().execute(&mut *conn).await?;
            for items in powers_of_two(&items) {
                let mut query = QueryBuilder::new(
                    "INSERT INTO order_items (id, order_id, position, product_id, sku, name, quantity, unit_amount, \
                     note, counted) ",
                );
                query.push_values(items, |mut row, (order_id, position)| {
                    let item = &order.items[usize::try_from(*position).unwrap_or(0)];
                    row.push_bind(chance.id::<Uuid>(now))
                        .push_bind(*order_id)
                        .push_bind(*position)
                        .push_bind(item.product_id.uuid())
                        .push_bind(no_bytes)
                        .push_bind(item.name.as_str())
                        .push_bind(i64::from(item.quantity))
                        .push_bind(item.unit_price.amount)
                        .push_bind(no_text)
                        .push_bind(item.counted);
                });
                query.build().execute(&mut *conn).await?;
            }
            let mut query = QueryBuilder::new(
                "INSERT INTO handoffs (id, store_id, order_id, integrator_id, position, event, state, required, round, \
                 attempts, max_attempts, due_at, fence, deadline, claim_failures, created_at) ",
            );
            query.push_values(ids, |mut row, id| {
                row.push_bind(chance.id::<Uuid>(now))
                    .push_bind(order.store_id.uuid())
                    .push_bind(*id)
                    .push_bind(sample.integrator)
                    .push_bind(1_i32)
                    .push_bind("order.placed")
                    .push_bind("due")
                    .push_bind(true)
                    .push_bind(1_i32)
                    .push_bind(0_i32)
                    .push_bind(5_i32)
                    .push_bind(now)
                    .push_bind(0_i64)
                    .push_bind(now)
                    .push_bind(0_i32)
                    .push_bind(now);
            });
            query.build().execute(&mut *conn).await?;
            let data = &sample.announcement.events[0].data;
            let mut query = QueryBuilder::new(
                "INSERT INTO events (stream_id, seq, store_id, order_id, kind, at, data) ",
            );
            query.push_values(ids, |mut row, id| {
                row.push_bind(*id)
                    .push_bind(1_i64)
                    .push_bind(order.store_id.uuid())
                    .push_bind(*id)
                    .push_bind("order.placed")
                    .push_bind(now)
                    .push_bind(Json(data));
            });
            query.build().execute(&mut *conn).await?;
        });
        Ok(())
    }

    /// Writes one outbox row for all orders, as the ledger does.
    async fn outbox(&mut self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let one = &self.sample.announcement;
        let announcement = Announcement {
            events: vec![one.events[0].clone(); self.orders_per_commit],
            hints: one.hints.clone(),
        };
        let id: Uuid = self.chance.id(now);
        bare!(&mut self.connection, |conn| {
            sqlx::query(
                "INSERT INTO outbox (id, announcement, not_before, failures, parked, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(id)
            .bind(Json(&announcement))
            .bind(now)
            .bind(0_i32)
            .bind(false)
            .bind(now)
            .execute(conn)
            .await?;
        });
        Ok(())
    }
}

impl Caller for Loader {
    type Took = Duration;

    async fn once(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.load().await?;
        Ok(began.elapsed())
    }
}

impl Bare {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        match url.split_once(':') {
            Some(("mysql", _)) => {
                let options = MySqlConnectOptions::from_str(url)?.statement_cache_capacity(512);
                let mut connection = MySqlConnection::connect_with(&options).await?;
                sqlx::query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                    .execute(&mut connection)
                    .await?;
                Ok(Self::MySql(connection))
            }
            Some(("sqlite", _)) => {
                let options = SqliteConnectOptions::from_str(url)?
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(Duration::from_secs(10));
                Ok(Self::Sqlite(
                    SqliteConnection::connect_with(&options).await?,
                ))
            }
            _ => bail!("{url} is not a MySQL or SQLite URL"),
        }
    }

    /// Executes BEGIN or COMMIT as text: the ledger, which otherwise commits, is bypassed here.
    pub(crate) async fn say(&mut self, word: &'static str) -> anyhow::Result<()> {
        match self {
            Self::MySql(conn) => {
                conn.execute(word).await?;
            }
            Self::Sqlite(conn) => {
                let word = if word == "BEGIN" {
                    "BEGIN IMMEDIATE"
                } else {
                    word
                };
                conn.execute(word).await?;
            }
        }
        Ok(())
    }
}

/// Turns one delay per transaction into one per order.
pub(crate) fn per_order(run: Run, orders_per_commit: usize) -> Run {
    let took = run.took.into_iter();
    Run {
        elapsed: run.elapsed,
        took: took
            .flat_map(|one| std::iter::repeat_n(one, orders_per_commit))
            .collect(),
    }
}

/// Splits rows into chunks of powers of two, like the store: few statement shapes, each prepared once.
fn powers_of_two<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = 1 << rows.len().checked_ilog2()?.min(8);
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

impl Sample {
    pub(crate) fn of(
        order: Order,
        integrator: Uuid,
        announcement: Announcement,
    ) -> anyhow::Result<Self> {
        announcement
            .events
            .first()
            .context("the placed order has no event")?;
        Ok(Self {
            order,
            integrator,
            announcement,
        })
    }
}
