//! Statements over many rows, in few shapes. With MySQL, prepared statements are cached by their text, and one that is
//! not cached costs another round trip.

use std::collections::BTreeMap;

use sqlx::{Database, Encode, QueryBuilder, Type};

/// Maximum rows of one statement; well below both databases' limits on bound values (65 535 and 32 766).
pub(crate) const MAX_ROWS: usize = 256;

/// Returns the values, with the last one repeated up to the next power of two, so that `IN` lists have few shapes.
fn padded<T: Copy>(ids: &[T]) -> impl Iterator<Item = T> {
    let wanted = if ids.is_empty() {
        0
    } else {
        ids.len().next_power_of_two()
    };
    ids.iter()
        .copied()
        .chain(ids.last().copied().into_iter().cycle())
        .take(wanted)
}

/// Pushes the ids, padded, as values of an open `IN` list.
pub(crate) fn push_ids<'q, DB: Database, T>(query: &mut QueryBuilder<'q, DB>, ids: &[T])
where
    T: Encode<'q, DB> + Type<DB> + Copy + 'q,
{
    let mut list = query.separated(", ");
    for id in padded(ids) {
        list.push_bind(id);
    }
}

/// Splits the rows into chunks whose lengths are powers of two: 37 rows become 32, 4 and 1.
pub(crate) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        if rows.is_empty() {
            return None;
        }
        let size = MAX_ROWS.min(1 << rows.len().ilog2());
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

/// Groups the keys by their amounts, so that there is one statement for each distinct amount.
pub(crate) fn by_amount<K: Copy>(amounts: &BTreeMap<K, i64>) -> BTreeMap<i64, Vec<K>> {
    let mut groups: BTreeMap<i64, Vec<K>> = BTreeMap::new();
    for (key, amount) in amounts {
        groups.entry(*amount).or_default().push(*key);
    }
    groups
}

/// Inserts all rows, in chunks:
/// `insert_many!(tx, "INSERT INTO t (a, b) ", rows, |push, row| push.push_bind(row.a).push_bind(row.b))`
macro_rules! insert_many {
    ($tx:expr, $sql:expr, $rows:expr, |$push:ident, $row:ident| $binds:expr) => {
        for chunk in $crate::bulk::chunks($rows) {
            $crate::on!($tx, |conn| {
                let mut query = sqlx::QueryBuilder::new($sql);
                query.push_values(chunk, |mut $push, $row| {
                    $binds;
                });
                query.build().execute(conn).await?;
            });
        }
    };
}
pub(crate) use insert_many;

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn rows_go_in_powers_of_two() {
        let rows = [0; 37];
        assert_eq!(
            chunks(&rows).map(<[i32]>::len).collect::<Vec<_>>(),
            [32, 4, 1]
        );
        let rows = [0; 600];
        assert_eq!(
            chunks(&rows).map(<[i32]>::len).collect::<Vec<_>>(),
            [256, 256, 64, 16, 8]
        );
    }

    #[test]
    fn a_list_of_ids_is_filled_up_with_its_last() {
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3)];
        let padded: Vec<u128> = padded(&ids).map(|id| id.as_u128()).collect();
        assert_eq!(padded, [1, 2, 3, 3]);
        assert_eq!(super::padded::<Uuid>(&[]).count(), 0);
    }
}
