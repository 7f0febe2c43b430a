//! For tests of every crate: temporary databases, and rows that tests begin with.
//!
//! `#[each_database(store)]` makes one test per database out of one body that takes a [`TestDb`]. The MySQL tests run if
//! `EXPEDITER_TEST_MYSQL_URL` names a server (`mysql://user:password@host:port/`).

pub mod environment;
mod recorded; // the statements of a release

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    sync::atomic::AtomicU64,
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::store::Store;
use futures_util::FutureExt;
use platform::{chance::Chance, clock::Clock};
use sqlx::{Connection, Executor, MySqlConnection};
use uuid::Uuid;

use crate::{Db, DbOptions, Result, Tx, fetch_all, migrate, on, statements::Statement, stores};

pub(crate) use recorded::record_statement;

/// Number of statements and commits of this process. A test that counts them must be the only one of its process.
pub static STATEMENTS: AtomicU64 = AtomicU64::new(0);

/// Maximum time that a test waits for something before it fails.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Returns the time at which the tests' manual clocks start.
#[must_use]
pub fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_608_000, 0).expect("2026-11-25T12:00:00Z is a time")
}

/// A fresh database, with a clock that stands at [`noon`] until the test moves it.
#[derive(Clone, Debug)]
pub struct TestDb {
    pub db: Db,
    pub clock: Clock,
    pub chance: Chance,
}

impl TestDb {
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self {
            db,
            clock: Clock::manual(noon()),
            chance: Chance::system(),
        }
    }
}

impl From<&TestDb> for TestDb {
    fn from(test_db: &TestDb) -> Self {
        test_db.clone()
    }
}

/// A fresh, migrated database; [`FreshDb::end`] drops it.
#[derive(Debug)]
pub struct FreshDb {
    pub db: Db,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Server { url: String, name: String },
}

impl FreshDb {
    /// Returns the URL for the setting `database.url` of another process.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.place {
            Place::Folder(folder) => format!("sqlite://{}", folder.join("test.db").display()),
            Place::Server { url, name } => format!("{url}{name}"),
        }
    }

    pub async fn end(self) {
        self.db.close().await;
        match self.place {
            Place::Folder(folder) => drop(std::fs::remove_dir_all(folder)),
            Place::Server { url, name } => drop_mysql(&url, &name)
                .await
                .expect("the server drops a test's database"),
        }
    }
}

pub async fn fresh_sqlite() -> FreshDb {
    let folder = environment::temporary_folder().join(unused_name());
    let url = format!("sqlite://{}", folder.join("test.db").display());
    FreshDb {
        db: migrated(DbOptions::new(url)).await,
        place: Place::Folder(folder),
    }
}

/// Creates a MySQL database; returns `None`, with a note on standard error, if no server is named.
///
/// # Panics
/// In CI, if no server is named.
#[expect(
    clippy::print_stderr,
    reason = "a skipped test must be visible to the person who runs it"
)]
pub async fn fresh_mysql() -> Option<FreshDb> {
    let Some(url) = environment::test_mysql_url() else {
        assert!(
            !environment::in_ci(),
            "EXPEDITER_TEST_MYSQL_URL is not set, and CI must not skip MySQL"
        );
        eprintln!("SKIPPED: a MySQL case, because EXPEDITER_TEST_MYSQL_URL is not set");
        return None;
    };
    let url = format!("{}/", url.trim_end_matches('/'));
    let name = unused_name();
    let of_database = create_mysql(&url, &name)
        .await
        .expect("EXPEDITER_TEST_MYSQL_URL names a server that lets us make databases");
    let options = DbOptions {
        max_connections: 8,
        ..DbOptions::new(of_database)
    };
    Some(FreshDb {
        db: migrated(options).await,
        place: Place::Server { url, name },
    })
}

async fn migrated(options: DbOptions) -> Db {
    // Parallel tests open many connections at once.
    let options = DbOptions {
        connect_timeout: Duration::from_secs(30),
        allow_weak_durability: true,
        ..options
    };
    let db = Db::connect(&options)
        .await
        .expect("a fresh database is reached");
    migrate(&db)
        .await
        .expect("a fresh database takes all migrations");
    db
}

