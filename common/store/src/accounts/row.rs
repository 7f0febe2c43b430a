//! Rows of accounts, and the rows that join them to stores and integrators.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::Credentials;
use crate::{
    error::{Result, StoreError},
    on, push_ids,
    tx::Tx,
};
use domain::{
    account::{Account, IntegratorRef},
    ids::StoreId,
};

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: Uuid,
    username: Vec<u8>,
    password_hash: String,
    role: String,
    disabled: bool,
    created_at: DateTime<Utc>,
}

/// The stores and integrators of one account.
#[derive(Default)]
struct Joined {
    stores: Vec<StoreId>,
    integrators: Vec<IntegratorRef>,
}

pub(super) async fn complete_one(tx: &mut Tx, row: Option<Row>) -> Result<Option<Credentials>> {
    Ok(complete(tx, row.into_iter().collect()).await?.pop())
}

/// Runs the query that an existing account needs, so that timing does not reveal that there is none.
pub(super) async fn run_decoy_query(tx: &mut Tx) -> Result<()> {
    stores_of(tx, &[Uuid::nil()]).await?;
    Ok(())
}

pub(super) async fn complete(tx: &mut Tx, rows: Vec<Row>) -> Result<Vec<Credentials>> {
    let ids = |of_integrators: bool| -> Vec<Uuid> {
        let rows = rows.iter();
        rows.filter(|row| (row.role == "integrator") == of_integrators)
            .map(|row| row.id)
            .collect()
    };
    let mut joined: HashMap<Uuid, Joined> = HashMap::new();
    for (account, store) in stores_of(tx, &ids(false)).await? {
        joined.entry(account).or_default().stores.push(store.into());
    }
    for (account, integrator, store) in integrators_of(tx, &ids(true)).await? {
        let spoken_for = IntegratorRef {
            integrator: integrator.into(),
            store_id: store.into(),
        };
        let joined = joined.entry(account).or_default();
        joined.integrators.push(spoken_for);
    }
    rows.into_iter()
        .map(|row| {
            let joined = joined.remove(&row.id).unwrap_or_default();
            row.credentials(joined)
        })
        .collect()
}

async fn stores_of(tx: &mut Tx, accounts: &[Uuid]) -> Result<Vec<(Uuid, Uuid)>> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(
            "SELECT account_id, store_id FROM account_stores WHERE account_id IN (",
        );
        push_ids(&mut query, accounts);
        query.push(") ORDER BY account_id, store_id");
        query.build_query_as().fetch_all(conn).await?
    }))
}

/// Returns accounts' integrators with their stores. Archived integrators are left out.
async fn integrators_of(tx: &mut Tx, accounts: &[Uuid]) -> Result<Vec<(Uuid, Uuid, Uuid)>> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(
            "SELECT a.account_id, i.id, i.store_id FROM account_integrators a \
             JOIN integrators i ON i.id = a.integrator_id WHERE i.archived_at IS NULL AND a.account_id IN (",
        );
        push_ids(&mut query, accounts);
        query.push(") ORDER BY a.account_id, i.id");
        query.build_query_as().fetch_all(conn).await?
    }))
}

impl Row {
    fn credentials(self, joined: Joined) -> Result<Credentials> {
        let corrupt = |what: String| StoreError::corrupt("accounts", self.id, what);
        Ok(Credentials {
            account: Account {
                id: self.id.into(),
                username: String::from_utf8(self.username)
                    .map_err(|error| corrupt(error.to_string()))?,
                role: self.role.parse().map_err(|error| {
                    let error: domain::UnknownWord = error;
                    corrupt(error.to_string())
                })?,
                stores: joined.stores,
                integrators: joined.integrators,
                disabled: self.disabled,
                created_at: self.created_at,
            },
            password_hash: self.password_hash,
        })
    }
}
