//! The limit of handing over: batches of claims and outcomes in plain SQL, of orders that are taken by their ids.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound, Utc};
use futures_util::future::try_join_all;
use platform::{chance::Chance, clock::Clock};
use sqlx::{QueryBuilder, types::Json};
use uuid::Uuid;

use crate::{
    bare::{Bare, Loader, Sample, bare, per_order},
    samples::Run,
};

/// Orders in one claim and in one batch of outcomes.
const BATCH: usize = 64;
const LEASE: Duration = Duration::from_secs(30);

/// Loads orders, and then claims and concludes them over so many connections, each so many batches.
pub(crate) async fn run(
    url: &str,
    sample: &Arc<Sample>,
    connections: usize,
    batches: usize,
) -> anyhow::Result<Run> {
    let mut workers = Vec::new();
    for _ in 0..connections {
        let mut loader = Loader::connect(url, sample, BATCH).await?;
        let mut orders = Vec::with_capacity(batches);
        for _ in 0..batches {
            orders.push(loader.load().await?);
        }
        workers.push(Worker {
            connection: Bare::connect(url).await?,
            sample: sample.clone(),
            chance: Chance::system(),
            clock: Clock::system(),
            orders,
        });
    }
    let began = Instant::now();
    let tasks = workers.into_iter().map(|worker| tokio::spawn(worker.run()));
    let mut took = Vec::new();
    for one in try_join_all(tasks).await? {
        took.extend(one?);
    }
    let run = Run {
        elapsed: began.elapsed(),
        took,
    };
    Ok(per_order(run, BATCH))
}

struct Worker {
    connection: Bare,
    sample: Arc<Sample>,
    chance: Chance,
    clock: Clock,
    orders: Vec<Vec<Uuid>>,
}

impl Worker {
    async fn run(mut self) -> anyhow::Result<Vec<Duration>> {
        let mut took = Vec::new();
        for orders in std::mem::take(&mut self.orders) {
            let began = Instant::now();
            let handoffs = self.claim(&orders).await?;
            self.conclude(&orders, &handoffs).await?;
            took.push(began.elapsed());
        }
        Ok(took)
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }

    /// Takes the handoffs of orders and writes an attempt for each; returns them.
    async fn claim(&mut self, orders: &[Uuid]) -> anyhow::Result<Vec<Uuid>> {
        let now = self.now();
        let lock = self.connection.lock();
        self.connection.say("BEGIN").await?;
        let (connection, chance) = (&mut self.connection, &self.chance);
        let handoffs: Vec<(Uuid,)> = bare!(connection, |conn| {
            let mut query = QueryBuilder::new("SELECT id FROM handoffs WHERE order_id IN ");
            among(&mut query, orders);
            query.push(lock);
            let handoffs = query.build_query_as().fetch_all(&mut *conn).await?;
            // What a handoff's body is made of.
            for read in [
                "SELECT id, number, status, customer, total_amount, version FROM orders WHERE id IN ",
                "SELECT order_id, name, quantity, unit_amount, note FROM order_items WHERE order_id IN ",
            ] {
                let mut query = QueryBuilder::new(read);
                among(&mut query, orders);
                query.build().fetch_all(&mut *conn).await?;
            }
            handoffs
        });
        let handoffs: Vec<Uuid> = handoffs.into_iter().map(|(id,)| id).collect();
        bare!(connection, |conn| {
            let mut query = QueryBuilder::new(
                "UPDATE handoffs SET state = 'sending', attempts = 1, fence = 1, leased_until = ",
            );
            query.push_bind(now + LEASE).push(" WHERE id IN ");
            among(&mut query, &handoffs);
            query.build().execute(&mut *conn).await?;
            let mut query = QueryBuilder::new(
                "INSERT INTO attempts (id, handoff_id, round, n, fence, started_at, counted) ",
            );
            query.push_values(&handoffs, |mut row, handoff| {
                row.push_bind(chance.id::<Uuid>(now))
                    .push_bind(*handoff)
                    .push_bind(1_i32)
                    .push_bind(1_i32)
                    .push_bind(1_i64)
                    .push_bind(now)
                    .push_bind(true);
            });
            query.build().execute(&mut *conn).await?;
        });
        self.connection.say("COMMIT").await?;
        Ok(handoffs)
    }

    /// Writes that an integrator acknowledged all of them, which accepts their orders.
    async fn conclude(&mut self, orders: &[Uuid], handoffs: &[Uuid]) -> anyhow::Result<()> {
        let now = self.now();
        let lock = self.connection.lock();
        self.connection.say("BEGIN").await?;
        let (connection, sample) = (&mut self.connection, &self.sample);
        let event = &sample.announcement.events[0];
        let id: Uuid = self.chance.id(now);
        bare!(connection, |conn| {
            let mut query =
                QueryBuilder::new("SELECT id, status, version FROM orders WHERE id IN ");
            among(&mut query, orders);
            query.push(lock);
            query.build().fetch_all(&mut *conn).await?;
            let mut query = QueryBuilder::new(
                "UPDATE attempts SET outcome = 'acknowledged', http_status = 200, ended_at = ",
            );
            query.push_bind(now).push(" WHERE handoff_id IN ");
            among(&mut query, handoffs);
            query.build().execute(&mut *conn).await?;
            let mut query = QueryBuilder::new(
                "UPDATE handoffs SET state = 'acknowledged', leased_until = NULL, closed_at = ",
            );
            query.push_bind(now).push(" WHERE id IN ");
            among(&mut query, handoffs);
            query.build().execute(&mut *conn).await?;
            let mut query = QueryBuilder::new(
                "UPDATE orders SET status = 'accepted', version = 2, last_seq = 2, accepted_at = ",
            );
            query.push_bind(now).push(" WHERE id IN ");
            among(&mut query, orders);
            query.build().execute(&mut *conn).await?;
            let mut query = QueryBuilder::new(
                "INSERT INTO events (stream_id, seq, store_id, order_id, kind, at, data) ",
            );
            query.push_values(orders, |mut row, order| {
                row.push_bind(*order)
                    .push_bind(2_i64)
                    .push_bind(sample.order.store_id.uuid())
                    .push_bind(*order)
                    .push_bind("order.status_changed")
                    .push_bind(now)
                    .push_bind(Json(&event.data));
            });
            query.build().execute(&mut *conn).await?;
            sqlx::query(
                "INSERT INTO outbox (id, announcement, not_before, failures, parked, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(id)
            .bind(Json(&sample.announcement))
            .bind(now)
            .bind(0_i32)
            .bind(false)
            .bind(now)
            .execute(conn)
            .await?;
        });
        self.connection.say("COMMIT").await
    }
}

/// Adds a list of ids.
fn among<'a, D: sqlx::Database>(query: &mut QueryBuilder<'a, D>, ids: &[Uuid])
where
    Uuid: sqlx::Encode<'a, D> + sqlx::Type<D>,
{
    query.push("(");
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    query.push(")");
}

impl Bare {
    /// Returns the words that lock the rows of a `SELECT`; SQLite's transaction has locked everything.
    fn lock(&self) -> &'static str {
        match self {
            Self::MySql(_) => " FOR UPDATE",
            Self::Sqlite(_) => "",
        }
    }
}
