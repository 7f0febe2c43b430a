//! Rows of accounts, and the rows that join them to stores and integrators.

use std::collections::HashMap;

use super::Credentials;
use crate::{
    error::Result,
    fetch_in, push_ids,
    rows::{ReadRow, Row},
    statements::Statement,
    tx::Tx,
};
use domain::{
    account::{Account, IntegratorRef, Role},
    ids::{AccountId, IntegratorId, StoreId},
};

pub(super) async fn complete_one(
    tx: &mut Tx,
    account: Option<Credentials>,
) -> Result<Option<Credentials>> {
    Ok(complete(tx, account.into_iter().collect()).await?.pop())
}

/// Runs the query that an existing account needs, so that timing does not reveal that there is none.
pub(super) async fn run_decoy_query(tx: &mut Tx) -> Result<()> {
    stores_of(tx, &[AccountId::MIN]).await?;
    Ok(())
}

/// Fills in the stores and integrators of accounts that were read from their rows.
pub(super) async fn complete(tx: &mut Tx, mut found: Vec<Credentials>) -> Result<Vec<Credentials>> {
    let ids = |of_integrators: bool| -> Vec<AccountId> {
        let accounts = found.iter().map(|found| &found.account);
        accounts
            .filter(|account| (account.role == Role::Integrator) == of_integrators)
            .map(|account| account.id)
            .collect()
    };
    let mut stores: HashMap<AccountId, Vec<StoreId>> = HashMap::new();
    for (account, store) in stores_of(tx, &ids(false)).await? {
        stores.entry(account).or_default().push(store);
    }
    let mut integrators: HashMap<AccountId, Vec<IntegratorRef>> = HashMap::new();
    for (account, integrator, store) in integrators_of(tx, &ids(true)).await? {
        let of_account = integrators.entry(account).or_default();
        match of_account.last_mut() {
            Some(last) if last.integrator == integrator => last.stores.push(store),
            _ => of_account.push(IntegratorRef {
                integrator,
                stores: vec![store],
            }),
        }
    }
    for Credentials { account, .. } in &mut found {
        account.stores = stores.remove(&account.id).unwrap_or_default();
        account.integrators = integrators.remove(&account.id).unwrap_or_default();
    }
    Ok(found)
}

pub(super) async fn stores_of(
    tx: &mut Tx,
    accounts: &[AccountId],
) -> Result<Vec<(AccountId, StoreId)>> {
    Ok(fetch_in!(
        tx,
        "SELECT account_id, store_id FROM account_stores WHERE account_id IN (",
        accounts,
        ") ORDER BY account_id, store_id"
    ))
}

/// Returns accounts' integrators, once for each of their stores, the first one first. Archived integrators are left out.
async fn integrators_of(
    tx: &mut Tx,
    accounts: &[AccountId],
) -> Result<Vec<(AccountId, IntegratorId, StoreId)>> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(AccountId, IntegratorId, StoreId, i64)> = {
        let mut query = Statement::new(
            tx,
            "SELECT a.account_id, i.id AS integrator_id, i.store_id, 1 AS place FROM account_integrators a \
             JOIN integrators i ON i.id = a.integrator_id WHERE i.archived_at IS NULL AND a.account_id IN (",
        );
        push_ids(&mut query, accounts);
        query.push(
            ") UNION ALL SELECT a.account_id, i.id, m.store_id, 2 FROM account_integrators a \
             JOIN integrators i ON i.id = a.integrator_id \
             JOIN integrator_stores m ON m.integrator_id = i.id AND m.left_at IS NULL \
             WHERE i.archived_at IS NULL AND a.account_id IN (",
        );
        push_ids(&mut query, accounts);
        query.push(") ORDER BY account_id, integrator_id, place, store_id");
        query.fetch_all(tx).await?
    };
    let without_place = |(account, integrator, store, _)| (account, integrator, store);
    Ok(rows.into_iter().map(without_place).collect())
}

/// Without stores and integrators, which are in other tables.
impl ReadRow for Credentials {
    const TABLE: &'static str = "accounts";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            account: Account {
                id: row.get("id")?,
                username: row.parse("username", String::from_utf8)?,
                role: row.get("role")?,
                stores: Vec::new(),
                integrators: Vec::new(),
                disabled: row.get("disabled")?,
                created_at: row.get("created_at")?,
            },
            password_hash: row.get("password_hash")?,
        })
    }
}
