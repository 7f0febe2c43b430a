//! Places one batch in one transaction: locks, decides in memory, and writes the winners.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::{
    ChangeResult, Inner, PlaceOrder, PlaceRefused, Placed, ProductRef, QueuedOrder,
    decide::{IntakeState, decide},
    distinct,
    existing::ExistingOrders,
    options::{groups_of, products_of_options},
    room,
    write::{Winner, write},
};
use crate::{Change, CrashPoints};
use domain::{
    ids::{OrderId, ProductId, SessionId, StoreId},
    order::Order,
};
use platform::crash;
use store::{StoreError, events::Counter};

/// Outcome of one order, or the row that others hold.
pub(super) type Outcome = Result<ChangeResult<Placed, PlaceRefused>, Held>;

/// A row that an order needs and another transaction has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Held {
    Session(SessionId),
    Counter(StoreId),
    Stock(ProductId),
}

enum Decision {
    Winner(Box<Order>),
    Replay(OrderId),
    Refused(PlaceRefused),
    Held(Held),
}

/// How far a batch waits for rows that others have locked; each one waits for what the one before it does, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    Never,
    ForCounters,
    ForSessions,
    /// Also for stock, while it keeps its store's counter from everybody: only for a single order.
    ForStock,
}

/// Runs a batch; returns the outcome of each order, in their sequence.
pub(super) async fn run(
    inner: &Inner,
    waiting: &[QueuedOrder],
    wait: Wait,
) -> store::Result<Vec<Outcome>> {
    let begun_at = Instant::now();
    let mut change = Change::begin(inner).await?;
    let decided = match decide_and_write(&mut change, waiting, wait).await {
        Ok(decided) => decided,
        Err(error) => {
            change.rollback().await;
            return Err(error);
        }
    };
    let winners: Vec<OrderId> = decided
        .iter()
        .filter_map(|one| {
            if let Decision::Winner(order) = one {
                Some(order.id)
            } else {
                None
            }
        })
        .collect();
    if winners.is_empty() {
        change.rollback().await;
    } else if let Err(error) = change.commit(CrashPoints::INTAKE).await
        && !was_committed(inner, &error, &winners).await
    {
        return Err(error);
    }
    if let Ok(placed @ 1..) = u32::try_from(winners.len()) {
        let metrics = &inner.metrics;
        metrics.intake_batch_orders.observe(placed.into());
        let took = begun_at.elapsed();
        metrics.intake_commit_seconds.observe(took.as_secs_f64());
    }
    let replays = load_replays(inner, &decided).await?;
    Ok(decided
        .into_iter()
        .map(|one| to_outcome(one, &replays))
        .collect())
}

async fn decide_and_write(
    change: &mut Change<'_>,
    waiting: &[QueuedOrder],
    wait: Wait,
) -> store::Result<Vec<Decision>> {
    let orders: Vec<&PlaceOrder> = waiting.iter().map(|one| &one.order).collect();
    let sessions: Vec<SessionId> = distinct(orders.iter().filter_map(|order| order.session));
    let stores: Vec<StoreId> = distinct(orders.iter().map(|order| order.store_id));
    // In the global lock order: sessions, store counters, stock.
    let mut state = IntakeState::default();
    lock_sessions(change, &sessions, &mut state, wait >= Wait::ForSessions).await?;
    lock_numbers(change, &stores, &mut state, wait >= Wait::ForCounters).await?;
    let known = ExistingOrders::find(&mut change.tx, &orders).await?;
    read_stores(change, &stores, &mut state).await?;
    if wait == Wait::Never
        && let Some(held) = find_all_held(&orders, &known, &state)
    {
        return Ok(held);
    }
    load_rest(change, &orders, &stores, &mut state, wait >= Wait::ForStock).await?;
    crash::point("intake.after_locks");
    let (chance, now) = (&change.inner.chance, change.now);
    let bounds = &change.inner.settings.bounds;
    let decided: Vec<Decision> = waiting
        .iter()
        .map(|one| match find_existing(&one.order, &known) {
            Some(decided) => decided,
            None => match find_held(&one.order, &state, wait) {
                Some(held) => Decision::Held(held),
                None => match decide(&one.order, one.id, &mut state, bounds, chance, now) {
                    Ok(order) => Decision::Winner(Box::new(order)),
                    Err(refused) => Decision::Refused(refused),
                },
            },
        })
        .collect();
    let mut table_keys = HashSet::new();
    let winners: Vec<Winner<'_>> = waiting
        .iter()
        .zip(&decided)
        .filter_map(|(one, decided)| {
            if let Decision::Winner(order) = decided {
                Some(Winner {
                    wanted: &one.order,
                    order,
                    actor: Some(&one.actor),
                    was_draft: false,
                    table_key: known
                        .free_table_key(&one.order)
                        .filter(|key| table_keys.insert(*key)),
                })
            } else {
                None
            }
        })
        .collect();
    if !winners.is_empty() {
        write(change, &winners, &state).await?;
    }
    crash::point("intake.after_writes");
    Ok(decided)
}

