//! Macros that run one statement: the transaction, the SQL, and a value for each `?`. An error ends the function.

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
            $crate::on!(&mut *$tx, |conn| {
                let mut query = sqlx::QueryBuilder::new($sql);
                $crate::push_ids(&mut query, &$ids[..]);
                query.push($rest).build_query_as().fetch_all(conn).await?
            })
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
            $crate::on!(&mut *$tx, |conn| {
                let mut query = sqlx::QueryBuilder::new($sql);
                $(query.push_bind($value).push($key);)?
                $crate::push_ids(&mut query, &$ids[..]);
                query.push(")").build().execute(conn).await?;
            });
        }
    };
}

pub(crate) use {
    execute, execute_in, fetch, fetch_all, fetch_in, fetch_one, fetch_optional,
    fetch_optional_scalar, fetch_scalar, fetch_scalars, read_all, read_in, read_optional,
};
