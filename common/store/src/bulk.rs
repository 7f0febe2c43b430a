//! Statements over many rows, in few shapes. With MySQL, prepared statements are cached by their text, and one that is
//! not cached costs another round trip.

use crate::statements::{Statement, Value};

/// Maximum rows of one statement; well below both databases' limits on bound values (65 535 and 32 766).
pub(crate) const MAX_ROWS: usize = 256;
/// Maximum rows that one `CASE` tells apart: it looks for each row among all of them.
pub(crate) const MAX_DIFFERENT: usize = 64;
/// Longer statements have a multiple of so many rows, so that there are few shapes.
const STEP: usize = 8;

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
pub(crate) fn push_ids<'q, T: Value<'q> + Copy>(query: &mut Statement<'q>, ids: &[T]) {
    let mut list = query.separated(", ");
    for id in padded(ids) {
        list.push_bind(id);
    }
}

/// Splits the rows into at most three chunks for each [`MAX_ROWS`], in few lengths: 200 rows become 192 and 8, and 63
/// become 56 and 7.
pub(crate) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        if rows.is_empty() {
            return None;
        }
        let most = rows.len().min(MAX_ROWS);
        let unit = match most {
            MAX_DIFFERENT.. => MAX_DIFFERENT,
            STEP.. => STEP,
            _ => 1,
        };
        let (chunk, rest) = rows.split_at(most - most % unit);
        rows = rest;
        Some(chunk)
    })
}

/// Splits rows that differ, for [`update_many`]. The last row of a chunk is repeated, so that there are few shapes: the
/// first of equal cases counts.
pub(crate) fn different<T>(rows: &[T]) -> impl Iterator<Item = Vec<&T>> {
    rows.chunks(MAX_DIFFERENT).map(|chunk| {
        let wanted = if chunk.len() <= STEP {
            chunk.len()
        } else {
            chunk.len().next_multiple_of(STEP)
        };
        let last = chunk.last().into_iter().cycle();
        chunk.iter().chain(last).take(wanted).collect()
    })
}

/// Returns true if all rows have the same value.
pub(crate) fn all_equal<'r, T, V: PartialEq>(rows: &[&'r T], value: impl Fn(&'r T) -> V) -> bool {
    let mut values = rows.iter().map(|row| value(row));
    let first = values.next();
    values.all(|value| Some(&value) == first.as_ref())
}

/// Inserts all rows, in chunks:
/// `insert_many!(tx, "INSERT INTO t (a, b) ", rows, |push, row| push.push_bind(row.a).push_bind(row.b))`
macro_rules! insert_many {
    ($tx:expr, $sql:expr, $rows:expr, |$push:ident, $row:ident| $binds:expr $(, $end:expr)?) => {
        for chunk in $crate::bulk::chunks($rows) {
            let mut query = $crate::statements::Statement::new(&*$tx, $sql);
            query.push_values(chunk, |mut $push, $row| {
                $binds;
            });
            $(query.push($end);)?
            query.execute(&mut *$tx).await?;
        }
    };
}
pub(crate) use insert_many;

/// Changes rows that differ from one another, with one statement for each [`MAX_DIFFERENT`]. A value that all rows share
/// stands there once; any other is a `CASE` of the key, which the database evaluates for each row by looking through all
/// of them. Returns how many rows were changed. `$before` and `$after` are the SQL around the value, and the last of them
/// ends in `IN (`:
/// `update_many!(tx, "id", "UPDATE t SET ", rows, |row| row.id, ["a = " row.a, ", "; "b = " row.b, " WHERE id IN ("])`
macro_rules! update_many {
    ($tx:expr, $key:literal, $sql:expr, $rows:expr, |$row:ident| $id:expr,
     [$($before:literal $value:expr, $after:literal);+ $(;)?]) => {{
        let mut changed: u64 = 0;
        for chunk in $crate::bulk::different($rows) {
            changed += {
                let mut query = $crate::statements::Statement::new(&*$tx, $sql);
                $(
                    query.push($before);
                    if $crate::bulk::all_equal(&chunk, |$row| {
                        let _ = $row;
                        $value
                    }) {
                        let $row = chunk[0];
                        let _ = $row;
                        query.push_bind($value);
                    } else {
                        query.push(concat!("CASE ", $key));
                        for $row in &chunk {
                            query.push(" WHEN ").push_bind($id).push(" THEN ").push_bind($value);
                        }
                        query.push(" END");
                    }
                    query.push($after);
                )+
                let mut keys = query.separated(", ");
                for $row in &chunk {
                    keys.push_bind($id);
                }
                query.push(")").execute(&mut *$tx).await?
            };
        }
        changed
    }};
}
pub(crate) use update_many;

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn rows_go_in_few_statements_of_few_lengths() {
        let lengths = |many: usize| {
            let rows = vec![0; many];
            chunks(&rows).map(<[i32]>::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths(0), [0; 0]);
        assert_eq!(lengths(63), [56, 7]);
        assert_eq!(lengths(64), [64]);
        assert_eq!(lengths(600), [256, 256, 64, 24]);
        let mut different = std::collections::BTreeSet::new();
        for many in 1..=MAX_ROWS {
            let lengths = lengths(many);
            assert_eq!(lengths.iter().sum::<usize>(), many);
            assert!(lengths.len() <= 3, "{lengths:?}");
            different.extend(lengths);
        }
        assert_eq!(different.len(), 18);
    }

    #[test]
    fn rows_that_differ_are_filled_up_with_their_last() {
        let lengths = |many: usize| {
            let rows: Vec<usize> = (0..many).collect();
            let mut different = different(&rows);
            let first = different.next().unwrap_or_default();
            let distinct: std::collections::BTreeSet<_> = first.iter().collect();
            (distinct.len(), first.len(), different.count())
        };
        assert_eq!(lengths(0), (0, 0, 0));
        assert_eq!(lengths(5), (5, 5, 0));
        assert_eq!(lengths(9), (9, 16, 0));
        assert_eq!(lengths(65), (64, 64, 1));
    }

    #[test]
    fn only_values_that_all_rows_share_are_equal() {
        let rows = [&(1, "a"), &(2, "a"), &(3, "a")];
        assert!(all_equal(&rows, |row| row.1) && all_equal(&rows[..1], |row| row.0));
        assert!(!all_equal(&rows, |row| row.0) && !all_equal(&rows, |row| row.0 > 2));
    }

    #[test]
    fn a_list_of_ids_is_filled_up_with_its_last() {
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3)];
        let padded: Vec<u128> = padded(&ids).map(|id| id.as_u128()).collect();
        assert_eq!(padded, [1, 2, 3, 3]);
        assert_eq!(super::padded::<Uuid>(&[]).count(), 0);
    }
}