/// Locks the sessions, which come first in the lock order.
pub(super) async fn lock_sessions(
    change: &mut Change<'_>,
    sessions: &[SessionId],
    state: &mut IntakeState,
    wait: bool,
) -> store::Result<()> {
    state.sessions = store::intake::lock_sessions(&mut change.tx, sessions, wait).await?;
    for (id, session) in &state.sessions {
        change.register_stream(
            (*id).into(),
            Counter::Session,
            session.store_id,
            session.last_seq,
        );
    }
    Ok(())
}

/// Locks the stores' counters, which come after the sessions.
pub(super) async fn lock_numbers(
    change: &mut Change<'_>,
    stores: &[StoreId],
    state: &mut IntakeState,
    wait: bool,
) -> store::Result<()> {
    (state.numbers, state.rules) =
        store::intake::lock_numbers(&mut change.tx, stores, wait).await?;
    Ok(())
}

/// Reads the stores that exist.
pub(super) async fn read_stores(
    change: &mut Change<'_>,
    stores: &[StoreId],
    state: &mut IntakeState,
) -> store::Result<()> {
    let read = store::stores::many(&mut change.tx, stores).await?;
    state.stores = read.into_iter().map(|store| (store.id, store)).collect();
    Ok(())
}

/// Reads everything else that the rule needs for these orders; counted stock is locked, without `wait` only where
/// nobody else holds it.
pub(super) async fn load_rest(
    change: &mut Change<'_>,
    orders: &[&PlaceOrder],
    stores: &[StoreId],
    state: &mut IntakeState,
    wait: bool,
) -> store::Result<()> {
    let tx = &mut change.tx;
    // Exact, because an order is placed and moved only under its session's lock.
    let sessions: Vec<SessionId> = state.sessions.keys().copied().collect();
    state.unfinished = store::intake::count_unfinished(tx, &sessions).await?;
    for (store, integrator) in store::integrators::of_stores(tx, stores).await? {
        let of_store = state.integrators.entry(store).or_default();
        of_store.push(integrator);
    }
    let known = state.integrators.iter();
    change
        .inner
        .lags
        .note_stores(known.map(|(id, of)| (id, of.iter().map(|one| one.id).collect())));
    products(tx, orders, stores, state).await?;
    let counted: Vec<ProductId> = state
        .products
        .values()
        .filter(|product| product.stock.is_some())
        .map(|product| product.id)
        .collect();
    state.stock = if wait {
        store::stock::lock(tx, &counted).await?
    } else {
        store::stock::lock_available(tx, &counted).await?
    };
    room::read(change, orders, state).await
}

async fn products(
    tx: &mut store::Tx,
    orders: &[&PlaceOrder],
    stores: &[StoreId],
    state: &mut IntakeState,
) -> store::Result<()> {
    let lines = || {
        orders.iter().flat_map(|order| {
            order
                .lines
                .iter()
                .map(|line| (order.store_id, &line.product))
        })
    };
    let ids: Vec<ProductId> = distinct(lines().filter_map(|(_, wanted)| {
        if let ProductRef::Id(id) = wanted {
            Some(*id)
        } else {
            None
        }
    }));
    for product in store::products::many(tx, &ids).await? {
        state.products.insert(product.id, product);
    }
    for store in stores {
        let skus: HashSet<&str> = lines()
            .filter_map(|(of, wanted)| match wanted {
                ProductRef::Sku(sku) if of == *store => Some(sku.as_str()),
                _ => None,
            })
            .collect();
        let skus: Vec<&str> = skus.into_iter().collect();
        for product in store::products::by_skus(tx, *store, &skus).await? {
            if let Some(sku) = &product.sku {
                state.skus.insert((*store, sku.clone()), product.id);
            }
            state.products.insert(product.id, product);
        }
    }
    state.option_groups = groups_of(tx, state.products.values()).await?;
    if state.option_groups.is_empty() {
        return Ok(());
    }
    // Products of chosen options: those that are counted are locked with the others.
    let mut of_options = Vec::new();
    for order in orders {
        for line in &order.lines {
            if let Some(product) = state.product(order.store_id, &line.product) {
                of_options.extend(products_of_options(product, line, &state.option_groups));
            }
        }
    }
    of_options.retain(|id| !state.products.contains_key(id));
    let of_options = distinct(of_options.into_iter());
    for product in store::products::many(tx, &of_options).await? {
        state.products.insert(product.id, product);
    }
    Ok(())
}

