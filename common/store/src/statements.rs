//! Statements with their values, run on either database.
//!
//! The functions that run a statement are compiled once, here. The code at each statement only collects its values and
//! reads its rows (docs/adr/0039-the-ledgers-functions-are-compiled-once.md).

use std::{borrow::Cow, fmt::Display};

use futures_util::future::BoxFuture;
use sqlx::{
    Arguments, Encode, FromRow, MySql, Sqlite, Type,
    error::BoxDynError,
    mysql::{MySqlArguments, MySqlRow},
    sqlite::{SqliteArguments, SqliteRow},
};

use crate::{
    error::{Result, StoreError},
    timeouts::{count_error, counted},
    tx::Tx,
};

/// A value that both databases take.
pub(crate) trait Value<'q>:
    Encode<'q, MySql> + Type<MySql> + Encode<'q, Sqlite> + Type<Sqlite> + 'q
{
}

impl<'q, T> Value<'q> for T where
    T: Encode<'q, MySql> + Type<MySql> + Encode<'q, Sqlite> + Type<Sqlite> + 'q
{
}

/// A type that is read from rows of both databases.
pub(crate) trait Output:
    for<'r> FromRow<'r, MySqlRow> + for<'r> FromRow<'r, SqliteRow>
{
}

impl<T> Output for T where T: for<'r> FromRow<'r, MySqlRow> + for<'r> FromRow<'r, SqliteRow> {}

/// SQL with a value for each `?`.
pub(crate) struct Statement<'q> {
    sql: Cow<'q, str>,
    values: Values<'q>,
    /// The first value that its database refused.
    refused: Option<BoxDynError>,
}

enum Values<'q> {
    MySql(MySqlArguments),
    Sqlite(SqliteArguments<'q>),
}

enum Rows {
    MySql(Vec<MySqlRow>),
    Sqlite(Vec<SqliteRow>),
}

impl<'q> Statement<'q> {
    pub(crate) fn new(tx: &Tx, sql: impl Into<Cow<'q, str>>) -> Self {
        Self {
            sql: sql.into(),
            values: Values::of(tx),
            refused: None,
        }
    }

