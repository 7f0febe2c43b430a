//! Databases that live for one test, and rows that tests begin with.

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};

use super::{Db, error::Result};
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
    super::stores::insert(&mut tx, store).await?;
    tx.commit().await
}

/// One that can't be prepared: what a server would answer that has trouble of its own.
#[cfg(test)]
pub(crate) async fn raw(tx: &mut super::Tx, statement: &'static str) -> Result<()> {
    super::on!(tx, |conn| {
        sqlx::raw_sql(statement).execute(conn).await?;
    });
    Ok(())
}

/// Any statement: for tests of what must never be.
#[cfg(test)]
pub(crate) async fn run(tx: &mut super::Tx, statement: &'static str) -> Result<u64> {
    Ok(super::on!(tx, |conn| sqlx::query(statement)
        .execute(conn)
        .await?
        .rows_affected()))
}