fn find_existing(order: &PlaceOrder, known: &ExistingOrders) -> Option<Decision> {
    if let Some(it) = &order.idempotency
        && let Some(row) = known.key(order)
    {
        return Some(if it.is_of(&row.fingerprint) {
            Decision::Replay(row.resource_id.into())
        } else {
            Decision::Refused(PlaceRefused::IdempotencyKeyReused)
        });
    }
    if let Some(existing) = known.reference(order) {
        return Some(Decision::Refused(PlaceRefused::DuplicateOrder { existing }));
    }
    let by = known.replacement_of(order.replaces?)?;
    Some(Decision::Refused(PlaceRefused::AlreadyReplaced { by }))
}

/// Returns the decisions about new orders that are all held, so that nothing else need be read.
fn find_all_held(
    orders: &[&PlaceOrder],
    known: &ExistingOrders,
    state: &IntakeState,
) -> Option<Vec<Decision>> {
    let held = orders.iter().map(|order| {
        let is_new = find_existing(order, known).is_none();
        let held = find_held(order, state, Wait::Never).filter(|_| is_new);
        held.map(Decision::Held)
    });
    held.collect()
}

/// Returns the first row that the order needs and that was not locked, because others hold it or because it does not
/// exist. What was waited for does not exist.
fn find_held(order: &PlaceOrder, state: &IntakeState, wait: Wait) -> Option<Held> {
    let store = order.store_id;
    if let Some(session) = order.session
        && wait < Wait::ForSessions
        && !state.sessions.contains_key(&session)
    {
        return Some(Held::Session(session));
    }
    if wait < Wait::ForCounters
        && state.stores.contains_key(&store)
        && !state.numbers.contains_key(&store)
    {
        return Some(Held::Counter(store));
    }
    if wait >= Wait::ForStock {
        return None;
    }
    let is_held = |id: &ProductId| {
        let product = state.products.get(id);
        product.is_some_and(|one| one.stock.is_some()) && !state.stock.contains_key(id)
    };
    order.lines.iter().find_map(|line| {
        let id = match &line.product {
            ProductRef::Id(id) => *id,
            ProductRef::Sku(sku) => *state.skus.get(&(store, sku.clone()))?,
        };
        let product = state.products.get(&id)?;
        let of_options = products_of_options(product, line, &state.option_groups);
        let held = std::iter::once(id).chain(of_options).find(is_held)?;
        Some(Held::Stock(held))
    })
}

/// Returns true if the batch was written by a commit whose response was lost. If that can't be found out, it returns
/// false: to place the orders again is harmless, since each has had its id from the beginning.
async fn was_committed(inner: &Inner, error: &StoreError, winners: &[OrderId]) -> bool {
    if !matches!(error, StoreError::CommitUnknown(_)) {
        return false;
    }
    tracing::warn!(%error, orders = winners.len(), "commit result unknown; looking up the batch");
    match find_written(inner, winners).await {
        Ok(there) => there.len() == winners.len(),
        Err(error) => {
            tracing::warn!(%error, "batch lookup failed");
            false
        }
    }
}

/// Returns those of these orders that exist. Waits for a commit that still runs.
async fn find_written(inner: &Inner, ids: &[OrderId]) -> store::Result<Vec<OrderId>> {
    let mut tx = inner.db.begin().await?;
    let there = store::orders::find_existing(&mut tx, ids).await;
    tx.rollback().await;
    there
}

/// Returns an order that was written by a commit whose response was lost.
pub(super) async fn find_committed(inner: &Inner, id: OrderId) -> store::Result<Option<Order>> {
    if find_written(inner, &[id]).await?.is_empty() {
        return Ok(None);
    }
    let mut tx = inner.db.read().await?;
    store::orders::get(&mut tx, id).await
}

async fn load_replays(
    inner: &Inner,
    decided: &[Decision],
) -> store::Result<HashMap<OrderId, Order>> {
    let ids: Vec<OrderId> = distinct(decided.iter().filter_map(|one| {
        if let Decision::Replay(id) = one {
            Some(*id)
        } else {
            None
        }
    }));
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut tx = inner.db.read().await?;
    Ok(store::orders::many(&mut tx, &ids)
        .await?
        .into_iter()
        .map(|order| (order.id, order))
        .collect())
}

fn to_outcome(decided: Decision, replays: &HashMap<OrderId, Order>) -> Outcome {
    Ok(match decided {
        Decision::Winner(order) => Ok(Placed {
            order: *order,
            replayed: false,
        }),
        Decision::Replay(id) => match replays.get(&id) {
            Some(order) => Ok(Placed {
                order: order.clone(),
                replayed: true,
            }),
            None => {
                Err(
                    StoreError::corrupt("idempotency_keys", id, "names an order that is missing")
                        .into(),
                )
            }
        },
        Decision::Refused(refused) => Err(refused.into()),
        Decision::Held(held) => return Err(held),
    })
}
