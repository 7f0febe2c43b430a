//! Accounts, their stores, refresh tokens, and tickets for the live channel.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{
    error::{Result, StoreError},
    for_update, insert_many, on, padded,
    tx::Tx,
};
use crate::domain::{
    account::Account,
    ids::{AccountId, IntegratorId, StoreId, TokenFamilyId},
};

/// An account with what its password is checked against.
#[derive(Clone, PartialEq)]
pub struct Credentials {
    pub account: Account,
    /// A PHC string.
    pub password_hash: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

pub(crate) async fn insert(tx: &mut Tx, new: &Credentials) -> Result<()> {
    let account = &new.account;
    on!(&mut *tx, |conn| {
        sqlx::query(
        "INSERT INTO accounts (id, username, password_hash, role, integrator_id, disabled, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    .bind(account.id.uuid())
    .bind(account.username.as_bytes())
    .bind(&new.password_hash)
    .bind(account.role.as_str())
    .bind(account.integrator.map(IntegratorId::uuid))
    .bind(account.disabled)
    .bind(account.created_at)
    .execute(conn)
    .await?
    .rows_affected()
    });
    insert_stores(tx, account.id, &account.stores).await
}

pub(crate) async fn by_username(tx: &mut Tx, username: &str) -> Result<Option<Credentials>> {
    let row: Option<Row> = on!(&mut *tx, |conn| {
        sqlx::query_as(
        "SELECT id, username, password_hash, role, integrator_id, disabled, created_at FROM accounts \
         WHERE username = ?"
    )
    .bind(username.as_bytes())
    .fetch_optional(conn)
    .await?
    });
    with_stores_of_one(tx, row).await
}

pub(crate) async fn by_id(tx: &mut Tx, id: AccountId) -> Result<Option<Credentials>> {
    let row: Option<Row> = on!(&mut *tx, |conn| {
        sqlx::query_as(
        "SELECT id, username, password_hash, role, integrator_id, disabled, created_at FROM accounts WHERE id = ?"
    )
    .bind(id.uuid())
    .fetch_optional(conn)
    .await?
    });
    with_stores_of_one(tx, row).await
}

pub(crate) async fn lock(tx: &mut Tx, id: AccountId) -> Result<Option<Credentials>> {
    let sql = for_update!(
        tx,
        "SELECT id, username, password_hash, role, integrator_id, disabled, created_at FROM accounts WHERE id = ?"
    );
    let row: Option<Row> = on!(&mut *tx, |conn| sqlx::query_as(sql)
        .bind(id.uuid())
        .fetch_optional(conn)
        .await?);
    with_stores_of_one(tx, row).await
}

/// In order of their ids, after one of them; `stores`: only those who serve one of these.
pub(crate) async fn page(
    tx: &mut Tx,
    stores: Option<&[StoreId]>,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<Account>> {
    let rows: Vec<Row> = on!(&mut *tx, |conn| {
        let mut query = QueryBuilder::new(
            "SELECT id, username, password_hash, role, integrator_id, disabled, created_at FROM accounts WHERE id > ",
        );
        query.push_bind(after.map_or(Uuid::nil(), AccountId::uuid));
        if let Some(stores) = stores {
            let ids: Vec<Uuid> = stores.iter().map(|id| id.uuid()).collect();
            query.push(" AND id IN (SELECT account_id FROM account_stores WHERE store_id IN (");
            let mut list = query.separated(", ");
            for id in padded(&ids) {
                list.push_bind(id);
            }
            query.push("))");
        }
        query.push(" ORDER BY id LIMIT ").push_bind(limit);
        query.build_query_as().fetch_all(conn).await?
    });
    let found = with_stores(tx, rows).await?.into_iter();
    Ok(found.map(|found| found.account).collect())
}

/// Everything but its name, its stores and its birth.
pub(crate) async fn update(tx: &mut Tx, changed: &Credentials) -> Result<()> {
    let account = &changed.account;
    on!(tx, |conn| {
        sqlx::query(
        "UPDATE accounts SET password_hash = ?, role = ?, integrator_id = ?, disabled = ? WHERE id = ?"
    )
    .bind(&changed.password_hash)
    .bind(account.role.as_str())
    .bind(account.integrator.map(IntegratorId::uuid))
    .bind(account.disabled)
    .bind(account.id.uuid())
    .execute(conn)
    .await?
    .rows_affected()
    });
    Ok(())
}

pub(crate) async fn replace_stores(tx: &mut Tx, id: AccountId, stores: &[StoreId]) -> Result<()> {
    on!(&mut *tx, |conn| sqlx::query(
        "DELETE FROM account_stores WHERE account_id = ?"
    )
    .bind(id.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    insert_stores(tx, id, stores).await
}

async fn insert_stores(tx: &mut Tx, id: AccountId, stores: &[StoreId]) -> Result<()> {
    insert_many!(
        &mut *tx,
        "INSERT INTO account_stores (account_id, store_id) ",
        stores,
        |push, store| push.push_bind(id.uuid()).push_bind(store.uuid())
    );
    Ok(())
}

/// Those of these stores that exist.
pub(crate) async fn existing_stores(tx: &mut Tx, stores: &[StoreId]) -> Result<Vec<StoreId>> {
    if stores.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = stores.iter().map(|id| id.uuid()).collect();
    let rows: Vec<(Uuid,)> = on!(tx, |conn| {
        let mut query = QueryBuilder::new("SELECT id FROM stores WHERE id IN (");
        let mut list = query.separated(", ");
        for id in padded(&ids) {
            list.push_bind(id);
        }
        query.push(")");
        query.build_query_as().fetch_all(conn).await?
    });
    Ok(rows.into_iter().map(|(id,)| id.into()).collect())
}

/// The store of an integrator.
pub(crate) async fn store_of_integrator(tx: &mut Tx, id: IntegratorId) -> Result<Option<StoreId>> {
    let row: Option<(Uuid,)> = on!(tx, |conn| sqlx::query_as(
        "SELECT store_id FROM integrators WHERE id = ?"
    )
    .bind(id.uuid())
    .fetch_optional(conn)
    .await?);
    Ok(row.map(|(id,)| id.into()))
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    username: Vec<u8>,
    password_hash: String,
    role: String,
    integrator_id: Option<Uuid>,
    disabled: bool,
    created_at: DateTime<Utc>,
}

async fn with_stores_of_one(tx: &mut Tx, row: Option<Row>) -> Result<Option<Credentials>> {
    Ok(with_stores(tx, row.into_iter().collect()).await?.pop())
}

async fn with_stores(tx: &mut Tx, rows: Vec<Row>) -> Result<Vec<Credentials>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let pairs: Vec<(Uuid, Uuid)> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(
            "SELECT account_id, store_id FROM account_stores WHERE account_id IN (",
        );
        let mut list = query.separated(", ");
        for id in padded(&ids) {
            list.push_bind(id);
        }
        query.push(") ORDER BY account_id, store_id");
        query.build_query_as().fetch_all(conn).await?
    });
    let mut stores: HashMap<Uuid, Vec<StoreId>> = HashMap::new();
    for (account, store) in pairs {
        stores.entry(account).or_default().push(store.into());
    }
    rows.into_iter()
        .map(|row| {
            let stores = stores.remove(&row.id).unwrap_or_default();
            row.credentials(stores)
        })
        .collect()
}

impl Row {
    fn credentials(self, stores: Vec<StoreId>) -> Result<Credentials> {
        let corrupt = |what: String| StoreError::corrupt("accounts", self.id, what);
        Ok(Credentials {
            account: Account {
                id: self.id.into(),
                username: String::from_utf8(self.username)
                    .map_err(|error| corrupt(error.to_string()))?,
                role: self.role.parse().map_err(|error| {
                    let error: crate::domain::UnknownWord = error;
                    corrupt(error.to_string())
                })?,
                stores,
                integrator: self.integrator_id.map(Into::into),
                disabled: self.disabled,
                created_at: self.created_at,
            },
            password_hash: self.password_hash,
        })
    }
}

/// A refresh token as it is stored: its hash, not itself.
#[derive(Clone, Debug)]
pub(crate) struct RefreshToken {
    pub(crate) hash: [u8; 32],
    pub(crate) family: TokenFamilyId,
    pub(crate) account: AccountId,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) used_at: Option<DateTime<Utc>>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

pub(crate) async fn insert_refresh_token(
    tx: &mut Tx,
    token: &RefreshToken,
    now: DateTime<Utc>,
) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "INSERT INTO refresh_tokens (token_hash, family_id, account_id, issued_at, expires_at) \
         VALUES (?, ?, ?, ?, ?)"
    )
    .bind(token.hash.as_slice())
    .bind(token.family.uuid())
    .bind(token.account.uuid())
    .bind(now)
    .bind(token.expires_at)
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

pub(crate) async fn lock_refresh_token(
    tx: &mut Tx,
    hash: &[u8; 32],
) -> Result<Option<RefreshToken>> {
    let sql = for_update!(
        tx,
        "SELECT family_id, account_id, expires_at, used_at, revoked_at FROM refresh_tokens WHERE token_hash = ?"
    );
    type Found = (
        Uuid,
        Uuid,
        DateTime<Utc>,
        Option<DateTime<Utc>>,
        Option<DateTime<Utc>>,
    );
    let row: Option<Found> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(hash.as_slice())
        .fetch_optional(conn)
        .await?);
    Ok(row.map(
        |(family, account, expires_at, used_at, revoked_at)| RefreshToken {
            hash: *hash,
            family: family.into(),
            account: account.into(),
            expires_at,
            used_at,
            revoked_at,
        },
    ))
}

