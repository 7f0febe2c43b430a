//! Reads domain types from rows, column by column, on either database.

use std::fmt::Display;

use sqlx::{
    Database, Decode, FromRow, MySql, Row as _, Sqlite, Type, error::BoxDynError, mysql::MySqlRow,
    sqlite::SqliteRow,
};
use uuid::Uuid;

use super::{
    error::{Result, StoreError},
    explain::QueryOutput,
};
use domain::{UnknownWord, money::InvalidCurrency};

/// A type that is read from rows. A value that no version of this program wrote is [`StoreError::Corrupt`].
pub(crate) trait ReadRow: Sized + Send + Unpin {
    /// Table that errors name.
    const TABLE: &'static str;
    /// Column of the id that errors name; if there is no such column, they quote this text.
    const KEY: &'static str = "id";

    fn read(row: &Row<'_>) -> Result<Self>;
}

/// A row that was fetched and is read or corrupt. Statements return these, so that a list can leave a corrupt row out.
pub(crate) struct Readable<T> {
    /// Id of the row.
    pub key: Uuid,
    pub read: Result<T>,
}

/// Text of a column, for rows that are tuples. Unlike `String` it may have a binary collation, whose text sqlx-mysql 0.8
/// takes for bytes.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl<DB: Database> Type<DB> for Text
where
    String: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        <String as Type<DB>>::type_info()
    }

    fn compatible(_: &DB::TypeInfo) -> bool {
        true
    }
}

impl<'r, DB: Database> Decode<'r, DB> for Text
where
    String: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> std::result::Result<Self, BoxDynError> {
        String::decode(value).map(Self)
    }
}

/// Implements `FromRow` for rows of both databases: each field is the column of its name. Columns after `else_default`
/// may be missing.
macro_rules! from_row {
    ($name:ident { $($field:ident),+ $(,)? } $(else_default { $($optional:ident),+ })?) => {
        $crate::rows::from_row!(sqlx::mysql::MySqlRow, $name { $($field),+ } { $($($optional),+)? });
        $crate::rows::from_row!(sqlx::sqlite::SqliteRow, $name { $($field),+ } { $($($optional),+)? });
    };
    ($row:ty, $name:ident { $($field:ident),+ } { $($optional:ident),* }) => {
        impl sqlx::FromRow<'_, $row> for $name {
            fn from_row(row: &$row) -> sqlx::Result<Self> {
                Ok(Self {
                    $($field: sqlx::Row::try_get(row, stringify!($field))?,)+
                    $($optional: match sqlx::Row::try_get(row, stringify!($optional)) {
                        Err(sqlx::Error::ColumnNotFound(_)) => Default::default(),
                        read => read?,
                    },)*
                })
            }
        }
    };
}
pub(crate) use from_row;

/// A row of either database.
pub(crate) struct Row<'r> {
    columns: Columns<'r>,
    table: &'static str,
    key: &'static str,
}

enum Columns<'r> {
    MySql(&'r MySqlRow),
    Sqlite(&'r SqliteRow),
}

/// A type that both databases decode.
pub(crate) trait Column:
    for<'r> Decode<'r, MySql> + Type<MySql> + for<'r> Decode<'r, Sqlite> + Type<Sqlite>
{
}

impl<T> Column for T where
    T: for<'r> Decode<'r, MySql> + Type<MySql> + for<'r> Decode<'r, Sqlite> + Type<Sqlite>
{
}

impl Row<'_> {
    /// Returns a column; a word or currency that is none is corrupt.
    pub(crate) fn get<T: Column>(&self, column: &str) -> Result<T> {
        self.decode(column).map_err(|error| match error {
            sqlx::Error::ColumnDecode { source, .. }
                if source.is::<UnknownWord>() || source.is::<InvalidCurrency>() =>
            {
                self.corrupt(source)
            }
            other => StoreError::Other(other),
        })
    }

    /// Returns a column as `parse` reads it; corrupt if it can't.
    pub(crate) fn parse<C: Column, T, E: Display>(
        &self,
        column: &str,
        parse: impl FnOnce(C) -> std::result::Result<T, E>,
    ) -> Result<T> {
        parse(self.get(column)?).map_err(|error| self.corrupt(error))
    }

    /// Does the same as [`Row::parse`] for a column that may be NULL.
    pub(crate) fn parse_optional<C, T, E: Display>(
        &self,
        column: &str,
        parse: impl FnOnce(C) -> std::result::Result<T, E>,
    ) -> Result<Option<T>>
    where
        Option<C>: Column,
    {
        let value: Option<C> = self.get(column)?;
        value
            .map(parse)
            .transpose()
            .map_err(|error| self.corrupt(error))
    }

    /// Returns a count from a signed column.
    pub(crate) fn count(&self, column: &str) -> Result<u32> {
        self.parse(column, |count: i64| count.try_into())
    }

    /// Returns the error for this row.
    fn corrupt(&self, what: impl ToString) -> StoreError {
        let key: sqlx::Result<Uuid> = self.decode(self.key);
        let key = key.map_or_else(|_| self.key.to_owned(), |key| key.to_string());
        StoreError::corrupt(self.table, key, what)
    }

    fn decode<T: Column>(&self, column: &str) -> sqlx::Result<T> {
        match self.columns {
            // sqlx-mysql 0.8 takes text with a binary collation (`utf8mb4_bin`) for bytes.
            Columns::MySql(row) => row.try_get_unchecked(column),
            Columns::Sqlite(row) => row.try_get(column),
        }
    }
}