    /// Sets the value of the next `?`.
    pub(crate) fn bind<T: Value<'q>>(&mut self, value: T) {
        let added = match &mut self.values {
            Values::MySql(values) => values.add(value),
            Values::Sqlite(values) => values.add(value),
        };
        if let Err(error) = added {
            self.refused.get_or_insert(error);
        }
    }

    /// Does the same as [`Self::bind`], for a chain of calls.
    pub(crate) fn with<T: Value<'q>>(mut self, value: T) -> Self {
        self.bind(value);
        self
    }

    /// Appends SQL.
    pub(crate) fn push(&mut self, sql: impl Display) -> &mut Self {
        use std::fmt::Write as _;
        write!(self.sql.to_mut(), "{sql}").expect("a string takes every text");
        self
    }

    /// Appends a value.
    pub(crate) fn push_bind<T: Value<'q>>(&mut self, value: T) -> &mut Self {
        self.sql.to_mut().push('?');
        self.bind(value);
        self
    }

    /// Appends a list, of which [`Separated::push`] and [`Separated::push_bind`] begin a new element.
    pub(crate) fn separated<'s>(&'s mut self, separator: &'static str) -> Separated<'s, 'q> {
        Separated {
            statement: self,
            separator,
            is_first: true,
        }
    }

    /// Appends `VALUES`, and a row of values for each item.
    pub(crate) fn push_values<I>(
        &mut self,
        items: impl IntoIterator<Item = I>,
        mut push: impl FnMut(Separated<'_, 'q>, I),
    ) {
        self.push("VALUES ");
        for (at, item) in items.into_iter().enumerate() {
            self.push(if at == 0 { "(" } else { ", (" });
            push(self.separated(", "), item);
            self.push(")");
        }
    }

    /// Runs the statement and returns how many rows it changed.
    pub(crate) fn execute<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let (sql, values) = self.take()?;
            let changed = match (tx, values) {
                (Tx::MySql(tx, terms), Values::MySql(values)) => {
                    let query = sqlx::query_with(sql, values);
                    let asked = async { Ok(query.execute(&mut **tx).await?.rows_affected()) };
                    terms.ask(asked).await?
                }
                (Tx::Sqlite(tx, metrics), Values::Sqlite(values)) => {
                    let query = sqlx::query_with(sql, values);
                    let done = query.execute(&mut **tx).await;
                    counted(metrics, done.map_err(StoreError::from))?.rows_affected()
                }
                _ => return Err(other_database()),
            };
            Ok(changed)
        })
    }

    /// Returns all rows.
    pub(crate) async fn fetch_all<T: Output>(&mut self, tx: &mut Tx) -> Result<Vec<T>> {
        let rows = self.rows(tx, false).await?;
        rows.read(tx)
    }

    /// Returns the row, if there is one.
    pub(crate) async fn fetch_optional<T: Output>(&mut self, tx: &mut Tx) -> Result<Option<T>> {
        let rows = self.rows(tx, true).await?;
        Ok(rows.read(tx)?.pop())
    }

    /// Returns the only row.
    pub(crate) async fn fetch_one<T: Output>(&mut self, tx: &mut Tx) -> Result<T> {
        let found = self.fetch_optional(tx).await?;
        let found = found.ok_or(StoreError::Other(sqlx::Error::RowNotFound));
        count_error(tx.metrics(), found)
    }

    /// Returns the rows as the database sends them; with `only_first`, the first one.
    fn rows<'a>(&'a mut self, tx: &'a mut Tx, only_first: bool) -> BoxFuture<'a, Result<Rows>> {
        Box::pin(async move {
            let (sql, values) = self.take()?;
            Ok(match (tx, values) {
                (Tx::MySql(tx, terms), Values::MySql(values)) => {
                    let query = sqlx::query_with(sql, values);
                    let asked = async {
                        Ok(if only_first {
                            let first = query.fetch_optional(&mut **tx).await?;
                            Vec::from_iter(first)
                        } else {
                            query.fetch_all(&mut **tx).await?
                        })
                    };
                    Rows::MySql(terms.ask(asked).await?)
                }
                (Tx::Sqlite(tx, metrics), Values::Sqlite(values)) => {
                    let query = sqlx::query_with(sql, values);
                    let done = if only_first {
                        query.fetch_optional(&mut **tx).await.map(Vec::from_iter)
                    } else {
                        query.fetch_all(&mut **tx).await
                    };
                    Rows::Sqlite(counted(metrics, done.map_err(StoreError::from))?)
                }
                _ => return Err(other_database()),
            })
        })
    }

    fn take(&mut self) -> Result<(&str, Values<'q>)> {
        if let Some(error) = self.refused.take() {
            return Err(StoreError::Other(sqlx::Error::Encode(error)));
        }
        #[cfg(any(test, feature = "testing"))]
        {
            let is_mysql = matches!(self.values, Values::MySql(_));
            crate::testing::record_statement(if is_mysql { "mysql" } else { "sqlite" }, &self.sql);
        }
        let values = match &mut self.values {
            Values::MySql(values) => Values::MySql(std::mem::take(values)),
            Values::Sqlite(values) => Values::Sqlite(std::mem::take(values)),
        };
        Ok((&self.sql, values))
    }
}

/// Returns the error for a statement that was made for a transaction on the other database.
fn other_database() -> StoreError {
    let why = "the values are of another database than the transaction";
    StoreError::Other(sqlx::Error::Encode(why.into()))
}

impl Values<'_> {
    fn of(tx: &Tx) -> Self {
        match tx {
            Tx::MySql(..) => Self::MySql(MySqlArguments::default()),
            Tx::Sqlite(..) => Self::Sqlite(SqliteArguments::default()),
        }
    }
}

impl Rows {
    /// Reads the rows; one that can't be read is counted as an error of its statement.
    fn read<T: Output>(self, tx: &Tx) -> Result<Vec<T>> {
        let read: sqlx::Result<Vec<T>> = match &self {
            Self::MySql(rows) => rows.iter().map(T::from_row).collect(),
            Self::Sqlite(rows) => rows.iter().map(T::from_row).collect(),
        };
        count_error(tx.metrics(), read.map_err(StoreError::from))
    }
}

/// A list whose elements are separated in SQL.
pub(crate) struct Separated<'s, 'q> {
    statement: &'s mut Statement<'q>,
    separator: &'static str,
    is_first: bool,
}

