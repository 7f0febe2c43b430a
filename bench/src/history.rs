//! Writes a year of ended orders and a few hundred open ones directly into the tables, many rows per statement.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use domain::{
    handoff::HandoffState,
    ids::{AccountId, OrderId, StoreId},
    order::{Customer, Fulfilment},
    status::OrderStatus,
};
use platform::chance::Chance;
use sqlx::{QueryBuilder, types::Json};
use uuid::Uuid;

use crate::bare::{Bare, bare};

/// Number of open orders at the end of the history, placed in the last minutes; stats count these rows every time.
const OPEN: usize = 400;
const OPEN_FOR: TimeDelta = TimeDelta::minutes(20);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const ORDERS_PER_STATEMENT: usize = 512;
const STATEMENTS_PER_COMMIT: usize = 32;
const ACCOUNTS: usize = 2000;

/// Entry points into the history for the measured queries.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) orders: i64,
    /// The store with every other order; the other stores share the rest.
    pub(crate) busiest: StoreId,
    /// The order before which one twentieth of all orders were placed.
    pub(crate) early: OrderId,
    pub(crate) early_at: DateTime<Utc>,
    /// Reference of an order of `account` at the busiest store, in the middle of the history.
    pub(crate) reference: String,
    pub(crate) account: AccountId,
}

