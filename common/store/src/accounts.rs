//! Accounts, with the stores that they serve and the integrators that they speak for.

pub mod api_keys;
pub mod failures;
pub mod known_addresses;
pub mod refresh_tokens;
mod row;
pub mod tickets;

use self::row::{complete, complete_one, run_decoy_query};
use crate::{
    error::Result, execute, fetch_in, for_update, insert_many, integrators::further_stores,
    push_ids, read_optional, rows::read_rows, statements::Statement, tx::Tx,
};
use domain::{
    account::{Account, IntegratorRef},
    ids::{AccountId, IntegratorId, StoreId},
};
use platform::secrets::sha256;

/// `SELECT` of an account's columns, with the rest of the statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, username, password_hash, role, disabled, created_at FROM accounts ",
            $rest
        )
    };
}

/// Stands in place of the password hash of a key's account, to which no password fits.
pub const KEY_INSTEAD_OF_PASSWORD: &str = "api key";

/// An account with its password hash.
#[derive(Clone, PartialEq)]
pub struct Credentials {
    pub account: Account,
    /// Password hash, as a PHC string.
    pub password_hash: String,
}

impl Credentials {
    /// Returns true for the account of an API key: it is no user, and nobody signs in to it.
    #[must_use]
    pub fn is_of_key(&self) -> bool {
        self.password_hash == KEY_INSTEAD_OF_PASSWORD
    }

    /// Returns a hash of the stored hash; it changes with the password.
    #[must_use]
    pub fn password_mark(&self) -> [u8; 32] {
        sha256(self.password_hash.as_bytes())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// Inserts an account; [`StoreError::UniqueKeyTaken`] if another one has its username, in whatever case.
///
/// [`StoreError::UniqueKeyTaken`]: crate::StoreError::UniqueKeyTaken
pub async fn insert(tx: &mut Tx, new: &Credentials) -> Result<()> {
    let account = &new.account;
    execute!(
        tx,
        "INSERT INTO accounts (id, username, username_key, password_hash, role, disabled, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        account.id,
        account.username.as_bytes(),
        account.username.to_ascii_lowercase().into_bytes(),
        &new.password_hash,
        account.role,
        account.disabled,
        account.created_at
    );
    insert_stores(tx, account.id, &account.stores).await?;
    insert_integrators(tx, account.id, &account.integrators).await
}

/// Returns the account with this name. An unknown name takes as many statements as a known one.
pub async fn by_username(tx: &mut Tx, username: &str) -> Result<Option<Credentials>> {
    let row = read_optional!(tx, select!("WHERE username = ?"), username.as_bytes());
    if row.is_none() {
        run_decoy_query(tx).await?;
    }
    complete_one(tx, row).await
}

pub async fn by_id(tx: &mut Tx, id: AccountId) -> Result<Option<Credentials>> {
    let row = read_optional!(tx, select!("WHERE id = ?"), id);
    complete_one(tx, row).await
}

pub async fn lock(tx: &mut Tx, id: AccountId) -> Result<Option<Credentials>> {
    let sql = for_update!(tx, select!("WHERE id = ?"));
    let row = read_optional!(tx, sql, id);
    complete_one(tx, row).await
}

/// Returns accounts after `after`, by id, without those of API keys; with `stores`, only those that serve one of these or
/// speak for an integrator of one.
pub async fn page(
    tx: &mut Tx,
    stores: Option<&[StoreId]>,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<Account>> {
    let rows = {
        let mut query = Statement::new(tx, select!("WHERE id > "));
        query.push_bind(after.unwrap_or(AccountId::MIN));
        query
            .push(" AND password_hash <> ")
            .push_bind(KEY_INSTEAD_OF_PASSWORD);
        if let Some(stores) = stores {
            let lists = [
                " AND (id IN (SELECT account_id FROM account_stores WHERE store_id IN (",
                " OR id IN (SELECT a.account_id FROM account_integrators a \
                 JOIN integrators i ON i.id = a.integrator_id WHERE i.archived_at IS NULL AND i.store_id IN (",
                " OR id IN (SELECT a.account_id FROM account_integrators a \
                 JOIN integrators i ON i.id = a.integrator_id JOIN integrator_stores m ON m.integrator_id = i.id \
                 WHERE i.archived_at IS NULL AND m.left_at IS NULL AND m.store_id IN (",
            ];
            for sql in lists {
                query.push(sql);
                push_ids(&mut query, stores);
                query.push("))");
            }
            query.push(")");
        }
        query.push(" ORDER BY id LIMIT ").push_bind(limit);
        query.fetch_all(tx).await?
    };
    let found = complete(tx, read_rows(rows)?).await?.into_iter();
    Ok(found.map(|found| found.account).collect())
}

/// Writes the password hash, the role and whether the account is disabled.
pub async fn update(tx: &mut Tx, changed: &Credentials) -> Result<()> {
    let account = &changed.account;
    execute!(
        tx,
        "UPDATE accounts SET password_hash = ?, role = ?, disabled = ? WHERE id = ?",
        &changed.password_hash,
        account.role,
        account.disabled,
        account.id
    );
    Ok(())
}

pub async fn replace_stores(tx: &mut Tx, id: AccountId, stores: &[StoreId]) -> Result<()> {
    execute!(tx, "DELETE FROM account_stores WHERE account_id = ?", id);
    insert_stores(tx, id, stores).await
}

async fn insert_stores(tx: &mut Tx, id: AccountId, stores: &[StoreId]) -> Result<()> {
    insert_many!(
        &mut *tx,
        "INSERT INTO account_stores (account_id, store_id) ",
        stores,
        |push, store| push.push_bind(id).push_bind(store)
    );
    Ok(())
}

/// Returns those of these stores that exist.
pub async fn existing_stores(tx: &mut Tx, stores: &[StoreId]) -> Result<Vec<StoreId>> {
    let rows: Vec<(StoreId,)> = fetch_in!(tx, "SELECT id FROM stores WHERE id IN (", stores, ")");
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

pub async fn replace_integrators(
    tx: &mut Tx,
    id: AccountId,
    integrators: &[IntegratorRef],
) -> Result<()> {
    execute!(
        tx,
        "DELETE FROM account_integrators WHERE account_id = ?",
        id
    );
    insert_integrators(tx, id, integrators).await
}

async fn insert_integrators(
    tx: &mut Tx,
    id: AccountId,
    integrators: &[IntegratorRef],
) -> Result<()> {
    insert_many!(
        &mut *tx,
        "INSERT INTO account_integrators (account_id, integrator_id) ",
        integrators,
        |push, one| push.push_bind(id).push_bind(one.integrator)
    );
    Ok(())
}

/// Returns those of these integrators that exist and are not archived, by id, with their stores.
pub async fn existing_integrators(
    tx: &mut Tx,
    integrators: &[IntegratorId],
) -> Result<Vec<IntegratorRef>> {
    let rows = fetch_in!(
        tx,
        "SELECT id, store_id FROM integrators WHERE archived_at IS NULL AND id IN (",
        integrators,
        ") ORDER BY id"
    );
    let first_store = |(integrator, store)| IntegratorRef {
        integrator,
        stores: vec![store],
    };
    let mut found: Vec<IntegratorRef> = rows.into_iter().map(first_store).collect();
    for (id, store) in further_stores(tx, integrators).await? {
        if let Some(one) = found.iter_mut().find(|one| one.integrator == id) {
            one.stores.push(store);
        }
    }
    Ok(found)
}