impl<'q> Separated<'_, 'q> {
    /// Begins an element with SQL.
    pub(crate) fn push(&mut self, sql: impl Display) -> &mut Self {
        self.begin();
        self.push_unseparated(sql)
    }

    /// Begins an element with a value.
    pub(crate) fn push_bind<T: Value<'q>>(&mut self, value: T) -> &mut Self {
        self.begin();
        self.push_bind_unseparated(value)
    }

    /// Appends SQL to the element.
    pub(crate) fn push_unseparated(&mut self, sql: impl Display) -> &mut Self {
        self.statement.push(sql);
        self
    }

    /// Appends a value to the element.
    pub(crate) fn push_bind_unseparated<T: Value<'q>>(&mut self, value: T) -> &mut Self {
        self.statement.push_bind(value);
        self
    }

    fn begin(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.statement.push(self.separator);
        }
    }
}

// The macros that follow run one statement: the transaction, the SQL, and a value for each `?`. An error ends the
// function.

/// Runs a statement and returns how many rows it changed.
macro_rules! execute {
    ($tx:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::statements::Statement::new(&*$tx, $sql)
            $(.with($value))*
            .execute(&mut *$tx)
            .await?
    };
}

/// Returns all rows, as tuples.
macro_rules! fetch_all {
    ($($statement:tt)+) => { $crate::fetch!(fetch_all, $($statement)+) };
}

/// Returns the row, if there is one.
macro_rules! fetch_optional {
    ($($statement:tt)+) => { $crate::fetch!(fetch_optional, $($statement)+) };
}

/// Returns the only row.
macro_rules! fetch_one {
    ($($statement:tt)+) => { $crate::fetch!(fetch_one, $($statement)+) };
}

/// Returns the only column of all rows.
macro_rules! fetch_scalars {
    ($($statement:tt)+) => {{
        let rows = $crate::fetch!(fetch_all, $($statement)+);
        rows.into_iter().map(|(column,)| column).collect::<Vec<_>>()
    }};
}

/// Returns the only column of the row, if there is one.
macro_rules! fetch_optional_scalar {
    ($($statement:tt)+) => {
        $crate::fetch!(fetch_optional, $($statement)+).map(|(column,)| column)
    };
}

/// Returns the only column of the only row.
macro_rules! fetch_scalar {
    ($($statement:tt)+) => {{
        let (column,) = $crate::fetch!(fetch_one, $($statement)+);
        column
    }};
}

macro_rules! fetch {
    ($fetch:ident, $tx:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::statements::Statement::new(&*$tx, $sql)
            $(.with($value))*
            .$fetch(&mut *$tx)
            .await?
    };
}

/// Returns all rows, as a type that implements [`crate::rows::ReadRow`].
macro_rules! read_all {
    ($($statement:tt)+) => { $crate::rows::read_rows($crate::fetch_all!($($statement)+))? };
}

/// Returns the row, if there is one, as a type that implements [`crate::rows::ReadRow`].
macro_rules! read_optional {
    ($($statement:tt)+) => {
        $crate::rows::read_rows::<_, Vec<_>>($crate::fetch_optional!($($statement)+))?.pop()
    };
}

/// Returns the rows of a list of ids; `$sql` ends in `IN (`, and `$rest` begins with `)`. Without ids, there are none.
macro_rules! fetch_in {
    ($tx:expr, $sql:expr, $ids:expr, $rest:expr) => {
        if $ids.is_empty() {
            Vec::new()
        } else {
            let mut query = $crate::statements::Statement::new(&*$tx, $sql);
            $crate::push_ids(&mut query, &$ids[..]);
            query.push($rest).fetch_all(&mut *$tx).await?
        }
    };
}

/// Does the same as [`fetch_in`] for a type that implements [`crate::rows::ReadRow`].
macro_rules! read_in {
    ($($statement:tt)+) => { $crate::rows::read_rows($crate::fetch_in!($($statement)+))? };
}

/// Changes the rows of a list of ids, unless it is empty: `$sql`, or `$sql ? $key`, ends in `IN (`.
macro_rules! execute_in {
    ($tx:expr, $sql:expr $(, $value:expr, $key:expr)?; $ids:expr) => {
        if !$ids.is_empty() {
            let mut query = $crate::statements::Statement::new(&*$tx, $sql);
            $(query.push_bind($value).push($key);)?
            $crate::push_ids(&mut query, &$ids[..]);
            query.push(")").execute(&mut *$tx).await?;
        }
    };
}

pub(crate) use {
    execute, execute_in, fetch, fetch_all, fetch_in, fetch_one, fetch_optional,
    fetch_optional_scalar, fetch_scalar, fetch_scalars, read_all, read_in, read_optional,
};