impl<T: ReadRow> Readable<T> {
    /// Fails the whole statement only for errors that are no fault of the row's values.
    fn from_columns(columns: Columns<'_>) -> sqlx::Result<Self> {
        let row = Row {
            columns,
            table: T::TABLE,
            key: T::KEY,
        };
        match T::read(&row) {
            Err(StoreError::Other(error)) => Err(error),
            read => Ok(Self {
                key: row.decode(row.key).unwrap_or_default(),
                read,
            }),
        }
    }
}

impl<T: ReadRow> FromRow<'_, MySqlRow> for Readable<T> {
    fn from_row(row: &MySqlRow) -> sqlx::Result<Self> {
        Self::from_columns(Columns::MySql(row))
    }
}

impl<T: ReadRow> FromRow<'_, SqliteRow> for Readable<T> {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Self::from_columns(Columns::Sqlite(row))
    }
}

impl<T: ReadRow> QueryOutput for Readable<T> {}

/// Returns what the rows say; the first corrupt one is the error.
pub(crate) fn read_rows<T, R: FromIterator<T>>(
    rows: impl IntoIterator<Item = Readable<T>>,
) -> Result<R> {
    rows.into_iter().map(|row| row.read).collect()
}

/// A page of a list that is being filled. A row that can't be read is logged and left out, and the next one takes its
/// place: it must neither hide the others nor look like the end of the list.
pub(crate) struct ListPage<T> {
    what: &'static str,
    limit: usize,
    listed: Vec<T>,
    last: Option<Uuid>,
    is_full: bool,
}

impl<T> ListPage<T> {
    pub(crate) fn new(what: &'static str, limit: u32) -> Self {
        Self {
            what,
            limit: limit as usize,
            listed: Vec::new(),
            last: None,
            is_full: false,
        }
    }

    /// Returns true until the page is full or the list has ended.
    pub(crate) fn wants_rows(&self) -> bool {
        !self.is_full
    }

    /// Returns the id of the last row so far; the next rows come after it.
    pub(crate) fn last(&self) -> Option<Uuid> {
        self.last
    }

    /// Adds the next rows of the list, as many as the page's limit if there are so many.
    pub(crate) fn add(&mut self, rows: Vec<Readable<T>>) {
        let was_all = rows.len() < self.limit;
        self.last = rows.last().map_or(self.last, |row| Some(row.key));
        for row in rows {
            match row.read {
                Ok(one) => self.listed.push(one),
                Err(error) => {
                    tracing::error!(%error, "unreadable {} left out of the list", self.what);
                }
            }
        }
        self.listed.truncate(self.limit);
        self.is_full = was_all || self.listed.len() == self.limit;
    }

    pub(crate) fn into_listed(self) -> Vec<T> {
        self.listed
    }
}

/// Converts a binary column to text. Its value was valid UTF-8 when it was accepted.
pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Converts a binary column that may be NULL, as [`text`] does.
pub(crate) fn optional_text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.map(text)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use each_database::each_database;

    use crate::{StoreError, sessions, testing, testing::TestDb};
    use domain::{
        ids::{SessionId, StoreId},
        session::{Session, SessionState},
    };

    fn session(store: StoreId, id: SessionId, at: DateTime<Utc>) -> Session {
        Session {
            id,
            store_id: store,
            code: "c0de".into(),
            name: "table 7".into(),
            state: SessionState::Closed,
            opened_at: at,
            closed_at: Some(at),
            seq: 3,
        }
    }

    #[each_database(store)]
    async fn ids_and_words_come_back_as_they_were_stored_and_a_word_that_is_none_names_its_row(
        house: TestDb,
    ) {
        let now = house.clock.now();
        let session = session(house.chance.id(now), house.chance.id(now), now);
        let mut tx = house.db.begin().await.unwrap();
        sessions::insert(&mut tx, &session, "key").await.unwrap();
        let stored = sessions::get(&mut tx, session.id).await.unwrap();
        assert_eq!(stored.as_ref(), Some(&session));

        testing::run(&mut tx, "UPDATE sessions SET state = 'ajar'")
            .await
            .unwrap();
        let error = sessions::get(&mut tx, session.id).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        let expected = format!(
            "sessions {}: \"ajar\" is not a valid SessionState",
            session.id
        );
        assert_eq!(error.to_string(), expected);
    }
}