struct PastOrder {
    id: Uuid,
    store: StoreId,
    number: i64,
    account: Uuid,
    reference: String,
    status: OrderStatus,
    placed_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

impl History {
    /// Writes `orders` orders. `stores`: at least two empty stores. `integrator`: each order also gets an event and a
    /// handoff that this integrator has acknowledged.
    pub(crate) async fn write(
        connection: &mut Bare,
        stores: &[StoreId],
        orders: i64,
        integrator: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let chance = Chance::system();
        let all = orders;
        let orders = usize::try_from(orders)?;
        let accounts: Vec<Uuid> = (0..ACCOUNTS)
            .map(|_| chance.id::<AccountId>(now).uuid())
            .collect();
        let began = now - YEAR;
        let mut numbers = vec![0; stores.len()];
        let (mut early, middle) = (None, orders / 2 / 2 * 2);
        let mut n = 0;
        while n < orders {
            connection.say("BEGIN").await?;
            for _ in 0..STATEMENTS_PER_COMMIT {
                let past: Vec<PastOrder> = (n..orders.min(n + ORDERS_PER_STATEMENT))
                    .map(|n| {
                        let at = if n.is_multiple_of(2) {
                            0
                        } else {
                            1 + n / 2 % (stores.len() - 1)
                        };
                        numbers[at] += 1;
                        let placed_at = placed_at(n, orders, began, now);
                        past(
                            n,
                            orders,
                            placed_at,
                            (stores[at], numbers[at]),
                            &accounts,
                            &chance,
                        )
                    })
                    .collect();
                if past.is_empty() {
                    break;
                }
                n += past.len();
                insert(connection, &past, &chance).await?;
                if let Some(integrator) = integrator {
                    insert_handoffs(connection, &past, integrator, &chance).await?;
                }
                if n >= orders / 20 {
                    early.get_or_insert((past[0].id.into(), past[0].placed_at));
                }
            }
            connection.say("COMMIT").await?;
        }
        for (store, number) in stores.iter().zip(numbers) {
            set_counter(connection, *store, number).await?;
        }
        let (early, early_at) = early.unwrap_or_else(|| (OrderId::from(Uuid::nil()), began));
        Ok(Self {
            orders: all,
            busiest: stores[0],
            early,
            early_at,
            reference: reference(middle),
            account: account_of(middle, &accounts).into(),
        })
    }
}

/// Spreads the ended orders evenly over the year and the open ones over the last minutes.
fn placed_at(n: usize, orders: usize, began: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let ended = orders.saturating_sub(OPEN);
    let at = if n < ended {
        began + (YEAR - 2 * HOUR).mul_f64(n as f64 / ended as f64)
    } else {
        now - OPEN_FOR + Duration::from_secs(2) * u32::try_from(n - ended).unwrap_or(0)
    };
    at.trunc_subsecs(6)
}

fn past(
    n: usize,
    orders: usize,
    placed_at: DateTime<Utc>,
    (store, number): (StoreId, i64),
    accounts: &[Uuid],
    chance: &Chance,
) -> PastOrder {
    use OrderStatus::{Accepted, Cancelled, Delivered, Failed, Preparing, Ready, Rejected};
    let is_open = n + OPEN >= orders;
    let status = match (is_open, n / 2 % 10) {
        (true, 0..3) => Accepted,
        (true, 3..7) => Preparing,
        (true, _) => Ready,
        (false, 0) => Cancelled,
        (false, 1) => Rejected,
        (false, 2) => Failed,
        (false, _) => Delivered,
    };
    let was_accepted = !matches!(status, Cancelled | Rejected | Failed);
    PastOrder {
        id: chance.id::<OrderId>(placed_at).uuid(),
        store,
        number,
        account: account_of(n, accounts),
        reference: reference(n),
        status,
        placed_at,
        accepted_at: was_accepted.then(|| placed_at + TimeDelta::milliseconds(2500)),
        ended_at: (!is_open).then(|| placed_at + TimeDelta::minutes(40)),
    }
}

fn account_of(n: usize, accounts: &[Uuid]) -> Uuid {
    accounts[n * 7 % accounts.len()]
}

fn reference(n: usize) -> String {
    format!("R-{n}")
}

async fn insert(connection: &mut Bare, past: &[PastOrder], chance: &Chance) -> anyhow::Result<()> {
    let customer = Customer::default();
    bare!(connection, |conn| {
        let mut query = QueryBuilder::new(
            "INSERT INTO orders (id, store_id, number, account_id, placed_by, reference, fulfilment, status, version, \
             stock_held, customer, total_amount, currency, last_seq, created_at, placed_at, accepted_at, ended_at) ",
        );
        query.push_values(past, |mut row, order| {
            row.push_bind(order.id)
                .push_bind(order.store.uuid())
                .push_bind(order.number)
                .push_bind(order.account)
                .push_bind(order.account)
                .push_bind(order.reference.as_bytes())
                .push_bind(Fulfilment::Pickup.as_str())
                .push_bind(order.status.as_str())
                .push_bind(4_i64)
                .push_bind(false)
                .push_bind(Json(&customer))
                .push_bind(500_i64)
                .push_bind("EUR")
                .push_bind(4_i64)
                .push_bind(order.placed_at)
                .push_bind(order.placed_at)
                .push_bind(order.accepted_at)
                .push_bind(order.ended_at);
        });
        query.build().execute(&mut *conn).await?;
        let mut query = QueryBuilder::new(
            "INSERT INTO order_items (id, order_id, position, product_id, name, quantity, unit_amount, counted) ",
        );
        query.push_values(past, |mut row, order| {
            row.push_bind(chance.id::<Uuid>(order.placed_at))
                .push_bind(order.id)
                .push_bind(0_i32)
                .push_bind(order.store.uuid())
                .push_bind("Dish")
                .push_bind(2_i64)
                .push_bind(250_i64)
                .push_bind(false);
        });
        query.build().execute(&mut *conn).await?;
    });
    Ok(())
}

async fn insert_handoffs(
    connection: &mut Bare,
    past: &[PastOrder],
    integrator: Uuid,
    chance: &Chance,
) -> anyhow::Result<()> {
    let data = serde_json::json!({});
    bare!(connection, |conn| {
        let mut query = QueryBuilder::new(
            "INSERT INTO handoffs (id, store_id, order_id, integrator_id, position, event, state, required, confirmed_at, \
             round, attempts, max_attempts, due_at, fence, deadline, claim_failures, created_at, closed_at) ",
        );
        query.push_values(past, |mut row, order| {
            row.push_bind(chance.id::<Uuid>(order.placed_at))
                .push_bind(order.store.uuid())
                .push_bind(order.id)
                .push_bind(integrator)
                .push_bind(1_i32)
                .push_bind("order.placed")
                .push_bind(HandoffState::Acknowledged.as_str())
                .push_bind(true)
                .push_bind(order.placed_at)
                .push_bind(1_i32)
                .push_bind(1_i32)
                .push_bind(5_i32)
                .push_bind(order.placed_at)
                .push_bind(1_i64)
                .push_bind(order.placed_at)
                .push_bind(0_i32)
                .push_bind(order.placed_at)
                .push_bind(order.placed_at);
        });
        query.build().execute(&mut *conn).await?;
        let mut query = QueryBuilder::new(
            "INSERT INTO events (stream_id, seq, store_id, order_id, kind, at, data) ",
        );
        query.push_values(past, |mut row, order| {
            row.push_bind(order.id)
                .push_bind(1_i64)
                .push_bind(order.store.uuid())
                .push_bind(order.id)
                .push_bind("order.placed")
                .push_bind(order.placed_at)
                .push_bind(Json(&data));
        });
        query.build().execute(&mut *conn).await?;
    });
    Ok(())
}

async fn set_counter(connection: &mut Bare, store: StoreId, number: i64) -> anyhow::Result<()> {
    bare!(connection, |conn| {
        sqlx::query("UPDATE store_counters SET last_number = ? WHERE store_id = ?")
            .bind(number)
            .bind(store.uuid())
            .execute(conn)
            .await?;
    });
    Ok(())
}
