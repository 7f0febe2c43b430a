//! The stores of integrators: the first one is in the integrator's row, the further ones in a table of their own.

use chrono::{DateTime, Utc};

use super::{Stored, columns, settings_of};
use crate::{
    error::Result,
    execute, execute_in, fetch_in, fetch_scalars, insert_many, push_ids, read_all,
    rows::{ReadRow, Row, read_rows},
    statements::Statement,
    tx::Tx,
};
use domain::{
    ids::{IntegratorId, StoreId},
    integrator::Integrator,
};

/// Returns the store's integrators that are not archived (disabled ones too), by id, also those that have left it.
pub async fn of_store(tx: &mut Tx, store: StoreId) -> Result<Vec<Integrator>> {
    let found = of_stores(tx, &[store]).await?;
    Ok(found
        .into_iter()
        .map(|(_, integrator)| integrator)
        .collect())
}

/// Returns the same as [`of_store`] for several stores, by id: an integrator once for each of these stores.
pub async fn of_stores(tx: &mut Tx, stores: &[StoreId]) -> Result<Vec<(StoreId, Integrator)>> {
    if stores.is_empty() {
        return Ok(Vec::new());
    }
    let rows = {
        let mut query = Statement::new(
            tx,
            concat!(
                "SELECT ",
                columns!(),
                ", at_store, joined_at, left_at FROM ( \
               SELECT id AS member, store_id AS at_store, created_at AS joined_at, NULL AS left_at \
               FROM integrators WHERE archived_at IS NULL AND store_id IN ("
            ),
        );
        push_ids(&mut query, stores);
        query.push(
            ") UNION ALL SELECT integrator_id, store_id, joined_at, left_at FROM integrator_stores \
             WHERE store_id IN (",
        );
        push_ids(&mut query, stores);
        query.push(")) m JOIN integrators ON id = member WHERE archived_at IS NULL ORDER BY id");
        query.fetch_all(tx).await?
    };
    let found: Vec<Member> = read_rows(rows)?;
    let found = found.into_iter();
    Ok(found
        .map(|Member(store, stored)| (store, stored.integrator))
        .collect())
}

/// Returns the integrators of the store that are not archived, by id, after `after`.
pub async fn list(
    tx: &mut Tx,
    store: StoreId,
    after: Option<IntegratorId>,
    limit: u32,
) -> Result<Vec<Integrator>> {
    let after = after.unwrap_or(IntegratorId::MIN);
    Ok(settings_of(read_all!(
        tx,
        concat!(
            "SELECT ",
            columns!(),
            ", joined_at, left_at FROM ( \
               SELECT id AS member, created_at AS joined_at, NULL AS left_at FROM integrators \
               WHERE store_id = ? AND archived_at IS NULL AND id > ? \
               UNION ALL SELECT integrator_id, joined_at, left_at FROM integrator_stores \
               WHERE store_id = ? AND integrator_id > ? AND left_at IS NULL) m \
             JOIN integrators ON id = member WHERE archived_at IS NULL ORDER BY id LIMIT ?"
        ),
        store,
        after,
        store,
        after,
        limit
    )))
}

/// Fills in the further stores of integrators that people see.
pub async fn fill_further_stores(tx: &mut Tx, integrators: &mut [Integrator]) -> Result<()> {
    let ids: Vec<IntegratorId> = integrators.iter().map(|one| one.id).collect();
    for (id, store) in further_stores(tx, &ids).await? {
        let mut of = integrators.iter_mut().filter(|one| one.id == id);
        if let Some(integrator) = of.next() {
            integrator.further_stores.push(store);
        }
    }
    Ok(())
}

/// Returns the further stores of these integrators, by id.
pub async fn further_stores(
    tx: &mut Tx,
    integrators: &[IntegratorId],
) -> Result<Vec<(IntegratorId, StoreId)>> {
    Ok(fetch_in!(
        tx,
        "SELECT integrator_id, store_id FROM integrator_stores WHERE left_at IS NULL AND integrator_id IN (",
        integrators,
        ") ORDER BY integrator_id, store_id"
    ))
}

/// Adds stores, also such as it had left.
pub async fn join_stores(
    tx: &mut Tx,
    integrator: IntegratorId,
    stores: &[StoreId],
    now: DateTime<Utc>,
) -> Result<()> {
    execute_in!(tx, "DELETE FROM integrator_stores WHERE integrator_id = ", integrator, " AND store_id IN ("; stores);
    insert_many!(
        &mut *tx,
        "INSERT INTO integrator_stores (store_id, integrator_id, joined_at) ",
        stores,
        |push, store| push.push_bind(store).push_bind(integrator).push_bind(now)
    );
    Ok(())
}

/// Takes stores away; their rows stay, for what it was handed there.
pub async fn leave_stores(
    tx: &mut Tx,
    integrator: IntegratorId,
    stores: &[StoreId],
    now: DateTime<Utc>,
) -> Result<()> {
    if stores.is_empty() {
        return Ok(());
    }
    let mut query = Statement::new(tx, "UPDATE integrator_stores SET left_at = ");
    query.push_bind(now).push(" WHERE integrator_id = ");
    query.push_bind(integrator).push(" AND store_id IN (");
    push_ids(&mut query, stores);
    query.push(")").execute(tx).await?;
    Ok(())
}

/// Returns the further stores whose staff do not know yet that the integrator is about to be disabled.
pub async fn untold_stores(tx: &mut Tx, integrator: IntegratorId) -> Result<Vec<StoreId>> {
    Ok(fetch_scalars!(
        tx,
        "SELECT store_id FROM integrator_stores WHERE integrator_id = ? AND left_at IS NULL AND told_at IS NULL \
         ORDER BY store_id",
        integrator
    ))
}

/// Records that the store's staff were told; `false` if somebody was faster.
pub async fn record_told(
    tx: &mut Tx,
    integrator: IntegratorId,
    store: StoreId,
    now: DateTime<Utc>,
) -> Result<bool> {
    let recorded = execute!(
        tx,
        "UPDATE integrator_stores SET told_at = ? WHERE store_id = ? AND integrator_id = ? AND told_at IS NULL",
        now,
        store,
        integrator
    );
    Ok(recorded == 1)
}

/// Forgets which stores were told, once the integrator is disabled or a person has decided about it.
pub async fn forget_told(tx: &mut Tx, integrator: IntegratorId) -> Result<()> {
    execute!(
        tx,
        "UPDATE integrator_stores SET told_at = NULL WHERE integrator_id = ? AND told_at IS NOT NULL",
        integrator
    );
    Ok(())
}

/// An integrator as one of a store.
struct Member(StoreId, Stored);

impl ReadRow for Member {
    const TABLE: &'static str = "integrators";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self(row.get("at_store")?, Stored::read(row)?))
    }
}
