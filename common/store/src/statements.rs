//! Macros that run one statement: the transaction, the SQL, and a value for each `?`. They end the function with `?`.

/// Runs a statement and returns how many rows it changed.
macro_rules! execute {
    ($tx:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::on!(&mut *$tx, |conn| {
            let query = sqlx::query($sql)$(.bind($value))*;
            query.execute(conn).await?.rows_affected()
        })
    };
}

/// Returns all rows, as tuples.
macro_rules! fetch_all {
    ($($statement:tt)+) => { $crate::fetch!(query_as, fetch_all, $($statement)+) };
}

/// Returns the row, if there is one.
macro_rules! fetch_optional {
    ($($statement:tt)+) => { $crate::fetch!(query_as, fetch_optional, $($statement)+) };
}

/// Returns the only row.
macro_rules! fetch_one {
    ($($statement:tt)+) => { $crate::fetch!(query_as, fetch_one, $($statement)+) };
}

/// Returns the only column of all rows.
macro_rules! fetch_scalars {
    ($($statement:tt)+) => { $crate::fetch!(query_scalar, fetch_all, $($statement)+) };
}

/// Returns the only column of the row, if there is one.
macro_rules! fetch_optional_scalar {
    ($($statement:tt)+) => { $crate::fetch!(query_scalar, fetch_optional, $($statement)+) };
}

/// Returns the only column of the only row.
macro_rules! fetch_scalar {
    ($($statement:tt)+) => { $crate::fetch!(query_scalar, fetch_one, $($statement)+) };
}

macro_rules! fetch {
    ($query:ident, $fetch:ident, $tx:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::on!(&mut *$tx, |conn| {
            let query = sqlx::$query($sql)$(.bind($value))*;
            query.$fetch(conn).await?
        })
    };
}

pub(crate) use {
    execute, fetch, fetch_all, fetch_one, fetch_optional, fetch_optional_scalar, fetch_scalar,
    fetch_scalars,
};
