//! Failures of rows: counted in the row, which is parked at the fifth and then listed as stuck. Such
//! a statement raises the count last, because MySQL assigns from left to right, and its other columns must see the old
//! count on both databases.

/// Number of failures at which a row is parked.
pub(crate) const MAX_FAILURES: i32 = 5;
/// Maximum stored length of an error text, in characters.
const MAX_ERROR_CHARS: usize = 500;

/// Truncates an error text to the length that its column takes.
pub(crate) fn shortened(error: &str) -> String {
    error.chars().take(MAX_ERROR_CHARS).collect()
}