pub(crate) async fn refresh_token_used(
    tx: &mut Tx,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE refresh_tokens SET used_at = ? WHERE token_hash = ?"
    )
    .bind(now)
    .bind(hash.as_slice())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

pub(crate) async fn revoke_family(
    tx: &mut Tx,
    family: TokenFamilyId,
    now: DateTime<Utc>,
) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE refresh_tokens SET revoked_at = ? WHERE family_id = ? AND revoked_at IS NULL"
    )
    .bind(now)
    .bind(family.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

/// Every sign-in of the account.
pub(crate) async fn revoke_all(tx: &mut Tx, account: AccountId, now: DateTime<Utc>) -> Result<()> {
    on!(tx, |conn| sqlx::query(
        "UPDATE refresh_tokens SET revoked_at = ? WHERE account_id = ? AND revoked_at IS NULL"
    )
    .bind(now)
    .bind(account.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(())
}

/// A ticket as it is stored: its hash, not itself.
#[derive(Clone, Debug)]
pub(crate) struct StoredTicket {
    pub(crate) hash: [u8; 32],
    pub(crate) account: AccountId,
    pub(crate) subject: String,
    pub(crate) subject_id: Uuid,
    pub(crate) expires_at: DateTime<Utc>,
}

pub(crate) async fn insert_ticket(tx: &mut Tx, ticket: &StoredTicket) -> Result<()> {
    on!(tx, |conn| {
        sqlx::query(
        "INSERT INTO live_tickets (ticket_hash, account_id, subject, subject_id, expires_at) VALUES (?, ?, ?, ?, ?)"
    )
    .bind(ticket.hash.as_slice())
    .bind(ticket.account.uuid())
    .bind(&ticket.subject)
    .bind(ticket.subject_id)
    .bind(ticket.expires_at)
    .execute(conn)
    .await?
    .rows_affected()
    });
    Ok(())
}

/// Takes it away: of two who come with the same ticket, one gets it.
pub(crate) async fn take_ticket(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<StoredTicket>> {
    let sql = for_update!(
        tx,
        "SELECT account_id, subject, subject_id, expires_at FROM live_tickets WHERE ticket_hash = ?"
    );
    let row: Option<(Uuid, String, Uuid, DateTime<Utc>)> =
        on!(&mut *tx, |conn| sqlx::query_as(sql)
            .bind(hash.as_slice())
            .fetch_optional(conn)
            .await?);
    let Some((account, subject, subject_id, expires_at)) = row else {
        return Ok(None);
    };
    on!(tx, |conn| sqlx::query(
        "DELETE FROM live_tickets WHERE ticket_hash = ?"
    )
    .bind(hash.as_slice())
    .execute(conn)
    .await?
    .rows_affected());
    Ok(Some(StoredTicket {
        hash: *hash,
        account: account.into(),
        subject,
        subject_id,
        expires_at,
    }))
}
