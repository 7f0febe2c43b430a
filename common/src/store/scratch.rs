//! Databases that live for one test, and rows that tests begin with.

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};

use super::{Db, error::Result, on};
use crate::domain::store::Store;

/// On a server whose URL ends with a slash; the database's URL.
pub(crate) async fn create_mysql(server_url: &str, name: &str) -> Result<String> {
    let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
    execute_on_server(server_url, create).await?;
    Ok(format!("{server_url}{name}"))
}

pub(crate) async fn drop_mysql(server_url: &str, name: &str) -> Result<()> {
    execute_on_server(server_url, format!("DROP DATABASE IF EXISTS {name}")).await
}

async fn execute_on_server(server_url: &str, statement: String) -> Result<()> {
    let mut conn = MySqlConnection::connect(server_url).await?;
    conn.execute(AssertSqlSafe(statement)).await?;
    conn.close().await?;
    Ok(())
}

/// As a store stands in the tables, for tests of what needs one.
pub(crate) async fn insert_store(db: &Db, store: &Store) -> Result<()> {
    let mut tx = db.begin().await?;
    on!(&mut tx, |conn| {
        sqlx::query(
        "INSERT INTO stores (id, name, timezone, currency, phone, email, address, lat, lng, auto_accept, \
         accept_within_s, paused, archived_at, version, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    .bind(store.id.uuid())
    .bind(&store.name)
    .bind(&store.timezone)
    .bind(store.currency.as_str())
    .bind(&store.contact.phone)
    .bind(&store.contact.email)
    .bind(&store.contact.address)
    .bind(store.contact.lat)
    .bind(store.contact.lng)
    .bind(store.auto_accept)
    .bind(store.accept_within_s)
    .bind(store.paused)
    .bind(store.archived_at)
    .bind(store.version)
    .bind(store.created_at)
    .execute(conn)
    .await?
    .rows_affected()
    });
    on!(&mut tx, |conn| sqlx::query(
        "INSERT INTO store_counters (store_id, last_number, last_seq) VALUES (?, 0, 0)"
    )
    .bind(store.id.uuid())
    .execute(conn)
    .await?
    .rows_affected());
    tx.commit().await
}

/// Any statement: for tests of what must never be.
#[cfg(test)]
pub(crate) async fn run(tx: &mut super::Tx, statement: &'static str) -> Result<u64> {
    Ok(on!(tx, |conn| sqlx::query(statement)
        .execute(conn)
        .await?
        .rows_affected()))
}