fn unused_name() -> String {
    let random = Uuid::from_bytes(Chance::system().bytes());
    format!("expediter_test_{}", random.simple())
}

/// Creates a database on a server whose URL ends with a slash, and returns the database's URL.
async fn create_mysql(server_url: &str, name: &str) -> Result<String> {
    let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
    execute_on_server(server_url, create).await?;
    Ok(format!("{server_url}{name}"))
}

async fn drop_mysql(server_url: &str, name: &str) -> Result<()> {
    execute_on_server(server_url, format!("DROP DATABASE IF EXISTS {name}")).await
}

async fn execute_on_server(server_url: &str, statement: String) -> Result<()> {
    let mut conn = MySqlConnection::connect(server_url).await?;
    conn.execute(statement.as_str()).await?;
    conn.close().await?;
    Ok(())
}

/// Inserts a store, for tests that need one.
pub async fn insert_store(db: &Db, store: &Store) -> Result<()> {
    let mut tx = db.begin().await?;
    stores::insert(&mut tx, store).await?;
    tx.commit().await
}

/// Runs a statement that can't be prepared, such as a `SIGNAL` that imitates a server error.
pub async fn raw(tx: &mut Tx, statement: &'static str) -> Result<()> {
    on!(tx, |conn| {
        sqlx::raw_sql(statement).execute(conn).await?;
    });
    Ok(())
}

/// Returns the number that a query counts.
pub async fn count(tx: &mut Tx, statement: &'static str) -> Result<i64> {
    Ok(crate::fetch_scalar!(tx, statement))
}

/// Runs any statement, to create states that must never occur, and returns the number of affected rows.
pub async fn run(tx: &mut Tx, statement: &str) -> Result<u64> {
    Ok(on!(tx, |conn| sqlx::query(statement)
        .execute(conn)
        .await?
        .rows_affected()))
}

/// Returns every column of the database in which one of these texts is, as `table.column`.
pub async fn columns_with(tx: &mut Tx, texts: &[&str]) -> Result<Vec<String>> {
    let columns = tx.pick(
        "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR) FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND table_name <> '_sqlx_migrations'",
        "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND t.name <> '_sqlx_migrations'",
    );
    let columns: Vec<(String, String)> = fetch_all!(tx, columns);
    let mut found = Vec::new();
    for (table, column) in columns {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE ");
        let mut query = Statement::new(tx, sql);
        let mut list = query.separated(" OR ");
        for text in texts {
            list.push(format!("INSTR({column}, "))
                .push_bind_unseparated(*text)
                .push_unseparated(") > 0");
        }
        let (rows,): (i64,) = query.fetch_one(tx).await?;
        if rows > 0 {
            found.push(format!("{table}.{column}"));
        }
    }
    Ok(found)
}

/// Runs a body of `#[each_database(store)]` over SQLite.
pub async fn on_sqlite<F: Future<Output = ()>>(body: impl FnOnce(TestDb) -> F) {
    with_sqlite(|db| body(TestDb::new(db))).await;
}

/// Runs a body like [`on_sqlite`] over MySQL, if a server is named.
pub async fn on_mysql<F: Future<Output = ()>>(body: impl FnOnce(TestDb) -> F) {
    with_mysql(|db| body(TestDb::new(db))).await;
}

/// Runs `body` over a fresh SQLite database, and drops the database even if `body` panics.
pub async fn with_sqlite<F: Future<Output = ()>>(body: impl FnOnce(Db) -> F) {
    with_fresh(fresh_sqlite().await, body).await;
}

/// Runs `body` like [`with_sqlite`] over MySQL, if a server is named.
pub async fn with_mysql<F: Future<Output = ()>>(body: impl FnOnce(Db) -> F) {
    if let Some(fresh) = fresh_mysql().await {
        with_fresh(fresh, body).await;
    }
}

async fn with_fresh<F: Future<Output = ()>>(fresh: FreshDb, body: impl FnOnce(Db) -> F) {
    let db = fresh.db.clone();
    let done = AssertUnwindSafe(async move { body(db).await })
        .catch_unwind()
        .await;
    fresh.end().await;
    if let Err(panic) = done {
        resume_unwind(panic);
    }
}
